"""Conversions in lists: the click, and the outcome on each postback. Repeat launches are folded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from django.db.models import Prefetch, QuerySet

from audience.hub.toolkit.masking import masked
from audience.models import Conversion, Reason
from audience.wording import dates
from postbacks.models import Delivery, DeliveryAttempt, DeliveryState
from postbacks.reporting import stuck_rows
from postbacks.reporting.labels import network_label, outcome_label
from postbacks.reporting.modeled_matches import modeled_match_of, with_matches
from postbacks.reporting.pixels import pixel_of, with_pixels
from postbacks.reporting.stuck_rows import StuckWork

# Fewer repeat launches in succession are shown as rows of their own.
MIN_FOLDED = 2
# Long columns that lists do not show.
DEFERRED_FIELDS = ("properties", "context", "integrations")


@dataclass(frozen=True, slots=True)
class PostbackOutcome:
    """The outcome of a conversion on one postback, or of the whole conversion if `network` is ''. `pixel` is '' unless
    the game has several postbacks on the network."""

    label: str
    dot: str
    network: str = ""
    pixel: str = ""
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class ConversionRow:
    conversion: Conversion
    event: str
    click: str
    outcomes: list[PostbackOutcome]
    # The network of the click of a modeled match; '' without one.
    modeled: str = ""

    @property
    def is_repeat_launch(self) -> bool:
        return self.conversion.reason == Reason.REPEAT_LAUNCH


@dataclass(frozen=True, slots=True)
class RepeatLaunches:
    """Repeat launches that follow each other in a list, newest first: one row, which expands to all of them."""

    rows: Sequence[ConversionRow]

    @property
    def first_at(self) -> datetime:
        return min(row.conversion.event_at for row in self.rows)

    @property
    def last_at(self) -> datetime:
        return max(row.conversion.event_at for row in self.rows)

    @property
    def is_one_day(self) -> bool:
        return dates.local(self.first_at).date() == dates.local(self.last_at).date()

    @property
    def players(self) -> int:
        return len({row.conversion.person_id for row in self.rows})


def with_outcomes(rows: QuerySet[Conversion]) -> QuerySet[Conversion]:
    """Return `rows` with everything that `conversion_row` reads."""
    attempts = DeliveryAttempt.objects.defer("payload").order_by("number")
    deliveries = with_pixels(Delivery.objects.order_by("created_at")).prefetch_related(Prefetch("attempts", attempts))
    listed = stuck_rows.with_failures(rows).select_related("touch").defer(*DEFERRED_FIELDS)
    return with_matches(listed.prefetch_related(Prefetch("deliveries", deliveries)))


def conversion_row(conversion: Conversion, *, addresses: bool) -> ConversionRow:
    """Return the row of a conversion of `with_outcomes`. Email addresses in texts are masked unless `addresses`."""
    return ConversionRow(
        conversion=conversion,
        event=masked(conversion.trigger_label, addresses=addresses),
        click=network_label(conversion.touch.network) if conversion.touch else "",
        outcomes=outcomes(conversion, addresses=addresses),
        modeled=matched.network if (matched := modeled_match_of(conversion, addresses=addresses)) else "",
    )


def folded(rows: Sequence[ConversionRow]) -> list[ConversionRow | RepeatLaunches]:
    """Return the rows of one page of a list in their order, with successive repeat launches as one."""
    shown: list[ConversionRow | RepeatLaunches] = []
    for is_repeat, group in groupby(rows, key=lambda row: row.is_repeat_launch):
        found = list(group)
        shown += [RepeatLaunches(found)] if is_repeat and len(found) >= MIN_FOLDED else found
    return shown


def outcomes(conversion: Conversion, *, addresses: bool) -> list[PostbackOutcome]:
    """Return an outcome per postback that was tried or canceled, else the reason why there was none."""
    # The conversion's reason explains a skipped delivery, unless a call was made for it before.
    tried = [row for row in conversion.deliveries.all() if row.state != DeliveryState.SKIPPED or row.is_unknown]
    if tried:
        return [_outcome(delivery, addresses) for delivery in tried]
    if conversion.fanned_out_at is None:
        return [_undecided(stuck_rows.undecided(conversion))]
    reason = Reason(conversion.reason).label if conversion.reason else "No postback in this game"
    return [PostbackOutcome("Not sent", "", reason=reason)]


def _undecided(failed: StuckWork | None) -> PostbackOutcome:
    if failed and failed.is_set_aside:
        return PostbackOutcome("Set aside", "bad", reason=failed.sentence)
    return PostbackOutcome("Waiting", "busy", reason=failed.sentence if failed else "Being processed")


def _outcome(delivery: Delivery, addresses: bool) -> PostbackOutcome:
    label, dot = outcome_label(delivery)
    messages = [attempt.message for attempt in delivery.attempts.all()]
    return PostbackOutcome(
        label=label,
        dot=dot,
        network=network_label(delivery.network),
        pixel=pixel_of(delivery),
        reason=delivery.get_reason_display() if delivery.reason else "",
        message=masked(messages[-1], addresses=addresses)
        if messages and delivery.state != DeliveryState.DELIVERED
        else "",
    )
