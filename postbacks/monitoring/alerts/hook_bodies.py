"""The bodies of messages about conversions and erasures, read from their rows when they are sent.

So a message that waited while its player was erased has no id of the player. The form is that of Standard Webhooks:
`type`, `timestamp`, `data`, and `text` with one line for chat servers.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from audience.digest import money
from audience.models import Conversion, Erasure, Reason, trigger_label
from postbacks.delivery.failed_deliveries import VERDICT_TEXTS
from postbacks.models import Confirmation, Delivery, DeliveryState, HookEvent, HookMessage
from postbacks.monitoring.alerts import labels
from postbacks.reporting.labels import ACCEPTANCES, network_label

ERASURE_EVENTS = (HookEvent.ERASURE_COMPLETED, HookEvent.ERASURE_FAILED)
ERASURE_FAILED = "The erasure failed several times and is not retried until it is started again on the Overview."


def bodies(messages: Sequence[HookMessage]) -> dict[UUID, dict[str, Any]]:
    """Return the body of each message, which needs its `game`; none for one whose row was deleted."""
    erasures = {message.row for message in messages if message.event in ERASURE_EVENTS}
    games = {message.game_id for message in messages}
    deliveries = Delivery.objects.filter(game__in=games, pk__in={message.row for message in messages} - erasures)
    unread = ("config__credential", "config__previous_credential", "conversion__properties", "conversion__context")
    rows: dict[UUID, Delivery | Erasure] = {
        row.pk: row for row in deliveries.select_related("conversion", "config").defer(*unread)
    }
    if erasures:
        rows |= {row.pk: row for row in Erasure.objects.filter(game__in=games, pk__in=erasures)}
    return {message.pk: _body(message, rows[message.row]) for message in messages if message.row in rows}


def _body(message: HookMessage, row: Delivery | Erasure) -> dict[str, Any]:
    data = _conversion(message, row) if isinstance(row, Delivery) else _erasure(message, row)
    subject = labels.one_line(f"{message.game}: {data.pop('subject')}")
    return {
        "type": message.event,
        "timestamp": message.created_at.isoformat(),
        "text": f"{subject}. {data['sentence']}".strip(),
        "data": {"game": {"slug": message.game.slug, "name": message.game.name}, **data},
    }


def _conversion(message: HookMessage, row: Delivery) -> dict[str, Any]:
    state, reason = message.ended_as["state"], message.ended_as["reason"]
    conversion, game = row.conversion, message.game
    url = labels.page_url("conversion", game, pk=str(conversion.pk)) if conversion else None
    return {
        "subject": f"{HookEvent(message.event).label}: {trigger_label(row.trigger)}, {row.config}",
        "delivery_id": str(row.pk),
        "postback_id": str(row.config_id),
        "network": row.network,
        "pixel_id": row.config.pixel_id,
        "trigger": row.trigger,
        "event_time": row.event_at.isoformat(),
        **_facts(conversion),
        "state": state,
        "confirmation": message.ended_as["confirmation"] or None,
        "reason": reason or None,
        "verdict": (message.ended_as["verdict"] or None) if state == DeliveryState.FAILED else None,
        "sentence": _sentence(row.network, **message.ended_as),
        "url": url or labels.page_url("conversions", game),
    }


def _facts(conversion: Conversion | None) -> dict[str, Any]:
    """What identifies the conversion and its player, and what was bought; None for all after an erasure."""
    if conversion is None:
        return dict.fromkeys(("conversion_id", "message_id", "user_id", "value", "currency", "test"))
    amount = conversion.value
    return {
        "conversion_id": str(conversion.pk),
        "message_id": conversion.message_id,
        "user_id": conversion.user_id or None,
        "value": None if amount is None else str(money.round_to(amount, conversion.currency)),
        "currency": conversion.currency or None,
        "test": conversion.test,
    }


def _sentence(network: str, *, state: str, reason: str, verdict: str, confirmation: str) -> str:
    """Return why the delivery got its state, as the page of the conversion says it."""
    if state == DeliveryState.DELIVERED:
        return f"{ACCEPTANCES.get(confirmation, ACCEPTANCES[''])}."
    if reason:
        return f"{Reason(reason).label}."
    if confirmation in (Confirmation.REFUSED, Confirmation.UNMATCHED):
        return f"{network_label(network)} accepted the event first. {Confirmation(confirmation).label}."
    return f"It failed {VERDICT_TEXTS.get(verdict, VERDICT_TEXTS[''])}."


def _erasure(message: HookMessage, row: Erasure) -> dict[str, Any]:
    has_failed = message.event == HookEvent.ERASURE_FAILED
    return {
        "subject": HookEvent(message.event).label,
        "erasure_id": str(row.pk),
        "state": message.ended_as["state"],
        "counts": row.counts,
        "requested_at": row.requested_at.isoformat(),
        "finished_at": row.finished_at.isoformat() if row.finished_at else None,
        "sentence": ERASURE_FAILED if has_failed else "The player’s data was erased.",
        "url": labels.page_url("privacy", message.game),
    }
