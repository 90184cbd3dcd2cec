"""Finds conversions by an id of the conversion, its click or its player, compared exactly."""

from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from django.db.models import Model, Q, QuerySet

from audience.hub.toolkit.filters import parse_uuid
from audience.hub.toolkit.paging import scan_floor
from audience.intake.messages.message import SERVER_ID_PREFIX
from audience.models import Conversion, Game, Person, Touch
from audience.reporting.people import matching_people
from postbacks.models import Delivery

# Maximum results per kind of id; an email address or device of more players identifies none of them.
MAX_RESULTS = 500
# The newest deliveries, or conversions, searched for an event id that the sender set, since no index has it.
SCAN_LIMIT = 20_000

T = TypeVar("T", bound=Model)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """`click` and `person` are the first ones that the query names, which may have no conversions."""

    rows: QuerySet[Conversion]
    click: Touch | None = None
    person: Person | None = None


def find(game: Game, query: str) -> SearchResult:
    """Return the game's conversions that `query` names: the id of a conversion, message, order, click or player, or an
    email address.

    Each kind of id is a separate query, to use its index.
    """
    touches = list(Touch.objects.filter(game=game, click_id=query).exclude(click_id="")[:MAX_RESULTS])
    people = list(matching_people(game, query).only("pk")[:MAX_RESULTS])
    conversions = Conversion.objects.filter(game=game)
    lookups = [
        conversions.filter(message_id__in=(query, SERVER_ID_PREFIX + query)),
        conversions.filter(order_id=query).exclude(order_id=""),
        conversions.filter(touch__in=[touch.pk for touch in touches]),
        conversions.filter(person__in=[person.pk for person in people]),
        conversions.filter(pk__in=_sent_as(game, query)),
    ]
    uuid = parse_uuid(query)
    if uuid:
        lookups.append(conversions.filter(Q(pk=uuid) | Q(person=uuid)))
        people += Person.objects.filter(game=game, pk=uuid)
    ids = {pk for lookup in lookups for pk in lookup.order_by().values_list("pk", flat=True)[:MAX_RESULTS]}
    ids = ids or set(_stated(game, query))
    return SearchResult(
        rows=conversions.filter(pk__in=ids),
        click=touches[0] if touches else None,
        person=people[0] if people else None,
    )


def _sent_as(game: Game, query: str) -> list[UUID]:
    """Return the ids of conversions that were sent with this event id, if the sender set one."""
    newest = Delivery.objects.filter(game=game, conversion__isnull=False)
    rows = _newest(newest).filter(event_id=query).order_by()
    return [pk for pk in rows.values_list("conversion", flat=True)[:MAX_RESULTS] if pk]


def _stated(game: Game, query: str) -> list[UUID]:
    """Return the ids of conversions whose sender set this event id. Those that no postback takes have no delivery."""
    stated = Q(properties__event_id=query) | Q(properties__eventId=query) | Q(context__event_id=query)
    rows = _newest(Conversion.objects.filter(game=game)).filter(stated)
    return list(rows.order_by().values_list("pk", flat=True)[:MAX_RESULTS])


def _newest(rows: QuerySet[T]) -> QuerySet[T]:
    """Return the newest SCAN_LIMIT rows, and others of the same time as the last of them.

    A condition on the time makes PostgreSQL read the index of the newest rows. Of a list of their ids it read the whole
    table.
    """
    last = scan_floor(rows, by="event_at", limit=SCAN_LIMIT)
    return rows.filter(event_at__gte=last) if last else rows
