"""Pruning of anonymous ids that were seen on one event, with a user: rows go, outcomes stay."""

import re
import time
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from audience import tasks
from audience.digest import queue
from audience.digest.owned_ids import events_of, owned_ids, player_of
from audience.games.keys import NewKey, create_key
from audience.intake.messages.message import Message
from audience.intake.storing.accept import accept
from audience.models import (
    Conversion,
    Dialect,
    Erasure,
    Event,
    FailedWork,
    Game,
    Identity,
    Kind,
    Person,
    PrunePosition,
    Role,
    Touch,
)
from audience.privacy.decisions import record
from audience.storage import prune as pruning
from audience.storage.prune_ids import STEP, IdsSeenOnce
from consent.models import ConsentDecision, Level
from postbacks.outbox import consent_levels
from tests import hub
from tests.audience.concurrency import in_thread, own_connection, wait_for_a_lock
from tests.audience.immutable import CONSENT
from tests.audience.test_erasure import erase
from tests.postbacks.poison import refuse
from tests.queries import queries_of

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC).replace(microsecond=0)
ADA, BOB, ONCE = "player-ada", "player-bob", "0b8f7a52-6a0e-4c58-9f1e-5d2c7e1f9a10"


def days_ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def event(days: float, user: str = "", anonymous: str = ONCE, **fields: Any) -> Message:
    """An event so many days ago."""
    at = days_ago(days)
    given = {"kind": Kind.TRACK, "name": "progress", "day": at.date(), "message_id": str(uuid.uuid4()), **fields}
    return Message(event_at=at, user_id=user, anonymous_id=anonymous, **given)


def purchase(days: float, user: str = "", anonymous: str = ONCE) -> Message:
    return event(days, user, anonymous, name="purchase", properties={"value": 9.99, "currency": "USD"})


def arrive(key: NewKey, *messages: Message) -> None:
    accept(key=key.key, dialect=Dialect.RUDDERSTACK, messages=messages, received_at=timezone.now())


def digest(key: NewKey, *messages: Message) -> None:
    arrive(key, *messages)
    queue.drain()


def prune() -> int:
    """Prune; return how many ids went."""
    return sum(one.rows for one in pruning.prune() if one.what == STEP)


def anonymous_ids() -> list[str]:
    return sorted(Identity.objects.filter(namespace="anonymous").values_list("value", flat=True))


def row_of(value: str = ONCE) -> tuple[Any, ...]:
    """What the row of an anonymous id says."""
    row = Identity.objects.get(namespace="anonymous", value=value)
    return row.person_id, row.owners, row.first_seen_at, row.named_at


def person(user: str) -> Person:
    return Identity.objects.get(namespace="user", value=user).person


def player(sent: Message) -> Any:
    """The person of a purchase."""
    return Conversion.objects.get(message_id=sent.message_id).person_id


def outcomes() -> dict[str, list[Any]]:
    """All rows but those of ids and of the pruning."""
    models: tuple[Any, ...] = (Event, Person, Touch, Conversion, ConsentDecision)
    return {model.__name__: list(model.objects.order_by("pk").values()) for model in models}


def shown(client: Client, of: Person) -> list[str]:
    """What a person's page shows besides its ids."""
    page = client.get(f"/g/{of.game.slug}/people/{of.pk}/").content.decode()
    names = ("clicks", "conversions", "events", "consent")
    return [re.sub(r"\s+", " ", page.split(f'<h2 id="{name}"')[1].split("<h2 ")[0]) for name in names]


# What is pruned


def test_a_server_that_sends_a_random_anonymous_id_with_each_event_leaves_one_id(key: NewKey, game: Game) -> None:
    click = event(8, ADA, str(uuid.uuid4()), context={"page_url": "https://game.example/?ttclid=T1"})
    sent = [event(8 - number / 10_000, ADA, str(uuid.uuid4())) for number in range(1, 1_022)]
    bought = [purchase(7.1, ADA, str(uuid.uuid4())), purchase(7.05, ADA, str(uuid.uuid4()))]
    digest(key, click, *sent, *bought)
    client = hub.member(game, Role.MARKETER)
    before = outcomes(), shown(client, person(ADA))
    assert Identity.objects.count() == 1_025
    assert [row.touch.click_id for row in Conversion.objects.all() if row.touch] == ["T1", "T1"]

    assert prune() == 1_024

    assert list(Identity.objects.values_list("namespace", "value")) == [("user", ADA)]
    assert (outcomes(), shown(client, person(ADA))) == before
    assert events_of(game.pk, owned_ids(person(ADA))).count() == 1_024
    assert {player_of(one) for one in Event.objects.all()} == {person(ADA).pk}


