"""Orders: of the purchases of one player that state one order, totals count one."""

from typing import Any

from audience.ids import values

ORDER_ID = ("transaction_id", "transactionId", "order_id", "orderId", "checkout_id", "checkoutId")
MAX_ORDER_ID = 256  # Conversion.order_id


def read_order_id(properties: Any) -> str:
    """Return the first usable order id of an event's properties, '' for none; placeholders and longer ids are none."""
    fields = properties if isinstance(properties, dict) else {}
    return next(filter(None, (_usable(fields.get(name)) for name in ORDER_ID)), "")


def _usable(raw: Any) -> str:
    try:
        text = values.read_id(raw)
    except values.LostDigits:
        return ""
    is_usable = len(text) <= MAX_ORDER_ID and values.is_storable(text) and not values.is_placeholder(text)
    return text if is_usable else ""
