"""From nothing to an erased player by the client that test_generated_client.py generates; a program of its own.

The environment has the addresses, a token and the credentials that the imitation network accepts.
"""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import uuid4

import httpx
from afterclick_client import AuthenticatedClient
from afterclick_client.api.audit_log import audit_log_list
from afterclick_client.api.conversions import conversions_list, conversions_retrieve
from afterclick_client.api.deliveries import deliveries_list, deliveries_retrieve
from afterclick_client.api.games import games_create
from afterclick_client.api.keys import keys_create, keys_list, keys_rotate
from afterclick_client.api.postbacks import postbacks_create, postbacks_list, postbacks_rotate
from afterclick_client.api.privacy import erasures_create, erasures_retrieve
from afterclick_client.api.replays import replays_create, replays_retrieve
from afterclick_client.models import (
    ConversionDetail,
    DeliveryDetail,
    DeliveryStateEnum,
    Erasure,
    Game,
    GameCreateRequest,
    KeyCreateRequest,
    KeyKindEnum,
    KeyRotateRequest,
    NamespaceEnum,
    NetworkEnum,
    NewErasureRequest,
    NewKey,
    PaginatedAuditEntryList,
    PaginatedConversionList,
    PaginatedDeliveryList,
    PaginatedKeyList,
    PaginatedPostbackList,
    Postback,
    PostbackCreateRequest,
    PostbackCreateRequestCredential,
    Problem,
    ReceiptStateEnum,
    Replay,
    ReplayCounts,
    ReplayCreateRequest,
    ReplayCreateVerdictEnum,
    ReplayStateEnum,
    RotateRequest,
    RotateRequestCredential,
    SendingStateEnum,
    TriggerEnum,
)

URL, SANDBOX = os.environ["AFTERCLICK_URL"], os.environ["SANDBOX_URL"]
PIXEL, TOKEN, ROTATED_TOKEN = os.environ["PIXEL"], os.environ["NETWORK_TOKEN"], os.environ["ROTATED_TOKEN"]
WAIT, SLUG = "wait=20", "typed-dive"
T = TypeVar("T")

client = AuthenticatedClient(
    URL, os.environ["AFTERCLICK_TOKEN"], timeout=httpx.Timeout(40), raise_on_unexpected_status=True
)


def expect(kind: type[T], answer: object) -> T:
    assert isinstance(answer, kind), answer
    return answer


def wait_for(read: Callable[[], T | None]) -> T:
    end = time.monotonic() + 180
    while (found := read()) is None:
        assert time.monotonic() < end, "the product did not do this within three minutes"
        time.sleep(0.2)
    return found


def new_postback(token: str) -> PostbackCreateRequest:
    credential = PostbackCreateRequestCredential()
    credential["token"] = token
    triggers = [TriggerEnum.GAME_LAUNCH, TriggerEnum.PURCHASE]
    return PostbackCreateRequest(PIXEL, credential, NetworkEnum.TIKTOK, triggers=triggers)


def play(user: str, key: str) -> None:
    """Send a click an hour ago and a purchase now, as a back end does."""
    now = datetime.now(UTC)
    shared = {"library": "typed", "libraryVersion": "1"}
    page = {**shared, "pageUrl": f"https://game.example/?ttclid=E.C.P.{user}", "userAgent": "Mozilla/5.0"}
    hour_ago = (now - timedelta(hours=1)).isoformat()
    messages = [
        {"type": "page", "userId": user, "eventTimestamp": hour_ago, "context": page},
        {
            "type": "track",
            "eventName": "purchase",
            "userId": user,
            "eventTimestamp": now.isoformat(),
            "properties": {"value": 5, "currency": "EUR"},
            "context": shared,
        },
    ]
    body = {"messages": [{"messageId": str(uuid4()), **message} for message in messages]}
    answer = httpx.post(f"{URL}/v1/audience/messages", json=body, headers={"x-immutable-publishable-key": key})
    assert (answer.status_code, answer.json()["accepted"]) == (200, 2), answer.text


