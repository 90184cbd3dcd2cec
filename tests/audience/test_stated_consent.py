"""A consent level stated on a message is a decision of its anonymous id, in whatever order messages arrive."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from audience.digest import queue
from audience.games.keys import NewKey, create_key
from audience.intake.messages.message import Message
from audience.intake.storing.accept import accept
from audience.models import Dialect, Event, Game, Kind
from consent.decisions import current_level, delete_decisions, record_decision
from consent.models import ConsentDecision, Level
from tests.queries import queries_of

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 4, 8, 12, tzinfo=UTC)
# (minute, level) as stored, the oldest first.
Decided = list[tuple[int, str]]


def at(minute: int) -> datetime:
    return NOW + timedelta(minutes=minute)


def stated(minute: int, level: str, anonymous_id: str = "a-1", **fields: Any) -> Message:
    time = at(minute)
    message_id = f"{anonymous_id[:9]} {minute} {level} {fields}"
    fields = {"kind": Kind.TRACK, "name": "progress", "anonymous_id": anonymous_id, "consent_level": level, **fields}
    return Message(message_id=message_id, event_at=time, day=time.date(), **fields)


def digest(key: NewKey, *messages: Message) -> None:
    accept(key=key.key, dialect=Dialect.IMMUTABLE, messages=messages, received_at=at(1000))
    queue.drain()


def decided(anonymous_id: str = "a-1", game_id: int | None = None) -> Decided:
    rows = ConsentDecision.objects.filter(anonymous_id=anonymous_id, source="message").order_by("decided_at", "id")
    rows = rows.filter(game_id=game_id) if game_id else rows
    return [((time - NOW) // timedelta(minutes=1), level) for time, level in rows.values_list("decided_at", "level")]


def record(key: NewKey, minute: int, level: Level, source: str = "banner") -> None:
    record_decision(game_id=key.key.game_id, anonymous_id="a-1", level=level, source=source, decided_at=at(minute))


def test_a_level_is_stored_at_the_time_of_the_event_when_it_changes(key: NewKey) -> None:
    digest(key, stated(1, "none"), stated(2, "none"), stated(3, "full"))
    digest(key, stated(4, "full"), stated(5, "anonymous"), stated(6, ""))

    assert decided() == [(1, "none"), (3, "full"), (5, "anonymous")]
    assert set(ConsentDecision.objects.values_list("game_id", flat=True)) == {key.key.game_id}


def test_not_set_counts_as_none(key: NewKey) -> None:
    digest(key, stated(1, "full"), stated(2, "not_set"), stated(3, "none"))

    assert decided() == [(1, "full"), (2, "none")]


@pytest.mark.parametrize("anonymous_id", ["", "undefined", "x" * 257])
def test_a_message_without_a_usable_anonymous_id_is_no_decision(key: NewKey, anonymous_id: str) -> None:
    digest(key, stated(1, "none", anonymous_id, user_id="u-1"))

    assert not ConsentDecision.objects.exists()


def test_a_late_message_splits_the_time_of_another_level(key: NewKey) -> None:
    digest(key, *(stated(minute, "full") for minute in (1, 2, 4, 5)))
    digest(key, stated(3, "none"))

    assert decided() == [(1, "full"), (3, "none"), (4, "full")]


def test_an_earlier_message_of_the_same_level_moves_the_decision(key: NewKey) -> None:
    digest(key, stated(3, "full"))
    digest(key, stated(1, "full"))

    assert decided() == [(1, "full")]


def test_of_two_levels_at_one_moment_the_lower_counts(key: NewKey) -> None:
    digest(key, stated(1, "full"), stated(2, "full"))
    digest(key, stated(2, "anonymous"))

    assert decided() == [(1, "full"), (2, "anonymous")]


def test_a_message_after_another_recorded_decision_is_stored(key: NewKey) -> None:
    digest(key, stated(1, "full"))
    record(key, 2, Level.NONE)
    digest(key, stated(3, "full"), stated(4, "full"))

    assert decided() == [(1, "full"), (3, "full")]


def test_the_route_answers_recorded_decisions_only(key: NewKey) -> None:
    digest(key, stated(1, "none"))
    assert current_level(game_id=key.key.game_id, anonymous_id="a-1") == Level.NOT_SET

    record(key, 0, Level.FULL, source="message")
    assert current_level(game_id=key.key.game_id, anonymous_id="a-1") == Level.FULL
    digest(key, stated(2, "anonymous"))
    assert decided() == [(1, "none"), (2, "anonymous")]


def test_known_players_who_repeat_their_level_cost_no_query(key: NewKey) -> None:
    digest(key, stated(1, "full", user_id="u-1"))

    without, repeated = (
        queries_of(lambda one=level: digest(key, *(stated(minute, one, user_id="u-1") for minute in range(2, 50))))
        for level in ("", "full")
    )
    assert repeated == without
    assert decided() == [(1, "full")]


def canonical(messages: Sequence[tuple[int, str]]) -> Decided:
    """The decisions by the rule: per moment the lowest level, of these the changes."""
    order = ["none", "anonymous", "full"]
    moments: dict[int, str] = {}
    for minute, level in messages:
        level = "none" if level == "not_set" else level
        moments[minute] = min(level, moments.get(minute, level), key=order.index)
    ordered = sorted(moments.items())
    return [one for before, one in zip([(0, ""), *ordered], ordered, strict=False) if one[1] != before[1]]


@pytest.mark.long
@pytest.mark.parametrize("seed", range(25))
def test_every_order_of_arrival_stores_the_same(game: Game, other_game: Game, seed: int) -> None:
    pick = random.Random(seed)
    told = [(pick.randrange(12), pick.choice(["none", "anonymous", "full", "full", "not_set"])) for _ in range(14)]
    people = [pick.choice([{}, {"user_id": "u-1"}, {"user_id": "u-2"}]) for _ in told]
    for one in (game, other_game):
        key, order = create_key(game=one, name="k"), list(range(len(told)))
        pick.shuffle(order)
        while order:
            size = pick.randrange(1, 4)
            digest(key, *(stated(*told[number], **people[number]) for number in order[:size]))
            order = order[size:]

        assert decided(game_id=one.pk) == canonical(told)


# The evidence -----------------------------------------------------------------------------------------------------


def evidence() -> list[Any]:
    return list(ConsentDecision.objects.order_by("decided_at", "id").values_list("level", "evidence"))


def test_the_evidence_that_a_message_states_is_kept_with_the_decision(key: NewKey) -> None:
    full, none = {"source": "tcf", "tcf": "CPfull", "banner": "v3"}, {"source": "tcf", "tcf": "CPnone"}
    digest(key, stated(1, "full", context={"consent": full}), stated(2, "full", context={"consent": {"tcf": "later"}}))
    digest(key, stated(3, "none", context={"consent": none}))
    expected = [("full", full), ("none", none)]
    assert evidence() == expected
    # After the events were deleted, a late message derives the decisions again.
    Event.objects.all().delete()
    digest(key, stated(4, "anonymous"))
    assert evidence() == [*expected, ("anonymous", {})]


@pytest.mark.parametrize("given", ["a text", ["tcf"], None, 7, {"tcf": "x" * 8_192}])
def test_other_values_and_long_ones_are_no_evidence(key: NewKey, given: Any) -> None:
    message = stated(1, "full")
    message.context = {"consent": given}
    digest(key, message)
    assert evidence() == [("full", {})]


def test_an_erasure_deletes_the_evidence(key: NewKey) -> None:
    digest(key, stated(1, "full", context={"consent": {"tcf": "CPfull"}}))
    assert delete_decisions(game_id=key.key.game_id, anonymous_ids=["a-1"]) == 1
    assert evidence() == []