def test_an_id_that_was_seen_with_a_device_is_pruned_and_the_device_stays(key: NewKey) -> None:
    digest(key, event(8, ADA, device_id="phone"))

    assert prune() == 1
    assert list(Identity.objects.order_by("namespace").values_list("namespace", "value")) == [
        ("device", "phone"),
        ("user", ADA),
    ]


def test_the_task_of_the_beat_prunes_ids(key: NewKey) -> None:
    digest(key, event(8, ADA))
    tasks.prune()

    assert anonymous_ids() == []


UPPER = ONCE.upper()
KEPT: dict[str, list[Message]] = {
    "younger than a week": [event(6.99, ADA)],
    "seen twice": [event(9, ADA), event(8, ADA)],
    "seen again yesterday": [event(9, ADA), event(1, ADA)],
    "seen without a user first": [event(9), event(8, ADA)],
    "seen without a user later": [event(9, ADA), event(8)],
    "never seen with a user": [event(8)],
    "seen with a placeholder as its user": [event(8, "Undefined")],
    "seen with two users": [event(9, ADA), event(8, BOB)],
    "named by an alias": [event(8, ADA, kind=Kind.ALIAS, links=[("anonymous", ONCE), ("user", ONCE)])],
    "named by an alias with types": [event(8, ADA, kind=Kind.ALIAS, links=[("anonymous", ONCE)])],
    "seen once and named by an alias": [
        event(9, ADA),
        event(8, ADA, kind=Kind.ALIAS, links=[("anonymous", ONCE), ("user", ONCE)]),
    ],
    "an id of more than fifty users": [event(9 - number / 100, f"player-{number}") for number in range(51)],
    "sent in capital letters": [event(8, ADA, UPPER)],
    "seen with a level of consent": [event(8, ADA, consent_level="none")],
    "named by a merge of ids": [event(8, ADA, kind=Kind.IDENTIFY, links=[("steam", "7656119")])],
    "of a day ahead, by the client's clock": [event(8, ADA, day=date(2090, 1, 1))],
}


@pytest.mark.parametrize("case", KEPT)
def test_an_id_that_says_more_than_its_event_is_kept(key: NewKey, case: str) -> None:
    digest(key, *KEPT[case])
    rows = list(Identity.objects.order_by("pk").values())

    assert prune() == 0
    assert list(Identity.objects.order_by("pk").values()) == rows


def test_an_id_with_a_recorded_decision_is_kept(key: NewKey) -> None:
    digest(key, event(8, ADA))
    record(game_id=key.key.game_id, anonymous_id=ONCE, level=Level.NONE, source="banner", decided_at=days_ago(7.5))

    assert prune() == 0
    assert anonymous_ids() == [ONCE]


def test_an_id_with_an_event_that_is_not_digested_yet_is_kept(key: NewKey) -> None:
    digest(key, event(8, ADA))
    arrive(key, event(7.5))

    assert prune() == 0
    assert anonymous_ids() == [ONCE]


def test_an_id_whose_event_was_deleted_is_kept(key: NewKey) -> None:
    digest(key, event(8, ADA))
    Event.objects.all().delete()

    assert prune() == 0
    assert anonymous_ids() == [ONCE]


def test_the_same_id_of_another_game_is_another(key: NewKey, other_game: Game) -> None:
    digest(key, event(8, ADA))
    digest(create_key(game=other_game, name="web"), event(8, BOB), event(7.5))

    assert prune() == 1
    assert list(Identity.objects.filter(value=ONCE).values_list("game", flat=True)) == [other_game.pk]


# A pruned id that comes again


@pytest.fixture
def pruned(key: NewKey) -> tuple[Any, ...]:
    """The id was seen with Ada eight days ago, and its row is pruned; what the row said."""
    digest(key, event(8, ADA))
    said = row_of()
    assert prune() == 1
    return said


