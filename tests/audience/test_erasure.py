"""DELETE /v1/audience/data: everything about a player is deleted except a receipt."""

import hashlib
import importlib
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from auditlog.models import LogEntry
from cryptography.fernet import Fernet
from django.apps import apps
from django.conf import settings as settings_module
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from django.db.migrations.exceptions import IrreversibleError
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from audience import tasks
from audience.background import isolation
from audience.database.encryption import decrypt
from audience.digest import queue
from audience.games.keys import NewKey, create_key, revoke_key
from audience.models import (
    Batch,
    Conversion,
    Device,
    Erasure,
    ErasureState,
    Event,
    FailedWork,
    Game,
    Group,
    Identity,
    Person,
    ReceiptKey,
    Rejection,
    Role,
)
from audience.models.erasure import ReceiptKeyLost, keyed_hash, subject_hash
from audience.privacy import erasure
from consent.models import ConsentDecision
from postbacks.delivery import sending
from postbacks.models import Alert, Delivery, DeliveryAttempt
from postbacks.monitoring.alerts import watch
from postbacks.networks import NETWORKS
from postbacks.outbox import fan_out
from tests import factories, hub
from tests.audience.concurrency import in_thread, own_connection, wait_for_a_lock
from tests.audience.immutable import (
    ABSENT,
    CONSENT,
    DATA,
    LIBRARY,
    ago,
    alias,
    assert_cors,
    assert_envelope,
    click,
    digest,
    identify,
    launch,
    message,
    page,
    purchase,
    send,
)
from tests.network_urls import point_at
from tests.postbacks.echo import Echo

pytestmark = pytest.mark.django_db
NO_HEADER = "The header x-immutable-api-key is missing or does not contain a secret key (sk_imapik-…)."
PUBLISHABLE = "Erasing requires a secret key (sk_imapik-…), not a publishable or server key."
NOT_RECOGNISED = "The secret key is not recognized. Check that it is correct and not revoked."

USER, ANON, DEVICE, STEAM = "user-forgetme", "anon-forgetme", "device-forgetme", "76561198000000042"
# Anything that could lead back to the player.
TRACES = [USER, ANON, DEVICE, STEAM, "forgetme@example.com", "click-forgetme", "203.0.113.66", "Forgetme Browser"]


def delete(key: NewKey, query: dict[str, str] | None = None, **headers: str) -> HttpResponse:
    query = {"userId": USER} if query is None else query
    headers = headers or {"x-immutable-api-key": key.value}
    return Client().delete(DATA, query_params=query, headers=headers)


def erase(key: NewKey, query: dict[str, str] | None = None) -> Erasure:
    """Ask for an erasure and let the worker do it; its receipt."""
    answer = delete(key, query)
    assert (answer.status_code, answer.content) == (202, b"")
    assert erasure.drain() == 1
    return Erasure.objects.latest("requested_at")


def traces() -> list[tuple[str, str]]:
    """(table, trace) for every row of any table of the database that holds one, in whatever column."""
    return [(table, trace) for table, text in tables() for trace in TRACES if trace.lower() in text.lower()]


def tables() -> list[tuple[str, str]]:
    """Every table of the database with all its rows as text."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        names = [name for (name,) in cursor.fetchall()]
        texts = []
        for table in names:
            cursor.execute(f"SELECT string_agg(t::text, ' ') FROM \"{table}\" t")
            texts.append((table, cursor.fetchone()[0] or ""))
    return texts


@pytest.fixture
def played(key: NewKey, game: Game) -> None:
    """The player's whole history on web and device, beside that of another player."""
    headers = {"x-immutable-publishable-key": key.value}
    for anonymous_id in (ANON, "anon-other"):
        decision = {"anonymousId": anonymous_id, "status": "full", "source": "banner"}
        assert Client().put(CONSENT, decision, "application/json", headers=headers).status_code == 204
    seen = {**LIBRARY, "userAgent": "Forgetme Browser", "ip": "203.0.113.66"}
    landing = {**seen, "pageUrl": "https://mygame.com/?ttclid=click-forgetme"}
    digest(key, page(ANON, context=landing, eventTimestamp=ago(minutes=30)), click("anon-other", "click-other"))
    digest(
        key,
        alias(ANON, USER),
        alias(STEAM, USER, fromType="steam", toType="passport"),
        identify(USER, traits={"email": "forgetme@example.com"}, context=seen),
        message(userId=ABSENT, anonymousId=ANON, deviceId=DEVICE),
        message(userId=STEAM),
        identify("user-other", "anon-other"),
    )
    digest(key, purchase(USER), launch(USER), launch(USER), purchase("user-other"))
    refused = {"surface": "tv", "traits": {"email": "forgetme@example.com"}}
    send(key, message(userId=USER, **refused), message(userId=f" {USER} ", **refused), message(surface="tv"))
    send(key, alias(STEAM, STEAM), message(userId=ABSENT, deviceId=DEVICE))
    Device.objects.create(game=game, person=person_of(USER), device_id=DEVICE, token="push-token")
    Group.objects.create(game=game, group_id="guild").members.add(person_of(USER), person_of("user-other"))


