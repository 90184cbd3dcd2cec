"""What the back end of the demo game sends: events with the SteamID as the only ID of the player."""

import json
import shlex
from typing import Any
from uuid import uuid4

from django.conf import settings

from audience.database import clock
from audience.intake.dialects import immutable
from audience.intake.storing.accept import accept
from audience.models import ApiKey, Dialect, Trigger

PRICE = {"value": "9.99", "currency": "USD"}


def send(trigger: Trigger, *, key: ApiKey, steam_id: str) -> None:
    """Send a launch or a purchase, as POST /v1/audience/messages would accept it.

    Nothing is stored for a player whose data was erased with a suppression. Raises django.db.OperationalError.
    """
    now = clock.now()
    messages, rejected = immutable.parse([_message(trigger, steam_id)], now=now)
    suppressed = key.game.suppressed_ids
    messages = [one for one in messages if not (suppressed and suppressed.erasure_of(one))]
    if messages or rejected:
        accept(key=key, dialect=Dialect.IMMUTABLE, messages=messages, rejected=rejected, received_at=now)


def example(*, key: ApiKey, steam_id: str) -> str:
    """Return the request with a purchase as a curl command."""
    body = json.dumps({"messages": [_message(Trigger.PURCHASE, steam_id)]}, indent=2)
    url = f"{settings.PUBLIC_URL}/v1/audience/messages"
    return shlex.join(["curl", url, "-H", f"x-immutable-publishable-key: {key.value}", "-d", body])


def _message(trigger: Trigger, steam_id: str) -> dict[str, Any]:
    order = {**PRICE, "transaction_id": f"demo-{uuid4().hex[:12]}", "item_name": "Comet skin"}
    return {
        "type": "track",
        "messageId": str(uuid4()),
        "eventTimestamp": clock.now().isoformat(),
        "eventName": trigger.value,
        "userId": steam_id,
        "properties": order if trigger == Trigger.PURCHASE else {"platform": "windows"},
        "context": {"library": "afterclick-demo", "libraryVersion": "1.0.0"},
    }
