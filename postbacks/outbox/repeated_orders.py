"""Purchases of one order: of those that could be sent, a postback sends one per player.

Decided at fan-out for each postback: if it may not send one of two purchases (no consent, no server key), it sends the
other. A purchase that was handed over to the postback counts, else the earliest.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from django.db import connection
from django.db.models import Exists, OuterRef, Q

from audience.digest import orders
from audience.models import Conversion
from postbacks.models import Delivery, DeliveryState, PostbackConfig
from postbacks.outbox.goals import Goal, Match

# The conversion and the config of a Delivery.
Key = tuple[uuid.UUID, uuid.UUID]
# The player and the id of an order.
Order = tuple[uuid.UUID, str]


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
        order = (orders.owner_of(conversion), conversion.order_id)
        if counted.setdefault(order, conversion.pk) != conversion.pk:
            repeated.append(conversion.pk)
    return repeated


def _handed_over(config: uuid.UUID, conversions: Sequence[Conversion]) -> dict[Order, uuid.UUID]:
    """The conversion of each order that was or will be sent to the config: the earliest, of several."""
    handed_over = ~Q(state=DeliveryState.SKIPPED) | Q(may_have_arrived=True)
    tried = Delivery.objects.filter(handed_over, config=config, conversion=OuterRef("pk"))
    rows = Conversion.objects.filter(
        orders.of_players(map(orders.owner_of, conversions)),
        order_id__in={conversion.order_id for conversion in conversions},
    )
    newest_first = rows.filter(Exists(tried)).order_by("-event_at", "-message_id")
    newest_first = newest_first.only("person_id", "moved_to_id", "order_id")
    return {(orders.owner_of(row), row.order_id): row.pk for row in newest_first}