def delivery_of(user: str, state: DeliveryStateEnum) -> DeliveryDetail | None:
    """Return the delivery of the player's purchase once it has this state."""
    for conversion in expect(PaginatedConversionList, conversions_list.sync(SLUG, client=client, q=user)).results:
        found = expect(PaginatedDeliveryList, deliveries_list.sync(SLUG, client=client, conversion=conversion.id))
        for delivery in found.results:
            if delivery.state == state:
                return expect(DeliveryDetail, deliveries_retrieve.sync(SLUG, delivery.id, client=client))
    return None


def main() -> None:
    game = expect(Game, games_create.sync(client=client, body=GameCreateRequest("Typed Dive", slug=SLUG)))
    again = expect(Problem, games_create.sync(client=client, body=GameCreateRequest("Typed Dive", slug=SLUG)))
    assert (game.slug, again.status, again.errors[0].field) == (SLUG, 400, "slug"), again
    key = expect(
        NewKey, keys_create.sync(SLUG, client=client, body=KeyCreateRequest("Backend", kind=KeyKindEnum.SERVER))
    )

    refused = postbacks_create.sync(SLUG, client=client, body=new_postback("0" * 40), prefer=WAIT)
    assert expect(Problem, refused).code == "check_refused"
    assert expect(PaginatedPostbackList, postbacks_list.sync(SLUG, client=client)).results == []
    made = expect(Postback, postbacks_create.sync(SLUG, client=client, body=new_postback(TOKEN), prefer=WAIT))
    assert made.state == SendingStateEnum.ACTIVE

    play("typed-swimmer", key.value)
    sent = wait_for(lambda: delivery_of("typed-swimmer", DeliveryStateEnum.DELIVERED))
    assert (sent.pixel_id, sent.attempts[0].http_status, sent.event) == (PIXEL, 200, "purchase")
    assert sent.conversion is not None
    trail = expect(ConversionDetail, conversions_retrieve.sync(SLUG, sent.conversion, client=client))
    assert trail.value is not None
    assert (trail.value.amount, trail.value.currency) == ("5.00", "EUR")

    httpx.post(f"{SANDBOX}/sandbox/faults", json={"network": "tiktok", "fault": "bad_request", "times": 1})
    play("typed-diver", key.value)
    wait_for(lambda: delivery_of("typed-diver", DeliveryStateEnum.FAILED))
    chosen = ReplayCreateRequest(made.id, verdict=ReplayCreateVerdictEnum.PAYLOAD, dry_run=True)
    counts = expect(ReplayCounts, replays_create.sync(SLUG, client=client, body=chosen))
    assert (counts.total, counts.sendable) == (1, 1)
    chosen.dry_run = False
    replay = expect(Replay, replays_create.sync(SLUG, client=client, body=chosen))

    def ended() -> Replay | None:
        row = expect(Replay, replays_retrieve.sync(SLUG, replay.id, client=client))
        return row if row.state == ReplayStateEnum.DONE else None

    assert wait_for(ended).progress.delivered == 1

    credential = RotateRequestCredential()
    credential["token"] = ROTATED_TOKEN
    rotated = postbacks_rotate.sync(SLUG, made.id, client=client, body=RotateRequest(credential), prefer=WAIT)
    assert expect(Postback, rotated).version == made.version + 1
    successor = keys_rotate.sync(SLUG, key.id, client=client, body=KeyRotateRequest(overlap_hours=1))
    keys = expect(PaginatedKeyList, keys_list.sync(SLUG, client=client)).results
    assert {one.id: one.state for one in keys} == {key.id: "rotating", expect(NewKey, successor).id: "live"}

    request = NewErasureRequest(NamespaceEnum.USER, "typed-swimmer")
    erasure = expect(Erasure, erasures_create.sync(SLUG, client=client, body=request))

    def erased() -> Erasure | None:
        row = expect(Erasure, erasures_retrieve.sync(SLUG, erasure.id, client=client))
        return row if row.state == ReceiptStateEnum.DONE else None

    wait_for(erased)
    left = expect(PaginatedConversionList, conversions_list.sync(SLUG, client=client, q="typed-swimmer"))
    entries = expect(PaginatedAuditEntryList, audit_log_list.sync(SLUG, client=client, limit=200)).results
    assert left.results == []
    assert {entry.kind for entry in entries} >= {"game", "apikey", "postbackconfig", "erasure"}


if __name__ == "__main__":
    main()
