"""Workers killed with SIGKILL while they deliver and send messages to a webhook: every delivery has its message."""

import time
from collections.abc import Iterator

import pytest

from tests.journeys.product import Product, ago
from tests.postbacks.receiver import Answer, Receiver, receiving

PLAYERS = 120
ADD = """
from audience.models import Game
from postbacks.monitoring.alerts import hooks
game = Game.objects.get(slug={slug!r})
_, secret = hooks.add_hook(game=game, url={url!r}, created_by=None, events=["conversion.delivered"])
print("secret", secret)
"""
REMOVE = """
from postbacks.models import AlertHook
from postbacks.monitoring.alerts import hooks
for hook in AlertHook.objects.filter(url={url!r}):
    hooks.delete_hook(hook=hook)
"""


@pytest.fixture
def receiver(product: Product) -> Iterator[Receiver]:
    """A receiver on loopback, which the workers may call."""
    product.env["ALERT_PRIVATE_HOSTS"] = "127.0.0.1"
    product.kill("delivery")
    product.start_worker("delivery")
    with receiving() as running:
        yield running
        product.manage("shell", "-c", REMOVE.format(url=running.url))
    product.env.pop("ALERT_PRIVATE_HOSTS")


def test_no_message_is_lost_when_workers_are_killed(product: Product, receiver: Receiver) -> None:
    output = product.manage("shell", "-c", ADD.format(slug=product.demo["game"], url=receiver.url))
    secret = output.rpartition("secret ")[2].strip()
    receiver.otherwise = Answer(before=lambda: time.sleep(0.2))
    for start in range(0, PLAYERS, 40):
        product.send(*[_click(number) for number in range(start, start + 40)])
        product.send(*[_purchase(number) for number in range(start, start + 40)])
    product.wait_for(lambda: len(receiver.received) > 10)
    product.kill("delivery")
    assert len({one.id for one in receiver.received}) < PLAYERS, "the worker was too quick to be killed in the middle"

    product.start_worker("delivery")
    receiver.otherwise = Answer()
    # A message that the killed worker was sending is sent again when its lease of two minutes has ended.
    product.wait_for(lambda: len(product.rows(CONVERTED)) == PLAYERS and not product.rows(UNSENT), seconds=300)
    # One per player and postback: other journeys add postbacks to the same game.
    delivered = {str(pk) for (pk,) in product.rows(DELIVERED)}
    assert len(delivered) >= PLAYERS
    product.wait_for(lambda: len({one.id for one in receiver.received}) >= len(delivered), seconds=300)
    product.wait_for(lambda: _waiting(product) == 0, seconds=300)
    assert receiver.received[-1].verify(secret)["type"] == "conversion.delivered"
    received = [one.id for one in receiver.received]
    assert {str(row) for (row,) in product.rows(ABOUT, received)} == delivered
    assert len(set(received)) == len(delivered)


OF_PLAYERS = (
    "FROM audience_conversion c {join} postbacks_delivery d ON c.id = d.conversion_id WHERE c.user_id LIKE 'hooked-%%'"
)
CONVERTED = "SELECT 1 FROM audience_conversion c WHERE c.user_id LIKE 'hooked-%%'"
DELIVERED = f"SELECT d.id {OF_PLAYERS.format(join='JOIN')} AND d.state = 'delivered'"
# Conversions without a delivery, or with one that was not sent yet.
UNSENT = f"SELECT 1 {OF_PLAYERS.format(join='LEFT JOIN')} AND (d.id IS NULL OR d.state = 'waiting')"
ABOUT = "SELECT row FROM postbacks_hookmessage WHERE id::text = ANY(%s)"


def _waiting(product: Product) -> int:
    (row,) = product.rows("SELECT count(*) FROM postbacks_hookmessage WHERE state = 'waiting'")
    return int(row[0])


def _click(number: int) -> dict[str, object]:
    return {
        "type": "page",
        "userId": f"hooked-{number}",
        "eventTimestamp": ago(hours=1).isoformat(),
        "context": {"pageUrl": f"https://game.example/?ttclid=E.C.P.hooked{number}"},
    }


def _purchase(number: int) -> dict[str, object]:
    properties = {"value": 1, "currency": "USD"}
    return {"type": "track", "eventName": "purchase", "userId": f"hooked-{number}", "properties": properties}
