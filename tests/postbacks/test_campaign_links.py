"""Every figure of Campaigns and Cohorts is the number of the rows that its link lists, for random histories."""

import re
from collections.abc import Iterator
from decimal import Decimal
from html import unescape
from urllib.parse import urljoin
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audience.models import Conversion, Role
from audience.privacy import erasure
from postbacks.reporting.campaigns import refresh
from tests import factories, hub
from tests.effort import examples
from tests.postbacks import histories
from tests.postbacks.histories import History
from tests.postbacks.test_campaign_figures import ZONES, deliver, tagged

pytestmark = pytest.mark.django_db
LINK = re.compile(r'<a href="([^"]*campaigns/(?:players|conversions)/[^"]*)">([\d.,]+)</a>')
NEXT = re.compile(r'href="([^"]*)">Next page<')
PAGES = (
    *(
        "?by=network",
        "?by=campaign",
        "?by=ad_group",
        "?by=ad",
        "?network=tiktok",
        "?network=reddit&campaign=",
        "?q=autumn",
    ),
    *("?network=tiktok&campaign=autumn", "?range=7", "cohorts/", "cohorts/?network=tiktok", "cohorts/?range=90"),
)


def linked(client: Client, url: str) -> Iterator[tuple[str, str]]:
    """Yield the figure and the URL of each link to a list."""
    for href, text in LINK.findall(hub.normalized_html(client.get(url).content.decode())):
        yield text.replace(",", ""), urljoin(url, unescape(href))


def listed(client: Client, url: str) -> set[str]:
    """The ids of the rows of a list, on all its pages."""
    found: set[str] = set()
    while url:
        page = client.get(url).content.decode()
        found |= set(re.findall(r'id="(?:person|conversion)-([0-9a-f-]{36})"', page))
        following = NEXT.search(page)
        url = urljoin(url, unescape(following[1])) if following else ""
    return found


def is_number_of(text: str, ids: set[str]) -> bool:
    """Whether a figure is the number of these rows; of revenue, the sum of their values."""
    if "." not in text:
        return int(text) == len(ids)
    values = Conversion.objects.filter(pk__in=ids, currency="USD").values_list("value", flat=True)
    return Decimal(text) == sum(values, Decimal(0))


@pytest.mark.long
@settings(max_examples=examples(6), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=tagged(), zone=st.sampled_from(ZONES), erased=st.sampled_from(("", "", "u1")))
def test_every_figure_of_campaigns_is_the_number_of_its_rows(history: History, zone: ZoneInfo, erased: str) -> None:
    game = histories.new_game()
    factories.config(game, pixel_id="C0SECONDPIXEL0000000", triggers=["purchase"])
    game.time_zone = zone.key
    game.save()
    for number, _ in enumerate(histories.send(history, history.arrivals[0], game=game, now=histories.present_second())):
        deliver(game, number)
    if erased:
        erasure.request_erasure(game=game, namespace="user", subject=erased, requested_by="admin")
        erasure.drain()
    refresh.refresh()
    client, base = hub.member(game, Role.VIEWER), f"/g/{game.slug}/campaigns/"
    wrong = {
        (path, url): text
        for path in PAGES
        for text, url in linked(client, base + path)
        if not is_number_of(text, listed(client, url))
    }
    assert wrong == {}
