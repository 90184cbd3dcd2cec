"""Live events: the newest messages of a game, accepted and refused, with reasons."""

from django.http import HttpResponse

from audience.hub.events import counts, feed
from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.hub.toolkit.filters import Filter, choice
from audience.models import ApiKey, Dialect, Kind, Membership

STATUSES = (("", "All"), ("accepted", "Accepted"), ("rejected", "Rejected"))
KINDS = (("", "Any kind"), *Kind.choices)
DIALECTS = (("", "Any dialect"), *Dialect.choices)


@game_view()
def events(request: HubRequest, membership: Membership) -> HttpResponse:
    """Show the list with filters and counts; htmx requests the rows alone for refreshing."""
    status = choice(request, "status", label="Status", choices=STATUSES)
    menus = [
        choice(request, "kind", label="Kind", choices=KINDS),
        choice(request, "dialect", label="Dialect", choices=DIALECTS),
        choice(request, "key", label="Key", choices=key_choices(membership)),
    ]
    asked = asking(request, status, *menus)
    context = {"feed": feed.newest(membership, asked), "asked": asked, "before": asked.before}
    if request.htmx:
        return page(request, "hub/events/_rows.html", membership, **context)
    chart = counts.of(membership.game, key=asked.key)
    return page(request, "hub/events/page.html", membership, filters=[status], menus=menus, chart=chart, **context)


@game_view()
def event_counts(request: HubRequest, membership: Membership) -> HttpResponse:
    """Show the counts alone, of all keys or of `key`."""
    key = choice(request, "key", label="Key", choices=key_choices(membership))
    chart = counts.of(membership.game, key=int(key.chosen) if key.chosen else None)
    return page(request, "hub/events/_counts.html", membership, chart=chart)


def asking(request: HubRequest, status: Filter, kind: Filter, dialect: Filter, key: Filter) -> feed.Asked:
    """The filters of the URL."""
    return feed.Asked(
        status=status.chosen,
        kind=kind.chosen,
        dialect=dialect.chosen,
        key=int(key.chosen) if key.chosen else None,
        name=said(request, "name"),
        person=said(request, "id"),
        before=request.GET.get("before", ""),
    )


def said(request: HubRequest, name: str) -> str:
    """A text that was typed; PostgreSQL holds no NUL, so that nothing is called by one."""
    return request.GET.get(name, "").replace("\0", "").strip()[:512]


def key_choices(membership: Membership) -> list[tuple[str, str]]:
    keys = ApiKey.objects.filter(game=membership.game).order_by("name", "pk")
    return [("", "Any key"), *((str(key.pk), key.name if key.is_live else f"{key.name} (ended)") for key in keys)]
