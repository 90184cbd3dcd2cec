"""Orders: of the purchases of one player that state one order, totals count one."""

import uuid
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.db.models import Q

from audience.database import bulk
from audience.ids.values import read_usable_id
from audience.models import Conversion, Reason, Trigger

ORDER_ID = ("transaction_id", "transactionId", "order_id", "orderId", "checkout_id", "checkoutId")
MAX_ORDER_ID = 256  # Conversion.order_id


def read_order_id(properties: Any) -> str:
    """Return the first usable order id of an event's properties, '' for none; placeholders and longer ids are none."""
    fields = properties if isinstance(properties, dict) else {}
    return next(filter(None, (read_usable_id(fields.get(name), max_length=MAX_ORDER_ID) for name in ORDER_ID)), "")


def choose_purchases(
    *,
    person_ids: Iterable[uuid.UUID],
    order_ids: Iterable[str] | None = None,
    skip_locked: bool = False,
    fan_out_again: bool = True,
) -> int:
    """Decide which purchase of each order counts in totals: one that was handed to a postback, else the earliest.

    Returns how many purchases are to be fanned out. `order_ids` limits the decision to these orders. With `skip_locked`
    rows that another transaction has locked are not updated: for a caller that has locked other conversions, since a
    digest waits for these and decides again before its commit. `fan_out_again` is False for an erasure: a purchase that
    counts in place of an erased one, which was handed over, is not sent too.
    """
    names = None if order_ids is None else set(order_ids) - {""}
    if names is not None and not names:
        return 0
    rows = Conversion.objects.filter(of_players(person_ids), trigger=Trigger.PURCHASE, test=False)
    rows = rows.exclude(order_id="") if names is None else rows.filter(order_id__in=names)
    rows = rows.exclude(reason__in=(Reason.ERASED, Reason.REFUND)).defer("properties", "context", "integrations")
    lock = rows.order_by("pk").select_for_update(no_key=True, skip_locked=skip_locked)
    locked = set(lock.values_list("pk", flat=True))
    changed = [row for row in _choose(rows, fan_out_again) if row.pk in locked] if locked else []
    bulk.update(changed, ["repeats_order", "reason", "fanned_out_at"])
    return sum(not row.repeats_order and row.fanned_out_at is None for row in changed)


def of_players(person_ids: Iterable[uuid.UUID]) -> Q:
    """The conversions whose events are these players', as `owner_of` returns."""
    ids = set(person_ids)
    return Q(person_id__in=ids, moved_to=None) | Q(moved_to_id__in=ids)


def owner_of(conversion: Conversion) -> uuid.UUID:
    """Return whose event it is by now: a purchase that was handed over keeps its person when its event moves, and
    the other purchases of the order move."""
    return conversion.moved_to_id or conversion.person_id


def _choose(conversions: Iterable[Conversion], fan_out_again: bool) -> list[Conversion]:
    """Set `repeats_order` of each; return those that changed."""
    by_order: dict[tuple[uuid.UUID, str], list[Conversion]] = defaultdict(list)
    for conversion in conversions:
        by_order[owner_of(conversion), conversion.order_id].append(conversion)
    changed = []
    for purchases in by_order.values():
        handed_over = [purchase for purchase in purchases if purchase.fanned_out_at and not purchase.reason]
        counted = min(handed_over or purchases, key=lambda purchase: (purchase.event_at, purchase.message_id))
        for purchase in purchases:
            if purchase.repeats_order != (purchase is not counted):
                purchase.repeats_order = purchase is not counted
                changed.append(purchase)
        if fan_out_again and counted in changed and counted.reason == Reason.REPEAT_ORDER:
            counted.reason, counted.fanned_out_at = "", None
    return changed
