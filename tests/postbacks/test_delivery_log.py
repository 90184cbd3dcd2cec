"""The delivery log, the health beside each postback, and the outcomes on the conversions page."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from audience.models import Conversion, Game
from audience.wording import dates
from postbacks.models import PostbackConfig
from postbacks.reporting.campaigns import refresh
from tests import factories, hub

NOW = timezone.now()


def shown(page: str) -> list[int]:
    return [int(pk) for pk in re.findall(r'id="attempt-(\d+)"', page)]


@pytest.fixture
def url(game: Game) -> str:
    return f"/g/{game.slug}/integrations/tiktok/"


def test_a_row_of_the_log_shows_the_attempt(config: PostbackConfig, viewer: Client, url: str) -> None:
    row = factories.delivery(config, trigger="game_launch")
    factories.attempt(row, status="retried", verdict="transient", http_status=503, message="Service unavailable")
    page = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", viewer.get(url).content.decode()))
    assert "Time Event Player Value Status HTTP Latency Attempt" in page
    said = r"5 minutes ago Game Launch Player [0-9a-f]{8} 9\.99 USD Retried Service unavailable 503 123 ms 1"
    assert re.search(said, page.replace("\xa0", " "))


def test_a_time_is_relative_with_the_exact_moment_on_hover(config: PostbackConfig, viewer: Client, url: str) -> None:
    row = factories.attempt(factories.delivery(config))
    assert f'title="{dates.exact(row.started_at)}"' in viewer.get(url).content.decode()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [1, 2]),
        ("range=1h", [1]),
        ("range=7d", [1, 2, 3]),
        ("range=30d", [1, 2, 3, 4]),
        ("range=30d&status=failed", [3]),
        ("range=7d&status=success", [1, 2]),
        ("range=century&status=odd", [1, 2]),
    ],
)
def test_filters_are_in_the_url(
    config: PostbackConfig, viewer: Client, url: str, query: str, expected: list[int]
) -> None:
    row = factories.delivery(config)
    rows = {
        1: factories.attempt(row),
        2: factories.attempt(row, ago=timedelta(hours=2)),
        3: factories.attempt(row, ago=timedelta(days=2), status="failed"),
        4: factories.attempt(row, ago=timedelta(days=20), status="retried"),
        5: factories.attempt(row, ago=timedelta(days=31)),
    }
    assert shown(viewer.get(f"{url}?{query}").content.decode()) == [rows[number].pk for number in expected]


def test_older_pages_list_every_attempt_once(config: PostbackConfig, viewer: Client, url: str) -> None:
    row = factories.delivery(config)
    made = [factories.attempt(row, started_at=NOW).pk for _ in range(120)]  # all at one moment
    first = viewer.get(url).content.decode()
    seen = shown(first)
    while older := re.search(r'href="(\?[^"]*before=[^"]+)">Older', first):
        first = viewer.get(url + older[1].replace("&amp;", "&")).content.decode()
        seen += shown(first)
    assert seen == sorted(made, reverse=True)


def test_a_refresh_returns_only_the_rows(config: PostbackConfig, viewer: Client, url: str) -> None:
    row = factories.attempt(factories.delivery(config))
    page = viewer.get(f"{url}?status=success").content.decode()
    assert f'hx-get="{url}?status=success" hx-trigger="every 5s"' in page
    asked = {"HX-Request": "true", "HX-Target": "rows"}
    rows = viewer.get(f"{url}?status=success", headers=asked).content.decode()
    assert shown(rows) == [row.pk]
    assert "<html" not in rows


def test_the_page_of_an_attempt_shows_all_of_its_columns(config: PostbackConfig, viewer: Client, url: str) -> None:
    row = factories.delivery(config)
    first = factories.attempt(
        row, status="failed", provider_code="40105", message="Access token is revoked", request_id="req-7"
    )
    page = viewer.get(f"{url}attempts/{first.pk}/").content.decode()
    for fact in ("40105", "Access token is revoked", "req-7", row.event_id, config.pixel_id):
        assert fact in page


def test_the_log_of_a_deleted_postback_is_still_shown(config: PostbackConfig, viewer: Client, url: str) -> None:
    row = factories.attempt(factories.delivery(config))
    PostbackConfig.objects.update(deleted_at=NOW)
    assert shown(viewer.get(url).content.decode()) == [row.pk]


@pytest.mark.parametrize(
    ("verdict", "words"),
    [("credential", "Credential failures detected"), (None, "No recent activity"), ("success", "")],
)
def test_a_postbacks_health_is_shown_beside_its_state(
    config: PostbackConfig, viewer: Client, url: str, verdict: str | None, words: str
) -> None:
    if verdict:
        factories.attempt(factories.delivery(config), verdict=verdict)
    page = viewer.get(url).content.decode()
    assert "Enabled" in page
    for known in ("Credential failures detected", "No recent activity"):
        assert (known in page) is (known == words)


def _outcome(game: Game, viewer: Client) -> str:
    page = viewer.get(f"/g/{game.slug}/conversions/").content.decode()
    cell = page.split('data-label="Outcome" class="outcome">')[1].split("</td>")[0]
    return " ".join(re.sub(r"<[^>]+>", " ", cell).split())


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("delivered", "Delivered TikTok Ads"),
        ("waiting", "Waiting TikTok Ads"),
        ("failed", "Failed TikTok Ads"),
    ],
)
def test_the_list_shows_a_conversions_outcome_on_each_network(
    config: PostbackConfig, viewer: Client, state: str, words: str
) -> None:
    factories.delivery(config, state=state)
    assert _outcome(config.game, viewer) == words


def test_the_list_shows_the_networks_answer_for_a_failed_conversion(config: PostbackConfig, viewer: Client) -> None:
    factories.attempt(factories.delivery(config, state="failed"), status="failed", message="Invalid pixel code")
    assert _outcome(config.game, viewer) == "Failed TikTok Ads Invalid pixel code"


def test_the_list_shows_why_a_conversion_is_not_sent(config: PostbackConfig, viewer: Client) -> None:
    person = factories.person(config.game)
    factories.conversion(person, fanned_out_at=NOW)
    assert _outcome(config.game, viewer) == "Not sent No ad click of this player"


def test_a_skipped_delivery_shows_the_conversions_reason(config: PostbackConfig, viewer: Client) -> None:
    factories.delivery(config, state="skipped", reason="consent")
    Conversion.objects.update(reason="consent", fanned_out_at=NOW)
    assert _outcome(config.game, viewer) == "Not sent The player did not consent"


def test_the_overview_counts_the_last_day(config: PostbackConfig, viewer: Client) -> None:
    factories.delivery(config, state="delivered", attempts_made=1)
    factories.delivery(config, state="failed")
    player = factories.person(config.game)
    early = factories.conversion(player, touch=factories.touch(player), event_at=NOW - timedelta(days=2))
    factories.delivery(config, conversion=early, state="delivered")
    refresh.refresh()
    page = hub.normalized_html(viewer.get(f"/g/{config.game.slug}/").content.decode())
    numbers = re.findall(r'data-label="(Accepted|Waiting|Failed)" class="number"><a [^>]*>(\d+)<', page)
    assert numbers[:3] == [("Accepted", "1"), ("Waiting", "0"), ("Failed", "1")]
