"""Journey C: every order and division into batches has the same result."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from audience.digest import queue
from audience.games.keys import NewKey
from audience.models import Conversion, Event, Identity, Person, Touch
from tests.audience.immutable import ABSENT, alias, click, identify, launch, page, purchase, send

pytestmark = pytest.mark.django_db
START = datetime.now(UTC) - timedelta(hours=2)


def at(minutes: int) -> str:
    return (START + timedelta(minutes=minutes)).isoformat()


def splits(items: list[Any]) -> Iterator[list[list[Any]]]:
    """Every way to cut a sequence into batches that follow one another."""
    for cuts in itertools.product([False, True], repeat=len(items) - 1):
        batches = [[items[0]]]
        for item, cut in zip(items[1:], cuts, strict=True):
            if cut:
                batches.append([item])
            else:
                batches[-1].append(item)
        yield batches


def arrivals(history: dict[str, Any]) -> list[Any]:
    """Every order and every batching, as test parameters with names."""
    found = []
    for order in itertools.permutations(history):
        for batches in splits(list(order)):
            found.append(pytest.param(batches, id=" | ".join(", ".join(batch) for batch in batches)))
    return found


def arrive(key: NewKey, history: dict[str, Any], batches: list[list[str]], *, at_once: bool) -> None:
    """Send the batches; digest after each, or all in one run at the end."""
    for batch in batches:
        assert send(key, *[history[name]() for name in batch]).json()["rejected"] == 0
        if not at_once:
            queue.drain()
    queue.drain()


def outcome() -> dict[str, Any]:
    """Everything that attribution decided, without row ids."""
    return {
        "people": sorted(
            sorted(f"{i.namespace}:{i.value}" for i in Identity.objects.filter(person=person))
            for person in Person.objects.all()
        ),
        "seen": sorted((person.first_seen_at, person.last_seen_at) for person in Person.objects.all()),
        "touches": sorted((t.network, t.click_id, t.clicked_at) for t in Touch.objects.all()),
        "conversions": sorted(
            (c.trigger, c.event_at, c.touch.click_id if c.touch else "", c.reason, c.fanned_out_at is None)
            for c in Conversion.objects.select_related("touch")
        ),
    }


def when(minutes: int) -> datetime:
    return START + timedelta(minutes=minutes)


JOURNEY_C = {
    "click": lambda: click("a", eventTimestamp=at(0)),
    "identify": lambda: identify("user-1", "a", eventTimestamp=at(10)),
    "purchase": lambda: purchase("user-1", eventTimestamp=at(20)),
}


@pytest.mark.long
@pytest.mark.parametrize("at_once", [False, True], ids=["digested one by one", "digested at once"])
@pytest.mark.parametrize("batches", arrivals(JOURNEY_C))
def test_journey_c_has_one_result_in_any_order_of_arrival(key: NewKey, batches: list[list[str]], at_once: bool) -> None:
    arrive(key, JOURNEY_C, batches, at_once=at_once)

    assert outcome() == {
        "people": [["anonymous:a", "user:user-1"]],
        "seen": [(when(0), when(20))],
        "touches": [("tiktok", "T1", when(0))],
        "conversions": [("purchase", when(20), "T1", "", True)],
    }
    assert Event.objects.count() == 3


TWO_DEVICES = {
    "click": lambda: click("a", eventTimestamp=at(0)),
    "alias": lambda: alias("a", "user-1", eventTimestamp=at(10)),
    "launch": lambda: launch("user-1", eventTimestamp=at(20)),
    "first launch": lambda: launch(ABSENT, anonymousId="a", eventTimestamp=at(5)),
}


@pytest.mark.long
@pytest.mark.parametrize("batches", [p for p in arrivals(TWO_DEVICES) if len(p.values[0]) in (1, 4)])
def test_launches_before_and_after_the_login_have_one_result_in_any_order(
    key: NewKey, batches: list[list[str]]
) -> None:
    arrive(key, TWO_DEVICES, batches, at_once=False)

    ended = outcome()
    assert ended["people"] == [["anonymous:a", "user:user-1"]]
    assert ended["touches"] == [("tiktok", "T1", when(0))]
    first, second = ended["conversions"]
    assert first == ("game_launch", when(5), "T1", "", True)
    # The click of one that does not count is of no interest: it keeps what it had won before it was demoted.
    assert (second[1], second[3]) == (when(20), "repeat_launch")


TWO_NETWORKS = {
    "old click": lambda: page("a", "https://g.com/?rdt_cid=R1", eventTimestamp=at(0)),
    "organic": lambda: page("a", "https://g.com/", eventTimestamp=at(5)),
    "identify": lambda: identify("user-1", "a", eventTimestamp=at(10)),
    "purchase": lambda: purchase("user-1", eventTimestamp=at(20)),
}


@pytest.mark.long
@pytest.mark.parametrize("order", list(itertools.permutations(TWO_NETWORKS)), ids=", ".join)
def test_an_organic_visit_in_any_place_changes_nothing(key: NewKey, order: tuple[str, ...]) -> None:
    arrive(key, TWO_NETWORKS, [[name] for name in order], at_once=False)

    assert outcome()["touches"] == [("reddit", "R1", when(0))]
    assert outcome()["conversions"] == [("purchase", when(20), "R1", "", True)]


def test_a_retry_of_the_whole_history_changes_nothing(key: NewKey) -> None:
    history = [make() for make in JOURNEY_C.values()]
    for _ in range(3):
        send(key, *history)
        queue.drain()

    assert len(outcome()["conversions"]) == len(outcome()["touches"]) == 1
    assert Event.objects.count() == 3


def test_a_click_known_to_two_players_is_one_click_after_their_merge(key: NewKey) -> None:
    send(key, click("a", eventTimestamp=at(3)), purchase(ABSENT, anonymousId="a", eventTimestamp=at(4)))
    send(key, click("b", eventTimestamp=at(1)), purchase(ABSENT, anonymousId="b", eventTimestamp=at(5)))
    queue.drain()
    Conversion.objects.update(fanned_out_at=timezone.now())
    send(key, identify("user-1", "a"), identify("user-1", "b"), purchase("user-1", eventTimestamp=at(6)))
    queue.drain()

    assert outcome()["touches"] == [("tiktok", "T1", when(1))]
    assert outcome()["conversions"] == [
        ("purchase", when(4), "T1", "", False),
        ("purchase", when(5), "T1", "", False),
        ("purchase", when(6), "T1", "", True),
    ]


def test_a_player_without_a_click_is_not_attributed_to_the_click_of_another(key: NewKey) -> None:
    send(key, click("a", eventTimestamp=at(0)), purchase("user-9", eventTimestamp=at(20)))
    queue.drain()

    assert outcome()["conversions"] == [("purchase", when(20), "", "no_click", True)]
