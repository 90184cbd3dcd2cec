"""The status of a conversion: exactly one, derived from its row and its deliveries.

There are two implementations, which a test compares: `with_status` annotates all conversions of a period, to count
them; `selected` filters those of one status, for a page of a list.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import models
from django.db.models import Case, CharField, Exists, F, OuterRef, Q, QuerySet, Value, When

from audience.models import Conversion, Game, Reason
from audience.models.attribution import ATTRIBUTION_REASONS, UNCOUNTED_REASONS
from postbacks.models import EVERY_CLICK, OUTCOME_UNKNOWN, Confirmation, Delivery, DeliveryState, PostbackConfig
from postbacks.networks import NETWORKS

CONVERSIONS, ATTRIBUTED, ELIGIBLE = "conversions", "attributed", "eligible"


class Status(models.TextChoices):
    """The statuses besides Reason: the status of a conversion that has a reason is the reason."""

    OTHER_CLICK = "other_click", "Another network’s click won"
    UNDECIDED = "undecided", "About to be decided"
    MAY_HAVE_ARRIVED = "may_have_arrived", "May have arrived"
    CANCELLED = "cancelled", "Called off"
    FAILED = "failed", "Failed"
    HELD = "held", "On hold"
    WAITING = "waiting", "Waiting to be sent"
    DELIVERED = "delivered", "Delivered"


class Acknowledged(models.TextChoices):
    """Parts of the conversions that a network acknowledged first: two of the delivered ones, and one of the failed."""

    CONFIRMED = "confirmed", "Confirmed"
    ACCEPTED = "accepted", "Accepted, not confirmed"
    UNMATCHED = "unmatched", "Failed: unmatched"


# The statuses (Status or Reason) of conversions that reached a step and not the next one.
LOST: dict[str, tuple[str, ...]] = {
    CONVERSIONS: (
        Reason.NO_CLICK,
        Reason.OUTSIDE_WINDOW,
        Reason.SHARED_ID,
        Status.OTHER_CLICK,
        Reason.REPEAT_LAUNCH,
        Reason.REPEAT_ORDER,
        Reason.REFUND,
        Reason.TEST_TRAFFIC,
        Reason.ERASED,
    ),
    ATTRIBUTED: (Reason.OTHER_NETWORK, Status.UNDECIDED),
    ELIGIBLE: (
        Status.FAILED,
        Status.HELD,
        Status.WAITING,
        Status.MAY_HAVE_ARRIVED,
        Reason.CONSENT,
        Reason.LIMITED_USE,
        Reason.CONFIG_DISABLED,
        Reason.CONFIG_DELETED,
        Reason.FILTERED,
        Reason.NOT_FROM_SERVER,
        Reason.NOT_MAPPED,
        Reason.REPEAT,
        Reason.NO_MATCH_KEY,
        Reason.NO_VALUE,
        Reason.TOO_OLD,
        Status.CANCELLED,
    ),
    Status.DELIVERED: (),
}
# The second of them counts in totals in place of an erased purchase of its order.
REPEATS_ORDER = Q(repeats_order=True) | Q(reason=Reason.REPEAT_ORDER)
STEPS = tuple(LOST)
STATUSES = [*Status, *Reason]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionFilter:
    """Conversions of `game` with events since `since`; '' means all triggers, and the clicks of all networks."""

    game: Game
    since: datetime
    trigger: str = ""
    network: str = ""


def statuses_reaching(step: str) -> list[str]:
    """Return the statuses whose conversions reached `step`."""
    return [Status.DELIVERED, *(status for later in STEPS[STEPS.index(step) :] for status in LOST[later])]


# In order of precedence: the status of a conversion with several postbacks is the first of these.
TRIED_STATES = (DeliveryState.DELIVERED, DeliveryState.FAILED, DeliveryState.HELD, DeliveryState.WAITING)


def filtered(filters: ConversionFilter) -> QuerySet[Conversion]:
    rows = Conversion.objects.filter(game=filters.game, event_at__gte=filters.since)
    return rows.filter(trigger=filters.trigger) if filters.trigger else rows


def with_status(filters: ConversionFilter) -> QuerySet[Conversion]:
    """Return all conversions of the filter annotated with their `status`."""
    reason, network = F("reason"), filters.network
    cases = [
        When(test=True, then=Value(Reason.TEST_TRAFFIC)),
        When(reason__in=UNCOUNTED_REASONS, then=reason),
        When(REPEATS_ORDER, then=Value(Reason.REPEAT_ORDER)),
        When(touch=None, reason__in=(Reason.OUTSIDE_WINDOW, Reason.SHARED_ID), then=reason),
        When(touch=None, then=Value(Reason.NO_CLICK)),
        *([When(~clicks_of(filters), then=Value(Status.OTHER_CLICK))] if network else []),
        When(fanned_out_at=None, then=Value(Status.UNDECIDED)),
        When(~Q(reason="") & (Q(reason=Reason.OTHER_NETWORK) | ~Q(_unanswered(filters))), then=reason),
        *(When(_has_delivery(filters, state), then=Value(state.value)) for state in TRIED_STATES),
        When(_unanswered(filters), then=Value(Status.MAY_HAVE_ARRIVED)),
    ]
    return filtered(filters).annotate(status=Case(*cases, default=Value(Status.CANCELLED), output_field=CharField()))


def selected(filters: ConversionFilter, key: str) -> QuerySet[Conversion]:
    """Return the conversions of a step, status or Acknowledged by its key; for any other all those of the filter."""
    rows = filtered(filters)
    is_known = key != CONVERSIONS and key in (*STEPS, *STATUSES, *Acknowledged)
    return rows.filter(_condition(filters, key)) if is_known else rows


def _condition(filters: ConversionFilter, key: str) -> Q:
    """Return the condition for a status or step."""
    if key == Reason.TEST_TRAFFIC:
        return Q(test=True)
    if key in UNCOUNTED_REASONS:
        return Q(test=False, reason=key)
    real = Q(test=False) & ~Q(reason__in=UNCOUNTED_REASONS)
    if key == Reason.REPEAT_ORDER:
        return real & REPEATS_ORDER
    counted = real & ~REPEATS_ORDER
    if key in ATTRIBUTION_REASONS:
        others = Q(reason__in=[reason for reason in ATTRIBUTION_REASONS if reason != Reason.NO_CLICK])
        return counted & Q(touch=None) & (~others if key == Reason.NO_CLICK else Q(reason=key))
    clicked = counted & Q(touch__isnull=False)
    if key == Status.OTHER_CLICK:
        return clicked & ~clicks_of(filters) if filters.network else Q(pk__in=[])
    attributed = clicked & clicks_of(filters) if filters.network else clicked
    return attributed & _decided(filters, key)


def clicks_of(filters: ConversionFilter) -> Q:
    """Return the condition for conversions whose click is the network's, or for one of its postbacks in the game."""
    condition = Q(touch__network=filters.network)
    if not NETWORKS[filters.network].has_templates:
        return condition
    configs = PostbackConfig.objects.filter(game=filters.game, network=filters.network)
    named = {name for names in configs.values_list("click_parameters", flat=True) for name in names}
    return Q(touch__isnull=False) if EVERY_CLICK in named else condition | Q(touch__parameter__in=named)