@pytest.mark.parametrize("days", [0, 7.9, 8, 8.1, 20])
def test_an_event_without_a_user_at_any_time_is_the_users(key: NewKey, pruned: Any, days: float) -> None:
    sent = purchase(days)
    digest(key, sent)

    person_id, owners, first_seen_at, named_at = pruned
    assert player(sent) == person(ADA).pk == person_id
    assert row_of() == (person_id, owners, min(first_seen_at, days_ago(days)), named_at)
    assert set(events_of(key.key.game_id, owned_ids(person(ADA)))) == set(Event.objects.all())
    assert Person.objects.count() == 1


def test_a_click_without_a_user_wins_the_users_purchase(key: NewKey, pruned: Any) -> None:
    bought = purchase(1, ADA, "")
    digest(key, event(2, context={"page_url": "https://game.example/?ttclid=T1"}), bought)

    touch = Conversion.objects.get(message_id=bought.message_id).touch
    assert touch is not None
    assert (touch.click_id, touch.person_id) == ("T1", person(ADA).pk)


def test_after_a_merge_it_is_the_merged_players(key: NewKey, pruned: Any) -> None:
    sent = purchase(1)
    digest(key, event(3, BOB, ""))
    digest(key, event(2, BOB, "", kind=Kind.ALIAS, links=[("anonymous", ADA), ("user", ADA)]))
    digest(key, sent)

    assert player(sent) == person(ADA).pk == person(BOB).pk


def test_of_two_users_each_has_it_in_their_time(key: NewKey, pruned: Any) -> None:
    between, after, before = purchase(4), purchase(1), purchase(12)
    digest(key, event(2, BOB))
    digest(key, after)
    digest(key, between, before)

    assert [player(sent) for sent in (before, between, after)] == [person(ADA).pk, person(ADA).pk, person(BOB).pk]
    assert row_of()[:2] == (person(BOB).pk, "several")


def test_a_late_event_of_another_user_before_it_changes_nothing_after_it(key: NewKey, pruned: Any) -> None:
    after, before = purchase(1), purchase(8.5)
    digest(key, event(9, BOB))
    digest(key, after)
    digest(key, before)

    assert [player(sent) for sent in (before, after)] == [person(BOB).pk, person(ADA).pk]


def test_it_stays_the_first_users_between_two_events_of_another(key: NewKey, pruned: Any) -> None:
    before, between, after = purchase(8.5), purchase(4), purchase(1)
    digest(key, event(2, BOB))
    digest(key, event(9, BOB))
    digest(key, before, between, after)

    assert [player(sent) for sent in (before, between, after)] == [person(BOB).pk, person(ADA).pk, person(BOB).pk]


def test_an_alias_names_it_from_then_on(key: NewKey, pruned: Any) -> None:
    between, after = purchase(4), purchase(1)
    digest(key, event(2, BOB, kind=Kind.ALIAS, links=[("anonymous", ONCE), ("user", ONCE)]))
    digest(key, between, after)

    assert [player(sent) for sent in (between, after)] == [person(ADA).pk, person(BOB).pk]


def test_it_tells_more_than_the_device_of_another(key: NewKey, pruned: Any) -> None:
    digest(key, event(3, BOB, "", device_id="pc"))
    sent = purchase(1)
    sent.device_id = "pc"
    digest(key, sent)

    assert player(sent) == person(ADA).pk


def test_it_is_pruned_only_once(key: NewKey, pruned: Any) -> None:
    digest(key, event(1))

    assert prune() == 0
    PrunePosition.objects.all().delete()
    assert prune() == 0
    assert anonymous_ids() == [ONCE]


def test_once_its_event_is_deleted_it_is_a_new_id(key: NewKey, pruned: Any) -> None:
    Event.objects.all().delete()
    sent = purchase(1)
    digest(key, sent)

    assert player(sent) != person(ADA).pk
    assert row_of()[1:] == ("", days_ago(1), None)


def test_new_random_ids_beside_a_user_are_not_looked_up(key: NewKey, pruned: Any) -> None:
    """Nor are known ids: the events of many days are not searched for what is sent all the time."""

    def asking(*messages: Message) -> int:
        arrive(key, *messages)
        return queries_of(queue.drain)

    plain = asking(event(0.2, ADA, ""))
    random = asking(*(event(0.2, ADA, str(uuid.uuid4())) for _ in range(20)))
    known = asking(event(0.1, ADA, ""))
    assert known == plain
    assert asking(*(event(0.2, ADA, str(uuid.uuid4())) for _ in range(2))) == random
    assert asking(event(0.1, "", str(uuid.uuid4()))) > plain


