"""The consent level in force."""

import pytest

from consent.decisions import effective_level
from consent.models import Level

LEVELS = [Level.NONE, Level.ANONYMOUS, Level.FULL]


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("at_event", [None, *LEVELS])
@pytest.mark.parametrize("stated", LEVELS)
def test_the_messages_own_level_replaces_earlier_decisions(stated: Level, at_event: Level | None, strict: bool) -> None:
    assert effective_level(stated=stated.value, at_event=at_event, later=None, strict=strict) == stated


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("later", [None, *LEVELS])
def test_a_stated_not_set_counts_as_none(later: Level | None, strict: bool) -> None:
    assert effective_level(stated="not_set", at_event=Level.FULL, later=later, strict=strict) == Level.NONE


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("at_event", LEVELS)
def test_where_none_is_stated_the_decision_of_that_time_is_in_force(at_event: Level, strict: bool) -> None:
    assert effective_level(stated="", at_event=at_event, later=None, strict=strict) == at_event


def test_where_nothing_was_ever_stated_the_game_decides() -> None:
    assert effective_level(stated="", at_event=None, later=None, strict=False) == Level.FULL
    assert effective_level(stated="", at_event=None, later=None, strict=True) == Level.NONE


@pytest.mark.parametrize(
    ("stated", "at_event", "later", "strict", "in_force"),
    [
        ("", Level.NONE, Level.FULL, False, Level.NONE),
        ("none", None, Level.FULL, False, Level.NONE),
        ("anonymous", None, Level.FULL, False, Level.ANONYMOUS),
        ("", None, Level.FULL, True, Level.NONE),
        ("", Level.FULL, Level.NONE, False, Level.NONE),
        ("full", None, Level.ANONYMOUS, False, Level.ANONYMOUS),
        ("", None, Level.NONE, False, Level.NONE),
        ("", None, Level.FULL, False, Level.FULL),
    ],
)
def test_consent_given_later_is_not_retroactive_and_its_withdrawal_is(
    stated: str, at_event: Level | None, later: Level, strict: bool, in_force: Level
) -> None:
    assert effective_level(stated=stated, at_event=at_event, later=later, strict=strict) == in_force
