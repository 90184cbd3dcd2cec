"""Validating a rejection again: accepted or refused by the present rules."""

import base64
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audience.games.keys import NewKey, create_key, revoke_key
from audience.intake.dialects import immutable_rules, metarouter, parcelvoy_rules, segment_ids
from audience.intake.rejections import RevalidationStatus, revalidate_rejection, revalidation_obstacle
from audience.models import ApiKey, Batch, Dialect, Event, Game, Rejection, Role
from tests import hub
from tests.audience import immutable


def refused(**given: Any) -> Rejection:
    """The one rejection there is."""
    return Rejection.objects.get(**given)


def again(row: Rejection) -> RevalidationStatus:
    return revalidate_rejection(rejection=row, requested_by="ada").status


def basic(key: NewKey) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{key.value}:".encode()).decode()}


@pytest.fixture
def rudderstack(game: Game) -> NewKey:
    return create_key(game=game, name="rudder", dialect=Dialect.RUDDERSTACK)


def test_a_raised_limit_lets_the_message_in_as_it_first_came(
    game: Game, key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(immutable_rules, "MAX_LENGTH", 5)
        message = immutable.message(userId="user-1234", context={"library": "x", "libraryVersion": "1"})
        immutable.send(key, message)
    row = refused()
    assert again(row) == RevalidationStatus.ACCEPTED
    event = Event.objects.get()
    assert (event.message_id, event.user_id, event.received_at) == (message["messageId"], "user-1234", row.received_at)
    assert event.raw == message
    assert not Rejection.objects.exists()
    batch = Batch.objects.latest("pk")
    assert (batch.accepted, batch.received_at, batch.state) == (1, row.received_at, "pending")


def test_the_thirty_days_are_counted_to_the_day_it_came(game: Game, key: NewKey) -> None:
    came = timezone.now() - timedelta(days=6)
    raw = immutable.message(eventTimestamp=immutable.ago(days=35))
    row = Rejection.objects.create(
        game=game, key=key.key, dialect="immutable", received_at=came, errors=[], raw=raw, message_id=raw["messageId"]
    )
    assert again(row) == RevalidationStatus.ACCEPTED
    assert Event.objects.get().received_at == came


def test_a_message_that_is_still_invalid_has_the_current_reasons(game: Game, key: NewKey) -> None:
    immutable.send(key, immutable.message(userId=immutable.ABSENT, context=immutable.ABSENT))
    row = refused()
    Rejection.objects.update(errors=[])
    assert again(row) == RevalidationStatus.REFUSED
    row.refresh_from_db()
    assert [error["field"] for error in row.errors] == ["userId", "context"]
    assert not Event.objects.exists()


def test_a_message_that_got_through_meanwhile_is_not_stored_twice(game: Game, key: NewKey) -> None:
    good = immutable.message()
    immutable.send(key, {**good, "userId": 5})
    immutable.send(key, {**good, "eventTimestamp": immutable.ago(days=3)})
    row = refused()
    Rejection.objects.update(raw=good)
    assert again(row) == RevalidationStatus.STORED_BEFORE
    assert Event.objects.count() == 1
    assert not Rejection.objects.exists()


def test_a_rejection_can_be_replayed_only_once(game: Game, key: NewKey) -> None:
    immutable.send(key, immutable.message(userId=5))
    row = refused()
    Rejection.objects.update(raw=immutable.message())
    assert again(row) == RevalidationStatus.ACCEPTED
    with pytest.raises(Rejection.DoesNotExist):
        again(row)
    assert Event.objects.count() == 1


def test_a_single_route_still_gives_the_kind(game: Game, rudderstack: NewKey, monkeypatch: pytest.MonkeyPatch) -> None:
    message = {"userId": "user-1", "event": "won", "messageId": "m-1", "type": "identify"}
    with monkeypatch.context() as before:
        before.setattr(segment_ids, "MAX_ID_LENGTH", 2)
        answer = Client().post("/v1/track", message, "application/json", headers=basic(rudderstack))
    assert answer.status_code == 400
    assert refused().route == "track"
    assert again(refused()) == RevalidationStatus.ACCEPTED
    event = Event.objects.get()
    assert (event.kind, event.name, event.dialect) == ("track", "won", "rudderstack")


def test_the_fields_of_the_batch_apply_again(game: Game, rudderstack: NewKey, monkeypatch: pytest.MonkeyPatch) -> None:
    member = {"type": "track", "userId": "user-1", "event": "won", "originalTimestamp": "2026-11-01T10:00:00Z"}
    batch = {"batch": [member], "sentAt": "2026-11-01T10:05:00Z", "integrations": {"All": False}}
    with monkeypatch.context() as before:
        before.setattr(segment_ids, "MAX_ID_LENGTH", 2)
        Client().post("/v1/batch", batch, "application/json", headers=basic(rudderstack))
    row = refused()
    assert (row.route, row.frame) == ("batch", {"sent_at": "2026-11-01T10:05:00Z", "integrations": {"All": False}})
    assert again(row) == RevalidationStatus.ACCEPTED
    event = Event.objects.get()
    assert event.integrations == {"All": False}
    assert event.event_at == row.received_at - timedelta(minutes=5)


def test_a_message_over_the_limit_of_its_dialect_stays_out_until_that_is_raised(
    game: Game, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = create_key(game=game, name="meta", dialect=Dialect.METAROUTER)
    member = {"type": "track", "userId": "u", "event": "won", "properties": {"text": "x" * 16_000}}
    Client().post("/v1/batch", {"batch": [member]}, "application/json", headers=basic(key))
    row = refused(dialect="metarouter")
    assert again(row) == RevalidationStatus.REFUSED
    assert refused().errors == [{"field": "", "code": "TOO_LARGE", "message": "request size exceeds max limit"}]
    monkeypatch.setattr(metarouter.RESPONSES, "call_limit", 32 * 1024)
    assert again(row) == RevalidationStatus.ACCEPTED


def test_a_rejection_is_not_replayed_with_a_key_of_another_game(
    game: Game, other_game: Game, rudderstack: NewKey
) -> None:
    foreign = create_key(game=other_game, name="theirs")
    mine = create_key(game=game, name="mine")
    row = Rejection.objects.create(
        game=game,
        key=rudderstack.key,
        dialect="rudderstack",
        received_at=timezone.now(),
        errors=[{"field": "writeKey", "code": "UNKNOWN_KEY", "message": "invalid write key"}],
        raw={"type": "track", "event": "won", "userId": "u", "writeKey": foreign.value},
        route="batch",
    )
    assert again(row) == RevalidationStatus.REFUSED
    assert not Event.objects.exists()
    Rejection.objects.update(raw={**row.raw, "writeKey": mine.value})
    assert again(row) == RevalidationStatus.ACCEPTED
    assert Event.objects.get().key_id == mine.key.pk


@pytest.mark.parametrize(
    ("path", "body", "kinds"),
    [
        ("alias", {"anonymous_id": "anon-1", "external_id": "user-1"}, ["alias"]),
        ("identify", {"external_id": "user-1", "email": "ada@players.example"}, ["identify"]),
        (
            "devices",
            {"external_id": "u-12", "device_id": "d", "os": "a", "model": "b", "app_build": "1", "app_version": "2"},
            ["device"],
        ),
        ("events", [{"external_id": "user-1", "name": "a"}, {"external_id": "user-1", "name": "b"}], ["track"] * 2),
    ],
)
def test_every_route_of_parcelvoy_is_judged_by_its_own_rules(
    game: Game, monkeypatch: pytest.MonkeyPatch, path: str, body: Any, kinds: list[str]
) -> None:
    key = create_key(game=game, name="pv", dialect=Dialect.PARCELVOY)
    headers = {"Authorization": f"Bearer {key.value}"}
    with monkeypatch.context() as before:
        before.setattr(parcelvoy_rules, "MAX_LENGTH", 3)
        answer = Client().post(f"/api/client/{path}", body, "application/json", headers=headers)
    assert answer.status_code == 422
    assert again(refused()) == RevalidationStatus.ACCEPTED
    assert list(Event.objects.values_list("kind", flat=True)) == kinds
    assert not Rejection.objects.exists()


def test_a_parcelvoy_body_of_an_unknown_route_is_kept(game: Game, key: NewKey) -> None:
    row = Rejection.objects.create(
        game=game, key=key.key, dialect="parcelvoy", received_at=timezone.now(), errors=[], raw={"external_id": "u"}
    )
    assert again(row) == RevalidationStatus.REFUSED
    assert refused().errors[0]["code"] == "UNKNOWN_ROUTE"


def test_a_truncated_rejection_cannot_be_replayed(game: Game, key: NewKey) -> None:
    immutable.send(key, immutable.message(userId="x" * 300, properties={"text": "x" * 40_000}))
    row = refused()
    assert "too large to be stored completely" in revalidation_obstacle(row)
    assert again(row) == RevalidationStatus.IMPOSSIBLE
    assert Rejection.objects.filter(pk=row.pk).exists()
    assert not Event.objects.exists()


def test_a_message_that_resembles_a_truncated_one_can_be_replayed(game: Game, key: NewKey) -> None:
    immutable.send(key, immutable.message(userId=5, truncated=True))
    assert revalidation_obstacle(refused()) == ""


def test_without_its_key_or_its_frame_it_cannot_be_judged(game: Game, rudderstack: NewKey) -> None:
    batch = {"batch": [{"type": "track", "userId": "u"}], "context": {"text": "x" * 3_000}}
    Client().post("/v1/batch", batch, "application/json", headers=basic(rudderstack))
    assert "The fields of its batch" in revalidation_obstacle(refused())
    rudderstack.key.delete()
    assert "key that it was sent with was deleted" in revalidation_obstacle(refused())
    assert again(refused()) == RevalidationStatus.IMPOSSIBLE


def test_a_replay_is_no_use_of_the_key(game: Game, key: NewKey) -> None:
    row = Rejection.objects.create(
        game=game, key=key.key, dialect="immutable", received_at=timezone.now(), errors=[], raw=immutable.message()
    )
    revoke_key(key=key.key)
    assert again(row) == RevalidationStatus.ACCEPTED
    assert ApiKey.objects.get(pk=key.key.pk).last_used_at is None


def test_the_page_shows_the_result(game: Game, key: NewKey) -> None:
    marketer = hub.member(game, Role.MARKETER)
    immutable.send(key, immutable.message(userId=5))
    row = refused()
    url = f"/g/{game.slug}/events/rejections/{row.pk}/replay/"
    still = marketer.post(url, follow=True).content.decode()
    assert "Still rejected" in still
    assert "userId must be a string." in still
    Rejection.objects.update(raw=immutable.message(messageId=str(uuid.uuid4())))
    part = marketer.post(url, headers={"HX-Request": "true"}).content.decode()
    assert "Accepted. The original time of receipt counts" in part
    assert "Validate again" not in part
    assert "This message is no longer stored" in marketer.post(url, follow=True).content.decode()
    assert Event.objects.count() == 1
