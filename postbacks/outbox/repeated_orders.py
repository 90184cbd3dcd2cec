"""Purchases of one order: of those that could be sent, a postback sends one per player.

Decided at fan-out for each postback: if it may not send one of two purchases (no consent, no server key), it sends the
other. A purchase that was handed over to the postback counts, else the earliest. Decided again before a call, since two
players may have become one after the fan-out.
"""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet

from audience.digest import orders
from audience.models import Conversion
from postbacks.models import Delivery, DeliveryState, PostbackConfig
from postbacks.outbox.goals import Goal, Match, match_goal

# The conversion and the config of a Delivery.
Key = tuple[uuid.UUID, uuid.UUID]
# The player and the id of an order.
Order = tuple[uuid.UUID, str]
# The deliveries of purchases that were or will be sent.
HANDED_OVER = ~Q(state=DeliveryState.SKIPPED) | Q(may_have_arrived=True)


def lock_games(conversions: Iterable[Conversion]) -> None:
    """Lock the games of conversions with an order id until the transaction ends: two batches may have one order."""
    with connection.cursor() as cursor:
        for game_id in sorted({conversion.game_id for conversion in conversions if conversion.order_id}):
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"orders of game {game_id}"])


def repeats(sendable: Iterable[tuple[Conversion, PostbackConfig]], matches: Mapping[Key, Match]) -> set[Key]:
    """The pairs whose order is sent with another conversion. `sendable` are those without any other reason.

    One query per config.
    """
    by_config: dict[uuid.UUID, list[Conversion]] = defaultdict(list)
    for conversion, config in sendable:
        goal = matches[conversion.pk, config.pk]
        if conversion.order_id and isinstance(goal, Goal) and not goal.repeat_orders:
            by_config[config.pk].append(conversion)
    return {(pk, config) for config, conversions in by_config.items() for pk in _repeats(config, conversions)}


def _repeats(config: uuid.UUID, conversions: Sequence[Conversion]) -> list[uuid.UUID]:
    counted = _handed_over(config, conversions)
    repeated = []
    for conversion in sorted(conversions, key=lambda conversion: (conversion.event_at, conversion.message_id)):
        if counted.setdefault(_order(conversion), conversion.pk) != conversion.pk:
            repeated.append(conversion.pk)
    return repeated


def repeats_among_due(due: Iterable[Delivery]) -> set[uuid.UUID]:
    """The ids of those of these due deliveries of one config whose order is sent with another delivery.

    A delivered one counts, else one that was attempted, else the earliest. One query if no order has two purchases.
    """
    purchases = {row: row.conversion for row in due if row.conversion is not None and row.conversion.order_id}
    repeated = _with_others_of_their_orders(purchases.values())
    if repeated.isdisjoint(conversion.pk for conversion in purchases.values()):
        return set()
    config = next(iter(purchases)).config
    sent = Delivery.objects.filter(HANDED_OVER, config=config, conversion__in=repeated).select_related("conversion")
    first: dict[Order, uuid.UUID] = {}
    for row in sorted(sent, key=_precedence):
        if row.conversion is not None:
            first.setdefault(_order(row.conversion), row.pk)
    return {
        row.pk
        for row, conversion in purchases.items()
        if first.get(_order(conversion), row.pk) != row.pk and _counts_orders_once(config, conversion)
    }


def _with_others_of_their_orders(conversions: Collection[Conversion]) -> set[uuid.UUID]:
    """The ids of these purchases and the others of their orders, without those that are the only one of their order."""
    by_order: dict[Order, list[uuid.UUID]] = defaultdict(list)
    for purchase in _purchases(conversions).only("person", "moved_to", "order_id") if conversions else ():
        by_order[_order(purchase)].append(purchase.pk)
    return {pk for same_order in by_order.values() if len(same_order) > 1 for pk in same_order}


def _precedence(row: Delivery) -> tuple[Any, ...]:
    key = (row.conversion.event_at, row.conversion.message_id) if row.conversion else ()
    return (row.state != DeliveryState.DELIVERED, row.attempts_made == 0, *key)


def _counts_orders_once(config: PostbackConfig, conversion: Conversion) -> bool:
    goal = match_goal(config, conversion)
    return isinstance(goal, Goal) and not goal.repeat_orders


def _purchases(conversions: Collection[Conversion]) -> QuerySet[Conversion]:
    """All purchases of the orders of these conversions."""
    players, order_ids = map(orders.owner_of, conversions), {conversion.order_id for conversion in conversions}
    return Conversion.objects.filter(orders.of_players(players), order_id__in=order_ids)


def _order(conversion: Conversion) -> Order:
    return (orders.owner_of(conversion), conversion.order_id)


def _handed_over(config: uuid.UUID, conversions: Sequence[Conversion]) -> dict[Order, uuid.UUID]:
    """The conversion of each order that was or will be sent to the config: the earliest, of several."""
    tried = Delivery.objects.filter(HANDED_OVER, config=config, conversion=OuterRef("pk"))
    newest_first = _purchases(conversions).filter(Exists(tried)).order_by("-event_at", "-message_id")
    return {_order(row): row.pk for row in newest_first.only("person", "moved_to", "order_id")}
