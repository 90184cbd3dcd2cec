"""The result does not depend on the order of arrival: 500 random histories (`make shuffle`; fewer in `make
test-long`), each sent in order and in two other orders, in random batches."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from hypothesis import HealthCheck, given, settings

from audience.models import Conversion, Game, Person
from postbacks.models import Delivery, DeliveryState
from postbacks.outbox import consent_levels, conversion_facts
from postbacks.outbox import fan_out as outbox
from postbacks.reporting import audit
from tests.postbacks.histories import History, histories, new_game, present_second, send

pytestmark = [pytest.mark.long, pytest.mark.django_db]

SHUFFLES = int(os.environ.get("SHUFFLES", "20"))


def shuffled(examples: int) -> settings:
    health = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(max_examples=examples, deadline=None, suppress_health_check=health, print_blob=True)


def fan_out() -> None:
    while outbox.fan_out_due():
        pass


def persons(game: Game) -> Any:
    """Each person as the ids they go by."""
    rows = Person.objects.filter(game=game).prefetch_related("identities")
    return Counter(frozenset((one.namespace, one.value) for one in row.identities.all()) for row in rows)


def conversions(game: Game) -> dict[str, Any]:
    """message id -> trigger, reason, the click that won it, and whether it repeats an order."""
    rows = Conversion.objects.filter(game=game).select_related("touch")
    return {
        row.message_id: (
            row.trigger,
            row.reason,
            (row.touch.network, row.touch.click_key) if row.touch else None,
            row.repeats_order,
        )
        for row in rows
    }


def deliveries(game: Game) -> dict[Any, Any]:
    """(message id, network) -> state, reason, what the network deduplicates by and what it is told."""
    related = ("conversion__game", "conversion__person", "conversion__touch", "config")
    rows = Delivery.objects.filter(game=game).select_related(*related)
    whole = list(rows)
    levels = consent_levels.levels([row.conversion for row in whole if row.conversion])
    return {(row.conversion.message_id, row.network): _told(row, levels) for row in whole if row.conversion}


def _told(row: Delivery, levels: Any) -> tuple[Any, ...]:
    assert row.conversion is not None
    event_id = "the conversion's" if row.event_id == str(row.conversion.pk) else row.event_id
    known = None
    if row.state == DeliveryState.WAITING:
        known = asdict(conversion_facts.read_facts(row.conversion, event_id=event_id, level=levels[row.conversion.pk]))
    return (row.state, row.reason, event_id, row.sent_as, known)


def outcome(game: Game) -> dict[str, Any]:
    return {"persons": persons(game), "conversions": conversions(game), "deliveries": deliveries(game)}


@shuffled(SHUFFLES)
@given(history=histories())
def test_every_order_of_arrival_has_the_same_result(history: History) -> None:
    with left_no_trace():
        now, games = present_second(), []
        for arrival in (history.in_order(), *history.arrivals):
            games.append(new_game())
            for _ in send(history, arrival, game=games[-1], now=now):
                pass
        fan_out()
        expected, *others = [outcome(game) for game in games]
        assert others == [expected, expected]


@shuffled(SHUFFLES // 2)
@given(history=histories())
def test_with_fan_out_in_between_nothing_is_lost_or_counted_twice(history: History) -> None:
    now = present_second()
    with left_no_trace():
        in_order, mixed = new_game(), new_game()
        for game, arrival in ((in_order, history.in_order()), (mixed, history.arrivals[0])):
            for _ in send(history, arrival, game=game, now=now):
                fan_out()
            assert audit.run(game=game, days=0).violations == []
            assert launches_that_count(game) == Counter(players_who_launched(game))
            assert impossible_winners(game) == []
            assert orders_that_count(game) == Counter(orders(game))
        assert persons(in_order) == persons(mixed)
        # Not the same deliveries: what was handed over keeps its click. The audit expects one for each click that won.
        assert conversions(in_order).keys() == conversions(mixed).keys()


@contextmanager
def left_no_trace() -> Iterator[None]:
    """Rows of hundreds of examples in one transaction would slow it down."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def players_who_launched(game: Game) -> set[Any]:
    launched = Conversion.objects.filter(game=game, trigger="game_launch", test=False)
    return set(launched.values_list("person", flat=True))


def launches_that_count(game: Game) -> Any:
    """person -> how many of their launches are no repeat."""
    launched = Conversion.objects.filter(game=game, trigger="game_launch", test=False)
    return Counter(launched.exclude(reason="repeat_launch").values_list("person", flat=True))


def orders(game: Game) -> set[Any]:
    return set(purchases_in_orders(game).values_list("owner", "order_id"))


def orders_that_count(game: Game) -> Any:
    """(player, order id) -> how many of its purchases totals count."""
    return Counter(purchases_in_orders(game).filter(repeats_order=False).values_list("owner", "order_id"))


def purchases_in_orders(game: Game) -> Any:
    """With the `owner`, the player of the event: what was handed over keeps its person when its event moves."""
    rows = Conversion.objects.filter(game=game, trigger="purchase", test=False).exclude(order_id="")
    return rows.annotate(owner=Coalesce("moved_to", "person"))


def impossible_winners(game: Game) -> list[str]:
    """Conversions won by a click of another player, or by a later one. What was handed over keeps its person when its
    event and its click move."""
    won = Conversion.objects.filter(game=game).exclude(touch=None)
    is_own = Q(touch__person=F("person")) | Q(touch__person=F("moved_to"))
    return list(won.exclude(is_own, touch__clicked_at__lte=F("event_at")).values_list("message_id", flat=True))