def person_of(value: str) -> Person:
    return Identity.objects.get(namespace="user", value=value).person


# What goes


@pytest.mark.parametrize("query", [{"userId": USER}, {"anonymousId": ANON}, {"userId": STEAM}])
def test_nothing_of_the_player_remains_whichever_id_is_named(
    played: None, secret_key: NewKey, query: dict[str, str]
) -> None:
    assert {trace for _, trace in traces()} == set(TRACES)
    erase(secret_key, query)

    assert traces() == []


def test_another_player_is_unchanged(played: None, secret_key: NewKey) -> None:
    erase(secret_key)

    assert Event.objects.count() == 3
    assert list(Identity.objects.order_by("value").values_list("value", flat=True)) == ["anon-other", "user-other"]
    assert [(c.user_id, c.touch.click_id) for c in Conversion.objects.select_related("touch") if c.touch] == [
        ("user-other", "click-other")
    ]
    assert [decision.anonymous_id for decision in ConsentDecision.objects.all()] == ["anon-other"]
    assert [rejection.subjects[-1] for rejection in Rejection.objects.all()] == ["user-123"]
    assert list(Group.objects.get().members.all()) == [person_of("user-other")]


def test_the_same_ids_in_another_game_are_another_player(played: None, secret_key: NewKey, other_game: Game) -> None:
    digest(create_key(game=other_game, name="web"), identify(USER, ANON), purchase(USER))
    erase(secret_key)

    assert Event.objects.filter(game_id=other_game.pk).count() == 2
    assert Conversion.objects.filter(game=other_game).count() == 1


def test_the_receipt_keeps_hashes_counts_and_times(played: None, secret_key: NewKey, game: Game) -> None:
    before = timezone.now()
    receipt = erase(secret_key)
    after = timezone.now()

    assert (receipt.state, receipt.subject, receipt.error, receipt.namespace) == (ErasureState.DONE, "", "", "user")
    assert receipt.subject_hash == subject_hash(game.pk, USER)
    assert receipt.linked_hashes == sorted(subject_hash(game.pk, value) for value in (USER, ANON, DEVICE, STEAM))
    assert receipt.counts == {
        "postbacks_cancelled": 0,
        "events": 9,
        "rejections": 4,
        "consent_decisions": 1,
        "conversions": 3,
        "touches": 1,
        "devices": 1,
        "identities": 6,
        "people": 1,
    }
    assert receipt.finished_at is not None
    assert before <= receipt.requested_at <= receipt.finished_at <= after
    assert receipt.requested_by == f"x-immutable-api-key {secret_key.key.prefix}…"
    assert secret_key.value not in receipt.requested_by


def test_receipts_of_two_games_have_different_hashes_of_one_player(game: Game, other_game: Game) -> None:
    assert subject_hash(game.pk, USER) != subject_hash(other_game.pk, USER)


def test_waiting_postbacks_are_cancelled_and_delivered_ones_stay(
    played: None, key: NewKey, secret_key: NewKey, game: Game
) -> None:
    factories.config(game)
    fan_out.fan_out_due()
    bought, launched = (
        Delivery.objects.get(conversion__trigger=trigger, conversion__user_id=USER, state="waiting")
        for trigger in ("purchase", "game_launch")
    )
    Delivery.objects.filter(pk=bought.pk).update(state="delivered", finished_at=timezone.now())
    receipt = erase(secret_key)

    bought.refresh_from_db()
    launched.refresh_from_db()
    assert (bought.state, bought.conversion) == ("delivered", None)
    assert (launched.state, launched.conversion, launched.next_attempt_at) == ("cancelled", None, None)
    assert receipt.counts["postbacks_cancelled"] == 1
    (other,) = Delivery.objects.filter(state="waiting").select_related("conversion")
    assert other.conversion is not None
    assert other.conversion.user_id == "user-other"
    assert traces() == []


