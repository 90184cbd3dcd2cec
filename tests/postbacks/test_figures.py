"""Every figure of every page is the number of the rows that its link lists, for random histories."""

import os
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from html import unescape
from urllib.parse import urljoin
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from audience.database import clock
from audience.games.keys import create_key
from audience.models import Conversion, Game, Role
from audience.wording.days import last_days
from postbacks.models import Delivery, PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.reporting import figure_rows, figures
from postbacks.reporting.campaigns import refresh
from postbacks.reporting.comparison import Comparison, compare, deliveries_of
from postbacks.reporting.comparison_findings import findings
from postbacks.reporting.conversion_status import ConversionFilter
from postbacks.reporting.figure_registry import FIGURES
from postbacks.reporting.statuses import HEADLINES
from tests import factories, hub
from tests.audience import immutable
from tests.browser import pages
from tests.postbacks.histories import History, histories, new_game, present_second, send
from tests.postbacks.test_shuffling import fan_out, left_no_trace, shuffled

pytestmark = pytest.mark.django_db

EXAMPLES = int(os.environ.get("SHUFFLES", "20")) // 4
SUM = re.compile(r'<a [^>]*data-sum="([\d.-]+)" href="([^"]*)"[^>]*>')
LINK = re.compile(r'<a [^>]*data-figure="(\d+)"[^>]*>')
HREF = re.compile(r'href="([^"]*)"')
ROW = re.compile(
    r'<(?:tr|details|a) [^>]*id="((?:conversion-[0-9a-f-]{36}|delivery-[0-9a-f-]{36}|(?:event|rejection)-\d+))"'
)
OLDER = re.compile(r'href="(\?[^"]*before=[^"]+)">Older')
# What may have become of a delivery that was sent.
OUTCOMES = (
    {"state": "delivered", "attempts_made": 1},
    {"state": "delivered", "attempts_made": 2, "confirmation": "confirmed"},
    {"state": "failed", "attempts_made": 1, "verdict": "payload"},
    {"state": "failed", "attempts_made": 9, "verdict": "transient"},
    {"state": "failed", "reason": "too_old", "verdict": "transient"},
    {"state": "held", "next_attempt_at": None},
    {"state": "waiting"},
    {"state": "skipped", "reason": "consent", "may_have_arrived": True, "attempts_made": 1},
    {"state": "cancelled", "reason": "erased"},
)
VARIANTS = (
    *("", "?range=7d", "?range=30d", "conversions/?range=30d", "conversions/?range=30d&event=purchase"),
    *("conversions/?range=30d&network=tiktok", "conversions/?range=24h&network=custom", "conversions/?click=none"),
    *(
        "integrations/tiktok/compare/?range=30d",
        "integrations/reddit/compare/",
        "integrations/custom/compare/?range=30d",
    ),
)


def linked_figures(page: str, url: str) -> Iterator[tuple[int, str]]:
    """Yield the number and the URL of each figure that is a link."""
    for link in LINK.finditer(page):
        href = HREF.search(link[0])
        assert href is not None, link[0]
        yield int(link[1]), urljoin(url, unescape(href[1]))


def listed(client: Client, url: str) -> list[str]:
    """The rows of a list, on all its pages."""
    found: list[str] = []
    while url:
        page = client.get(url).content.decode()
        found += ROW.findall(page)
        older = OLDER.search(page)
        url = urljoin(url, unescape(older[1])) if older else ""
    return found


def wrong_figures(client: Client, urls: Sequence[str]) -> list[str]:
    """Each figure whose link lists another number of rows."""
    lengths: dict[str, int] = {}
    wrong = []
    for url in urls:
        for number, href in linked_figures(client.get(url).content.decode(), url):
            if href not in lengths:
                rows = listed(client, href)
                assert len(rows) == len(set(rows)), href
                lengths[href] = len(rows)
            if lengths[href] != number:
                wrong.append(f"{url}: {number}, but {lengths[href]} at {href}")
    return wrong


def wrong_sums(client: Client, urls: Sequence[str]) -> list[str]:
    """Each sum of money that differs from the values of the rows that its link lists."""
    wrong = []
    for url in urls:
        for total, href in dict.fromkeys(SUM.findall(client.get(url).content.decode())):
            rows = [name.partition("-") for name in listed(client, urljoin(url, unescape(href)))]
            own = Conversion.objects.filter(pk__in=[pk for kind, _, pk in rows if kind == "conversion"])
            sent = Conversion.objects.filter(deliveries__pk__in=[pk for kind, _, pk in rows if kind == "delivery"])
            values = [*own.values_list("value", "currency"), *sent.values_list("value", "currency")]
            is_one_currency = len(values) == len(rows) and len({currency for _, currency in values}) == 1
            if not is_one_currency or sum(value or 0 for value, _ in values) != Decimal(total):
                wrong.append(f"{url}: {total}, but {values} at {href}")
    return wrong


def end(game: Game, outcomes: Sequence[int]) -> None:
    """Give the waiting deliveries these outcomes, by their numbers in OUTCOMES, again and again."""
    for number, row in enumerate(Delivery.objects.filter(game=game, state="waiting").order_by("event_at", "config")):
        Delivery.objects.filter(pk=row.pk).update(**OUTCOMES[outcomes[number % len(outcomes)]])


