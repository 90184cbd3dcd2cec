"""The event catalog: what the game sends, one page per event, and the descriptions that the studio writes."""

from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from audience.catalog import predefined
from audience.catalog.descriptions import DescriptionRefused, describe_event, description_of, forget_description
from audience.catalog.figures import EventKey, Period, last_days, track
from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.hub.toolkit.filters import Filter, choice, search_text
from audience.models import Kind, Membership, Role
from postbacks.hub.catalog.forms import DescriptionForm, initial_of
from postbacks.hub.catalog.rows import event_row, event_url, property_rows, sender_rows
from postbacks.reporting.catalog import events

# Counts are by the day in UTC, so that the last 24 hours are in two of them.
DAYS = {"24h": 2, "7d": 7, "30d": 30}
RANGES = (("24h", "Since yesterday"), ("7d", "7 days"), ("30d", "30 days"))
DEFAULT = "7d"
SOURCES = (("", "Players"), ("test", "Test events"))
CHECKS = (("", "All events"), ("1", "Only with warnings"))
OTHER_KINDS = [kind for kind in Kind.values if kind != Kind.TRACK]


@game_view()
def catalog(request: HubRequest, membership: Membership) -> HttpResponse:
    """`?q=` searches names and descriptions; `range`, `source` and `warnings` filter."""
    filters, period = _filters(request)
    only = choice(request, "warnings", label="Warnings", choices=CHECKS)
    query = search_text(request, "q")
    found = events.list_events(game=membership.game, period=period, search=query, only_with_checks=bool(only.chosen))
    kept = _chosen(filters)
    context = {
        "rows": [event_row(event, membership, kept) for event in found.events],
        "others": found.others,
        "filters": [*filters, only],
        "kept": _chosen([*filters, only]),
        "query": query,
        "is_filtered": bool(query or only.chosen or period.test),
        "predefined": list(predefined.EVENTS.values()),
    }
    return page(request, "hub/catalog/page.html", membership, **context)


@game_view()
def catalog_event(request: HubRequest, membership: Membership) -> HttpResponse:
    """`?name=` is a track event, `?kind=` another kind of message."""
    name, kind = search_text(request, "name"), request.GET.get("kind", "")
    if not name and kind not in OTHER_KINDS:
        return redirect("catalog", slug=membership.game.slug)
    key = track(name) if name else EventKey(kind, "")
    filters, period = _filters(request)
    details = events.event_details(game=membership.game, key=key, period=period)
    context = {
        "key": key,
        "row": event_row(details.event, membership, _chosen(filters)),
        "details": details,
        "properties": property_rows(details, membership),
        "senders": sender_rows(details.senders),
        "name_query": urlencode({"name": name}),
        "filters": filters,
    }
    return page(request, "hub/catalog/event.html", membership, **context)


@game_view(role=Role.MARKETER, methods=("GET", "HEAD", "POST"))
def catalog_describe(request: HubRequest, membership: Membership) -> HttpResponse:
    """`?name=` is the event; without one the form has a field for it."""
    game, name = membership.game, search_text(request, "name")
    row = description_of(game=game, name=name) if name else None
    form = DescriptionForm(request.POST if request.method == "POST" else None, initial=initial_of(row, name))
    if form.is_valid():
        fields = {field: form.cleaned_data[field] for field in ("name", "description", "required")}
        version = form.cleaned_data["version"] or 0
        try:
            describe_event(game=game, version=version, described_by=request.user, **fields)
        except DescriptionRefused as refused:
            form.add_error(refused.field or None, str(refused))
        else:
            messages.success(request, f"The description of {fields['name']} was saved.")
            return redirect(event_url(game, track(fields["name"])))
    cancel = event_url(game, track(name)) if name else reverse("catalog", kwargs={"slug": game.slug})
    return page(request, "hub/catalog/describe.html", membership, form=form, described=row, cancel=cancel)


@game_view(role=Role.MARKETER, methods=("POST",))
def catalog_forget(request: HubRequest, membership: Membership) -> HttpResponse:
    """Delete the description of the event `name`."""
    name = request.POST.get("name", "").replace("\0", "")
    if forget_description(game=membership.game, name=name):
        messages.success(request, f"The description of {name} was deleted.")
    return redirect(event_url(membership.game, track(name)))


def _filters(request: HubRequest) -> tuple[list[Filter], Period]:
    ranges = choice(request, "range", label="Period", choices=RANGES, default=DEFAULT)
    source = choice(request, "source", label="Source", choices=SOURCES)
    return [ranges, source], last_days(DAYS[ranges.chosen], test=bool(source.chosen))


def _chosen(filters: list[Filter]) -> dict[str, str]:
    """Return the filters that differ from the default, as parameters of a URL."""
    return {one.name: one.chosen for one in filters if one.chosen not in ("", DEFAULT)}
