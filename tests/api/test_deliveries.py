"""Attempts, which are the rows of the delivery log, and deliveries."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from audience.accounts.audit_log import entries
from audience.models import Game, Role, Scope
from postbacks.delivery import sending
from postbacks.models import Delivery, PostbackConfig
from postbacks.reporting import attempt_export, attempt_log, delivery_list
from postbacks.sandbox.server import Sandbox
from tests import factories
from tests.management_api import Api, game_api, problem_of
from tests.queries import queries_of

pytestmark = pytest.mark.django_db

NOW = timezone.now()


@pytest.fixture
def base(game: Game) -> str:
    return f"games/{game.slug}"


@pytest.fixture
def api(game: Game) -> Api:
    return game_api(game, Role.MARKETER)


@pytest.fixture
def config(game: Game) -> PostbackConfig:
    return factories.config(game)


def failure(config: PostbackConfig, **given: Any) -> Delivery:
    """A delivery that the network refused, with its attempt."""
    fields = {"state": "failed", "verdict": "payload", "next_attempt_at": None, "finished_at": NOW, "attempts_made": 1}
    row = factories.delivery(config, **{**fields, **given})
    factories.attempt(row, status="failed", verdict=row.verdict, http_status=400, message="Bad value")
    return row


def listed(api: Api, path: str) -> list[str]:
    return [row["id"] for row in api.get(path).json()["results"]]


def test_an_attempt_has_its_answer_and_its_delivery(api: Api, base: str, config: PostbackConfig) -> None:
    delivery = factories.delivery(config)
    attempt = factories.attempt(delivery, message="OK", provider_code="0", request_id="r-1")
    (row,) = api.get(f"{base}/attempts").json()["results"]
    assert row == api.get(f"{base}/attempts/{attempt.pk}").json()
    assert (row["id"], row["number"], row["status"], row["http_status"], row["latency_ms"]) == (
        attempt.pk,
        1,
        "success",
        200,
        123,
    )
    assert (row["message"], row["provider_code"], row["request_id"]) == ("OK", "0", "r-1")
    found, conversion = row["delivery"], delivery.conversion
    assert (found["id"], found["postback"], found["network"]) == (str(delivery.pk), str(config.pk), "tiktok")
    assert (found["state"], found["reason"], found["confirmation"]) == ("waiting", None, "")
    assert (found["conversion"], found["person"]) == (str(conversion.pk), str(conversion.person_id))
    assert found["value"] == {"amount": "9.99", "currency": "USD"}
    assert found["event_at"].endswith("Z")


def test_attempts_of_all_networks_are_filtered_as_in_the_log(api: Api, game: Game, base: str) -> None:
    tiktok, reddit = factories.config(game), factories.config(game, network="reddit")
    first = factories.attempt(factories.delivery(tiktok), ago=timedelta(minutes=1))
    second = factories.attempt(factories.delivery(reddit, trigger="game_launch"), ago=timedelta(minutes=2))
    third = failure(tiktok).attempts.get()
    old = factories.attempt(factories.delivery(tiktok, state="delivered"), ago=timedelta(days=3))
    theirs = factories.config(factories.game())
    factories.attempt(factories.delivery(theirs))
    day = f"{old.started_at:%Y-%m-%d}"
    for query, expected in {
        "": [first, second, third],
        "network=reddit": [second],
        f"postback={tiktok.pk}": [first, third],
        f"postback={theirs.pk}": [],
        "status=failed": [third],
        "event=game_launch": [second],
        "state=failed": [third],
        "reason=payload": [third],
        "range=7d": [first, second, third, old],
        f"from={day}&to={day}": [old],
        "from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z": [],
        f"q={third.delivery.conversion.message_id}": [third],
        "q=%25": [],
        "state=delivered&range=7d": [old],
    }.items():
        assert listed(api, f"{base}/attempts?{query}") == [row.pk for row in expected], query


def test_the_pages_of_attempts_are_stable_while_others_are_made(
    api: Api, base: str, config: PostbackConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_log, "SCAN_LIMIT", 4)
    delivery = factories.delivery(config)
    made = [factories.attempt(delivery, ago=timedelta(minutes=number)) for number in range(1, 7)]
    for query in ("", "&state=waiting"):
        first = api.get(f"{base}/attempts?limit=2{query}").json()
        factories.attempt(delivery, ago=timedelta(seconds=1))
        read, cursor = [row["id"] for row in first["results"]], first["next_cursor"]
        while cursor:
            page = api.get(f"{base}/attempts?limit=2&cursor={cursor}{query}").json()
            read += [row["id"] for row in page["results"]]
            cursor = page["next_cursor"]
        assert read[-6:] == [row.pk for row in made]


def test_attempts_are_answered_as_the_csv_of_the_log(api: Api, game: Game, base: str, config: PostbackConfig) -> None:
    for _ in range(3):
        failure(config)
    factories.attempt(factories.delivery(config))
    response = api.get(f"{base}/attempts?status=failed&limit=1", accept="text/csv")
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"].startswith(f'attachment; filename="deliveries-{game.slug}-')
    columns, *rows = csv.reader(io.StringIO(response.getvalue().decode()))
    assert tuple(columns) == attempt_export.COLUMNS
    assert [row[columns.index("status")] for row in rows] == ["failed"] * 3
    problem = problem_of(api.get(f"{base}/attempts?status=odd", accept="text/csv"), 400)
    assert problem["errors"][0]["field"] == "status"


def test_addresses_are_masked_for_a_viewer(game: Game, base: str, config: PostbackConfig) -> None:
    player = factories.person(game)
    conversion = factories.conversion(player, touch=factories.touch(player), user_id="ada@studio.example")
    delivery = factories.delivery(config, conversion=conversion)
    factories.attempt(delivery, message="Unknown user ada@studio.example")
    for role, shown in ((Role.VIEWER, "a…@studio.example"), (Role.MARKETER, "ada@studio.example")):
        api = game_api(game, role)
        row = api.get(f"{base}/attempts").json()["results"][0]
        assert (row["message"], row["delivery"]["player"]) == (f"Unknown user {shown}", shown)
        assert api.get(f"{base}/deliveries/{delivery.pk}").json()["player"] == shown


def test_deliveries_are_filtered_and_paged_by_the_time_of_their_event(
    api: Api, game: Game, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_list, "SCAN_LIMIT", 2)
    tiktok, reddit = factories.config(game), factories.config(game, network="reddit")
    times = [NOW - timedelta(minutes=number) for number in range(1, 6)]
    rows = [
        factories.delivery(tiktok, event_at=times[0], state="delivered"),
        factories.delivery(reddit, event_at=times[1], trigger="game_launch"),
        factories.delivery(tiktok, event_at=times[2], state="skipped", reason="consent"),
        failure(tiktok, event_at=times[3]),
        factories.delivery(tiktok, event_at=times[4] - timedelta(days=2)),
    ]
    factories.delivery(factories.config(factories.game()))

    def read(query: str) -> list[str]:
        page = api.get(f"{base}/deliveries?limit=2&{query}").json()
        found = [row["id"] for row in page["results"]]
        while page["next_cursor"]:
            page = api.get(f"{base}/deliveries?limit=2&cursor={page['next_cursor']}&{query}").json()
            found += [row["id"] for row in page["results"]]
        return found

    for query, expected in {
        "": [0, 1, 2, 3],
        "range=7d": [0, 1, 2, 3, 4],
        "network=reddit": [1],
        f"postback={tiktok.pk}": [0, 2, 3],
        "state=failed": [3],
        "reason=consent": [2],
        "reason=payload": [3],
        "event=game_launch": [1],
        f"conversion={rows[4].conversion_id}": [4],
        f"q={rows[4].conversion_id}": [4],
        f"q={rows[4].conversion_id}&state=failed": [],
        "q=nothing": [],
    }.items():
        assert read(query) == [str(rows[number].pk) for number in expected], query


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=odd", "state"),
        ("postback=1", "postback"),
        ("limit=0", "limit"),
        ("limit=9999999999999999999999", "limit"),
        ("cursor=MTI", "cursor"),
        ("cursor=%ff", "cursor"),
        ("from=yesterday", "from"),
        ("from=2026-11-02&to=2026-11-01", "from"),
        ("range=7d&from=2026-11-01", "range"),
        ("zone=Berlin", "zone"),
        ("statu=failed", "statu"),
        ("q=a%00b", "q"),
    ],
)
def test_an_invalid_parameter_is_refused_by_name(api: Api, base: str, query: str, field: str) -> None:
    for path in ("attempts", "deliveries"):
        problem = problem_of(api.get(f"{base}/{path}?{query}"), 400)
        assert field in {error["field"] for error in problem["errors"]}


def test_a_delivery_is_explained_with_its_attempts_and_what_was_sent(
    api: Api, game: Game, base: str, config: PostbackConfig, sandbox: Sandbox
) -> None:
    delivery = factories.delivery(config)
    sending.drain(network="tiktok", max_in_flight=1)
    found = api.get(f"{base}/deliveries/{delivery.pk}").json()
    assert (found["state"], found["label"], found["explanation"], found["remedy"]) == (
        "delivered",
        "Delivered",
        "Accepted by the network",
        "",
    )
    (request,) = sandbox.received("tiktok")
    assert found["sent"] == request["body"]
    assert [attempt["status"] for attempt in found["attempts"]] == ["success"]
    assert {row["field"]: row["value"] for row in found["sent_fields"]}["data[0].event"] == "Purchase"
    assert config.credential["token"] not in str(found)


def test_a_delivery_of_an_erased_player_is_returned_without_the_player(
    api: Api, base: str, config: PostbackConfig
) -> None:
    delivery = failure(config)
    Delivery.objects.filter(pk=delivery.pk).update(conversion=None, event_id="")
    found = api.get(f"{base}/deliveries/{delivery.pk}").json()
    assert (found["conversion"], found["person"], found["player"], found["value"]) == (None, None, "", None)
    assert listed(api, f"{base}/deliveries") == [str(delivery.pk)]
    assert problem_of(api.post(f"{base}/deliveries/{delivery.pk}/retry"), 409)["detail"] == (
        "The player's data was erased."
    )


def test_a_failed_delivery_is_sent_again_once(api: Api, base: str, config: PostbackConfig, sandbox: Sandbox) -> None:
    delivery = failure(config)
    again = api.post(f"{base}/deliveries/{delivery.pk}/retry").json()
    assert (again["state"], again["event_id"]) == ("waiting", delivery.event_id)
    problem = problem_of(api.post(f"{base}/deliveries/{delivery.pk}/retry"), 409)
    assert problem["detail"] == "Only a failed delivery can be sent again; this one is waiting."
    sending.drain(network="tiktok", max_in_flight=1)
    assert api.get(f"{base}/deliveries/{delivery.pk}").json()["state"] == "delivered"
    problem_of(api.post(f"{base}/deliveries/{delivery.pk}/try-now"), 409)


def test_a_waiting_delivery_is_sent_now(api: Api, game: Game, base: str, config: PostbackConfig) -> None:
    delivery = factories.delivery(config, next_attempt_at=NOW + timedelta(hours=3))
    assert api.get(f"{base}/deliveries/{delivery.pk}").json()["wait"]["can_end"] is True
    before = entries(game).count()
    assert api.post(f"{base}/deliveries/{delivery.pk}/try-now").json()["wait"] is None
    assert entries(game).count() == before + 1
    entry = entries(game).order_by("-pk")[0]
    assert (entry.actor_email, entry.changes) == ("Token “Script”", {"delivery": [str(delivery.pk), "sent now"]})
    delivery.refresh_from_db()
    assert delivery.next_attempt_at is not None
    assert delivery.next_attempt_at <= timezone.now()


def test_another_tenants_rows_do_not_exist_and_a_viewer_sends_nothing(api: Api, game: Game, base: str) -> None:
    theirs = failure(factories.config(factories.game()))
    for path in (f"deliveries/{theirs.pk}", f"attempts/{theirs.attempts.get().pk}", "attempts/99999999999999999999"):
        problem_of(api.get(f"{base}/{path}"), 404)
    for action in ("retry", "try-now"):
        problem_of(api.post(f"{base}/deliveries/{theirs.pk}/{action}"), 404)
        problem_of(game_api(game, Role.VIEWER).post(f"{base}/deliveries/{theirs.pk}/{action}"), 403)
        problem_of(game_api(game, scopes=(Scope.READ,)).post(f"{base}/deliveries/{theirs.pk}/{action}"), 403)
    assert Delivery.objects.get().state == "failed"


def test_the_number_of_queries_does_not_depend_on_the_number_of_rows(
    api: Api, base: str, config: PostbackConfig
) -> None:
    failure(config)
    api.get(f"{base}/attempts")
    for path in ("attempts", "deliveries", "attempts?state=failed", "deliveries?state=failed"):
        one = queries_of(lambda path=path: api.get(f"{base}/{path}"))  # type: ignore[misc]
        for _ in range(3):
            failure(config)
        assert queries_of(lambda path=path: api.get(f"{base}/{path}")) == one, path  # type: ignore[misc]


def test_a_page_of_deliveries_reads_the_index_by_time_and_sorts_no_more_than_a_scan(
    game: Game, config: PostbackConfig
) -> None:
    rows = factories.delivery(config)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE postbacks_delivery")
        cursor.execute("SET LOCAL enable_seqscan = off")
        filters = delivery_list.DeliveryFilter(since=NOW - timedelta(days=9), until=NOW + timedelta(days=9))
        params: dict[str, Any] = {"game": game.pk, "moment": "infinity", "pk": str(rows.pk), "limit": 51}
        params |= {"since": filters.since, "until": filters.until}
        cursor.execute(f"EXPLAIN {delivery_list.OF_PERIOD}", params)
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "delivery_by_time" in plan
