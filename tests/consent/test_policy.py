"""Which level of consent is in force."""

import pytest

from consent.models import Level
from consent.policy import effective

LEVELS = [Level.NONE, Level.ANONYMOUS, Level.FULL]


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("recorded", [None, *LEVELS])
@pytest.mark.parametrize("stated", LEVELS)
def test_the_messages_own_level_wins(stated: Level, recorded: Level | None, strict: bool) -> None:
    assert effective(stated=stated.value, recorded=recorded, strict=strict) == stated


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("recorded", LEVELS)
@pytest.mark.parametrize("stated", ["", "not_set"])
def test_else_the_recorded_decision_is_in_force(stated: str, recorded: Level, strict: bool) -> None:
    assert effective(stated=stated, recorded=recorded, strict=strict) == recorded


@pytest.mark.parametrize("stated", ["", "not_set"])
def test_without_any_decision_everything_passes(stated: str) -> None:
    assert effective(stated=stated, recorded=None, strict=False) == Level.FULL


@pytest.mark.parametrize("stated", ["", "not_set"])
def test_a_strict_game_reads_no_decision_as_none(stated: str) -> None:
    assert effective(stated=stated, recorded=None, strict=True) == Level.NONE
