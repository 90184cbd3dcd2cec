"""Tracking links: members read them, marketers create, change, archive and restore them."""

from io import BytesIO
from zoneinfo import ZoneInfo

import qrcode
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from qrcode.image.svg import SvgPathFillImage

from audience.database import clock
from audience.games import links
from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.hub.toolkit.filters import choice
from audience.models import Membership, Role, TrackingLink
from audience.wording import dates
from audience.wording.days import Days, last_days
from postbacks.hub.links.forms import LinkForm, NewLinkForm, initial_of
from postbacks.hub.toolkit import charts
from postbacks.reporting.links import addresses, clicks_by_day

METHODS = ("GET", "HEAD", "POST")
DAYS = {"7d": 7, "30d": 30, "90d": 90}
RANGES = (("7d", "7 days"), ("30d", "30 days"), ("90d", "90 days"))
# Clicks are counted by the day in UTC.
UTC = ZoneInfo("UTC")


@game_view()
def link_list(request: HubRequest, membership: Membership) -> HttpResponse:
    rows = list(TrackingLink.objects.filter(game=membership.game).with_clicks())
    context = {
        "live": [link for link in rows if link.archived_at is None],
        "archived": [link for link in rows if link.archived_at],
    }
    return page(request, "hub/links/page.html", membership, **context)


@game_view()
def link_detail(request: HubRequest, membership: Membership, pk: int) -> HttpResponse:
    """`?range=` is the period of the chart."""
    link = _link(membership, pk)
    ranges = choice(request, "range", label="Period", choices=RANGES, default="30d")
    days = last_days(DAYS[ranges.chosen], UTC, now=clock.now())
    chart = clicks_chart(link, days)
    context = {
        "link": link,
        "addresses": addresses(link),
        "chart": chart,
        "chart_title": f"Clicks by day, {days.label}",
        "chart_description": f"{chart.total:,} clicks.",
        "filter": ranges,
    }
    return page(request, "hub/links/link.html", membership, **context)


def clicks_chart(link: TrackingLink, days: Days) -> charts.Chart:
    points = [
        charts.Point(dates.short_day(day), dates.weekday(day), [number]) for day, number in clicks_by_day(link, days)
    ]
    return charts.stacked(points, series=[charts.Series("Clicks")])


@game_view()
def link_qr(request: HubRequest, membership: Membership, pk: int) -> HttpResponse:
    """The address of a link as a QR code, an SVG image."""
    link, written = _link(membership, pk), BytesIO()
    qrcode.make(link.url, image_factory=SvgPathFillImage, box_size=12, border=2).save(written)
    headers = {"Content-Disposition": f'inline; filename="{link.slug}.svg"'}
    return HttpResponse(written.getvalue(), content_type="image/svg+xml", headers=headers)


@game_view(role=Role.MARKETER, methods=METHODS)
def link_add(request: HubRequest, membership: Membership) -> HttpResponse:
    form = NewLinkForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        slug = form.cleaned_data["slug"]
        try:
            link = links.create_link(game=membership.game, values=form.values(), slug=slug, created_by=request.user)
        except links.LinkRefused as refused:
            form.add_error(refused.field or None, str(refused))
        else:
            messages.success(request, f"{link.name} was created. Copy an address below into your ads.")
            return redirect("link", slug=membership.game.slug, pk=link.pk)
    return page(request, "hub/links/form.html", membership, form=form)


@game_view(role=Role.MARKETER, methods=METHODS)
def link_edit(request: HubRequest, membership: Membership, pk: int) -> HttpResponse:
    link = _link(membership, pk)
    form = LinkForm(request.POST if request.method == "POST" else None, initial=initial_of(link))
    if form.is_valid():
        try:
            links.change_link(link=link, values=form.values(), version=form.cleaned_data["version"] or 0)
        except links.LinkRefused as refused:
            form.add_error(refused.field or None, str(refused))
        else:
            messages.success(request, f"{link.name} was saved. The change applies to clicks within a second.")
            return redirect("link", slug=membership.game.slug, pk=pk)
    return page(request, "hub/links/form.html", membership, form=form, link=link)


@game_view(role=Role.MARKETER, methods=METHODS)
def link_archive(request: HubRequest, membership: Membership, pk: int) -> HttpResponse:
    link = _link(membership, pk)
    if request.method == "POST":
        links.archive_link(link=link)
        messages.success(request, f"{link.name} was archived. Its address answers “not found” from now on.")
        return redirect("links", slug=membership.game.slug)
    return page(request, "hub/links/archive.html", membership, link=link)


@game_view(role=Role.MARKETER, methods=("POST",))
def link_restore(request: HubRequest, membership: Membership, pk: int) -> HttpResponse:
    link = _link(membership, pk)
    links.restore_link(link=link)
    messages.success(request, f"{link.name} redirects again.")
    return redirect("link", slug=membership.game.slug, pk=pk)


def _link(membership: Membership, pk: int) -> TrackingLink:
    return get_object_or_404(TrackingLink.objects.with_clicks(), game=membership.game, pk=pk)
