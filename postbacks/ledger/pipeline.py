"""Where the conversions of a period have got to: events seen, conversions, attributed, eligible, delivered.

Every conversion stands at exactly one Place. A step counts the places behind it, so what a step loses is always the
sum of the places named under it, and a list filtered by a place holds exactly the conversions counted there.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models import Case, CharField, Count, Exists, F, OuterRef, Q, QuerySet, Sum, Value, When

from audience.models import Conversion, Event, Game, GoalEvent, Kind, Reason, Trigger
from postbacks.models import Delivery, DeliveryState

# Conversions that are counted, newest first; a longer period begins with the oldest of them. Counting 100,000 takes
# a tenth of a second.
MOST = 100_000
# Events that are read through for those with the names of conversions, which no index serves.
DEPTH = 20_000
SEEN, CONVERSIONS, ATTRIBUTED, ELIGIBLE = "seen", "conversions", "attributed", "eligible"


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
    FILTERED = "filtered", "Goal’s condition not met"
    REPEAT = "repeat", "Counted once already"
    CONSENT = "consent", "No consent"
    NO_MATCH_KEY = "no_match_key", "Nothing to match by"
    TOO_OLD = "too_old", "Too old for the network"
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
        Place.CONSENT,
        Place.CONFIG_DISABLED,
        Place.FILTERED,
        Place.REPEAT,
        Place.NO_MATCH_KEY,
        Place.TOO_OLD,
        Place.CANCELLED,
    ),
    Place.DELIVERED: (),
}
STEPS = tuple(LOST)
LABELS = {
    SEEN: "Events seen",
    CONVERSIONS: "Conversions",
    ATTRIBUTED: "Attributed to a click",
    ELIGIBLE: "Eligible for a postback",
    **dict(Place.choices),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which conversions: of `game` since `since`; '' asks for every trigger and for every network's clicks."""

    game: Game
    since: datetime
    trigger: str = ""
    network: str = ""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many, and their values added up per currency; '' for those that name none."""

    count: int
    sums: dict[str, Decimal]


@dataclass(frozen=True, slots=True)
class Step:
    """One step, and what it loses before the next; `at_least` when there may be more than were counted."""

    key: str
    tally: Tally
    lost: list[tuple[Place, Tally]]
    at_least: bool = False

    @property
    def label(self) -> str:
        return LABELS[self.key]


def placed(asked: Asked) -> QuerySet[Conversion]:
    """The conversions asked for, each with its `place`."""
    rows = Conversion.objects.filter(game=asked.game, event_at__gte=asked.since)
    if asked.trigger:
        rows = rows.filter(trigger=asked.trigger)
    return rows.annotate(place=_place(asked.network))


def at(rows: Any, key: str) -> QuerySet[Conversion]:
    """Of `placed` rows, those that count for a step or stand at a place; all of them for a key that is neither."""
    known: QuerySet[Conversion] = rows
    if key != CONVERSIONS and key in (*STEPS, *Place.values):
        known = rows.filter(place__in=behind(key) if key in STEPS else [key])
    return known


def behind(step: str) -> list[str]:
    """The places whose conversions have come as far as `step`."""
    return [Place.DELIVERED.value, *(place.value for later in STEPS[STEPS.index(step) :] for place in LOST[later])]


def of(asked: Asked) -> list[Step]:
    """The steps in their order, from one pass over the conversions and one over the newest events."""
    everything: Any = placed(asked).order_by()
    rows = everything.values("place", "currency").annotate(count=Count("pk"), total=Sum("value"))
    by_place: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_place[row["place"]].append(row)
    tallies = {place: _tally(by_place[place]) for place in Place.values}
    steps = [
        Step(
            key=key,
            tally=_tally([row for place in behind(key) for row in by_place[place]]),
            lost=[(place, tallies[place]) for place in LOST[key] if tallies[place].count],
        )
        for key in STEPS
    ]
    return [seen(asked, least=steps[0].tally.count), *steps]


def seen(asked: Asked, *, least: int) -> Step:
    """Track events with the names of conversions; "at least" when more came in than are read through."""
    names = [asked.trigger] if asked.trigger else trigger_names(asked.game)
    events = Event.objects.filter(game_id=asked.game.pk, day__gte=(asked.since - timedelta(days=1)).date())
    floor = events.floor(depth=DEPTH)
    # By time and not by the day alone; a clock that was corrected moved the one and not the other.
    found = events.filter(pk__gt=floor, event_at__gte=asked.since, kind=Kind.TRACK, name__in=names).count()
    return Step(SEEN, Tally(max(found, least), {}), [], at_least=bool(floor) or found < least)


def trigger_names(game: Game) -> list[str]:
    """The names of events that make conversions in this game."""
    return [*Trigger.values, *GoalEvent.objects.filter(game=game).order_by("name").values_list("name", flat=True)]


def reaching_back(game: Game, since: datetime) -> tuple[datetime, bool]:
    """From when on conversions are counted, and whether that is later than asked for: never more than MOST."""
    rows = Conversion.objects.filter(game=game, event_at__gte=since).order_by("-event_at")
    last = rows.values_list("event_at", flat=True)[MOST - 1 : MOST].first()
    return (last, True) if last else (since, False)


def _tally(rows: list[dict[str, Any]]) -> Tally:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        if row["total"] is not None:
            sums[row["currency"]] += row["total"]
    return Tally(sum(row["count"] for row in rows), dict(sorted(sums.items())))


def _place(network: str) -> Case:
    """The cheap questions first; only what was handed to a postback is looked up among the deliveries."""
    reason = F("reason")
    whens = [
        When(test=True, then=Value(Place.TEST_TRAFFIC)),
        When(reason__in=(Reason.REPEAT_LAUNCH, Reason.ERASED), then=reason),
        When(touch=None, reason=Reason.OUTSIDE_WINDOW, then=reason),
        When(touch=None, then=Value(Place.NO_CLICK)),
        *([When(~Q(touch__network=network), then=Value(Place.OTHER_CLICK))] if network else []),
        When(fanned_out_at=None, then=Value(Place.UNDECIDED)),
        When(~Q(reason=""), then=reason),
        *(When(_is_in(state), then=Value(state.value)) for state in FURTHEST_FIRST),
    ]
    return Case(*whens, default=Value(Place.CANCELLED), output_field=CharField())


# With several postbacks on one network, a conversion stands where it has come furthest.
FURTHEST_FIRST = (DeliveryState.DELIVERED, DeliveryState.WAITING, DeliveryState.HELD, DeliveryState.FAILED)


def _is_in(state: DeliveryState) -> Exists:
    return Exists(Delivery.objects.filter(conversion=OuterRef("pk"), state=state))
