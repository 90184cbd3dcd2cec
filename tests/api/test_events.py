"""Events of the management API: the list of Live events, following new ones, one event, rejections and their replay."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection, transaction

from audience.accounts.audit_log import entries
from audience.database import sequences
from audience.digest import queue
from audience.games.keys import NewKey, create_key
from audience.hub.events import following, receipt_ids, selection
from audience.hub.events.event_filter import EventFilter
from audience.intake.dialects import immutable_rules
from audience.models import Conversion, Event, Game, Identity, Rejection, Role, Scope
from tests import factories, hub
from tests.audience import immutable
from tests.audience.test_hub_events import NOW, event, names, rejection
from tests.management_api import Api, game_api, member_api, problem_of
from tests.queries import queries_of

pytestmark = pytest.mark.django_db


def get(api: Api, game: Game, resource: str = "events", **query: Any) -> Any:
    response = api.get(f"games/{game.slug}/{resource}?{urlencode(query)}")
    assert response.status_code == 200, response.content
    return response.json()


def listed(api: Api, game: Game, **query: Any) -> list[str]:
    return [row["name"] for row in get(api, game, **query)["results"]]


def test_an_event_is_listed_as_it_was_understood(game: Game, key: NewKey) -> None:
    sent = immutable.message(
        eventName="level_up", properties={"level": 3}, context={**immutable.LIBRARY, "locale": "de"}, userId="user-1"
    )
    immutable.send(key, sent)
    stored = Event.objects.get()
    (row,) = get(game_api(game), game)["results"]
    assert row.pop("event_at").endswith("Z")
    assert row.pop("received_at").endswith("Z")
    assert row == {
        "id": stored.pk,
        "day": stored.day.isoformat(),
        "message_id": sent["messageId"],
        "kind": "track",
        "name": "level_up",
        "user_id": "user-1",
        "anonymous_id": "",
        "device_id": "",
        "session_id": "",
        "group_id": "",
        "links": [],
        "key_id": key.key.pk,
        "dialect": "immutable",
        "surface": "",
        "origin": "",
        "test": False,
        "consent_level": "",
        "time_note": "",
        "placeholders": {},
        "unfilled_macros": {},
        "properties": {"level": 3},
        "traits": {},
        "context": {"library": "my-studio-backend", "library_version": "1.0.0", "locale": "de"},
        "integrations": {},
    }


def test_every_filter_lists_what_the_page_lists(game: Game, key: NewKey) -> None:
    anonymous = factories.person(game, anonymous="anon-1")
    Identity.objects.filter(person=anonymous).update(spellings=["ANON-1"])
    event(game, 1, kind="page", dialect="rudderstack")
    event(game, 2, key_id=key.key.pk, anonymous_id="ANON-1")
    event(game, 3, context={"_placeholder_ids": {"user_id": "guest"}}, received_at=NOW)
    event(game, 4, context={"_unfilled_macros": {"ttclid": "__CLICKID__"}}, received_at=NOW)
    event(game, 5, event_at=NOW - timedelta(days=3), received_at=NOW - timedelta(days=2))
    Event.objects.filter(message_id="event-5").update(name="purchase")
    api, page = game_api(game), hub.member(game, Role.ADMIN)
    spans = {"received_from": (NOW - timedelta(days=3)).isoformat(), "received_until": NOW.isoformat()}
    happened = {"happened_from": (NOW - timedelta(days=4)).isoformat(), "happened_until": NOW.isoformat()}
    for query in (
        *({"kind": "page"}, {"dialect": "rudderstack"}, {"key": key.key.pk}, {"id": "anon-1"}, {"name": "event_3"}),
        *({"placeholder": "user_id:guest"}, {"macro": "ttclid=__CLICKID__"}, {"goals": "true"}, spans, happened),
        {},
    ):
        of_page = {name: "1" if value == "true" else value for name, value in query.items()}
        html = page.get(f"/g/{game.slug}/events/", {**of_page, "status": "accepted"}).content.decode()
        found = [name for name in listed(api, game, **query) if name != "purchase"]
        assert found == [name for name in dict.fromkeys(names(html)) if name.startswith("event")], query
        assert len(found) < 4 or not query
    assert listed(api, game, goals="true") == ["purchase"]
    assert listed(api, game, **spans) == ["purchase"]
    assert listed(api, game, received_from=spans["received_until"]) == ["event_4", "event_3", "event_2", "event_1"]


def test_pages_are_stable_while_events_are_stored(game: Game) -> None:
    for number in range(5):
        event(game, number)
    api = game_api(game)
    first = get(api, game, limit=2)
    event(game, 9)
    second = get(api, game, limit=2, cursor=first["next_cursor"])
    third = get(api, game, limit=2, cursor=second["next_cursor"])
    read = [row["name"] for page in (first, second, third) for row in page["results"]]
    assert read == [f"event_{number}" for number in (4, 3, 2, 1, 0)]
    assert (third["next"], third["next_cursor"]) == (None, None)


def test_a_page_of_a_filter_goes_on_although_it_found_nothing(game: Game, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "SCAN_LIMIT", 10)
    event(game, 0, kind="page")
    for number in range(1, 25):
        event(game, number)
    api, pages, cursor = game_api(game), 0, {}
    while True:
        page = get(api, game, kind="page", **cursor)
        pages += 1
        if page["results"] or not page["next_cursor"]:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert [row["name"] for row in page["results"]] == ["event_0"]
    assert pages == 3


def follow(api: Api, game: Game, cursor: str = "", **query: Any) -> tuple[list[str], str, bool]:
    """(names, next cursor, whether there are no more now) of a page of followed events."""
    page = get(api, game, **{"follow": "oldest", **query, **({"cursor": cursor} if cursor else {})})
    return [row["name"] for row in page["results"]], page["next_cursor"], page["next"] is None


def test_following_returns_events_in_the_order_of_their_storing_and_then_new_ones(game: Game) -> None:
    for number in range(5):
        event(game, number)
    api = game_api(game)
    found, cursor, is_complete = follow(api, game, limit=3)
    assert (found, is_complete) == (["event_0", "event_1", "event_2"], False)
    found, cursor, is_complete = follow(api, game, cursor, limit=3)
    assert (found, is_complete) == (["event_3", "event_4"], True)
    assert follow(api, game, cursor) == ([], cursor, True)
    event(game, 5, received_at=NOW - timedelta(days=1))
    event(factories.game(), 6)
    found, cursor, is_complete = follow(api, game, cursor)
    assert (found, is_complete) == (["event_5"], True)


def test_following_from_now_on_leaves_out_what_is_stored(game: Game) -> None:
    event(game, 1)
    api = game_api(game)
    found, cursor, is_complete = follow(api, game, follow="latest")
    assert (found, is_complete) == ([], True)
    event(game, 2)
    assert follow(api, game, cursor, follow="latest")[0] == ["event_2"]


def test_following_with_a_filter_reads_a_limited_number_of_events(game: Game, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "SCAN_LIMIT", 10)
    for number in range(24):
        event(game, number, kind="page" if number == 20 else "track")
    api = game_api(game)
    found, cursor, is_complete = follow(api, game, kind="page")
    assert (found, is_complete) == ([], False)
    found, cursor, is_complete = follow(api, game, cursor, kind="page")
    assert (found, is_complete) == ([], False)
    assert follow(api, game, cursor, kind="page")[::2] == (["event_20"], True)


def test_following_begins_at_a_time_of_receipt(game: Game, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipt_ids, "CLOSE_ENOUGH", 3)
    monkeypatch.setattr(receipt_ids, "NEIGHBORS", 3)
    start = NOW - timedelta(days=2)
    for number in range(200):
        event(game, number, received_at=start + timedelta(minutes=10 * number))
    late = event(game, 500, received_at=start)  # accepted after a second validation
    for number in range(200, 210):
        event(game, number, received_at=start + timedelta(minutes=10 * number))
    moment = start + timedelta(minutes=10 * 150)
    found, _, is_complete = follow(game_api(game), game, received_from=moment.isoformat(), limit=200)
    assert (found, is_complete) == ([f"event_{number}" for number in range(150, 210)], True)
    filters = EventFilter(received=(moment, NOW))
    position = following.first_position(game, filters)
    assert 0 < position < late.pk
    assert not Event.objects.filter(pk__lte=position, received_at__gte=moment).exists()
    for number, bounds in enumerate([(start - timedelta(days=1), NOW), (NOW + timedelta(days=9), NOW)]):
        position = following.first_position(game, EventFilter(received=bounds))
        assert (position == 0) is (number == 0)


@pytest.mark.django_db(transaction=True)
def test_following_misses_no_event_whose_transaction_commits_late() -> None:
    """An event with a lower id, stored by a slow transaction, appears after one with a higher id."""
    game = factories.game()
    is_stored, may_commit = threading.Event(), threading.Event()

    def store_slowly() -> None:
        with transaction.atomic():
            event(game, 1)
            is_stored.set()
            may_commit.wait(30)
        connection.close()

    slow = threading.Thread(target=store_slowly)
    slow.start()
    assert is_stored.wait(30)
    event(game, 2)
    api = game_api(game)
    found, cursor, is_complete = follow(api, game)
    assert (found, is_complete) == ([], True)
    assert get(api, game, follow="latest")["next_cursor"] != cursor
    assert listed(api, game) == ["event_2"]
    may_commit.set()
    slow.join()
    found, cursor, is_complete = follow(api, game, cursor)
    assert (found, is_complete) == (["event_1", "event_2"], True)


@pytest.mark.django_db(transaction=True)
def test_following_waits_for_a_transaction_that_is_about_to_commit() -> None:
    game = factories.game()
    is_stored = threading.Event()

    def store() -> None:
        with transaction.atomic():
            event(game, 1)
            is_stored.set()
            is_stored.clear()
            threading.Event().wait(sequences.WAIT_SECONDS / 4)
        connection.close()

    writer = threading.Thread(target=store)
    writer.start()
    is_stored.wait(30)
    event(game, 2)
    assert follow(game_api(game), game)[0] == ["event_1", "event_2"]
    writer.join()


@pytest.mark.django_db(transaction=True)
def test_a_poller_that_follows_many_writers_reads_every_event_once() -> None:
    game = factories.game()
    count, writers = 15, 4

    def store(writer: int) -> None:
        for number in range(count):
            with transaction.atomic():
                event(game, 1000 * writer + number)
                threading.Event().wait(0.003 * (number % 4))
        connection.close()

    threads = [threading.Thread(target=store, args=(writer,)) for writer in range(1, writers + 1)]
    for thread in threads:
        thread.start()
    api, read, cursor = game_api(game), list[str](), ""
    while any(thread.is_alive() for thread in threads):
        found, cursor, _ = follow(api, game, cursor, limit=7)
        read += found
    is_complete = False
    while not is_complete:
        found, cursor, is_complete = follow(api, game, cursor, limit=7)
        read += found
    stored = list(Event.objects.filter(game_id=game.pk).order_by("pk").values_list("name", flat=True))
    assert read == stored
    assert len(read) == count * writers


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("kind=nothing", "kind"),
        ("key=x", "key"),
        ("key=-1", "key"),
        ("placeholder=guest", "placeholder"),
        ("macro=ttclid", "macro"),
        ("received_from=yesterday", "received_from"),
        ("follow=all", "follow"),
        ("follow=oldest&cursor=ODguMA", "cursor"),
        ("cursor=Zm9sbG93OjE", "cursor"),
        ("follow=oldest&cursor=Zm9sbG93Oi0x", "cursor"),
        ("name=%00", "name"),
        ("status=accepted", "status"),
    ],
)
def test_a_parameter_that_is_not_understood_is_named(game: Game, query: str, field: str) -> None:
    problem = problem_of(game_api(game).get(f"games/{game.slug}/events?{query}"), 400)
    assert [error["field"] for error in problem["errors"]] == [field]


def test_values_that_no_event_has_find_nothing(game: Game) -> None:
    event(game, 1)
    api = game_api(game)
    for query in ({"key": 10**30}, {"name": "%"}, {"id": "event-_"}, {"name": "é" * 500}):
        assert listed(api, game, **query) == []


def test_the_number_of_queries_does_not_depend_on_the_number_of_events(game: Game) -> None:
    api = game_api(game)
    event(game, 0)
    get(api, game)
    few = queries_of(lambda: get(api, game, limit=200)), queries_of(lambda: get(api, game, follow="oldest"))
    for number in range(1, 30):
        event(game, number)
    assert few == (queries_of(lambda: get(api, game, limit=200)), queries_of(lambda: get(api, game, follow="oldest")))


def test_one_event_has_its_player_its_conversion_and_the_original_message(game: Game, key: NewKey) -> None:
    sent = immutable.purchase(
        "user-1", context={**immutable.LIBRARY, "pageUrl": "https://g.example/?ttclid=__CLICKID__"}
    )
    immutable.digest(key, sent)
    row = Event.objects.get()
    conversion = Conversion.objects.get()
    found = game_api(game).get(f"games/{game.slug}/events/{row.day}/{row.pk}").json()
    assert found["raw"] == sent
    assert found["person_id"] == str(conversion.person_id)
    assert found["conversion"] == {"id": str(conversion.pk), "explanation": "No ad click of this player"}
    assert found["unfilled_macros"] == {"ttclid": "__CLICKID__"}
    assert set(found["context"]) == {"library", "library_version", "page_url"}


def test_an_event_says_why_its_time_was_corrected(game: Game) -> None:
    row = event(game, 1, context={"_time_note": "ahead", "_placeholder_ids": {"user_id": "guest"}})
    found = game_api(game).get(f"games/{game.slug}/events/{row.day}/{row.pk}").json()
    assert (found["time_note"], found["placeholders"], found["context"]) == ("ahead", {"user_id": "guest"}, {})
    assert found["time_note_text"].startswith("The time in the message is after its receipt")
    assert found["conversion"]["id"] is None
    assert found["conversion"]["explanation"].startswith("None: no goal counts this event.")


def test_another_tenants_events_do_not_exist(game: Game, other_game: Game) -> None:
    theirs = event(other_game, 1, user_id="user-1")
    refused = rejection(other_game, 2)
    api = game_api(game)
    for path in (
        *(f"events/{theirs.day}/{theirs.pk}", "events/2026-02-31/1", f"events/{theirs.day}/{'9' * 18}"),
        *(f"events/{theirs.day}/{'9' * 40}", f"rejections/{refused.pk}", f"rejections/{'9' * 18}"),
    ):
        problem_of(api.get(f"games/{game.slug}/{path}"), 404)
    problem_of(api.post(f"games/{game.slug}/rejections/{refused.pk}/replay"), 404)
    problem_of(api.get(f"games/{other_game.slug}/events"), 404)
    assert listed(api, game, id="user-1") == listed(api, game, follow="oldest") == []
    assert Rejection.objects.filter(pk=refused.pk).exists()


def test_viewers_see_no_addresses(game: Game) -> None:
    row = event(game, 1, user_id="ada@studio.example", properties={"email": "ada@studio.example"})
    rejection(game, 2, raw={"email": "ada@studio.example"}, subjects=["ada@studio.example"])
    for role in (Role.VIEWER, Role.MARKETER):
        api = game_api(game, role)
        texts = [str(get(api, game, resource)["results"]) for resource in ("events", "rejections")] + [
            api.get(f"games/{game.slug}/events/{row.day}/{row.pk}").content.decode()
        ]
        assert ["ada@studio.example" in text for text in texts] == [role == Role.MARKETER] * 3


def test_rejections_are_listed_and_searched_like_on_the_page(game: Game) -> None:
    rejection(game, 1, raw={"eventName": "purchase", "userId": "user-1"}, subjects=["user-1"], key_id=None)
    whole = rejection(game, 2, raw={"not_kept": True, "bytes": 20}, route="batch", dialect="immutable")
    event(game, 3)
    api = game_api(game)
    rows = get(api, game, "rejections")["results"]
    assert rows[0] == {
        "id": whole.pk,
        "received_at": rows[0]["received_at"],
        "message_id": "refused_2",
        "title": "",
        "is_whole_request": True,
        "key_id": None,
        "dialect": "immutable",
        "route": "batch",
        "origin": "",
        "errors": [{"field": "eventName", "code": "REQUIRED", "message": "eventName is required"}],
        "subjects": [],
    }
    assert (rows[1]["title"], rows[1]["subjects"]) == ("purchase", ["user-1"])

    def found(**query: Any) -> list[str]:
        return [row["message_id"] for row in get(api, game, "rejections", **query)["results"]]

    assert found(name="purchase") == found(id="user-1") == found(dialect="rudderstack") == ["refused_1"]
    assert found(id="user") == found(name="%") == []
    assert found(received_until=(NOW + timedelta(seconds=2)).isoformat()) == ["refused_1"]
    first = get(api, game, "rejections", limit=1)
    assert found(limit=1, cursor=first["next_cursor"]) == ["refused_1"]


def test_a_rejected_message_is_replayed_once_it_is_valid(
    game: Game, key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(immutable_rules, "MAX_LENGTH", 5)
        sent = immutable.message(userId="user-1234")
        immutable.send(key, sent)
        row = Rejection.objects.get()
        api = game_api(game, Role.MARKETER)
        path = f"games/{game.slug}/rejections/{row.pk}"
        assert api.get(path).json()["raw"] == sent
        assert api.get(path).json()["obstacle"] == ""
        refused = api.post(f"{path}/replay").json()
        assert (refused["status"], refused["errors"][0]["field"]) == ("refused", "userId")
        assert not Event.objects.exists()
    answer = api.post(f"{path}/replay", idempotency_key="1")
    assert answer.json() == {
        "status": "accepted",
        "message": "Accepted. The original time of receipt counts, and the message is being processed.",
        "errors": [],
    }
    assert api.post(f"{path}/replay", idempotency_key="1").json() == answer.json()
    found = entries(game).filter(changes__has_key="rejected_message").order_by("pk")
    assert [(entry.content_type.model, entry.actor_email) for entry in found] == [("apikey", "Token “Script”")] * 2
    assert [entry.changes["rejected_message"][1] for entry in found] == ["refused", "accepted"]
    stored = Event.objects.get()
    assert (stored.user_id, stored.received_at) == ("user-1234", row.received_at)
    problem_of(api.get(path), 404)
    problem_of(api.post(f"{path}/replay"), 404)
    queue.drain()


def test_a_message_that_cannot_be_replayed_says_why(game: Game) -> None:
    row = rejection(game, 1)
    path = f"games/{game.slug}/rejections/{row.pk}"
    api = game_api(game)
    assert api.get(path).json()["obstacle"] == "The key that it was sent with was deleted."
    problem = problem_of(api.post(f"{path}/replay"), 409)
    assert problem["code"] == "impossible"
    assert problem["detail"] == ("The message cannot be validated again. The key that it was sent with was deleted.")
    assert Rejection.objects.get().errors == row.errors


def test_replaying_requires_the_role_of_the_button_and_the_scope_postbacks(game: Game) -> None:
    row = rejection(game, 1, key_id=create_key(game=game, name="web").key.pk)
    path = f"games/{game.slug}/rejections/{row.pk}/replay"
    for api in (game_api(game, Role.VIEWER), member_api(game, Role.VIEWER)):
        assert problem_of(api.post(path), 403)["code"] == "missing_role"
    assert problem_of(game_api(game, scopes=(Scope.READ,)).post(path), 403)["code"] == "missing_scope"
    assert Rejection.objects.filter(pk=row.pk).exists()
    for scope in Scope:
        response = game_api(game, Role.VIEWER, scopes=(scope,)).get(f"games/{game.slug}/events")
        assert response.status_code == (200 if scope in (Scope.READ, Scope.POSTBACKS) else 403)


def test_times_are_in_utc(game: Game) -> None:
    event(game, 1, event_at=datetime(2026, 11, 1, 9, 30, tzinfo=UTC))
    game.time_zone = "Asia/Tokyo"
    game.save()
    assert get(game_api(game), game)["results"][0]["event_at"] == "2026-11-01T09:30:00Z"
