"""A consent level that a message states decides what is sent of other events of its player too."""

import pytest

from audience.games.keys import NewKey, create_key
from audience.models import Game, Identity
from consent.models import Level
from postbacks.outbox import consent_levels
from postbacks.reporting.consent_in_force import consent_of
from tests import factories
from tests.audience.test_stated_consent import at, digest, record, stated

pytestmark = pytest.mark.django_db


@pytest.fixture
def key(game: Game) -> NewKey:
    return create_key(game=game, name="web")


def levels_at(key: NewKey, *minutes: int, anonymous_id: str = "a-1", stated: str = "") -> list[Level]:
    """The levels of conversions of the player of this id at these times."""
    person = Identity.objects.get(game=key.key.game, value=anonymous_id).person
    rows = [factories.conversion(person, event_at=at(minute), consent_level=stated) for minute in minutes]
    found = consent_levels.levels(rows)
    return [found[row.pk] for row in rows]


def test_a_level_stated_by_an_event_is_in_force_for_later_events_without_one(key: NewKey) -> None:
    digest(key, stated(2, "anonymous"), stated(4, "full"))

    assert levels_at(key, 1, 3, 5) == [Level.FULL, Level.ANONYMOUS, Level.FULL]


def test_a_withdrawal_stated_by_a_later_event_stops_an_earlier_one(key: NewKey) -> None:
    digest(key, stated(1, "full"))
    assert levels_at(key, 2, stated="full") == [Level.FULL]

    digest(key, stated(3, "not_set"))
    assert levels_at(key, 2, stated="full") == [Level.NONE]


def test_of_two_ids_that_state_levels_at_one_moment_the_lower_counts(key: NewKey) -> None:
    digest(key, stated(1, "none", "a-2", user_id="u-1"), stated(1, "full", "a-1", user_id="u-1"))

    assert levels_at(key, 2) == [Level.NONE]


def test_what_two_users_of_one_browser_state_is_the_decision_of_each(key: NewKey) -> None:
    Game.objects.update(strict_consent=True)
    key.key.game.refresh_from_db()
    digest(key, stated(1, "full", user_id="u-1"), stated(3, "full", user_id="u-2"), stated(5, "none", user_id="u-1"))
    digest(key, stated(7, "none", user_id="u-2"), stated(9, "full", user_id="u-1"))

    assert levels_at(key, 2, anonymous_id="u-1") == [Level.FULL]
    assert levels_at(key, 4, 8, anonymous_id="u-2") == [Level.NONE, Level.NONE]
    assert levels_at(key, 6, 10, anonymous_id="u-1") == [Level.NONE, Level.FULL]


def test_a_repeated_statement_follows_a_decision_that_is_recorded_late(key: NewKey) -> None:
    digest(key, stated(1, "full"), stated(5, "full"))
    record(key, 3, Level.NONE)

    assert levels_at(key, 2, 4, 6) == [Level.FULL, Level.NONE, Level.FULL]


def test_the_page_of_a_conversion_says_that_the_level_was_stated_with_an_event(key: NewKey) -> None:
    digest(key, stated(1, "anonymous"), stated(5, "none"))
    person = Identity.objects.get(value="a-1").person

    found = consent_of(factories.conversion(person, event_at=at(3)))
    assert (found.level, found.decided_at) == (Level.NONE, at(5))
    assert found.explanation == (
        "The player’s decision at the time of the event, stated with an event. Withdrawn later, stated with an event."
    )
