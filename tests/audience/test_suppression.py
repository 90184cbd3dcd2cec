"""Erasures that refuse the later events of the erased player: the answer of each dialect, and what is stored."""

import asyncio
import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import DataError, connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audience.accounts.audit_log import entries
from audience.digest import queue
from audience.games.keys import NewKey, create_key
from audience.intake import dry_run
from audience.intake.messages.message import Rejected
from audience.intake.rejections import RevalidationStatus, revalidate_rejection, revalidation_obstacle
from audience.intake.requests import auth, prefetch, suppressed_ids
from audience.models import (
    ApiKey,
    Batch,
    Dialect,
    Erasure,
    ErasureState,
    Event,
    Game,
    Identity,
    KeyKind,
    Person,
    ReceiptKey,
    Rejection,
    RequestCount,
    Role,
    Suppression,
    SuppressionVersion,
)
from audience.privacy import erasure, suppression
from audience.storage import rollups
from consent.models import ConsentDecision
from tests import factories, hub
from tests.audience import immutable
from tests.audience.wire import basic, bearer
from tests.management_api import game_api

pytestmark = pytest.mark.django_db

USER, ANON = "player-forgetme", "anon-forgetme"
TEXT = "the player was erased, and events of this player are refused"


@pytest.fixture(autouse=True)
def _takes_effect_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """test_constants.py has the real time."""
    monkeypatch.setattr(suppression, "TAKES_EFFECT", timedelta(0))


def erase(game: Game, subject: str = USER, namespace: str = "user", *, suppress: bool = True) -> Erasure:
    """A finished erasure."""
    made = erasure.request_erasure(
        game=game, namespace=namespace, subject=subject, requested_by="ada", suppress=suppress
    )
    for _ in range(3):
        erasure.drain()
    made.refresh_from_db()
    assert made.state == ErasureState.DONE
    return made


def play(key: NewKey) -> None:
    """A player with a user id and an anonymous id."""
    immutable.digest(key, immutable.page(ANON), immutable.identify(USER, ANON))


def track(ids: dict[str, str], **fields: Any) -> dict[str, Any]:
    return {"type": "track", "event": "purchase", "messageId": f"sent-{uuid.uuid4()}", **ids, **fields}


ERASED = [{"userId": USER}, {"anonymousId": ANON}]
OTHER = {"userId": "somebody-else", "anonymousId": "another-browser"}


def assert_only_ids_of_messages_are_stored(count: int = 1) -> None:
    rows = list(Rejection.objects.all())
    assert len(rows) == count
    for row in rows:
        assert row.errors == [{"field": "", "code": "SUPPRESSED", "message": TEXT}]
        assert (row.raw, row.frame, row.subjects, row.request_ip) == ({"suppressed": True}, {}, [], "")
    stored = json.dumps(list(Rejection.objects.values()), default=str)
    assert USER not in stored
    assert ANON not in stored


@pytest.mark.parametrize("ids", ERASED)
def test_immutable_rejects_the_message_and_takes_the_others(game: Game, key: NewKey, ids: dict[str, str]) -> None:
    play(key)
    receipt = erase(game)
    refused = immutable.message(**{"userId": immutable.ABSENT, **ids}, properties={"email": "ada@studio.example"})
    taken = immutable.message(userId="somebody-else")
    answer = immutable.send(key, refused, taken)
    assert answer.json() == {
        "success": True,
        "accepted": 1,
        "rejected": 1,
        "rejections": [
            {
                "messageId": refused["messageId"],
                "errors": [{"field": "", "code": "SUPPRESSED", "message": TEXT}],
            }
        ],
    }
    assert [event.user_id for event in Event.objects.all()] == ["somebody-else"]
    assert_only_ids_of_messages_are_stored()
    assert Rejection.objects.get().message_id == refused["messageId"]
    receipt.refresh_from_db()
    assert receipt.suppressed_messages == 1


def of_dialect(game: Game, dialect: Dialect, **fields: Any) -> NewKey:
    return create_key(game=game, name=dialect.value, dialect=dialect, **fields)


def post(path: str, body: Any, headers: dict[str, str]) -> HttpResponse:
    return Client().post(path, body, "application/json", headers=headers)


