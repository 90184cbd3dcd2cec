"""Random histories whose anonymous ids are pruned after every digest: the players are those of the model."""

from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest
import time_machine
from hypothesis import given, note
from hypothesis import strategies as st

from audience.digest import pruned_ids, queue
from audience.models import PrunePosition
from audience.storage.prune_ids import IdsSeenOnce
from tests import factories
from tests.audience.identity_histories import History, histories, send
from tests.audience.identity_oracle import MAX_OWNERS
from tests.audience.test_identity_by_model import digested, expected, left_no_trace, random_histories

pytestmark = [pytest.mark.long, pytest.mark.django_db]

MIDNIGHT = datetime(2026, 4, 1, tzinfo=UTC)
# Ids seen before midnight are old enough.
NOW = MIDNIGHT + pruned_ids.KEPT


def digest_and_prune() -> None:
    """Every identity is examined each time: ids that one digest finds seen once are rarely so after the next."""
    queue.drain()
    PrunePosition.objects.all().delete()
    IdsSeenOnce(NOW).execute(0)


@random_histories
@given(history=histories(), minutes=st.integers(0, 6), has_slack=st.booleans())
def test_whatever_is_pruned_between_digests_each_event_belongs_to_the_player_of_the_model(
    history: History, minutes: int, has_slack: bool
) -> None:
    """The history begins so many minutes before midnight. Without slack, rows of later events are made at once."""
    at = MIDNIGHT - timedelta(minutes=minutes)
    slack = pruned_ids.SLACK if has_slack else timedelta(0)
    wanted = expected(history, at, max_owners=MAX_OWNERS)
    with time_machine.travel(NOW, tick=False), mock.patch.object(pruned_ids, "SLACK", slack):
        for arrival in history.arrivals:
            with left_no_trace():
                game = factories.game()
                send(history, arrival, game=game, at=at, drain=digest_and_prune)
                found = digested(game, history)
            if found != wanted:
                note(f"{history.as_text(arrival)}\nexpected: {wanted - found}\ngot: {found - wanted}")
            assert found == wanted
