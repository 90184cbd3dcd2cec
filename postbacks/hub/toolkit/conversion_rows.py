"""Conversions in lists: the click, and the outcome on each postback."""

from dataclasses import dataclass

from django.db.models import Prefetch, QuerySet

from audience.hub.toolkit.masking import masked
from audience.models import Conversion, Reason
from postbacks.models import Delivery, DeliveryAttempt, DeliveryState
from postbacks.reporting import stuck_rows
from postbacks.reporting.labels import network_label, outcome_label
from postbacks.reporting.pixels import pixel_of, with_pixels
from postbacks.reporting.stuck_rows import StuckWork

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


def with_outcomes(rows: QuerySet[Conversion]) -> QuerySet[Conversion]:
    """Return `rows` with everything that `conversion_row` reads."""
    attempts = DeliveryAttempt.objects.defer("payload").order_by("number")
    deliveries = with_pixels(Delivery.objects.order_by("created_at")).prefetch_related(Prefetch("attempts", attempts))
    return (
        stuck_rows.with_failures(rows)
        .select_related("touch")
        .defer(*DEFERRED_FIELDS)
        .prefetch_related(Prefetch("deliveries", deliveries))
    )


def conversion_row(conversion: Conversion, *, addresses: bool) -> ConversionRow:
    """Return the row of a conversion of `with_outcomes`. Email addresses in texts are masked unless `addresses`."""
    return ConversionRow(
        conversion=conversion,
        event=masked(conversion.trigger_label, addresses=addresses),
        click=network_label(conversion.touch.network) if conversion.touch else "",
        outcomes=outcomes(conversion, addresses=addresses),
    )


def outcomes(conversion: Conversion, *, addresses: bool) -> list[PostbackOutcome]:
    """Return an outcome per postback that was tried or cancelled, else the reason why there was none."""
    # The conversion's reason explains a skipped delivery, unless a call was made for it before.
    tried = [row for row in conversion.deliveries.all() if row.state != DeliveryState.SKIPPED or row.is_unknown]
    if tried:
        return [_outcome(delivery, addresses) for delivery in tried]
    if conversion.fanned_out_at is None:
        return [_undecided(stuck_rows.undecided(conversion))]
    reason = Reason(conversion.reason).label if conversion.reason else "No postback is set up for this game"
    return [PostbackOutcome("Not sent", "", reason=reason)]


def _undecided(failed: StuckWork | None) -> PostbackOutcome:
    if failed and failed.is_set_aside:
        return PostbackOutcome("Set aside", "bad", reason=failed.sentence)
    return PostbackOutcome("Waiting", "busy", reason=failed.sentence if failed else "About to be decided")


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