@pytest.mark.long
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("status", [400, 503])
def test_what_a_network_quoted_of_the_player_is_removed_too(
    key: NewKey, secret_key: NewKey, game: Game, settings: Any, network: str, status: int
) -> None:
    """Wherever it was written: the attempts, and the alert that quotes them."""
    config = factories.config(game, network=network)
    seen = {**LIBRARY, "userAgent": "Forgetme Browser", "ip": "203.0.113.66"}
    parameter = config.kind.click_param or config.click_parameters[0]
    landing = {**seen, "pageUrl": f"https://mygame.com/?{parameter}=click-forgetme"}
    # So long ago that each network accepts the click.
    digest(key, page(ANON, context=landing, eventTimestamp=ago(hours=7)), alias(ANON, USER))
    digest(key, *(purchase(USER, context=seen) for _ in range(10)))
    fan_out.fan_out_due()
    with Echo() as echo:
        echo.answer(status)
        point_at(settings, echo.url)
        sending.drain(network=network, max_in_flight=1, seconds=3)
        assert len(echo.received) >= 5
    watch.watch()
    assert {"postbacks_deliveryattempt", "postbacks_alert"} <= {table for table, _ in traces()}
    alert = Alert.objects.get(config=config)
    made = DeliveryAttempt.objects.count()
    erase(secret_key)

    assert traces() == []
    attempts = DeliveryAttempt.objects.values_list("payload", "message", "provider_code", "request_id").distinct()
    assert list(attempts) == [(None, "", "", "")]
    assert DeliveryAttempt.objects.exclude(http_status=status).count() == 0
    assert DeliveryAttempt.objects.count() == made
    quoted = Alert.objects.get(config=config).cause
    assert quoted.partition("“")[0] == alert.cause.partition("“")[0]
    assert "“…”" in quoted


def test_the_error_of_a_set_aside_request_contains_no_id_of_the_erased_player(
    key: NewKey, secret_key: NewKey, game: Game
) -> None:
    digest(key, identify(USER, traits={"email": "forgetme@example.com"}))
    failed = set_aside(game, error=f"ValueError: no number: '{USER}' of FORGETME@example.com")
    erase(secret_key)

    failed.refresh_from_db()
    assert failed.error == "ValueError: no number: '…' of …"
    assert traces() == []


def set_aside(game: Game, **given: Any) -> Batch:
    """A request that was set aside."""
    counts = {"accepted": 0, "duplicates": 0, "rejected": 0}
    return Batch.objects.create(
        game=game, dialect="immutable", state="failed", event_ids=[], received_at=timezone.now(), **counts, **given
    )


# Receipts


def test_an_erased_id_cannot_be_verified_without_the_receipt_key(secret_key: NewKey, game: Game) -> None:
    receipt = erase(secret_key, {"userId": "forgetme@example.com"})

    guess = hashlib.sha256(f"{game.pk}:forgetme@example.com".encode()).hexdigest()
    (sealed,) = ReceiptKey.objects.values_list("sealed", flat=True)
    for key in ("", sealed, str(game.pk), settings_module.SECRET_KEY):
        assert receipt.subject_hash not in (guess, keyed_hash(key, guess))
    everything = " ".join(text for _, text in tables())
    assert guess not in everything
    assert decrypt(sealed) not in everything
    assert receipt.subject_hash in everything