def played_game(history: History) -> Game:
    """A game with two postbacks on one network and one that takes every click, a history, and a refused message."""
    game = new_game()
    factories.config(game, pixel_id="C0SECONDPIXEL0000000", triggers=["purchase"], time_zone="Pacific/Auckland")
    factories.config(game, network="custom", click_parameters=["*"])
    for _ in send(history, history.arrivals[0], game=game, now=present_second()):
        pass
    fan_out()
    immutable.send(create_key(game=game, name="another"), {"type": "nothing"})
    return game


@pytest.mark.long
@shuffled(EXAMPLES)
@given(history=histories(), outcomes=st.lists(st.integers(0, len(OUTCOMES) - 1), min_size=1, max_size=8))
def test_every_figure_is_the_number_of_the_rows_that_its_link_lists(history: History, outcomes: list[int]) -> None:
    with left_no_trace():
        game = played_game(history)
        end(game, outcomes)
        refresh.refresh()
        client = hub.member(game, Role.MARKETER)
        urls = [f"/g/{game.slug}/{path}" for path in VARIANTS]
        urls += [url for url in pages.hub(game).values() if url.startswith(f"/g/{game.slug}/")]
        for config in PostbackConfig.objects.filter(game=game):
            query = f"?range=30d&postback={config.pk}"
            urls.append(f"/g/{game.slug}/integrations/{config.network}/compare/{query}")
        assert wrong_figures(client, list(dict.fromkeys(urls))) == []
        summed = ("?range=30d", "conversions/?range=30d", "integrations/tiktok/compare/?range=30d")
        assert wrong_sums(client, [f"/g/{game.slug}/{path}" for path in summed]) == []


@shuffled(EXAMPLES)
@given(history=histories(), outcomes=st.lists(st.integers(0, len(OUTCOMES) - 1), min_size=1, max_size=8))
def test_the_comparison_and_the_funnel_agree_on_a_network_with_one_postback(
    history: History, outcomes: list[int]
) -> None:
    with left_no_trace():
        game = played_game(history)
        end(game, outcomes)
        days = last_days(30, ZoneInfo("UTC"), now=clock.now())
        for config in PostbackConfig.objects.filter(game=game, network__in=("reddit", "custom")):
            found = compare(config, dates=days.dates, starts=days.starts)
            filters = ConversionFilter(game=game, since=days.starts[0], until=days.starts[-1], network=config.network)
            # What was sent of a purchase that another one of its order replaced stays in the comparison.
            replaced = deliveries_of(config, since=days.starts[0], until=days.starts[-1]).filter(
                figures.UNCOUNTED_CONVERSION, figures.postback_eligible()
            )
            eligible = found.total.counts["eligible"] - replaced.count()
            assert (config.network, eligible) == (config.network, figures.eligible(filters).count())
            accepted = found.total.counts["accepted"] - replaced.filter(state="delivered").count()
            assert accepted == figures.delivered(filters).count()
            gone = sum(sum(found.findings.get(key, {}).values()) for key in missing_keys(found))
            assert gone == found.missing


def missing_keys(found: Comparison) -> list[str]:
    return [row.key for row in findings(found.findings, NETWORKS["tiktok"]) if row.is_missing]


@shuffled(EXAMPLES)
@given(history=histories(), outcomes=st.lists(st.integers(0, len(OUTCOMES) - 1), min_size=1, max_size=8))
def test_figures_of_one_name_agree_on_the_overview_and_the_conversions_page(
    history: History, outcomes: list[int]
) -> None:
    with left_no_trace():
        game = played_game(history)
        end(game, outcomes)
        client, base = hub.member(game, Role.VIEWER), f"/g/{game.slug}/"
        refresh.refresh()
        page = client.get(f"{base}?range=30d").content.decode()
        overview = {url: number for number, url in linked_figures(page, base)}
        seen = 0
        for network in ("", "tiktok", "reddit"):
            page = client.get(f"{base}conversions/?range=30d&click={network}").content.decode()
            counted = dict(re.findall(r'id="count-(\w+)">(?:at least )?([\d,]+)<', page))
            for key, number in counted.items():
                of_network = f"&click={network}" if network else ""
                url = f"{base}conversions/?range=30d{of_network}&only={key}"
                if url in overview:
                    assert (url, overview[url]) == (url, int(number.replace(",", "")))
                    seen += 1
        assert seen >= 2 or not game.conversions.exists()


def test_every_definition_is_a_sentence_for_a_marketer() -> None:
    assert len(FIGURES) == 38
    for name, figure in FIGURES.items():
        assert figure_rows.find(name) is figure
        assert re.fullmatch(r"[A-Z][^`_{}]+\.", figure.explanation), name
        assert figure.label


def test_the_definition_of_a_figure_is_beside_it(game: Game, viewer: Client) -> None:
    page = hub.normalized_html(viewer.get(f"/g/{game.slug}/").content.decode())
    for name in (
        *HEADLINES,
        "events_accepted",
        "conversions",
        "attributed",
        "success_rate",
        "waiting",
        "failed",
    ):
        figure = FIGURES[name]
        assert f'<summary aria-label="What “{figure.label}” counts"><span aria-hidden="true">i</span></summary>' in page
        assert f'<span class="explained">{figure.explanation}</span>' in page
