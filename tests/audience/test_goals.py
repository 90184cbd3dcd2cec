"""Events that a goal counts become conversions from the creation of the goal."""

import pytest

from audience.games.keys import NewKey
from audience.models import Conversion, Game, GoalEvent, goals
from tests.audience.immutable import ago, click, digest, identify, message

pytestmark = pytest.mark.django_db


def test_an_event_of_a_goal_becomes_a_conversion_with_its_click(game: Game, key: NewKey) -> None:
    goals.add_goal_events(game=game, names=["tutorial_done"])
    digest(key, click("a-1", eventTimestamp=ago(minutes=9)), identify("user-1", "a-1"))
    properties = {"level": 7, "value": "4.50", "currency": "eur"}
    done = message(eventName="tutorial_done", userId="user-1", properties=properties)
    digest(key, done, message(eventName="other", userId="user-1"))

    conversion = Conversion.objects.get()
    assert (conversion.trigger, conversion.trigger_label, conversion.message_id) == (
        "tutorial_done",
        "tutorial_done",
        done["messageId"],
    )
    assert (conversion.touch and conversion.touch.click_id, conversion.reason) == ("T1", "")
    assert (str(conversion.value), conversion.currency) == ("4.500000", "EUR")
    assert conversion.properties == properties


def test_every_goal_event_of_a_player_becomes_a_conversion(game: Game, key: NewKey) -> None:
    goals.add_goal_events(game=game, names=["tutorial_done"])
    digest(key, message(eventName="tutorial_done"), message(eventName="tutorial_done"))

    assert [conversion.reason for conversion in Conversion.objects.all()] == ["no_click", "no_click"]


def test_events_before_the_goal_was_added_make_no_conversion(game: Game, key: NewKey) -> None:
    digest(key, message(eventName="tutorial_done"))
    goals.add_goal_events(game=game, names=["tutorial_done"])
    digest(key, message(eventName="sign_in"))

    assert not Conversion.objects.exists()


def test_goals_of_another_game_make_no_conversion(other_game: Game, key: NewKey) -> None:
    goals.add_goal_events(game=other_game, names=["tutorial_done"])
    digest(key, message(eventName="tutorial_done"))

    assert not Conversion.objects.exists()


def test_a_goal_event_is_registered_once_and_triggers_not_at_all(game: Game) -> None:
    goals.add_goal_events(game=game, names=["b", "a", "purchase", "a"])
    goals.add_goal_events(game=game, names=["a"])

    assert list(GoalEvent.objects.order_by("name").values_list("name", flat=True)) == ["a", "b"]
    assert goals.conversion_event_names(game=game) == {"a", "b", "purchase", "game_launch"}
