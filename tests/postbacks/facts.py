"""Conversions, answers and files of the networks for their tests."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from postbacks.networks import NETWORKS
from postbacks.networks.interface.call import Response, Target
from postbacks.networks.interface.facts import Address, AdvertisingId, Facts, Item, Name, Screen
from postbacks.networks.interface.imitation import imitation_of

AT = datetime(2025, 1, 3, 7, 31, 27, 123456, tzinfo=UTC)
EVENT_ID = "0f9fd3ca-6c1c-4b0e-9f8f-3f0b5c6f1f11"
UUID = "1735888000000.6ff3ff0b-5de3-4be7-9b2c-ec8a9c8f5a33"
SCID = "6ff3ff0b-5de3-4be7-9b2c-ec8a9c8f5a34"

LAUNCH = Facts(trigger="game_launch", event_id=EVENT_ID, event_at=AT, click_id="E.C.P.CkYKA4-click")
NOBODY = Facts(trigger="game_launch", event_id=EVENT_ID, event_at=AT)
PURCHASE = Facts(
    trigger="purchase",
    event_id=EVENT_ID,
    event_at=AT,
    click_id=" E.C.P.CkYKA4-click ",
    cookies={"_ttp": UUID, "_rdt_uuid": UUID, "_scid": SCID, "_fbp": "fb.1.1735888000000.1098115397"},
    email=" Al.ice$+Apple@Example.Com ",
    phone="+1 (555) 444-1234",
    name=Name(first=" Jo-Anne ", last="O'Neill"),
    address=Address(city="New York", state="NY", postal_code="94035-1234", country="US"),
    external_id=" player-42 ",
    ip="203.0.113.7",
    user_agent="Mozilla/5.0 (click)",
    advertising_id=AdvertisingId(idfa="AEBE52E7-03EE-455A-B3C4-E57283966239"),
    screen=Screen(1170, 2532),
    locale="en-GB",
    page_url="https://game.example/landing?rdt_cid=x",
    referrer="https://ads.example/",
    value=Decimal("9.990000001"),
    currency=" usd ",
    order_id="1001",
    items=(
        Item(id="7", name="Gem pack", category="gems", price=Decimal("4.995"), quantity=2),
        Item(id=" ", name="", category=None, price=None, quantity=None),
        Item(id="8", price=Decimal("0"), quantity=None),
    ),
)


def mapped(kind: str, facts: Facts) -> Facts:
    """`facts` with the object id of its trigger, for a network that has such."""
    return replace(facts, object_id=imitation_of(NETWORKS[kind]).accounts.object_ids.get(facts.trigger))


def target(pixel_id: str, *, test_code: str | None = None, kind: str = "tiktok") -> Target:
    """Return a target with the credential of the imitation, but for its token."""
    accounts = imitation_of(NETWORKS[kind]).accounts
    return NETWORKS[kind].target(
        pixel_id=pixel_id,
        credential={"contacts": "yes", **accounts.stored_credential(), "token": "a-token"},
        base_url="https://network.example/",
        test_code=test_code,
    )


def launch(kind: str) -> Facts:
    """Return a launch with the click ID and, where the network needs more, the address and browser of the click."""
    if NETWORKS[kind].has_match_key(LAUNCH):
        return LAUNCH
    return replace(LAUNCH, ip=PURCHASE.ip, user_agent=PURCHASE.user_agent)


def authorised(kind: str, target: Target) -> Target:
    """The target with the access token that the imitation issues for its credential, if the network uses one."""
    token = imitation_of(NETWORKS[kind]).access_token(target.credential["token"])
    return target.with_access_token(token) if token else target


def vector(kind: str, name: str) -> Any:
    """Return a JSON file of the network's vectors: `purchase` and `game_launch` are bodies, `responses` has answers."""
    return json.loads((NETWORKS[kind].folder / "vectors" / f"{name}.json").read_text())


def schema(kind: str) -> Any:
    return json.loads((NETWORKS[kind].folder / "schema.json").read_text())


def answers(kind: str) -> list[Any]:
    """Return {"name", "status", "body", "verdict", "access"?, "limited"?, "of_check"?, "evidence"} of each answer."""
    return list(vector(kind, "responses")["answers"])


def observed(kind: str) -> list[Any]:
    """Return the answers that were observed, without the inferred ones."""
    return [answer for answer in answers(kind) if answer["evidence"] != "not seen yet"]


def answered(status: int, body: Any, **headers: str) -> Response:
    """Return a Response as http.post returns it; `retry_after="3"` is a header."""
    raw = body if isinstance(body, str) else json.dumps(body)
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw.encode(), 12)