# Consent, erasure, pages


def put(key: NewKey, level: str) -> None:
    headers = {"x-immutable-publishable-key": key.value}
    decision = {"anonymousId": ONCE, "status": level, "source": "banner"}
    assert Client().put(CONSENT, decision, "application/json", headers=headers).status_code == 204


def test_a_decision_of_a_pruned_id_binds_its_player(key: NewKey, pruned: Any) -> None:
    sent = purchase(7.5, ADA, "")
    digest(key, sent)
    put(key, "none")

    conversion = Conversion.objects.select_related("game").get(message_id=sent.message_id)
    assert consent_levels.levels([conversion]) == {conversion.pk: Level.NONE}
    assert row_of() == pruned
    assert prune() == 0


def test_a_decision_of_an_id_that_nobody_was_named_with_makes_no_row(key: NewKey) -> None:
    digest(key, event(8, ADA, "another"))
    put(key, "none")

    assert anonymous_ids() == ["another"]


def erased(receipt: Erasure) -> dict[str, int]:
    return {name: receipt.counts[name] for name in ("events", "identities", "people", "conversions")}


@pytest.mark.parametrize("subject", [{"anonymousId": ONCE}, {"anonymousId": UPPER}, {"userId": ADA}])
def test_an_erasure_by_a_pruned_id_or_by_its_user_erases_the_player(
    key: NewKey, secret_key: NewKey, subject: dict[str, str]
) -> None:
    digest(key, event(8, ADA), event(7.5, ADA, "other"), purchase(1, ADA, ""))
    digest(key, event(1, BOB, "bobs"))
    assert prune() == 2

    receipt = erase(secret_key, subject)

    assert erased(receipt) == {"events": 3, "identities": 3, "people": 1, "conversions": 1}
    assert list(Event.objects.values_list("user_id", flat=True)) == [BOB]
    assert list(Identity.objects.order_by("namespace").values_list("value", flat=True)) == ["bobs", BOB]
    # What happened before and comes later, under the id alone.
    late = purchase(2)
    digest(key, late)
    assert Conversion.objects.get(message_id=late.message_id).reason == "erased"


def test_an_erasure_by_a_pruned_id_that_another_user_had_later_leaves_both(
    key: NewKey, secret_key: NewKey, pruned: Any
) -> None:
    digest(key, event(2, BOB), event(1))

    receipt = erase(secret_key, {"anonymousId": ONCE})

    assert (receipt.counts["events"], receipt.counts["events_kept"]) == (1, 2)
    assert sorted(Event.objects.values_list("user_id", "anonymous_id")) == [(ADA, ""), (BOB, "")]
    assert sorted(Identity.objects.values_list("value", flat=True)) == [ADA, BOB]


def test_erasing_the_later_of_two_users_leaves_the_id_to_the_first(
    key: NewKey, secret_key: NewKey, pruned: Any
) -> None:
    digest(key, event(2, BOB), event(1))
    erase(secret_key, {"userId": BOB})

    assert row_of()[:2] == (person(ADA).pk, "one")
    assert list(Event.objects.values_list("user_id", flat=True)) == [ADA]


@pytest.mark.parametrize("query", [ONCE, UPPER])
def test_a_search_by_a_pruned_id_finds_its_player(key: NewKey, game: Game, pruned: Any, query: str) -> None:
    page = hub.member(game, Role.ADMIN).get(f"/g/{game.slug}/people/", {"q": query}).content.decode()

    assert f"/people/{person(ADA).pk}/" in page
    out = StringIO()
    call_command("explain_person", query, stdout=out)
    assert out.getvalue().startswith(f"Player {person(ADA).pk} of sky-raiders")


# How it is done


def test_a_dry_run_tells_what_is_pruned(key: NewKey) -> None:
    digest(key, event(8, ADA), event(8, ADA, "other"))
    would = [one for one in pruning.prune(dry_run=True) if one.what == STEP]

    assert [one.rows for one in would] == [2]
    assert 100 < would[0].bytes < 1_000
    assert [one for one in pruning.prune() if one.what == STEP] == would
    assert [one for one in pruning.prune(dry_run=True) if one.what == STEP] == []