@pytest.mark.parametrize("ids", ERASED)
def test_a_batch_of_rudderstack_is_taken_without_the_message(game: Game, key: NewKey, ids: dict[str, str]) -> None:
    play(key)
    receipt = erase(game)
    rudder = of_dialect(game, Dialect.RUDDERSTACK)
    body = {"batch": [track(ids), track(OTHER)], "context": {"traits": {"email": "ada@studio.example"}}}
    answer = post("/v1/batch", body, basic(rudder.value))
    assert (answer.status_code, answer.content) == (200, b"OK")
    assert Event.objects.count() == 1
    assert_only_ids_of_messages_are_stored()
    answer = post("/v1/batch", {"batch": [track(ids)]}, basic(rudder.value))
    assert (answer.status_code, answer.content.decode()) == (400, TEXT)
    answer = post("/v1/track", track(ids), basic(rudder.value))
    assert (answer.status_code, answer.content.decode()) == (400, TEXT)
    assert_only_ids_of_messages_are_stored(3)
    receipt.refresh_from_db()
    assert receipt.suppressed_messages == 3


@pytest.mark.parametrize("ids", ERASED)
def test_validation_says_that_the_message_is_refused(game: Game, key: NewKey, ids: dict[str, str]) -> None:
    play(key)
    receipt = erase(game)
    refused = immutable.message(**{"userId": immutable.ABSENT, **ids})
    body = json.dumps({"messages": [refused, immutable.message(userId="somebody-else")]}).encode()
    for sender in (ApiKey.objects.get(pk=key.key.pk), ApiKey(game=game, dialect=Dialect.IMMUTABLE)):
        found = dry_run.check(key=sender, body=body).messages
        assert [(one.status, [error.code for error in one.errors]) for one in found] == [
            ("rejected", ["SUPPRESSED"]),
            ("accepted", []),
        ]
    assert not Rejection.objects.exists()
    receipt.refresh_from_db()
    assert receipt.suppressed_messages == 0


@pytest.mark.parametrize("dialect", [Dialect.RUDDERSTACK, Dialect.METAROUTER])
def test_validation_says_it_for_a_batch(game: Game, key: NewKey, dialect: Dialect) -> None:
    play(key)
    erase(game)
    body = json.dumps({"batch": [track(OTHER), track(ERASED[0]), track(OTHER)]}).encode()
    found = dry_run.check(key=ApiKey(game=game, dialect=dialect), body=body).messages
    assert [(one.index, one.status) for one in found] == [(0, "accepted"), (1, "rejected"), (2, "accepted")]
    assert [error.code for error in found[1].errors] == ["SUPPRESSED"]


def test_validation_says_it_for_a_request_of_parcelvoy(game: Game, key: NewKey) -> None:
    play(key)
    erase(game)
    sender = ApiKey(game=game, dialect=Dialect.PARCELVOY)
    erased = {"name": "purchase", "external_id": USER, "user": {"email": "ada@studio.example"}}
    other = {"name": "purchase", "external_id": "somebody-else"}
    checked = dry_run.check(key=sender, body=json.dumps([other, erased, other]).encode())
    found = checked.messages
    assert checked.status == 204
    assert [(one.index, one.status) for one in found] == [(0, "accepted"), (1, "rejected"), (2, "accepted")]
    assert [error.code for error in found[1].errors] == ["SUPPRESSED"]
    checked = dry_run.check(key=sender, body=json.dumps([erased]).encode())
    assert (checked.status, [(one.index, one.status) for one in checked.messages]) == (422, [(0, "rejected")])


def test_a_consent_decision_does_not_store_the_id_again(game: Game, key: NewKey) -> None:
    play(key)
    erase(game)
    headers = {"x-immutable-publishable-key": key.value}

    def put(anonymous_id: str) -> HttpResponse:
        body = {"anonymousId": anonymous_id, "status": "none", "source": "banner"}
        return Client().put(immutable.CONSENT, body, "application/json", headers=headers)

    refused, stored = put(ANON), put("another-browser")
    assert (refused.status_code, refused.content) == (stored.status_code, stored.content) == (204, b"")
    assert set(refused.headers) == set(stored.headers)
    assert list(ConsentDecision.objects.values_list("anonymous_id", flat=True)) == ["another-browser"]
    problem = game_api(game).put(f"/api/v1/games/{game.slug}/consent", {"anonymous_id": ANON, "level": "none"})
    assert (problem.status_code, problem.json()["errors"][0]["code"]) == (409, "suppressed")
    assert ANON not in problem.content.decode()
    assert ConsentDecision.objects.count() == 1
    assert not entries(game).filter(changes__has_key="consent").exists()


