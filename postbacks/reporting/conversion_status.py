"""The status of a conversion: exactly one, derived from its row and its deliveries.

There are two implementations, which a test compares: `with_status` annotates all conversions of a period, to count
them; `selected` filters those of one status, for a page of a list.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Case, CharField, Exists, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce

from audience.models import Conversion, Game, Reason
from audience.models.attribution import ATTRIBUTION_REASONS, COUNTED, UNCOUNTED_REASONS
from postbacks.models import EVERY_CLICK, OUTCOME_UNKNOWN, Confirmation, Delivery, DeliveryState, PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.reporting.statuses import (
    ATTRIBUTED,
    CONVERSIONS,
    ELIGIBLE,
    STATUSES,
    STEPS,
    UNCOUNTED,
    Acknowledged,
    Status,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionFilter:
    """Conversions of `game` with events from `since` until before `until`; '' means all triggers, and the clicks of all
    networks. `network` is one with postbacks, which may take clicks of others; `click` is the network of the click or
    NO_PAID_CLICK. `currency` is that of a value that is sent, `problem` a ValueProblem."""

    game: Game
    since: datetime
    until: datetime | None = None
    trigger: str = ""
    network: str = ""
    click: str = ""
    currency: str = ""
    problem: str = ""


# In order of precedence: the status of a conversion with several postbacks is the first of these. One that another
# postback still has to get, or did not get, is PARTLY_DELIVERED.
TRIED_STATES = (DeliveryState.DELIVERED, DeliveryState.FAILED, DeliveryState.HELD, DeliveryState.WAITING)
UNDELIVERED_STATES = TRIED_STATES[1:]
NO_PAID_CLICK = "none"
# Of a purchase that counts in place of an erased one of its order, which was sent.
IS_ORDER_SENT = Q(shown_reason=Reason.REPEAT_ORDER)


def filtered(filters: ConversionFilter) -> QuerySet[Conversion]:
    """Return the conversions with `shown_reason`: why no postback of the filter sends them, '' if one does."""
    rows = Conversion.objects.filter(game=filters.game, event_at__gte=filters.since)
    rows = rows.filter(event_at__lt=filters.until) if filters.until else rows
    rows = rows.filter(trigger=filters.trigger) if filters.trigger else rows
    rows = rows.filter(currency=filters.currency, value__isnull=False) if filters.currency else rows
    rows = rows.filter(value_problem=filters.problem) if filters.problem else rows
    if filters.click:
        rows = rows.filter(touch=None) if filters.click == NO_PAID_CLICK else rows.filter(touch__network=filters.click)
    return rows.annotate(shown_reason=_reason(filters))


def _reason(filters: ConversionFilter) -> Case | F:
    """Return the conversion's reason or, if postbacks of another network send it, that of the filter's network."""
    if not filters.network:
        return F("reason")
    skipped = _deliveries(filters).filter(state=DeliveryState.SKIPPED).order_by("created_at", "pk").values("reason")
    return Case(
        When(~Q(reason="") | Q(fanned_out_at=None), then=F("reason")),
        When(Exists(_deliveries(filters).exclude(state=DeliveryState.SKIPPED)), then=Value("")),
        # A refund for this postback only: the conversion itself counts.
        When(Exists(_deliveries(filters).filter(reason=Reason.REFUND)), then=Value(Reason.NO_VALUE.value)),
        default=Coalesce(Subquery(skipped[:1]), Value(Reason.OTHER_NETWORK.value)),
        output_field=CharField(),
    )


def with_status(filters: ConversionFilter) -> QuerySet[Conversion]:
    """Return all conversions of the filter annotated with their `status`."""
    reason, network, is_delivered = F("shown_reason"), filters.network, Q(_has_delivery(filters, TRIED_STATES[0]))
    is_partly = is_delivered & Q(_has_delivery(filters, *UNDELIVERED_STATES))
    cases = [
        When(test=True, then=Value(Reason.TEST_TRAFFIC)),
        When(reason__in=UNCOUNTED_REASONS, then=F("reason")),
        When(repeats_order=True, then=Value(Reason.REPEAT_ORDER)),
        When(touch=None, reason__in=(Reason.OUTSIDE_WINDOW, Reason.SHARED_ID), then=F("reason")),
        When(touch=None, then=Value(Reason.NO_CLICK)),
        *([When(~clicks_of(filters), then=Value(Status.OTHER_CLICK))] if network else []),
        When(fanned_out_at=None, then=Value(Status.UNDECIDED)),
        When(IS_ORDER_SENT & ~Q(_unanswered(filters)), then=Value(Status.ORDER_SENT)),
        When(~Q(shown_reason="") & (Q(shown_reason=Reason.OTHER_NETWORK) | ~Q(_unanswered(filters))), then=reason),
        When(is_partly, then=Value(Status.PARTLY_DELIVERED)),
        *(When(_has_delivery(filters, state), then=Value(state.value)) for state in TRIED_STATES),
        When(_unanswered(filters), then=Value(Status.MAY_HAVE_ARRIVED)),
    ]
    return filtered(filters).annotate(status=Case(*cases, default=Value(Status.CANCELLED), output_field=CharField()))


def selected(filters: ConversionFilter, key: str) -> QuerySet[Conversion]:
    """Return the conversions of a step, status or Acknowledged by its key, or of UNCOUNTED; for any other all rows of
    the filter, counted or not."""
    is_known = key in (UNCOUNTED, *STEPS, *STATUSES, *Acknowledged)
    return filtered(filters).filter(_condition(filters, key)) if is_known else filtered(filters)


def _condition(filters: ConversionFilter, key: str) -> Q:
    """Return the condition for a status or step."""
    if key == UNCOUNTED:
        return ~COUNTED
    if key == Reason.TEST_TRAFFIC:
        return Q(test=True)
    if key in UNCOUNTED_REASONS:
        return Q(test=False, reason=key)
    if key == Reason.REPEAT_ORDER:
        return Q(test=False, repeats_order=True) & ~Q(reason__in=UNCOUNTED_REASONS)
    if key == CONVERSIONS:
        return COUNTED
    if key in ATTRIBUTION_REASONS:
        others = Q(reason__in=[reason for reason in ATTRIBUTION_REASONS if reason != Reason.NO_CLICK])
        return COUNTED & Q(touch=None) & (~others if key == Reason.NO_CLICK else Q(reason=key))
    clicked = COUNTED & Q(touch__isnull=False)
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
        return decided & ~Q(shown_reason=Reason.OTHER_NETWORK)
    if key == Reason.OTHER_NETWORK:
        return decided & Q(shown_reason=key)
    if key == Status.ORDER_SENT:
        return decided & IS_ORDER_SENT & ~Q(_unanswered(filters))
    if key in Reason.values:
        return decided & Q(shown_reason=key) & ~Q(_unanswered(filters))
    if key in Acknowledged:
        return decided & Q(shown_reason="") & _acknowledged(filters, key)
    if key == Status.MAY_HAVE_ARRIVED:
        unanswered = decided & Q(_unanswered(filters)) & ~Q(shown_reason=Reason.OTHER_NETWORK)
        return unanswered & (~Q(shown_reason="") | ~Q(_has_delivery(filters, *TRIED_STATES)))
    return decided & Q(shown_reason="") & _tried(filters, key)


def _tried(filters: ConversionFilter, key: str) -> Q:
    """Return the condition for a status by the states of the deliveries."""
    is_partly = Q(_has_delivery(filters, *UNDELIVERED_STATES))
    if key == Status.PARTLY_DELIVERED:
        return Q(_has_delivery(filters, DeliveryState.DELIVERED)) & is_partly
    if key == Status.DELIVERED:
        return Q(_has_delivery(filters, key)) & ~is_partly
    better = TRIED_STATES[: TRIED_STATES.index(DeliveryState(key))] if key in TRIED_STATES else TRIED_STATES
    condition = ~Q(_has_delivery(filters, *better))
    return condition & (Q(_has_delivery(filters, key)) if key in TRIED_STATES else ~Q(_unanswered(filters)))


def _acknowledged(filters: ConversionFilter, key: str) -> Q:
    """Return the condition for a part of the conversions that a network acknowledged; one confirmation is enough."""
    delivered = _deliveries(filters).filter(state=DeliveryState.DELIVERED)
    if key == Acknowledged.UNMATCHED:
        failed = _deliveries(filters).filter(state=DeliveryState.FAILED, confirmation=Confirmation.UNMATCHED)
        return Q(Exists(failed)) & ~Q(Exists(delivered))
    is_confirmed = Q(Exists(delivered.filter(confirmation=Confirmation.CONFIRMED)))
    if key == Acknowledged.CONFIRMED:
        return is_confirmed & ~Q(_has_delivery(filters, *UNDELIVERED_STATES))
    is_accepted = Q(Exists(delivered.filter(confirmation__in=(Confirmation.AWAITED, Confirmation.UNKNOWN))))
    return is_accepted & ~is_confirmed & ~Q(_has_delivery(filters, *UNDELIVERED_STATES))


def has_delivery(filters: ConversionFilter, condition: Q) -> Exists:
    """Return the condition for conversions with such a delivery, on the filter's network if it names one."""
    return Exists(_deliveries(filters).filter(condition))


def _unanswered(filters: ConversionFilter) -> Exists:
    return Exists(_deliveries(filters).filter(OUTCOME_UNKNOWN))


def _has_delivery(filters: ConversionFilter, *states: str) -> Exists:
    return Exists(_deliveries(filters).filter(state__in=states))


def _deliveries(filters: ConversionFilter) -> QuerySet[Delivery]:
    # The conditions on game and time are redundant, but limit the rows read.
    rows = Delivery.objects.filter(game=filters.game, event_at__gte=filters.since)
    rows = rows.filter(network=filters.network) if filters.network else rows
    return rows.filter(conversion=OuterRef("pk"))
