"""What a postback has not sent yet, and what becomes of it when the postback is disabled or deleted."""

from dataclasses import dataclass

from django.db.models import Count, Q

from audience.database import clock
from postbacks.models import Delivery, DeliveryState, PostbackConfig
from postbacks.reporting.labels import conversions


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsent:
    """How many deliveries wait, how many are held, and how many are being sent at this moment."""

    waiting: int
    held: int
    sending: int

    def __bool__(self) -> bool:
        return bool(self.waiting or self.held or self.sending)

    @property
    def words(self) -> str:
        """`12 conversions wait and 3 are held; they will not be sent.`, and what of those on their way; '' of none."""
        return " ".join(filter(None, (self._left, self._on_their_way)))

    @property
    def _left(self) -> str:
        if not self.waiting and not self.held:
            return ""
        held = f"{self.held:,} {'is' if self.held == 1 else 'are'} held"
        left = conversions(self.held, "is held", "are held")
        if self.waiting:
            left = conversions(self.waiting, "waits", "wait") + (f" and {held}" if self.held else "")
        return f"{left}; {'it' if self.waiting + self.held == 1 else 'they'} will not be sent."

    @property
    def _on_their_way(self) -> str:
        if not self.sending:
            return ""
        return f"{conversions(self.sending, 'is', 'are')} being sent at this moment and may still arrive."


def of(config: PostbackConfig) -> Unsent:
    """Counted exactly, at this moment."""
    leased = Q(leased_until__gte=clock.now())
    rows = Delivery.objects.filter(config=config, state__in=(DeliveryState.WAITING, DeliveryState.HELD))
    counts = rows.aggregate(
        waiting=Count("pk", filter=Q(state=DeliveryState.WAITING) & ~leased),
        held=Count("pk", filter=Q(state=DeliveryState.HELD)),
        sending=Count("pk", filter=Q(state=DeliveryState.WAITING) & leased),
    )
    return Unsent(**counts)
