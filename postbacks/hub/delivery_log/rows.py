"""The rows of the delivery log: an attempt with the player, the value and the wait of its delivery."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from audience.hub.toolkit.masking import masked
from audience.wording.durations import short_duration
from postbacks.models import DeliveryAttempt

# A shorter time between the event and its postback is usual.
MIN_WAIT = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class LogRow:
    """`person` is None if the player was erased; `waited` is the time from the event to the attempt, '' if short."""

    attempt: DeliveryAttempt
    event: str
    message: str
    person: UUID | None
    player: str
    value: Decimal | None
    currency: str
    waited: str


def log_row(attempt: DeliveryAttempt, *, addresses: bool) -> LogRow:
    """Return the row of an attempt. Email addresses in texts are masked unless `addresses`."""
    delivery = attempt.delivery
    conversion, wait = delivery.conversion, attempt.started_at - delivery.event_at
    return LogRow(
        attempt=attempt,
        event=masked(delivery.trigger_label, addresses=addresses),
        message=masked(attempt.message, addresses=addresses),
        person=conversion.person_id if conversion else None,
        player=player_of(attempt, addresses=addresses),
        value=conversion.value if conversion else None,
        currency=conversion.currency if conversion else "",
        waited=short_duration(wait) if wait >= MIN_WAIT else "",
    )


def player_of(attempt: DeliveryAttempt, *, addresses: bool) -> str:
    """Return the player's own id, else `Player 8f14e45f`; '' of one that was erased."""
    conversion = attempt.delivery.conversion
    if conversion is None:
        return ""
    return masked(conversion.user_id, addresses=addresses) or f"Player {str(conversion.person_id)[:8]}"
