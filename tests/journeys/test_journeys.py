"""From an event sent over HTTP to the delivered postback, with real processes."""

import json
from datetime import datetime
from typing import Any

import jsonschema
import psycopg
import pytest

from postbacks.networks.tiktok.imitation import ACCOUNTS as TIKTOK_ACCOUNTS
from tests.journeys.product import Browser, Product, ago
from tests.postbacks.facts import schema


def click(product: Product, anonymous_id: str, parameter: str, value: str, at: datetime) -> None:
    page = f"https://game.example/landing?{parameter}={value}"
    product.send(
        {
            "type": "page",
            "anonymousId": anonymous_id,
            "eventTimestamp": at.isoformat(),
            "context": {"pageUrl": page, "userAgent": "Mozilla/5.0 (click)"},
        }
    )


def link(product: Product, anonymous_id: str, user_id: str, at: datetime) -> None:
    product.send(
        {
            "type": "alias",
            "fromId": anonymous_id,
            "fromType": "anonymous",
            "toId": user_id,
            "toType": "passport",
            "eventTimestamp": at.isoformat(),
        },
        {
            "type": "identify",
            "userId": user_id,
            "identityType": "passport",
            "traits": {"email": f"{user_id}@players.example"},
            "eventTimestamp": at.isoformat(),
        },
    )


def event(product: Product, user_id: str, name: str, at: datetime, **properties: Any) -> None:
    product.send(
        {
            "type": "track",
            "eventName": name,
            "userId": user_id,
            "eventTimestamp": at.isoformat(),
            "properties": properties,
        }
    )


def sent_with(product: Product, network: str, click_id: str) -> list[dict[str, Any]]:
    """What the sandbox received that carries this click id."""
    return [request for request in product.received(network) if click_id in json.dumps(request["body"])]


def test_journey_a_a_tiktok_click_becomes_a_purchase_postback(product: Product) -> None:
    at = ago(hours=1)
    click(product, "a-a", "ttclid", "E.C.P.journeyA", ago(hours=2))
    link(product, "a-a", "user-a", at)
    event(product, "user-a", "purchase", at, value=9.99, currency="USD")
    product.wait_for(lambda: product.outcome("user-a", "purchase") == [("", "delivered")])

    (request,) = sent_with(product, "tiktok", "E.C.P.journeyA")
    jsonschema.validate(request["body"], schema("tiktok"))
    (sent,) = request["body"]["data"]
    assert sent["event"] == "Purchase"
    assert sent["user"]["ttclid"] == "E.C.P.journeyA"
    assert sent["user"]["user_agent"] == "Mozilla/5.0 (click)"
    assert sent["event_time"] == int(at.timestamp())
    assert (sent["properties"]["value"], sent["properties"]["currency"]) == (9.99, "USD")
    assert request["status"] == 200
    assert product.log("user-a") == [("success", 200, True, 1)]
    assert sent_with(product, "reddit", "E.C.P.journeyA") == []


def test_journey_b_a_reddit_click_becomes_one_launch_and_a_second_launch_is_a_repeat(product: Product) -> None:
    at = ago(minutes=50)
    click(product, "b-a", "rdt_cid", "journeyB", ago(hours=2))
    link(product, "b-a", "user-b", at)
    event(product, "user-b", "game_launch", at)
    product.wait_for(lambda: product.outcome("user-b", "game_launch") == [("", "delivered")])
    event(product, "user-b", "game_launch", ago(minutes=10))
    product.wait_for(lambda: product.outcome("user-b", "game_launch") == [("", "delivered"), ("repeat_launch", "none")])

    (request,) = sent_with(product, "reddit", "journeyB")
    jsonschema.validate(request["body"], schema("reddit"))
    (sent,) = request["body"]["data"]["events"]
    assert sent["type"] == {"tracking_type": "CUSTOM", "custom_event_name": "game_launch"}
    assert sent["event_at"] == int(at.timestamp() * 1000)
    assert sent["click_id"] == "journeyB"


def test_journey_c_the_purchase_comes_first_the_click_second_and_the_identify_last(product: Product) -> None:
    event(product, "user-c", "purchase", ago(minutes=30), value="4.99", currency="EUR")
    product.wait_for(lambda: product.outcome("user-c", "purchase") == [("no_click", "none")])
    click(product, "c-a", "ttclid", "E.C.P.journeyC", ago(minutes=60))
    product.send({"type": "identify", "anonymousId": "c-a", "userId": "user-c", "traits": {}})
    product.wait_for(lambda: product.outcome("user-c", "purchase") == [("", "delivered")])

    (request,) = sent_with(product, "tiktok", "E.C.P.journeyC")
    assert request["body"]["data"][0]["properties"]["value"] == 4.99


