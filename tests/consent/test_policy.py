"""Which level of consent is in force."""

import pytest

from consent.decisions import effective_level
from consent.models import Level

LEVELS = [Level.NONE, Level.ANONYMOUS, Level.FULL]


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("recorded", [None, *LEVELS])
@pytest.mark.parametrize("stated", LEVELS)
def test_the_messages_own_level_wins(stated: Level, recorded: Level | None, strict: bool) -> None:
    assert effective_level(stated=stated.value, recorded=recorded, strict=strict) == stated


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("recorded", [None, *LEVELS])
def test_a_stated_not_set_counts_as_none(recorded: Level | None, strict: bool) -> None:
    assert effective_level(stated="not_set", recorded=recorded, strict=strict) == Level.NONE


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("recorded", LEVELS)
def test_where_none_is_stated_the_recorded_decision_is_in_force(recorded: Level, strict: bool) -> None:
    assert effective_level(stated="", recorded=recorded, strict=strict) == recorded


def test_where_nothing_was_ever_stated_the_game_decides() -> None:
    assert effective_level(stated="", recorded=None, strict=False) == Level.FULL
    assert effective_level(stated="", recorded=None, strict=True) == Level.NONE
