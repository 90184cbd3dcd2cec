"""Live events: the newest messages of a game, accepted and refused, with reasons."""

from dataclasses import replace

from django.http import HttpResponse

from audience.database import clock
from audience.hub.events import click_macros, counts, feed, placeholders
from audience.hub.events.event_filter import EventFilter, read_span
from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.hub.toolkit.date_range import ALL, PRESETS, DateRange, read_range
from audience.hub.toolkit.filters import Filter, choice, search_text
from audience.models import ApiKey, Dialect, Game, Kind, Membership
from audience.models.goals import conversion_event_names

STATUSES = (("", "All"), ("accepted", "Accepted"), ("rejected", "Rejected"))
KINDS = (("", "Any kind"), *Kind.choices)
DIALECTS = (("", "Any dialect"), *Dialect.choices)
# Parameters that come from the link of a figure, which the form repeats.
SPAN_PARAMETERS = ("received_from", "received_until", "happened_from", "happened_until", "goals")


@game_view()
def events(request: HubRequest, membership: Membership) -> HttpResponse:
    """Show the list with filters and counts; for htmx, which refreshes the list, only the rows."""
    status = choice(request, "status", label="Status", choices=STATUSES)
    menus = [
        choice(request, "kind", label="Kind", choices=KINDS),
        choice(request, "dialect", label="Dialect", choices=DIALECTS),
        choice(request, "key", label="Key", choices=key_choices(membership)),
    ]
    period = read_range(request, now=clock.now(), default=ALL, presets=(ALL, *PRESETS), label="Received")
    event_filter = read_filter(request, membership.game, status, *menus, period=period)
    rows = feed.newest(membership, event_filter)
    context = {"feed": rows, "event_filter": event_filter, "before": event_filter.before}
    context["is_live"] = not event_filter.before and period.until > clock.now()
    if request.htmx:
        return page(request, "hub/events/_rows.html", membership, **context)
    chart = counts.read_counts(membership.game, key=event_filter.key)
    context |= {"filters": [status], "menus": menus, "chart": chart, "period": period}
    spans = {name: request.GET[name] for name in SPAN_PARAMETERS if request.GET.get(name)}
    return page(request, "hub/events/page.html", membership, spans=spans, **context)


@game_view()
def event_counts(request: HubRequest, membership: Membership) -> HttpResponse:
    """Show only the counts, of all keys or of `?key=`."""
    key = choice(request, "key", label="Key", choices=key_choices(membership))
    chart = counts.read_counts(membership.game, key=int(key.chosen) if key.chosen else None)
    return page(request, "hub/events/_counts.html", membership, chart=chart)


def read_filter(
    request: HubRequest, game: Game, status: Filter, kind: Filter, dialect: Filter, key: Filter, *, period: DateRange
) -> EventFilter:
    """Return the filters of the URL; the last arguments are the menus and the period read from it."""
    filters = EventFilter(
        status=status.chosen,
        kind=kind.chosen,
        dialect=dialect.chosen,
        key=int(key.chosen) if key.chosen else None,
        name=search_text(request, "name"),
        person=search_text(request, "id"),
        placeholder=placeholders.parse(search_text(request, "placeholder")),
        macro=click_macros.parse(search_text(request, "macro")),
        names=tuple(sorted(conversion_event_names(game=game))) if request.GET.get("goals") == "1" else (),
        received=read_span(request.GET, "received"),
        happened=read_span(request.GET, "happened"),
        before=request.GET.get("before", ""),
    )
    return filters if period.is_all else replace(filters, received=(period.since, period.until))


def key_choices(membership: Membership) -> list[tuple[str, str]]:
    keys = ApiKey.objects.filter(game=membership.game).order_by("name", "pk")
    return [("", "Any key"), *((str(key.pk), key.name if key.is_live else f"{key.name} (ended)") for key in keys)]
