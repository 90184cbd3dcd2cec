"""The figures of events, as in postbacks/reporting/figures.py: one definition each, whose docstring is the text behind
the "i" beside the figure.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from django.db.models import QuerySet

from audience.models import Event, Game, Kind, Rejection, RequestCount
from postbacks.reporting.conversion_status import ConversionFilter
from postbacks.reporting.figure_registry import figure


@figure("Events accepted")
def events_accepted(game: Game, since: datetime, until: datetime) -> QuerySet[Event]:
    """Messages that were stored, by the time of receipt, without duplicates. Messages that are deleted
    later, with their player or by age, are still counted."""
    return Event.objects.filter(game_id=game.pk, received_at__gte=since, received_at__lt=until)


@figure("Events seen")
def seen(filters: ConversionFilter, names: Collection[str]) -> QuerySet[Event]:
    """Events whose name can make a conversion, by the time of the event, including those that are not processed yet. At
    most the newest 20,000 events are read."""
    since, first_day = filters.since, (filters.since - timedelta(days=1)).date()
    events = Event.objects.filter(game_id=filters.game.pk, day__gte=first_day, event_at__gte=since)
    events = events.filter(event_at__lt=filters.until) if filters.until else events
    return events.filter(kind=Kind.TRACK, name__in=names)


@figure("Events rejected")
def events_rejected(game: Game, since: datetime, until: datetime) -> QuerySet[RequestCount]:
    """Messages that were rejected, by the time of receipt. Messages that are no longer listed, or that are accepted
    later, are still counted."""
    return _requests(game, since, until).filter(rejected__gt=0)


@figure("Duplicates")
def events_duplicate(game: Game, since: datetime, until: datetime) -> QuerySet[RequestCount]:
    """Messages that repeat an accepted one, by the time of receipt. They are not stored again and not listed."""
    return _requests(game, since, until).filter(duplicates__gt=0)


@figure("Rejected and listed")
def rejections_listed(game: Game, since: datetime, until: datetime) -> QuerySet[Rejection]:
    """Rejected messages that are still stored: for 7 days, at most 10,000, or until they are accepted later."""
    return Rejection.objects.filter(game=game, received_at__gte=since, received_at__lt=until)


def _requests(game: Game, since: datetime, until: datetime) -> QuerySet[RequestCount]:
    return RequestCount.objects.filter(game_id=game.pk, starts_at__gte=since, starts_at__lt=until)
