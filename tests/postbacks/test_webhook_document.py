"""docs/webhooks.md: its example verifies real messages, and what it says about bodies and limits is what is sent."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audience.models import Game
from audience.privacy import erasure
from postbacks.models import AlertHook, HookEvent
from postbacks.monitoring.alerts import hook_claims, hook_results, hook_sending, hook_upkeep, hooks, notices
from postbacks.outbox import fan_out
from tests import factories
from tests.postbacks.receiver import Receiver, receiving

pytestmark = pytest.mark.django_db
TEXT = (Path(__file__).resolve().parents[2] / "docs" / "webhooks.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.ALERT_PRIVATE_HOSTS = frozenset({"127.0.0.1"})
    with receiving() as running:
        yield running


@pytest.fixture
def sent(game: Game, receiver: Receiver) -> str:
    """The secret of a webhook to which a message about a conversion and one about an erasure were sent."""
    _, secret = hooks.add_hook(game=game, url=receiver.url, created_by=None, events=HookEvent.values)
    factories.config(game)
    player = factories.person(game, user="player-1")
    factories.conversion(player, touch=factories.touch(player), user_id="player-1", consent_level="none")
    fan_out.fan_out_due()
    hook_sending.send_due()
    erasure.request_erasure(game=game, namespace="user", subject="player-1", requested_by="a test")
    erasure.drain()
    AlertHook.objects.update(next_call_at=None)
    hook_sending.send_due()
    return secret


def test_the_example_accepts_a_real_message_once_and_no_changed_one(
    sent: str, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = blocks("python")
    scope: dict[str, Any] = {}
    exec(compile(code, "docs/webhooks.md", "exec"), scope)  # noqa: S102
    first, second = receiver.received
    seen: set[str] = set()
    assert [scope["receive"](sent, one.headers, one.body, seen) for one in (first, second, first)] == [204] * 3
    assert capsys.readouterr().out.count("conversion.not_sent") == 1
    assert scope["receive"](sent, first.headers, first.body + b" ", set()) == 401
    assert scope["receive"](sent, {**first.headers, "webhook-timestamp": "1"}, first.body, set()) == 401


def test_the_bodies_of_the_examples_have_the_keys_of_real_ones(sent: str, receiver: Receiver) -> None:
    examples = [json.loads(block) for block in blocks("json")]
    for example, message in zip(examples, receiver.messages(sent), strict=True):
        assert list(example) == list(message)
        assert list(example["data"]) == list(message["data"])
        assert example["type"] == message["type"]
        assert {name: type(value) for name, value in example["data"].items()} == {
            name: type(value) for name, value in message["data"].items()
        }
    assert receiver.messages(sent)[0]["data"]["sentence"] == examples[0]["data"]["sentence"]
    assert receiver.messages(sent)[1]["data"]["sentence"] == examples[1]["data"]["sentence"]


def test_every_event_is_listed() -> None:
    listed = re.findall(r"^\| `([a-z._]+)` \| ", TEXT.partition("## Verify")[0], re.MULTILINE)
    assert listed == [*HookEvent.values, "test"]


def test_the_limits_are_those_of_the_code() -> None:
    minutes = [seconds / 60 for seconds in notices.SCHEDULE]
    assert minutes == [1, 5, 15, 60, 120, 360, 720]
    assert "after 1, 5 and 15 minutes and 1, 2, 6 and 12 hours" in TEXT
    assert (hook_claims.MAX_PER_SECOND, hook_sending.MAX_PER_HOOK) == (20, 8)
    assert "up to 20 a second to one webhook, eight at a time" in TEXT
    assert (hook_results.PAUSES[0], hook_results.PAUSES[-1], hook_results.MAX_PAUSE_SECONDS) == (1, 900, 3600)
    assert "1 second to 15 minutes apart, or as `Retry-After` asks, up to an hour" in TEXT
    assert hook_upkeep.MAX_WAITING == 50_000
    assert "if more than 50,000 wait" in TEXT
    assert hooks.MAX_OVERLAP.days == 7