def _decided(filters: ConversionFilter, key: str) -> Q:
    """Return the condition for a status or step of conversions that are attributed to the filter's network."""
    if key == ATTRIBUTED:
        return Q()
    if key == Status.UNDECIDED:
        return Q(fanned_out_at=None)
    decided = Q(fanned_out_at__isnull=False)
    if key == ELIGIBLE:
        return decided & ~Q(reason=Reason.OTHER_NETWORK)
    if key == Reason.OTHER_NETWORK:
        return decided & Q(reason=key)
    if key in Reason.values:
        return decided & Q(reason=key) & ~Q(_unanswered(filters))
    if key in Acknowledged:
        return decided & Q(reason="") & _acknowledged(filters, key)
    if key == Status.MAY_HAVE_ARRIVED:
        unanswered = decided & Q(_unanswered(filters)) & ~Q(reason=Reason.OTHER_NETWORK)
        return unanswered & (~Q(reason="") | ~Q(_has_delivery(filters, *TRIED_STATES)))
    better = TRIED_STATES[: TRIED_STATES.index(DeliveryState(key))] if key in TRIED_STATES else TRIED_STATES
    condition = decided & Q(reason="")
    if better:
        condition &= ~Q(_has_delivery(filters, *better))
    return condition & (Q(_has_delivery(filters, key)) if key in TRIED_STATES else ~Q(_unanswered(filters)))


def _acknowledged(filters: ConversionFilter, key: str) -> Q:
    """Return the condition for a part of the conversions that a network acknowledged; one confirmation is enough."""
    delivered = _deliveries(filters).filter(state=DeliveryState.DELIVERED)
    if key == Acknowledged.UNMATCHED:
        failed = _deliveries(filters).filter(state=DeliveryState.FAILED, confirmation=Confirmation.UNMATCHED)
        return Q(Exists(failed)) & ~Q(Exists(delivered))
    is_confirmed = Q(Exists(delivered.filter(confirmation=Confirmation.CONFIRMED)))
    if key == Acknowledged.CONFIRMED:
        return is_confirmed
    return Q(Exists(delivered.filter(confirmation__in=(Confirmation.AWAITED, Confirmation.UNKNOWN)))) & ~is_confirmed


def _unanswered(filters: ConversionFilter) -> Exists:
    return Exists(Delivery.objects.filter(OUTCOME_UNKNOWN, game=filters.game, conversion=OuterRef("pk")))


def _has_delivery(filters: ConversionFilter, *states: str) -> Exists:
    return Exists(_deliveries(filters).filter(state__in=states))


def _deliveries(filters: ConversionFilter) -> QuerySet[Delivery]:
    # The conditions on game and time are redundant, but limit the rows read.
    rows = Delivery.objects.filter(game=filters.game, event_at__gte=filters.since)
    rows = rows.filter(network=filters.network) if filters.network else rows
    return rows.filter(conversion=OuterRef("pk"))
