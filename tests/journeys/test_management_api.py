"""From nothing to an erased player by the management API alone, with real processes and an imitation network."""

import json
from typing import Any

from postbacks.networks.tiktok.imitation import ACCOUNTS
from tests.journeys.api import Api
from tests.journeys.product import Product, ago


def state_of(api: Api, path: str, key: str, *ended: str) -> Any:
    """Read a row until its `key` is one of `ended`."""

    def read() -> Any:
        row = api.get(path)
        return row if row[key] in ended else None

    return api.product.wait_for(read)


def test_a_game_is_set_up_runs_fails_recovers_and_forgets_by_the_api_alone(product: Product, api: Api) -> None:
    # A game, a key and a postback, which exists only once the network has accepted its credential.
    game = api.post("games", {"name": "Deep Dive", "slug": "deep-dive"}, expect=201)["slug"]
    key = api.post(f"games/{game}/keys", {"name": "Backend", "kind": "server"}, expect=201)
    pixel, root = ACCOUNTS.pixel, f"games/{game}"
    settings = {"network": "tiktok", "pixel_id": pixel, "triggers": ["game_launch", "purchase"]}
    refused = api.post(
        f"{root}/postbacks", {**settings, "credential": {"token": "0" * 40}}, expect=400, Prefer="wait=20"
    )
    assert refused["code"] == "check_refused"
    assert api.get(f"{root}/postbacks")["results"] == []
    made = api.post(
        f"{root}/postbacks", {**settings, "credential": {"token": ACCOUNTS.token}}, expect=201, Prefer="wait=20"
    )
    postback = f"{root}/postbacks/{made['id']}"
    assert made["state"] == "active"
    assert ACCOUNTS.token not in json.dumps(made)

    # An event becomes a conversion, and the conversion a delivery.
    def play(user: str, minutes: int) -> None:
        context = {"pageUrl": f"https://game.example/?ttclid=E.C.P.{user}", "userAgent": "Mozilla/5.0"}
        click = {"type": "page", "anonymousId": f"a-{user}", "context": context}
        named = {"type": "identify", "anonymousId": f"a-{user}", "userId": user, "identityType": "passport"}
        bought = {
            "type": "track",
            "eventName": "purchase",
            "userId": user,
            "properties": {"value": 5, "currency": "EUR"},
        }
        at = {"eventTimestamp": ago(minutes=minutes).isoformat()}
        product.send(
            {**click, **at}, {**named, **at}, {**bought, "eventTimestamp": ago().isoformat()}, key=key["value"]
        )

    def conversion_of(user: str) -> Any:
        return next(iter(api.get(f"{root}/conversions?q={user}")["results"]), None)

    play("swimmer", 60)
    found = product.wait_for(lambda: conversion_of("swimmer"))
    product.wait_for(lambda: product.outcome("swimmer", "purchase") == [("", "delivered")])
    trail = api.get(f"{root}/conversions/{found['id']}")
    assert (trail["event"], trail["value"]) == ("purchase", {"amount": "5.00", "currency": "EUR"})
    (delivery,) = api.get(f"{root}/deliveries?conversion={found['id']}")["results"]
    assert (delivery["state"], delivery["network"], delivery["pixel_id"]) == ("delivered", "tiktok", pixel)
    (attempt,) = api.get(f"{root}/deliveries/{delivery['id']}")["attempts"]
    assert (attempt["status"], attempt["http_status"]) == ("success", 200)

    # The network refuses an event; a replay counts first, then sends it again.
    product.fault("tiktok", "bad_request", 1)
    play("diver", 50)
    product.wait_for(lambda: product.outcome("diver", "purchase") == [("", "failed")])
    chosen = {"postback": made["id"], "verdict": "payload"}
    counts = api.post(f"{root}/replays", {**chosen, "dry_run": True})
    assert (counts["total"], counts["sendable"]) == (1, 1)
    assert api.get(f"{root}/replays")["results"] == []
    replay = api.post(f"{root}/replays", chosen, expect=201)
    ended = state_of(api, f"{root}/replays/{replay['id']}", "state", "done")
    assert (ended["total"], ended["progress"]["delivered"]) == (1, 1)

    # Both secrets are rotated: the network checks the one, the other works beside its successor.
    api.post(f"{postback}/rotate", {"credential": {"token": ACCOUNTS.rotated_token}}, Prefer="wait=20")
    rotated = api.get(postback)
    assert rotated["version"] == made["version"] + 1
    successor = api.post(f"{root}/keys/{key['id']}/rotate", {"overlap_hours": 1}, expect=201)
    states = {row["id"]: row["state"] for row in api.get(f"{root}/keys")["results"]}
    assert states == {key["id"]: "rotating", successor["id"]: "live"}

    # Two people may edit a postback: the second must read it again.
    stale = {"If-Match": '"stale"'}
    api.send("PATCH", f"games/{game}/postbacks/{made['id']}", {"triggers": ["purchase"]}, expect=412, **stale)

    # A player is erased, and every change stands in the audit log.
    erasure = api.post(f"{root}/erasures", {"namespace": "user", "subject": "swimmer"}, expect=202)
    receipt = state_of(api, f"{root}/erasures/{erasure['id']}", "state", "done", "failed")
    assert receipt["state"] == "done"
    assert api.get(f"{root}/conversions?q=swimmer")["results"] == []
    entries = api.get(f"{root}/audit-log?limit=200")["results"]
    assert {entry["kind"] for entry in entries} >= {"game", "apikey", "postbackconfig", "erasure"}
    assert {entry["actor"]["name"] for entry in entries} <= {product.demo["users"]["admin"]["email"], "Afterclick"}
    assert "swimmer" not in json.dumps(entries)
