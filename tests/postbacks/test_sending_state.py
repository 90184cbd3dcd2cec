"""Whether a postback may send: the function for one row and the condition on many give the same answer."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from postbacks.configs.sending_state import Block, block_of, may_send
from postbacks.models import PostbackConfig
from tests import factories

NOW = timezone.now()
LATER = NOW + timedelta(seconds=10)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("state", "block"),
    [
        ({}, None),
        ({"deleted_at": NOW, "enabled": False, "held_at": NOW}, Block.DELETED),
        ({"enabled": False, "held_at": NOW}, Block.DISABLED),
        ({"held_at": NOW, "suspected_at": NOW}, Block.ON_HOLD),
        ({"held_at": NOW, "held_for": "user"}, Block.HELD_BY_USER),
        ({"suspected_at": NOW, "paused_until": LATER}, Block.SUSPECTED),
        ({"paused_until": LATER}, Block.PAUSED),
        ({"paused_until": NOW}, Block.PAUSED),
        ({"paused_until": NOW - timedelta(seconds=1)}, None),
    ],
)
def test_a_postback_sends_unless_something_blocks_it(state: dict[str, Any], block: Block | None) -> None:
    config = factories.config(factories.game(), **state)

    assert block_of(config, now=NOW) == block
    assert PostbackConfig.objects.filter(may_send(NOW)).exists() is (block is None)


def test_the_pause_of_a_rotation_does_not_keep_a_person_from_asking() -> None:
    assert block_of(PostbackConfig(paused_until=LATER)) is None