def test_a_receipt_is_found_by_the_erased_id(played: None, secret_key: NewKey, game: Game, settings: Any) -> None:
    receipt = erase(secret_key)
    admin = hub.member(game, Role.ADMIN)
    settings.SECRET_KEY = "another-secret-key-" * 4
    old, new = settings.CREDENTIAL_KEYS[0], Fernet.generate_key().decode()
    before = ReceiptKey.objects.get().sealed
    settings.CREDENTIAL_KEYS = [new, old]
    call_command("rotate_credential_keys", stdout=StringIO())
    settings.CREDENTIAL_KEYS = [new]
    assert ReceiptKey.objects.get().sealed != before

    assert receipt.subject_hash == subject_hash(game.pk, USER)
    admin.force_login(admin_user := get_user_model().objects.get(username__startswith="admin-of"))
    assert admin_user.is_active
    for named in (USER, ANON, STEAM, DEVICE):
        assert list(Erasure.objects.for_subject(game.pk, named)) == [receipt]
        page_ = admin.get(f"/g/{game.slug}/privacy/", {"q": named}).content.decode()
        assert receipt.subject_hash in page_.split("Erasure receipts of this ID")[1].split("</table>")[0]
    page_ = admin.get(f"/g/{game.slug}/privacy/", {"q": "somebody-else"}).content.decode()
    assert "No player was erased under this ID." in page_
    assert subject_hash(game.pk, USER) == receipt.subject_hash
    assert ReceiptKey.objects.count() == 1


def test_late_events_of_an_erased_player_are_recognised_after_a_key_rotation(
    played: None, key: NewKey, secret_key: NewKey, settings: Any
) -> None:
    erase(secret_key)
    settings.CREDENTIAL_KEYS = [Fernet.generate_key().decode(), *settings.CREDENTIAL_KEYS]
    call_command("rotate_credential_keys", stdout=StringIO())
    settings.CREDENTIAL_KEYS = settings.CREDENTIAL_KEYS[:1]
    digest(key, purchase(USER, eventTimestamp=ago(minutes=20)))

    assert Conversion.objects.get(user_id=USER).reason == "erased"


def test_without_the_receipt_key_late_events_of_a_player_stay_undigested(
    played: None, key: NewKey, secret_key: NewKey, game: Game, settings: Any
) -> None:
    erase(secret_key)
    kept, settings.CREDENTIAL_KEYS = settings.CREDENTIAL_KEYS, [Fernet.generate_key().decode()]
    send(key, purchase(USER, eventTimestamp=ago(minutes=20)))
    queue.drain()
    with pytest.raises(ReceiptKeyLost, match="Add the missing key again"):
        Erasure.objects.for_subject(game.pk, USER)
    page_ = hub.member(game, Role.ADMIN).get(f"/g/{game.slug}/privacy/", {"q": USER}).content.decode()
    assert "No key in CREDENTIAL_KEYS decrypts the key of the receipts. Add the missing key again." in page_

    assert not Conversion.objects.filter(user_id=USER).exists()
    batch = Batch.objects.get(state="pending")
    assert batch.error.startswith("ReceiptKeyLost: ")
    settings.CREDENTIAL_KEYS = kept
    Batch.objects.update(next_attempt_at=timezone.now())
    queue.drain()
    assert Conversion.objects.get(user_id=USER).reason == "erased"


def test_a_request_is_kept_while_the_key_is_missing_and_done_when_it_is_back(
    played: None, secret_key: NewKey, game: Game, settings: Any
) -> None:
    erase(secret_key, {"userId": "somebody"})
    kept, settings.CREDENTIAL_KEYS = settings.CREDENTIAL_KEYS, [Fernet.generate_key().decode()]
    events = Event.objects.count()
    assert delete(secret_key).status_code == 202
    erasure.drain()
    asked = Erasure.objects.get(state="pending")
    assert (asked.subject, asked.subject_hash, Event.objects.count()) == (USER, "", events)

    settings.CREDENTIAL_KEYS = kept
    assert erasure.run(asked.pk) is True
    asked.refresh_from_db()
    assert (asked.state, asked.subject, asked.subject_hash) == ("done", "", subject_hash(game.pk, USER))
    assert traces() == []


def test_receipts_from_before_are_keyed_and_so_are_their_entries_in_the_audit_log(game: Game) -> None:
    def plain(value: str) -> str:
        return hashlib.sha256(f"{game.pk}:{value}".encode()).hexdigest()

    old = Erasure.objects.create(
        game=game, namespace="user", subject_hash=plain(USER), linked_hashes=[plain(ANON), plain(USER)], state="done"
    )
    key_receipts = importlib.import_module("audience.migrations.0025_key_receipts")
    key_receipts.key_receipts(apps, None)

    assert [list(Erasure.objects.for_subject(game.pk, value)) for value in (USER, ANON, "other")] == [[old], [old], []]
    everything = " ".join(text for _, text in tables())
    assert plain(USER) not in everything
    assert plain(ANON) not in everything
    entry = LogEntry.objects.get_for_object(old).get(action=LogEntry.Action.CREATE)
    assert entry.changes["subject_hash"] == ["None", subject_hash(game.pk, USER)]
    with pytest.raises(IrreversibleError):
        key_receipts.refuse(apps, None)
    Erasure.objects.all().delete()
    assert key_receipts.refuse(apps, None) is None


