"""Counts the deliveries that a disabled or deleted postback will not send."""

from dataclasses import dataclass

from django.db.models import Count, Q

from audience.database import clock
from postbacks.models import Delivery, DeliveryState, PostbackConfig
from postbacks.reporting.labels import conversions


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsentCounts:
    """The numbers of deliveries that wait, are held, or are being sent."""

    waiting: int
    held: int
    sending: int

    def __bool__(self) -> bool:
        return bool(self.waiting or self.held or self.sending)

    @property
    def text(self) -> str:
        """`12 conversions wait and 3 are held; they will not be sent.`, then those being sent; '' without any."""
        return " ".join(filter(None, (self._unsent, self._in_flight)))

    @property
    def _unsent(self) -> str:
        if not self.waiting and not self.held:
            return ""
        held = f"{self.held:,} {'is' if self.held == 1 else 'are'} on hold"
        text = conversions(self.held, "is on hold", "are on hold")
        if self.waiting:
            text = conversions(self.waiting, "is waiting", "are waiting") + (f" and {held}" if self.held else "")
        return f"{text}; {'it' if self.waiting + self.held == 1 else 'they'} will not be sent."

    @property
    def _in_flight(self) -> str:
        if not self.sending:
            return ""
        return f"{conversions(self.sending, 'is', 'are')} being sent now and may still arrive."


def count_unsent(config: PostbackConfig) -> UnsentCounts:
    """Count the deliveries of a config exactly."""
    leased = Q(leased_until__gte=clock.now())
    rows = Delivery.objects.filter(config=config, state__in=(DeliveryState.WAITING, DeliveryState.HELD))
    counts = rows.aggregate(
        waiting=Count("pk", filter=Q(state=DeliveryState.WAITING) & ~leased),
        held=Count("pk", filter=Q(state=DeliveryState.HELD)),
        sending=Count("pk", filter=Q(state=DeliveryState.WAITING) & leased),
    )
    return UnsentCounts(**counts)