def test_ids_are_examined_in_steps_until_the_time_is_over(key: NewKey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audience.storage.prune_ids.ROWS_AT_ONCE", 10)
    digest(key, *(event(8, ADA, f"id-{number:02}") for number in range(34)))
    step = IdsSeenOnce(timezone.now())

    # The user's own row is one of the first ten.
    assert step.execute(time.monotonic()).rows == 9
    assert step.execute(time.monotonic() + 60).rows == 25
    assert anonymous_ids() == []


def test_each_identity_is_examined_once_when_those_before_it_are_a_week_old(key: NewKey) -> None:
    digest(key, event(9, ADA), event(8, ADA))
    digest(key, event(6, ADA, "young"))
    digest(key, event(9, ADA, "later"))
    young, later = (Identity.objects.get(value=value).pk for value in ("young", "later"))

    assert prune() == 0
    assert PrunePosition.objects.get(step=STEP).last_id == young - 1
    with time_machine.travel(NOW + timedelta(days=2), tick=False):
        assert prune() == 2
    assert PrunePosition.objects.get(step=STEP).last_id == later
    assert anonymous_ids() == [ONCE]


def test_an_identity_that_seems_to_be_of_the_future_is_none_to_wait_for(key: NewKey) -> None:
    digest(key, event(9, ADA, "future"))
    digest(key, event(9, ADA))
    Identity.objects.filter(value="future").update(first_seen_at=days_ago(-400))

    assert prune() == 1
    assert anonymous_ids() == ["future"]


def test_an_id_that_cannot_be_deleted_does_not_stop_the_others(key: NewKey) -> None:
    digest(key, *(event(8, ADA, f"id-{number}") for number in range(5)))
    heal = refuse("audience_identity", "OLD.value = 'id-3'", on="DELETE")
    assert prune() == 4
    assert anonymous_ids() == ["id-3"]
    failure = FailedWork.objects.get()
    bad = Identity.objects.get(value="id-3")
    assert (failure.row, failure.game_id, failure.attempts) == (f"audience_identity {bad.pk}", bad.game_id, 1)

    heal()
    FailedWork.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    prune()
    assert anonymous_ids() == []
    assert not FailedWork.objects.exists()


# At the same moment


def pruned_while(work: Callable[[], object], game: Game) -> None:
    """Have the pruning wait for the game's lock, do this, then let it go on."""
    with own_connection() as other, other.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"digest game {game.pk}"])
        worker = in_thread(tasks.prune)
        wait_for_a_lock()
        work()
        other.rollback()
        worker.join(20)


@pytest.mark.django_db(transaction=True)
def test_that_rows_are_pruned_is_known_before_the_first_row_is(key: NewKey, game: Game) -> None:
    digest(key, event(8, ADA))
    positions: list[int] = []
    pruned_while(lambda: positions.extend(PrunePosition.objects.values_list("last_id", flat=True)), game)
    assert positions == [0]
    assert anonymous_ids() == []


@pytest.mark.django_db(transaction=True)
def test_an_event_that_comes_while_its_id_is_pruned_keeps_the_id(key: NewKey, game: Game) -> None:
    digest(key, event(8, ADA))
    pruned_while(lambda: arrive(key, event(1)), game)

    assert anonymous_ids() == [ONCE]


@pytest.mark.django_db(transaction=True)
def test_a_decision_that_comes_while_its_id_is_pruned_keeps_the_id(key: NewKey, game: Game) -> None:
    digest(key, event(8, ADA))
    pruned_while(lambda: put(key, "none"), game)

    assert anonymous_ids() == [ONCE]


@pytest.mark.django_db(transaction=True)
def test_a_decision_waits_for_the_end_of_a_pruning_of_its_id(key: NewKey) -> None:
    digest(key, event(8, ADA))
    said = row_of()
    PrunePosition.objects.create(step=STEP, last_id=0)
    with own_connection() as other, other.cursor() as cursor:
        cursor.execute("SELECT FROM audience_identity WHERE value = %s FOR UPDATE", [ONCE])
        cursor.execute("DELETE FROM audience_identity WHERE value = %s", [ONCE])
        worker = in_thread(lambda: put(key, "none"))
        wait_for_a_lock()
        other.commit()
        worker.join(20)

    assert row_of() == said