@pytest.mark.django_db(transaction=True)
def test_a_message_is_counted_once_if_the_count_of_another_erasure_fails(game: Game) -> None:
    first, second = (erase(game, subject) for subject in ("one", "two"))
    most = 2**63 - 1
    Erasure.objects.filter(pk=second.pk).update(suppressed_messages=most)

    rejected = [Rejected(None, [], {}, suppressed_by=one.pk) for one in (first, second)]
    with pytest.raises(DataError):
        suppressed_ids.count(game.pk, rejected)
    Erasure.objects.filter(pk=second.pk).update(suppressed_messages=0)
    suppressed_ids.count(game.pk, rejected[1:])
    counts = {row.pk: row.suppressed_messages for row in Erasure.objects.all()}
    assert counts == {first.pk: 1, second.pk: 2}


def test_a_batch_of_metarouter_names_the_message(game: Game, key: NewKey) -> None:
    play(key)
    erase(game)
    meta = of_dialect(game, Dialect.METAROUTER)
    refused = track(ERASED[0])
    answer = post("/v1/batch", {"batch": [track(OTHER), refused]}, basic(meta.value))
    assert answer.status_code == 207
    assert answer.json()["Errors"] == [
        {
            "Error": "Bad Request",
            "Message": TEXT,
            "Details": "",
            "code": "400",
            "message": TEXT,
            "index": 1,
            "messageId": refused["messageId"],
        }
    ]
    assert_only_ids_of_messages_are_stored()
    assert post("/v1/batch", {"batch": [refused]}, basic(meta.value)).status_code == 400


def parcelvoy_event(ids: dict[str, str]) -> dict[str, Any]:
    return {"name": "purchase", **ids}


def test_parcelvoy_takes_a_request_without_the_message_and_refuses_one_with_nothing_else(
    game: Game, key: NewKey
) -> None:
    play(key)
    receipt = erase(game)
    parcel = of_dialect(game, Dialect.PARCELVOY)
    erased, other = {"external_id": USER, "anonymous_id": ANON}, {"anonymous_id": "another-browser"}
    answer = post("/api/client/events", [parcelvoy_event(erased), parcelvoy_event(other)], bearer(parcel.value))
    assert (answer.status_code, answer.content) == (204, b"")
    assert [event.anonymous_id for event in Event.objects.all()] == ["another-browser"]
    assert_only_ids_of_messages_are_stored()
    answer = post("/api/client/events", [parcelvoy_event(erased)], bearer(parcel.value))
    assert (answer.status_code, answer.json()) == (422, {"status": "error", "error": TEXT})
    assert_only_ids_of_messages_are_stored(2)
    receipt.refresh_from_db()
    assert receipt.suppressed_messages == 2


def test_the_pixel_answers_its_image_and_stores_no_event(game: Game, key: NewKey) -> None:
    play(key)
    erase(game)
    answer = Client().get(f"/pixel/v1/track?writeKey={key.value}&anonymousId={ANON}&event=purchase")
    assert (answer.status_code, answer["Content-Type"]) == (200, "image/gif")
    assert not Event.objects.exists()
    assert_only_ids_of_messages_are_stored()


def by_alias(from_id: str, to_id: str) -> Callable[[NewKey], HttpResponse]:
    return lambda key: immutable.send(key, immutable.alias(from_id, to_id))


def test_messages_that_link_the_player_to_another_id_are_refused(game: Game, key: NewKey) -> None:
    play(key)
    erase(game)
    server = create_key(game=game, name="server", kind=KeyKind.SERVER, dialect=Dialect.METAROUTER)
    ids = [{"type": "anonymous", "value": ANON}, {"type": "user", "value": "new-user"}]
    merge = {"type": "merge", "userId": "new-user", "mergeProperties": ids, "messageId": "merge-1"}
    for send in (by_alias(ANON, "new-user"), by_alias("new-browser", USER)):
        assert send(key).json()["accepted"] == 0
    alias = {"type": "alias", "userId": "new-user", "previousId": USER, "messageId": "alias-1"}
    for message in (alias, merge):
        answer = post("/v1/batch", {"batch": [message]}, basic(server.value))
        assert (answer.status_code, answer.json()["message"]) == (400, TEXT)
    assert not Event.objects.exists()
    assert not Identity.objects.exists()


