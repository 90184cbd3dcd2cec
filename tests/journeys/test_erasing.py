"""The erasure of a player, requested over HTTP and done by a worker."""

from typing import Any

import psycopg
import pytest

from tests.journeys.product import Product, ago


def erase(product: Product, query: str, key: str | None = None) -> Any:
    return product.http.request(
        "DELETE",
        f"{product.url}/v1/audience/data?{query}",
        headers={"x-immutable-api-key": key or product.demo["secret_key"]},
    )


@pytest.fixture
def erased_user(product: Product) -> str:
    """A player with a click, an email, a delivered launch and a purchase that waits for its second attempt."""
    product.send(
        {
            "type": "page",
            "anonymousId": "forget-me-browser",
            "eventTimestamp": ago(hours=3).isoformat(),
            "context": {"pageUrl": "https://game.example/?ttclid=E.C.P.forgetme"},
        },
        {
            "type": "identify",
            "anonymousId": "forget-me-browser",
            "userId": "forget-me",
            "traits": {"email": "forget@players.example"},
        },
        {
            "type": "track",
            "eventName": "game_launch",
            "userId": "forget-me",
            "eventTimestamp": ago(hours=2).isoformat(),
        },
    )
    product.wait_for(lambda: product.outcome("forget-me", "game_launch") == [("", "delivered")])
    product.fault("tiktok", "unavailable", 1)
    product.send({"type": "track", "eventName": "purchase", "userId": "forget-me", "properties": {"value": 1}})
    product.wait_for(lambda: [row[0] for row in product.log("forget-me")] == ["success", "retried"])
    product.http.request(
        "PUT",
        f"{product.url}/v1/audience/tracking-consent",
        json={"anonymousId": "forget-me-browser", "status": "full", "source": "banner"},
        headers={"x-immutable-publishable-key": product.demo["publishable_key"]},
    )
    return "forget-me"


def test_erasing_removes_the_player_and_cancels_the_waiting_delivery(product: Product, erased_user: str) -> None:
    assert erase(product, f"userId={erased_user}").status == 202
    product.wait_for(lambda: not product.rows("SELECT 1 FROM audience_erasure WHERE state <> 'done'"))

    left = everything(product)
    for trace in (erased_user, "forget-me-browser", "forget@players.example", "E.C.P.forgetme"):
        assert [table for table, text in left.items() if trace in text] == []
    states = product.rows("SELECT state, reason FROM postbacks_delivery WHERE conversion_id IS NULL ORDER BY state")
    assert ("cancelled", "erased") in states
    assert "waiting" not in {state for state, _ in states}
    (counts,) = product.rows("SELECT counts FROM audience_erasure ORDER BY requested_at DESC LIMIT 1")[0]
    assert counts == {
        "events": 4,
        "people": 1,
        "identities": 2,
        "touches": 1,
        "devices": 0,
        "conversions": 2,
        "rejections": 0,
        "consent_decisions": 1,
        "postbacks_cancelled": 1,
    }


def test_erasing_again_and_erasing_an_unknown_player_are_accepted(product: Product) -> None:
    assert erase(product, "userId=forget-me").status == 202
    assert erase(product, "anonymousId=never-seen").status == 202
    product.wait_for(lambda: not product.rows("SELECT 1 FROM audience_erasure WHERE state = 'pending'"))


def test_erasing_needs_the_secret_key_and_exactly_one_id(product: Product) -> None:
    before = product.rows("SELECT count(*) FROM audience_erasure")
    assert erase(product, "userId=x", key=product.demo["publishable_key"]).status == 401
    assert erase(product, "userId=x", key="nonsense").status == 400
    assert erase(product, "userId=x&anonymousId=y").status == 400
    assert erase(product, "").status == 400
    assert product.rows("SELECT count(*) FROM audience_erasure") == before


def everything(product: Product) -> dict[str, str]:
    """Every table of the database as text."""
    with psycopg.connect(product.env["DATABASE_URL"]) as connection:
        names = connection.execute(
            "SELECT quote_ident(relname) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        ).fetchall()
        return {
            name: "\n".join(str(row[0]) for row in connection.execute(f"SELECT t::text FROM {name} t").fetchall())
            for (name,) in names
        }
