"""Conversions of the management API: the list of the page, its CSV, and the trail of one conversion."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from audience.models import Conversion, Game, Join, Role, Scope
from postbacks.models import PostbackConfig
from postbacks.reporting import conversion_list, statuses
from postbacks.reporting.conversion_list import KEYS
from tests import factories, hub
from tests.management_api import Api, game_api, problem_of
from tests.postbacks.test_conversions_page import listed, one_of_every_status
from tests.queries import queries_of

pytestmark = pytest.mark.django_db

NOW = timezone.now()


def path(game: Game, **query: Any) -> str:
    return f"games/{game.slug}/conversions?{urlencode(query)}"


def ids(api: Api, game: Game, **query: Any) -> list[str]:
    response = api.get(path(game, **query))
    assert response.status_code == 200, response.content
    return [row["id"] for row in response.json()["results"]]


def failed_purchase(game: Game) -> tuple[PostbackConfig, Conversion]:
    """A purchase that TikTok refused, of a player who clicked its ad."""
    player = factories.person(game, user="player-1")
    click = factories.touch(player, click_id="E.C.P.1", parameter="ttclid", campaign={"utm_campaign": "autumn"})
    config = factories.config(game)
    purchase = factories.conversion(
        player,
        touch=click,
        user_id="player-1",
        fanned_out_at=NOW,
        properties={"value": 9.99, "currency": "USD", "order_id": "7001"},
    )
    delivery = factories.delivery(
        config, conversion=purchase, state="failed", verdict="payload", attempts_made=1, next_attempt_at=None
    )
    factories.attempt(
        delivery,
        status="failed",
        verdict="payload",
        http_status=400,
        message="Invalid currency",
        payload={"event": "CompletePayment", "email": "ada@studio.example"},
    )
    return config, purchase


def test_a_conversion_is_listed_with_its_click_its_value_and_its_outcomes(game: Game) -> None:
    config, purchase = failed_purchase(game)
    delivery = purchase.deliveries.get()
    (row,) = game_api(game).get(path(game)).json()["results"]
    assert row.pop("event_at").endswith("Z")
    assert (
        row.pop("click").items()
        >= {
            "network": "tiktok",
            "click_id": "E.C.P.1",
            "parameter": "ttclid",
            "campaign": {"utm_campaign": "autumn"},
        }.items()
    )
    assert row == {
        "id": str(purchase.pk),
        "event": "purchase",
        "message_id": purchase.message_id,
        "person_id": str(purchase.person_id),
        "user_id": "player-1",
        "order_id": "7001",
        "repeats_order": False,
        "value": {"amount": "9.99", "currency": "USD"},
        "value_problem": "",
        "test": False,
        "is_processed": True,
        "reason": "",
        "reason_text": "",
        "modeled_match": None,
        "outcomes": [
            {
                "delivery_id": str(delivery.pk),
                "postback_id": str(config.pk),
                "network": "tiktok",
                "pixel_id": config.pixel_id,
                "state": "failed",
                "reason": "",
                "confirmation": "",
                "may_have_arrived": False,
                "attempts_made": 1,
                "finished_at": None,
                "label": "Failed",
                "message": "Invalid currency",
            }
        ],
    }


@pytest.mark.long
def test_every_filter_lists_what_the_page_lists(game: Game) -> None:
    one_of_every_status(factories.config(game))
    factories.conversion(
        factories.person(game), properties={"value": -1, "currency": "USD"}, value=None, value_problem="negative"
    )
    api, page = game_api(game), hub.member(game, Role.ADMIN)
    narrowed = [
        *({"only": key} for key in KEYS),
        *({"only": key, "network": "tiktok"} for key in (*statuses.STEPS, "other_click")),
        *({"click": click, "only": "all"} for click in ("tiktok", "google", "none")),
        *({"problem": "negative"}, {"event": "game_launch", "only": "all"}, {"event": "nothing"}, {"currency": "USD"}),
    ]
    seen = set()
    for query in narrowed:
        shown = listed(page.get(f"/g/{game.slug}/conversions/", {**query, "range": "7d"}).content.decode())
        if query.get("only") == "repeat_launch":
            shown = shown or ids(api, game, **query)
        if query.get("event") != "nothing":
            assert sorted(ids(api, game, limit=200, **query)) == sorted(shown), query
        seen |= set(shown)
    assert len(seen) == Conversion.objects.count()
    assert ids(api, game, event="nothing") == []


def test_a_search_finds_what_the_page_finds_whatever_the_other_filters_are(game: Game) -> None:
    _, purchase = failed_purchase(game)
    factories.conversion(factories.person(game))
    api = game_api(game)
    for text in (str(purchase.pk), purchase.message_id, "7001", "E.C.P.1", "player-1", str(purchase.person_id)):
        assert ids(api, game, q=text, only="delivered") == [str(purchase.pk)], text
    for text in ("%", "_", "player-1%", "';--", "\\", "é" * 500):
        assert ids(api, game, q=text) == []


def test_a_period_of_days_or_times_selects_by_the_time_of_the_event(game: Game) -> None:
    game.time_zone = "Asia/Tokyo"
    game.save()
    late = factories.conversion(factories.person(game), event_at=datetime(2026, 11, 1, 14, 30, tzinfo=UTC))
    early = factories.conversion(factories.person(game), event_at=datetime(2026, 11, 1, 15, 30, tzinfo=UTC))
    api = game_api(game)
    assert ids(api, game) == []
    assert ids(api, game, **{"from": "2026-11-01", "to": "2026-11-01"}) == [str(late.pk)]
    assert ids(api, game, **{"from": "2026-11-02", "to": "2026-11-02"}) == [str(early.pk)]
    assert ids(api, game, **{"from": "2026-11-01", "to": "2026-11-01", "zone": "UTC"}) == [str(early.pk), str(late.pk)]
    times = {"from": "2026-11-01T15:00:00Z", "to": "2026-11-02T00:30:00+09:00"}
    assert ids(api, game, **times) == []
    assert ids(api, game, **{**times, "to": "2026-11-01T15:30:01Z"}) == [str(early.pk)]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=yesterday", "from"),
        ("from=2026-11-01T08:00:00", "from"),
        ("from=9999-01-01", "from"),
        ("to=0001-01-01T00:00:00Z", "to"),
        ("from=2026-11-02&to=2026-11-01", "from"),
        ("from=2020-01-01&to=2026-11-01", "from"),
        ("zone=Mars/Base", "zone"),
        ("only=everything", "only"),
        ("network=myspace", "network"),
        ("click=myspace", "click"),
        ("problem=no", "problem"),
        ("currency=DOLLAR", "currency"),
        ("event=%00", "event"),
        ("q=%00", "q"),
        ("limit=201", "limit"),
        ("limit=-1", "limit"),
        ("cursor=MTI", "cursor"),
        ("format=csv", "format"),
        ("status=failed", "status"),
    ],
)
def test_a_parameter_that_is_not_understood_is_named(game: Game, query: str, field: str) -> None:
    problem = problem_of(game_api(game).get(f"games/{game.slug}/conversions?{query}"), 400)
    assert [error["field"] for error in problem["errors"]] == [field]


def test_pages_are_stable_while_conversions_are_added(game: Game) -> None:
    at = NOW - timedelta(hours=2)
    rows = [factories.conversion(factories.person(game), event_at=at + timedelta(seconds=n)) for n in range(5)]
    api = game_api(game)
    first = api.get(path(game, limit=2)).json()
    factories.conversion(factories.person(game))
    second = api.get(path(game, limit=2, cursor=first["next_cursor"])).json()
    third = api.get(path(game, limit=2, cursor=second["next_cursor"])).json()
    read = [row["id"] for page in (first, second, third) for row in page["results"]]
    assert read == [str(row.pk) for row in reversed(rows)]
    assert third["next"] is None


def test_the_csv_is_the_export_of_the_page(game: Game) -> None:
    failed_purchase(game)
    factories.conversion(factories.person(game), user_id="ada@studio.example", message_id="=1+1")
    response = game_api(game).get(path(game), accept="text/csv")
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == f'attachment; filename="conversions-{game.slug}-{NOW:%Y-%m-%d}.csv"'
    content = b"".join(response.streaming_content)
    page = hub.member(game, Role.ADMIN).get(f"/g/{game.slug}/conversions/export/")
    assert content == b"".join(page.streaming_content)
    assert len(list(csv.DictReader(io.StringIO(content.decode())))) == 2
    viewer = game_api(game, Role.VIEWER).get(path(game), accept="text/csv")
    assert b"a\xe2\x80\xa6@studio.example" in b"".join(viewer.streaming_content)


def test_an_error_is_a_problem_although_csv_was_requested(game: Game) -> None:
    problem_of(game_api(game).get(path(game, only="everything"), accept="text/csv"), 400)


def test_the_number_of_queries_does_not_depend_on_the_number_of_conversions(game: Game) -> None:
    config = factories.config(game)
    api = game_api(game)
    factories.attempt(factories.delivery(config))
    api.get(path(game))  # records the use of the token
    few = queries_of(lambda: api.get(path(game, limit=200)))
    for _ in range(20):
        factories.attempt(factories.delivery(config))
    assert queries_of(lambda: api.get(path(game, limit=200))) == few


def test_a_trail_says_why_a_conversion_was_not_sent(game: Game) -> None:
    config, purchase = failed_purchase(game)
    factories.touch(purchase.person, network="reddit", click_id="later", clicked_at=timezone.now())
    trail = game_api(game).get(f"games/{game.slug}/conversions/{purchase.pk}").json()
    assert trail["properties"] == {"value": 9.99, "currency": "USD", "order_id": "7001"}
    assert trail["stored_event"] is None
    assert trail["sender"]["key"] is None
    assert trail["ad"] == ["tiktok", "autumn"]
    assert [(click["click_id"], click["result"], click["is_attributed"]) for click in trail["clicks"]] == [
        ("later", "after_event", False),
        ("E.C.P.1", "attributed", True),
    ]
    assert trail["consent"] == {
        "level": "full",
        "source": "default",
        "explanation": "No level was stated or recorded until then. In this game, this counts as consent.",
        "decided_at": None,
        "data_use": "",
    }
    (postback,) = trail["postbacks"]
    assert postback["postback_id"] == str(config.pk)
    assert (postback["state"], postback["verdict"], postback["explanation"]) == (
        "failed",
        "payload",
        "Invalid currency",
    )
    assert postback["remedy"].startswith("Read the response of the network.")
    assert postback["event_name"] == "Purchase"
    assert postback["body"] == {"event": "CompletePayment", "email": "ada@studio.example"}
    (attempt,) = postback["attempts"]
    assert (attempt["number"], attempt["http_status"], attempt["latency_ms"]) == (1, 400, 123)
    assert (trail["without_part"], trail["added_later"]) == ([], [])


def test_a_trail_has_the_sentences_of_the_page(game: Game) -> None:
    _, purchase = failed_purchase(game)
    lost = factories.conversion(factories.person(game), reason="no_click", fanned_out_at=NOW)
    api, page = game_api(game), hub.member(game, Role.ADMIN)
    for row in (purchase, lost):
        html = page.get(f"/g/{game.slug}/conversions/{row.pk}/").content.decode()
        trail = api.get(f"games/{game.slug}/conversions/{row.pk}").json()
        sentences = [trail["consent"]["explanation"], *(click["explanation"] for click in trail["clicks"])]
        for sent in trail["postbacks"]:
            sentences += [sent["explanation"], sent["remedy"], sent["label"]]
        if trail["reason"]:
            sentences += [trail["reason_text"], trail["remedy"]]
        assert [text for text in sentences if text not in html.replace("&#x27;", "'")] == []
    assert (trail["reason"], trail["reason_text"]) == ("no_click", "No ad click of this player")


def test_a_trail_names_the_joins_of_the_player_as_the_page_does(game: Game, other_game: Game) -> None:
    player = factories.person(game, anonymous="browser-1", user="player-1")
    row = factories.conversion(player, user_id="player-1")
    older, newer = NOW - timedelta(days=2), NOW - timedelta(hours=3)
    of = {"anonymous_id": "browser-1", "player_id": "player-1"}
    Join.objects.create(game=game, kind="code", key="code", joined_at=older, **of)
    Join.objects.create(game=game, kind="steam", key="nonce", joined_at=newer, **of)
    Join.objects.create(game=game, kind="code", key="other", anonymous_id="browser-2", player_id="player-1")
    Join.objects.create(game=other_game, kind="code", key="code", **of)
    trail = game_api(game).get(f"games/{game.slug}/conversions/{row.pk}").json()
    stated = [(one["kind"], one["anonymous_id"], datetime.fromisoformat(one["joined_at"])) for one in trail["joins"]]
    assert stated == [("steam", "browser-1", newer), ("code", "browser-1", older)]
    page = hub.member(game, Role.ADMIN).get(f"/g/{game.slug}/conversions/{row.pk}/").content.decode()
    assert page.index("Sign in with Steam") < page.index("Claim code")
    alone = factories.conversion(factories.person(game))
    assert game_api(game).get(f"games/{game.slug}/conversions/{alone.pk}").json()["joins"] == []


def test_a_trail_names_postbacks_that_had_no_part(game: Game) -> None:
    player = factories.person(game)
    reddit = factories.config(game, network="reddit", created_at=NOW - timedelta(days=1))
    row = factories.conversion(player, touch=factories.touch(player), fanned_out_at=NOW)
    later = factories.config(game, created_at=NOW + timedelta(hours=1))
    trail = game_api(game).get(f"games/{game.slug}/conversions/{row.pk}").json()
    assert [one["postback_id"] for one in trail["without_part"]] == [str(reddit.pk)]
    assert [one["postback_id"] for one in trail["added_later"]] == [str(later.pk)]


def test_viewers_see_no_addresses(game: Game) -> None:
    _, purchase = failed_purchase(game)
    Conversion.objects.update(user_id="ada@studio.example", properties={"email": "ada@studio.example"})
    for api in (game_api(game, Role.VIEWER), game_api(game, Role.MARKETER)):
        hidden = "ada@studio.example" not in str(
            [api.get(path(game)).json(), api.get(f"games/{game.slug}/conversions/{purchase.pk}").json()]
        )
        assert hidden == (api.get(path(game)).json()["results"][0]["user_id"] == "a…@studio.example")
    assert hidden is False


def test_another_tenants_conversions_do_not_exist(game: Game, other_game: Game) -> None:
    theirs = factories.conversion(factories.person(other_game, user="player-1"))
    api = game_api(game)
    problem_of(api.get(f"games/{game.slug}/conversions/{theirs.pk}"), 404)
    problem_of(api.get(f"games/{game.slug}/conversions/{uuid4()}"), 404)
    problem_of(api.get(f"games/{game.slug}/conversions/{'-' * 36}"), 404)
    problem_of(api.get(f"games/{other_game.slug}/conversions"), 404)
    assert ids(api, game, q=str(theirs.pk)) == ids(api, game, q="player-1") == []


def test_reading_requires_the_scope_read_or_postbacks(game: Game) -> None:
    for scope in Scope:
        response = game_api(game, Role.VIEWER, scopes=(scope,)).get(path(game))
        assert response.status_code == (200 if scope in (Scope.READ, Scope.POSTBACKS) else 403)
    problem = problem_of(game_api(game, scopes=(Scope.KEYS,)).get(path(game)), 403)
    assert problem["detail"] == "This token needs the scope `read` or `postbacks`."


def test_conversions_cannot_be_changed(game: Game) -> None:
    row = factories.conversion(factories.person(game))
    api = game_api(game)
    for response in (api.post(path(game), {}), api.delete(f"games/{game.slug}/conversions/{row.pk}")):
        problem_of(response, 405)
    assert Client().get(f"/api/v1/games/{game.slug}/conversions").status_code == 401


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [0, 1, 2, 3, 4, 5, 6]),
        ({"click": "reddit"}, [6]),
        ({"network": "tiktok"}, [3]),
        ({"event": "game_launch"}, [5]),
        ({"event": "nothing"}, []),
        ({"only": "no_click"}, [0, 1, 2, 4, 5]),
        ({"only": "waiting"}, [3]),
        ({"currency": "EUR"}, [1]),
    ],
)
def test_a_filter_of_many_conversions_reads_some_at_a_time(
    game: Game, monkeypatch: pytest.MonkeyPatch, query: dict[str, str], expected: list[int]
) -> None:
    """Of seven, two have the same time, at the end of what the first page reads."""
    monkeypatch.setattr(conversion_list, "SCAN_LIMIT", 2)
    config, rows = factories.config(game), []
    for number in range(7):
        player = factories.person(game)
        click = {3: "tiktok", 6: "reddit"}.get(number)
        fields: dict[str, Any] = {"trigger": "game_launch"} if number == 5 else {}
        fields |= {"properties": {"value": 5, "currency": "EUR"}} if number == 1 else {}
        fields |= {"touch": factories.touch(player, network=click)} if click else {}
        at = NOW - timedelta(minutes=min(number, 1) if number < 3 else number)
        rows.append(factories.conversion(player, event_at=at, fanned_out_at=NOW, **fields))
    factories.delivery(config, conversion=rows[3], state="waiting")
    api, found, pages, cursor = game_api(game), [], 0, None
    while pages == 0 or cursor:
        answer = api.get(path(game, **query, **({"cursor": cursor} if cursor else {}))).json()
        assert bool(answer["next"]) == bool(answer["next_cursor"])
        found += [row["id"] for row in answer["results"]]
        cursor, pages = answer["next_cursor"], pages + 1
    assert sorted(found) == sorted(str(rows[number].pk) for number in expected)
    assert pages > 1 or not query
    times = [next(row.event_at for row in rows if str(row.pk) == pk) for pk in found]
    assert times == sorted(times, reverse=True)


def test_a_game_with_test_traffic_only_is_read_some_at_a_time(game: Game, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list without `only` leaves out what is not counted, which is everything in a staging environment."""
    monkeypatch.setattr(conversion_list, "SCAN_LIMIT", 2)
    for number in range(5):
        factories.conversion(factories.person(game), event_at=NOW - timedelta(minutes=number), test=True)
    api, pages, cursor = game_api(game), 0, None
    while pages == 0 or cursor:
        answer = api.get(path(game, **({"cursor": cursor} if cursor else {}))).json()
        assert answer["results"] == []
        cursor, pages = answer["next_cursor"], pages + 1
    assert pages == 3
    assert len(api.get(path(game, only="all")).json()["results"]) == 5