def test_ids_are_compared_in_their_canonical_form_and_only_in_their_namespace(game: Game, key: NewKey) -> None:
    value = str(uuid.uuid4())
    immutable.digest(key, immutable.message(userId=value))
    erase(game, value)
    assert immutable.send(key, immutable.message(userId=value.upper())).json()["rejected"] == 1
    other = immutable.message(userId=immutable.ABSENT, anonymousId=value)
    assert immutable.send(key, other).json()["accepted"] == 1


def test_another_game_takes_events_of_the_same_id(game: Game, other_game: Game, key: NewKey) -> None:
    play(key)
    erase(game)
    theirs = create_key(game=other_game, name="web")
    assert immutable.send(theirs, immutable.message(userId=USER)).json()["accepted"] == 1


def test_without_a_suppression_later_events_are_taken(game: Game, key: NewKey) -> None:
    play(key)
    receipt = erase(game, suppress=False)
    assert immutable.send(key, immutable.message(userId=USER)).json()["accepted"] == 1
    assert not Suppression.objects.exists()
    assert not SuppressionVersion.objects.exists()
    assert receipt.suppressed_messages == 0


def test_an_id_that_no_event_ever_had_is_suppressed_too(game: Game, key: NewKey) -> None:
    erase(game, "never-seen", "anonymous")
    assert immutable.send(key, immutable.page("never-seen")).json()["rejected"] == 1


def test_an_id_of_several_players_is_never_suppressed(game: Game, key: NewKey) -> None:
    """Its events are those of the other players too, from the request on."""
    immutable.digest(
        key,
        immutable.identify("first", "shared-browser", eventTimestamp=immutable.ago(minutes=9)),
        immutable.identify("second", "shared-browser", eventTimestamp=immutable.ago(minutes=8)),
    )
    erasure.request_erasure(
        game=game, namespace="anonymous", subject="shared-browser", requested_by="ada", suppress=True
    )
    assert not Suppression.objects.exists()
    erasure.drain()
    assert Erasure.objects.get().is_of_shared_id
    assert not Suppression.objects.exists()
    assert immutable.send(key, immutable.page("shared-browser")).json()["accepted"] == 1


def test_a_shared_id_of_an_erased_player_is_not_suppressed_with_the_others(game: Game, key: NewKey) -> None:
    immutable.digest(
        key,
        immutable.identify(USER, "shared-browser", eventTimestamp=immutable.ago(minutes=9)),
        immutable.identify(USER, "own-browser", eventTimestamp=immutable.ago(minutes=9)),
        immutable.identify("second", "shared-browser", eventTimestamp=immutable.ago(minutes=8)),
    )
    erase(game)
    answers = [
        immutable.send(key, immutable.page(anonymous_id)).json()["accepted"]
        for anonymous_id in ("shared-browser", "own-browser")
    ]
    assert answers == [1, 0]


def test_the_player_is_erased_only_once_every_process_refuses_the_ids(
    game: Game, key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suppression, "TAKES_EFFECT", timedelta(minutes=5))
    play(key)
    made = erasure.request_erasure(game=game, namespace="user", subject=USER, requested_by="ada", suppress=True)
    assert immutable.send(key, immutable.message(userId=USER)).json()["rejected"] == 1
    assert immutable.send(key, immutable.page(ANON)).json()["accepted"] == 1
    queue.drain()
    assert erasure.drain() == 0
    assert immutable.send(key, immutable.page(ANON)).json()["rejected"] == 1
    assert Person.objects.exists()
    earlier = timezone.now() - timedelta(minutes=6)
    Erasure.objects.update(next_attempt_at=earlier)
    assert erasure.drain() == 0
    Suppression.objects.update(changed_at=earlier)
    Erasure.objects.update(next_attempt_at=earlier)
    assert erasure.drain() == 1
    made.refresh_from_db()
    assert (made.state, made.suppressed_messages) == (ErasureState.DONE, 2)
    assert not Event.objects.exists()
    assert not Person.objects.exists()