def test_an_organic_purchase_sends_nothing_and_says_no_click(product: Product) -> None:
    before = len(product.received("tiktok")) + len(product.received("reddit"))
    event(product, "user-organic", "purchase", ago(minutes=5), value=1, currency="USD")
    product.wait_for(lambda: product.outcome("user-organic", "purchase") == [("no_click", "none")])
    assert len(product.received("tiktok")) + len(product.received("reddit")) == before


def test_test_traffic_is_digested_and_never_sent(product: Product) -> None:
    message = {"type": "track", "eventName": "purchase", "userId": "user-test", "properties": {"ttclid": "E.C.P.test"}}
    product.send(message, key=product.demo["sandbox_key"])
    product.wait_for(lambda: product.outcome("user-test", "purchase") == [("test_traffic", "none")])
    assert sent_with(product, "tiktok", "E.C.P.test") == []


@pytest.fixture
def quick_retries(product: Product) -> Any:
    """A function that makes the retries of waiting deliveries due."""

    def hurry() -> None:
        with psycopg.connect(product.env["DATABASE_URL"], autocommit=True) as connection:
            connection.execute("UPDATE postbacks_delivery SET next_attempt_at = now() WHERE state = 'waiting'")

    return hurry


def test_journey_d_a_network_that_is_unavailable_twice_is_called_three_times(
    product: Product, quick_retries: Any
) -> None:
    product.fault("tiktok", "unavailable", 2)
    click(product, "d-a", "ttclid", "E.C.P.journeyD", ago(hours=2))
    link(product, "d-a", "user-d", ago(hours=1))
    event(product, "user-d", "purchase", ago(minutes=20), value=3, currency="USD")
    for attempts in (1, 2):
        product.wait_for(lambda n=attempts: [row[0] for row in product.log("user-d")] == ["retried"] * n)
        quick_retries()
    product.wait_for(lambda: [row[0] for row in product.log("user-d")] == ["retried", "retried", "success"])

    assert [row[3] for row in product.log("user-d")] == [1, 2, 3]
    requests = sent_with(product, "tiktok", "E.C.P.journeyD")
    assert len({request["body"]["data"][0]["event_id"] for request in requests}) == 1
    assert [request["status"] == 200 for request in requests] == [False, False, True]


def test_journey_d_a_revoked_token_puts_on_hold_shows_in_health_and_clears_after_rotation(
    product: Product, marketer: Browser
) -> None:
    page = f"/g/{product.demo['game']}/integrations/tiktok/"
    revoked = {"network": "tiktok", "credential": TIKTOK_ACCOUNTS.token}
    product.http.request("POST", f"{product.sandbox_url}/sandbox/tokens/revoke", json=revoked)
    click(product, "e-a", "ttclid", "E.C.P.journeyE", ago(hours=2))
    link(product, "e-a", "user-e", ago(hours=1))
    event(product, "user-e", "purchase", ago(minutes=20), value=3, currency="USD")
    product.wait_for(lambda: product.outcome("user-e", "purchase") == [("", "held")])
    assert [row[0] for row in product.log("user-e")] == ["failed"]
    said = marketer.get(page).data
    assert b"Credential failures detected" in said
    assert b"On hold" in said

    (config_id,) = product.rows(
        "SELECT id FROM postbacks_postbackconfig WHERE network = 'tiktok' AND deleted_at IS NULL"
    )[0]
    answer = marketer.post(
        f"{page}{config_id}/edit/",
        [
            ("pixel_id", TIKTOK_ACCOUNTS.pixel),
            ("credential", TIKTOK_ACCOUNTS.rotated_token),
            ("triggers", "game_launch"),
            ("triggers", "purchase"),
            ("enabled", "on"),
        ],
    )
    assert answer.status in {200, 302}, answer.data
    product.wait_for(
        lambda: product.rows(
            "SELECT 1 FROM postbacks_credentialcheck WHERE state = 'passed' AND config_id = %s", config_id
        )
    )
    event(product, "user-e", "purchase", ago(minutes=10), value=4, currency="USD")
    product.wait_for(lambda: product.outcome("user-e", "purchase") == [("", "delivered"), ("", "delivered")])
    assert b"Credential failures detected" not in marketer.get(page).data
    (last,) = [r for r in sent_with(product, "tiktok", "E.C.P.journeyE") if r["status"] == 200 and _accepted(r)][-1:]
    assert last["body"]["data"][0]["properties"]["value"] == 4
    product.http.request("POST", f"{product.sandbox_url}/sandbox/tokens/restore", json=revoked)


def _accepted(request: dict[str, Any]) -> bool:
    return bool(request["response"]["code"] == 0)
