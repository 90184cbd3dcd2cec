"""Where a conversion stands on its way: at exactly one Place, told by its row and its deliveries.

The question is put in two ways, which a test holds to the same answer at every place: `placed` for all conversions of
a period at once, to count them, and `listed` for those of one place, newest first, to read the first fifty.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import models
from django.db.models import Case, CharField, Exists, F, OuterRef, Q, QuerySet, Value, When

from audience.models import Conversion, Game, Reason
from postbacks.models import UNKNOWN, Delivery, DeliveryState

CONVERSIONS, ATTRIBUTED, ELIGIBLE = "conversions", "attributed", "eligible"


class Place(models.TextChoices):
    """The one place at which a conversion stands."""

    TEST_TRAFFIC = "test_traffic", "Test traffic"
    REPEAT_LAUNCH = "repeat_launch", "Not the first launch"
    ERASED = "erased", "Erased player"
    NO_CLICK = "no_click", "No ad click known"
    OUTSIDE_WINDOW = "outside_window", "Click older than the window"
    OTHER_CLICK = "other_click", "Another network’s click won"
    UNDECIDED = "undecided", "About to be decided"
    OTHER_NETWORK = "other_network", "No postback for the click’s network"
    CONFIG_DISABLED = "config_disabled", "Postback off for this event"
    CONFIG_DELETED = "config_deleted", "Postback deleted"
    FILTERED = "filtered", "Goal’s condition not met"
    NOT_FROM_SERVER = "not_from_server", "Not from a server key"
    REPEAT = "repeat", "Counted once already"
    CONSENT = "consent", "No consent"
    NO_MATCH_KEY = "no_match_key", "Nothing to match by"
    TOO_OLD = "too_old", "Too old for the network"
    MAY_HAVE_ARRIVED = "may_have_arrived", "May have arrived"
    CANCELLED = "cancelled", "Called off"
    FAILED = "failed", "Failed"
    HELD = "held", "On hold"
    WAITING = "waiting", "Waiting to be sent"
    DELIVERED = "delivered", "Delivered"


# What each step loses before the next one.
LOST: dict[str, tuple[Place, ...]] = {
    CONVERSIONS: (
        Place.NO_CLICK,
        Place.OUTSIDE_WINDOW,
        Place.OTHER_CLICK,
        Place.REPEAT_LAUNCH,
        Place.TEST_TRAFFIC,
        Place.ERASED,
    ),
    ATTRIBUTED: (Place.OTHER_NETWORK, Place.UNDECIDED),
    ELIGIBLE: (
        Place.FAILED,
        Place.HELD,
        Place.WAITING,
        Place.MAY_HAVE_ARRIVED,
        Place.CONSENT,
        Place.CONFIG_DISABLED,
        Place.CONFIG_DELETED,
        Place.FILTERED,
        Place.NOT_FROM_SERVER,
        Place.REPEAT,
        Place.NO_MATCH_KEY,
        Place.TOO_OLD,
        Place.CANCELLED,
    ),
    Place.DELIVERED: (),
}
STEPS = tuple(LOST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which conversions: of `game` since `since`; '' asks for every trigger and for every network's clicks."""

    game: Game
    since: datetime
    trigger: str = ""
    network: str = ""


def behind(step: str) -> list[str]:
    """The places whose conversions have come as far as `step`."""
    return [Place.DELIVERED.value, *(place.value for later in STEPS[STEPS.index(step) :] for place in LOST[later])]


# Of several postbacks of one conversion the best counts, then the one that needs a hand.
TRIED = (DeliveryState.DELIVERED, DeliveryState.FAILED, DeliveryState.HELD, DeliveryState.WAITING)


def asked_for(asked: Asked) -> QuerySet[Conversion]:
    rows = Conversion.objects.filter(game=asked.game, event_at__gte=asked.since)
    return rows.filter(trigger=asked.trigger) if asked.trigger else rows