def test_events_that_were_taken_before_the_suppression_took_effect_are_digested_first(
    game: Game, key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suppression, "TAKES_EFFECT", timedelta(minutes=5))
    play(key)
    erasure.request_erasure(game=game, namespace="user", subject=USER, requested_by="ada", suppress=True)
    immutable.send(key, immutable.page(ANON))
    Suppression.objects.update(changed_at=timezone.now())
    Erasure.objects.update(next_attempt_at=timezone.now())
    assert erasure.drain() == 0
    assert Batch.objects.filter(state="pending").exists()


def test_an_invalid_message_of_the_player_is_stored_without_its_content(game: Game, key: NewKey) -> None:
    play(key)
    erase(game)
    invalid = immutable.message(userId=USER, eventTimestamp="yesterday", properties={"email": "ada@studio.example"})
    body = immutable.send(key, invalid).json()
    assert [error["field"] for error in body["rejections"][0]["errors"]] == ["eventTimestamp"]
    row = Rejection.objects.get()
    assert (row.raw, row.subjects, row.request_ip) == ({"suppressed": True}, [], "")
    assert USER not in str(row.errors)
    assert Erasure.objects.get().suppressed_messages == 0
    immutable.send(key, immutable.message(userId="somebody-else", eventTimestamp="yesterday"))
    assert Rejection.objects.latest("pk").raw["userId"] == "somebody-else"


def test_a_rejection_without_content_cannot_be_replayed_and_says_why(game: Game, key: NewKey) -> None:
    play(key)
    erase(game)
    immutable.send(key, immutable.message(userId=USER))
    row = Rejection.objects.get()
    text = "The player was erased, and events of this player are refused. The content is not stored."
    assert revalidation_obstacle(row) == text
    assert revalidate_rejection(rejection=row, requested_by="ada").status == RevalidationStatus.IMPOSSIBLE
    page = hub.member(game, Role.ADMIN).get(f"/g/{game.slug}/events/rejections/{row.pk}/").content.decode()
    assert text in page
    assert TEXT in page


def test_a_replay_does_not_accept_a_message_of_a_suppressed_player(game: Game, key: NewKey) -> None:
    raw = immutable.message(userId=USER)
    play(key)
    erase(game)
    row = Rejection.objects.create(
        game=game, key=key.key, dialect="immutable", received_at=timezone.now(), errors=[], raw=raw
    )
    result = revalidate_rejection(rejection=row, requested_by="ada")
    assert (result.status, result.errors[0]["code"]) == (RevalidationStatus.REFUSED, "SUPPRESSED")
    assert not Event.objects.exists()


def test_lifting_a_suppression_lets_events_in_and_leaves_an_entry_in_the_audit_log(game: Game, key: NewKey) -> None:
    play(key)
    made = erase(game)
    immutable.send(key, immutable.message(userId=USER))
    suppression.lift(suppression=Suppression.objects.get())
    assert immutable.send(key, immutable.message(userId=USER)).json()["accepted"] == 1
    made.refresh_from_db()
    assert (made.suppress, made.suppressed_messages) == (True, 1)
    (entry,) = entries(game).filter(content_type__model="suppression")
    assert (entry.get_action_display(), entry.object_repr) == ("delete", f"suppression of erasure {made.pk}")
    assert USER not in json.dumps(entry.changes)


def test_no_suppression_stores_an_id(game: Game, key: NewKey) -> None:
    play(key)
    erase(game)
    stored = json.dumps([list(Suppression.objects.values()), list(Erasure.objects.values())], default=str)
    assert USER not in stored
    assert ANON not in stored
    assert len(Suppression.objects.get().hashes) == 2


def test_two_erasures_of_one_player_each_refuse_until_both_are_lifted(game: Game, key: NewKey) -> None:
    first, second = erase(game), erase(game)
    suppression.lift(suppression=Suppression.objects.get(erasure=first))
    assert immutable.send(key, immutable.message(userId=USER)).json()["rejected"] == 1
    suppression.lift(suppression=Suppression.objects.get(erasure=second))
    assert immutable.send(key, immutable.message(userId=USER)).json()["accepted"] == 1