def test_a_player_with_ids_but_no_events_is_erased_too(secret_key: NewKey, game: Game) -> None:
    factories.person(game, user=USER, anonymous=ANON)
    erase(secret_key)

    assert not Person.objects.exists()
    assert traces() == []


def test_consent_of_an_id_without_any_event_is_erased(key: NewKey, secret_key: NewKey) -> None:
    decision = {"anonymousId": ANON, "status": "none", "source": "banner"}
    Client().put(CONSENT, decision, "application/json", headers={"x-immutable-publishable-key": key.value})
    erase(secret_key, {"anonymousId": ANON})

    assert not ConsentDecision.objects.exists()


@pytest.mark.parametrize("ids", [(ANON, "unknown"), ("unknown", USER)])
def test_an_alias_with_one_placeholder_is_erased_with_its_other_id(
    key: NewKey, secret_key: NewKey, ids: tuple[str, str]
) -> None:
    digest(key, alias(*ids))
    erase(secret_key, {"anonymousId": ANON} if ANON in ids else {"userId": USER})

    assert not Event.objects.exists()
    assert traces() == []


# When it comes at an awkward moment


def test_events_undigested_at_the_time_of_the_request_are_erased_too(key: NewKey, secret_key: NewKey) -> None:
    """Only the alias still in the queue says that the two are one."""
    digest(key, click(ANON, "click-forgetme"), message(userId=USER))
    send(key, alias(ANON, USER), message(userId=ABSENT, anonymousId=ANON, deviceId=DEVICE))
    with time_machine.travel(datetime.now(UTC), tick=False) as clock:
        assert delete(secret_key).status_code == 202
        assert erasure.drain() == 0
        receipt = Erasure.objects.get()
        assert (receipt.state, receipt.next_attempt_at) == ("pending", timezone.now() + erasure.DIGEST_WAIT)
        assert Event.objects.count() == 4

        queue.drain()
        clock.shift(erasure.DIGEST_WAIT)
        assert erasure.drain() == 1
    assert not Event.objects.exists()
    assert traces() == []


def test_a_batch_that_cannot_be_digested_delays_an_erasure_only_until_it_is_set_aside(
    key: NewKey, secret_key: NewKey
) -> None:
    sent = identify(USER)
    with time_machine.travel(datetime.now(UTC), tick=False) as clock:
        send(key, sent)
        Event.objects.update(links=[["malformed"]])
        delete(secret_key)
        for _ in range(isolation.MAX_ATTEMPTS):
            assert erasure.drain() == 0
            queue.drain()
            clock.move_to(Batch.objects.get().next_attempt_at)

        assert Batch.objects.get().state == "failed"
        assert erasure.drain() == 1
    assert traces() == []


def test_batches_after_the_request_do_not_delay_an_erasure(key: NewKey, secret_key: NewKey) -> None:
    digest(key, message(userId=USER))
    delete(secret_key)
    send(key, message(userId="somebody else"))

    assert erasure.drain() == 1


@pytest.mark.django_db(transaction=True)
def test_an_erasure_waits_for_a_running_digest_of_its_game(key: NewKey, secret_key: NewKey, game: Game) -> None:
    digest(key, message(userId=USER))
    delete(secret_key)
    with own_connection() as other, other.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"digest game {game.pk}"])
        worker = in_thread(erasure.drain)
        wait_for_a_lock()
        assert Event.objects.count() == 1
        other.rollback()
        worker.join(20)

    assert not Event.objects.exists()
    assert Erasure.objects.get().state == "done"


@pytest.mark.django_db(transaction=True)
def test_events_are_accepted_while_an_erasure_waits_for_the_digest(key: NewKey, secret_key: NewKey, game: Game) -> None:
    delete(secret_key)
    with own_connection() as other, other.cursor() as cursor, connection.cursor() as own:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"digest game {game.pk}"])
        worker = in_thread(erasure.drain)
        wait_for_a_lock()
        own.execute("SET lock_timeout = '2s'")
        assert send(key, message(userId="somebody-else")).status_code == 200
        own.execute("SET lock_timeout = 0")
        other.rollback()
        worker.join(20)

    assert Erasure.objects.get().state == "done"