def placed(asked: Asked) -> QuerySet[Conversion]:
    """All that are asked for, each with its `place`. The cheap questions come first."""
    reason, network = F("reason"), asked.network
    whens = [
        When(test=True, then=Value(Place.TEST_TRAFFIC)),
        When(reason__in=UNCOUNTED, then=reason),
        When(touch=None, reason=Reason.OUTSIDE_WINDOW, then=reason),
        When(touch=None, then=Value(Place.NO_CLICK)),
        *([When(~Q(touch__network=network), then=Value(Place.OTHER_CLICK))] if network else []),
        When(fanned_out_at=None, then=Value(Place.UNDECIDED)),
        When(~Q(reason="") & ~_called_off_unanswered(asked), then=reason),
        *(When(_has(asked, state), then=Value(state.value)) for state in TRIED),
        When(_unanswered(asked), then=Value(Place.MAY_HAVE_ARRIVED)),
    ]
    return asked_for(asked).annotate(place=Case(*whens, default=Value(Place.CANCELLED), output_field=CharField()))


def listed(asked: Asked, key: str) -> QuerySet[Conversion]:
    """The conversions that count for a step or stand at a place; all that are asked for with any other key."""
    rows = asked_for(asked)
    known = key != CONVERSIONS and key in (*STEPS, *Place.values)
    return rows.filter(_standing(asked, key)) if known else rows


UNCOUNTED = (Reason.REPEAT_LAUNCH, Reason.ERASED)


def _standing(asked: Asked, key: str) -> Q:
    """What is true of the conversions at a place or a step, and of no others."""
    if key == Place.TEST_TRAFFIC:
        return Q(test=True)
    if key in UNCOUNTED:
        return Q(test=False, reason=key)
    counted = Q(test=False) & ~Q(reason__in=UNCOUNTED)
    if key in (Place.NO_CLICK, Place.OUTSIDE_WINDOW):
        outside = Q(reason=Reason.OUTSIDE_WINDOW)
        return counted & Q(touch=None) & (outside if key == Place.OUTSIDE_WINDOW else ~outside)
    clicked = counted & Q(touch__isnull=False)
    if key == Place.OTHER_CLICK:
        return clicked & ~Q(touch__network=asked.network) if asked.network else Q(pk__in=[])
    own = clicked & Q(touch__network=asked.network) if asked.network else clicked
    return own & _decided(asked, key)


def _decided(asked: Asked, key: str) -> Q:
    """The same, of conversions with a click of the network that is asked for."""
    if key == ATTRIBUTED:
        return Q()
    if key == Place.UNDECIDED:
        return Q(fanned_out_at=None)
    decided = Q(fanned_out_at__isnull=False)
    if key == ELIGIBLE:
        return decided & ~Q(reason=Reason.OTHER_NETWORK)
    if key == Reason.OTHER_NETWORK:
        return decided & Q(reason=key)
    if key in Reason.values:
        return decided & Q(reason=key) & ~Q(_unanswered(asked))
    if key == Place.MAY_HAVE_ARRIVED:
        left = decided & Q(_unanswered(asked)) & ~Q(reason=Reason.OTHER_NETWORK)
        return left & (~Q(reason="") | ~_tried(asked))
    better = TRIED[: TRIED.index(DeliveryState(key))] if key in TRIED else TRIED
    found = decided & Q(reason="")
    for state in better:
        found &= ~Q(_has(asked, state))
    return found & Q(_has(asked, key)) if key in TRIED else found & ~Q(_unanswered(asked))


def _tried(asked: Asked) -> Q:
    found = Q(pk__in=[])
    for state in TRIED:
        found |= Q(_has(asked, state))
    return found


def _called_off_unanswered(asked: Asked) -> Q:
    """Those with a reason why they were not sent, of which a call had gone out before."""
    return Q(_unanswered(asked)) & ~Q(reason=Reason.OTHER_NETWORK)


def _unanswered(asked: Asked) -> Exists:
    return Exists(Delivery.objects.filter(UNKNOWN, game=asked.game, conversion=OuterRef("pk")))


def _has(asked: Asked, state: str) -> Exists:
    # The game and the time are the conversion's own; said again, they bound what is read.
    rows = Delivery.objects.filter(game=asked.game, event_at__gte=asked.since)
    return Exists(rows.filter(conversion=OuterRef("pk"), state=state))