def test_a_lost_receipt_key_refuses_nothing_and_fails_no_request(game: Game, key: NewKey) -> None:
    erase(game)
    ReceiptKey.objects.update(sealed="unreadable")
    assert immutable.send(key, immutable.message(userId=USER)).json()["accepted"] == 1


def queries_of_a_request(key: NewKey, *messages: Any) -> list[str]:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        immutable.send(key, *messages)
    return [query["sql"] for query in captured if "audience_supp" in query["sql"] or "receiptkey" in query["sql"]]


def test_no_query_is_made_for_a_message(game: Game, key: NewKey, monkeypatch: pytest.MonkeyPatch) -> None:
    """The version of the suppressions is read with the key; the ids only when it has changed."""
    monkeypatch.setattr(auth, "KEY_CACHE_SECONDS", 60.0)
    auth.clear_key_cache()
    immutable.send(key, immutable.message())
    assert queries_of_a_request(key, immutable.message()) == []
    queue.drain()
    erase(game)
    auth.clear_key_cache()
    assert len(queries_of_a_request(key, immutable.message(), immutable.message())) == 3
    assert queries_of_a_request(key, *[immutable.message() for _ in range(20)]) == []
    auth.clear_key_cache()
    assert len(queries_of_a_request(key, immutable.message())) == 1


def test_refused_messages_are_counted_off_the_event_loop_in_one_update(
    game: Game, key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = erase(game)
    key.key.refresh_from_db()
    refused = Rejected(None, [], {}, suppressed_by=made.pk)
    jobs: list[Callable[[], object]] = []
    monkeypatch.setattr(prefetch, "prefetch", jobs.append)

    async def on_loop() -> None:
        for _ in range(5):
            suppressed_ids.count(game.pk, [refused, refused])

    asyncio.run(on_loop())
    assert len(jobs) == 1
    with CaptureQueriesContext(connection) as captured:
        jobs[0]()
    assert len(captured) == 1
    made.refresh_from_db()
    assert made.suppressed_messages == 10


def test_refused_messages_are_counted_as_rejected_for_their_key(game: Game, key: NewKey) -> None:
    play(key)
    erase(game)
    immutable.send(key, immutable.message(userId=USER))
    rollups.roll_up(now=timezone.now())
    assert sum(RequestCount.objects.filter(game_id=game.pk).values_list("rejected", flat=True)) == 1


def test_the_checkbox_of_the_page_requests_a_suppression_and_the_receipt_counts(game: Game, key: NewKey) -> None:
    play(key)
    admin = hub.member(game, Role.ADMIN)
    form = {"namespace": "user", "subject": USER, "confirmation": USER, "suppress": "on"}
    admin.post(f"/g/{game.slug}/privacy/erase/", form)
    for _ in range(3):
        erasure.drain()
    immutable.send(key, immutable.message(userId=USER), immutable.page(ANON))
    page = admin.get(f"/g/{game.slug}/privacy/").content.decode()
    assert "Refuse later events of this player" in page
    assert "Later events are refused: 2 messages so far." in page
    row = Suppression.objects.get()
    lift = f"/g/{game.slug}/privacy/suppressions/{row.pk}/lift/"
    assert lift in page
    assert lift not in hub.member(game, Role.MARKETER).get(f"/g/{game.slug}/privacy/").content.decode()
    answer = admin.post(lift, follow=True).content.decode()
    assert "Events of this player are accepted again." in answer
    assert "2 messages were refused later." in answer
    assert not Suppression.objects.exists()


def test_the_page_of_a_player_offers_the_checkbox_too(game: Game) -> None:
    player = factories.person(game, user=USER)
    admin = hub.member(game, Role.ADMIN)
    for path in (f"people/{player.pk}/", f"privacy/people/{player.pk}/"):
        assert "Refuse later events of this player" in admin.get(f"/g/{game.slug}/{path}").content.decode()
    admin.post(f"/g/{game.slug}/people/{player.pk}/erase/", {"confirmation": USER, "suppress": "on"})
    assert Erasure.objects.get().suppress
    assert Suppression.objects.exists()