@pytest.mark.django_db(transaction=True)
def test_one_of_two_workers_runs_the_erasure(key: NewKey, secret_key: NewKey) -> None:
    delete(secret_key)
    with own_connection() as other, other.cursor() as cursor:
        cursor.execute("SELECT 1 FROM audience_erasure FOR UPDATE")
        assert erasure.drain() == 0
    assert erasure.drain() == 1


def failing_hook(*, person_ids: Any, conversion_ids: Any) -> int:
    """An ERASURE_HOOK that PostgreSQL refuses."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 / 0")
    return 0


def test_a_failing_erasure_is_rolled_back_logged_and_retried(key: NewKey, secret_key: NewKey, settings: Any) -> None:
    digest(key, message(userId=USER))
    with time_machine.travel(datetime.now(UTC), tick=False) as clock:
        delete(secret_key)
        hook, settings.ERASURE_HOOK = settings.ERASURE_HOOK, "tests.audience.test_erasure.failing_hook"
        assert erasure.drain() == 0
        receipt = Erasure.objects.get()
        assert (receipt.state, receipt.error, receipt.subject) == ("pending", "DataError", USER)
        failure = FailedWork.objects.get()
        assert (failure.queue, failure.row, failure.game_id) == ("erasure", str(receipt.pk), receipt.game_id)
        assert (failure.attempts, failure.error) == (1, "DataError: division by zero")
        assert erasure.drain() == 0
        assert FailedWork.objects.get().attempts == 1
        assert Event.objects.count() == 1

        settings.ERASURE_HOOK = hook
        clock.shift(timedelta(seconds=20))
        assert erasure.drain() == 1
        assert not FailedWork.objects.exists()
    assert Erasure.objects.get().error == ""
    assert traces() == []


# Again, unknown, and afterward


def test_a_second_erase_is_202_too_and_finds_nothing(played: None, secret_key: NewKey) -> None:
    erase(secret_key)
    second = erase(secret_key)

    assert set(second.counts.values()) == {0}
    assert Erasure.objects.count() == 2
    assert traces() == []


def test_an_unknown_subject_is_202_and_its_receipt_is_empty(secret_key: NewKey, game: Game) -> None:
    receipt = erase(secret_key, {"userId": "nobody"})

    assert set(receipt.counts.values()) == {0}
    assert receipt.linked_hashes == [subject_hash(game.pk, "nobody")]


def test_the_task_erases(played: None, secret_key: NewKey) -> None:
    delete(secret_key)
    tasks.erase()

    assert traces() == []


def test_later_events_of_the_same_ids_are_new_data(played: None, key: NewKey, secret_key: NewKey) -> None:
    erase(secret_key)
    later = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    digest(key, click(ANON, eventTimestamp=later), identify(USER, ANON, eventTimestamp=later))
    digest(key, purchase(USER, eventTimestamp=later), launch(USER, eventTimestamp=later))

    assert Event.objects.filter(user_id=USER).count() == 3
    new = Conversion.objects.filter(user_id=USER).select_related("touch")
    assert sorted((c.trigger, c.reason, c.touch.click_id) for c in new if c.touch) == [
        ("game_launch", "", "T1"),
        ("purchase", "", "T1"),
    ]


@pytest.mark.parametrize("who", [{"userId": USER}, {"anonymousId": ANON}, {"userId": "new", "deviceId": DEVICE}])
def test_a_conversion_from_before_the_erasure_that_arrives_after_it_is_erased(
    played: None, key: NewKey, secret_key: NewKey, game: Game, who: dict[str, str]
) -> None:
    factories.config(game)
    erase(secret_key)
    names = {"userId": ABSENT, **who}
    digest(key, click(ANON), purchase(**_user(names)), launch(**_user(names)))
    fan_out.fan_out_due()

    late = Conversion.objects.filter(event_at__lt=Erasure.objects.get().requested_at).exclude(user_id="user-other")
    assert [conversion.reason for conversion in late] == ["erased", "erased"]
    assert not Delivery.objects.filter(conversion__in=late, state="waiting").exists()
    digest(key, click(ANON, "T2", eventTimestamp=ago(minutes=40)), identify(USER, ANON))
    fan_out.fan_out_due()
    assert [conversion.reason for conversion in late] == ["erased", "erased"]


def _user(names: dict[str, Any]) -> dict[str, Any]:
    return {"user_id": names["userId"], **{name: value for name, value in names.items() if name != "userId"}}


def test_an_erased_launch_does_not_take_the_place_of_a_new_one(key: NewKey, secret_key: NewKey) -> None:
    erase(secret_key)
    later = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    digest(key, launch(USER), launch(USER, eventTimestamp=later))

    assert list(Conversion.objects.order_by("event_at").values_list("reason", flat=True)) == ["erased", "no_click"]


def test_a_strangers_conversion_is_not_erased(played: None, key: NewKey, secret_key: NewKey) -> None:
    erase(secret_key)
    digest(key, purchase("user-new"))

    assert Conversion.objects.get(user_id="user-new").reason == "no_click"


# Refusals


def assert_nothing_asked() -> None:
    assert not Erasure.objects.exists()


def test_without_a_key_it_is_400(game: Game) -> None:
    answer = Client().delete(f"{DATA}?userId={USER}")

    assert_envelope(answer, 400, "VALIDATION_ERROR", NO_HEADER)
    assert_nothing_asked()


@pytest.mark.parametrize("header", ["x-immutable-publishable-key", "Authorization"])
def test_a_secret_key_in_another_header_is_400(secret_key: NewKey, header: str) -> None:
    assert_envelope(delete(secret_key, **{header: secret_key.value}), 400, "VALIDATION_ERROR", NO_HEADER)
    assert_nothing_asked()


def test_a_key_of_another_form_is_400(game: Game, secret_key: NewKey) -> None:
    answer = delete(secret_key, **{"x-immutable-api-key": secret_key.value.removeprefix("sk_")})

    assert_envelope(answer, 400, "VALIDATION_ERROR", NO_HEADER)
    assert_nothing_asked()


def test_a_publishable_key_is_401(key: NewKey) -> None:
    assert_envelope(delete(key), 401, "UNAUTHORISED_REQUEST", PUBLISHABLE)
    assert_nothing_asked()


def test_an_unknown_or_revoked_secret_key_is_401(secret_key: NewKey) -> None:
    answer = delete(secret_key, **{"x-immutable-api-key": "sk_imapik-unknown"})
    assert_envelope(answer, 401, "UNAUTHORISED_REQUEST", NOT_RECOGNISED)
    revoke_key(key=secret_key.key)
    assert_envelope(delete(secret_key), 401, "UNAUTHORISED_REQUEST", NOT_RECOGNISED)
    assert_nothing_asked()


@pytest.mark.parametrize(
    "query", [{}, {"userId": ""}, {"userId": " "}, {"deviceId": "d"}, {"userId": USER, "anonymousId": ANON}]
)
def test_a_query_that_names_not_exactly_one_id_is_400(secret_key: NewKey, query: dict[str, str]) -> None:
    complaint = "The query must contain exactly one of userId and anonymousId."
    assert_envelope(delete(secret_key, query), 400, "VALIDATION_ERROR", complaint)
    assert_nothing_asked()


@pytest.mark.parametrize("name", ["userId", "anonymousId"])
def test_an_id_of_256_characters_is_taken_and_one_of_257_is_400(secret_key: NewKey, name: str) -> None:
    complaint = f"{name} is longer than 256 characters."
    details = [{"field": name, "code": "INVALID_VALUE", "message": complaint}]
    assert_envelope(delete(secret_key, {name: "x" * 257}), 400, "VALIDATION_ERROR", complaint, details)
    assert_nothing_asked()

    assert delete(secret_key, {name: "x" * 256}).status_code == 202


def test_the_answer_can_be_read_by_a_browser(secret_key: NewKey) -> None:
    assert_cors(delete(secret_key))


def test_a_numeric_id_in_a_refused_message_is_found_too(key: NewKey, secret_key: NewKey) -> None:
    send(key, {**message(), "userId": int(STEAM)})
    assert Rejection.objects.get().raw["userId"] == int(STEAM)
    erase(secret_key, {"userId": STEAM})

    assert traces() == []
