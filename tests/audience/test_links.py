"""Clicks on tracking links: where they lead, what they store, and what they count."""

import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import pytest
from django.conf import LazySettings
from django.db import OperationalError
from django.http import HttpResponse
from django.test import Client
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from audience.digest import queue
from audience.games import links
from audience.games.keys import NewKey
from audience.games.links import LinkRefused, LinkValues
from audience.intake.links import counting, lookup, pace, views
from audience.intake.storing import transaction, write_queue
from audience.intake.storing.statement import Write
from audience.models import (
    Batch,
    Conversion,
    Event,
    Game,
    Kind,
    LinkConsent,
    LinkCount,
    Rejection,
    RequestCount,
    Touch,
    TrackingLink,
)
from audience.privacy import erasure, suppression
from tests import factories
from tests.audience import immutable
from tests.audience.event_loop import web_process
from tests.audience.test_immutable_outage import postgresql_away
from tests.audience.test_intake_asgi import Answer, Loop

pytestmark = pytest.mark.django_db(transaction=True)

BROWSER = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 TikTok 35.1"
STEAM = "https://store.steampowered.com/app/480/"


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Counts are saved by the test, not by a timer, and links of other tests are forgotten."""
    monkeypatch.setattr(counting, "SAVE_SECONDS", 3600.0)
    counting.save()
    lookup.clear_link_cache()
    pace.forget()
    yield
    lookup.clear_link_cache()


@pytest.fixture
def link(game: Game) -> TrackingLink:
    return factories.link(game, slug="launch")


def click(path: str, **headers: str) -> HttpResponse:
    """One request of a new browser, on a thread."""
    return Client().get(path, headers={"User-Agent": BROWSER, **headers}, REMOTE_ADDR="203.0.113.7")


def clicks_of(link: TrackingLink) -> int:
    counting.save()
    return sum(LinkCount.objects.filter(game=link.game_id, link=link).values_list("clicks", flat=True))


def query_of(answer: HttpResponse) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(answer["Location"]).query))


def nothing_is_stored() -> bool:
    return not (Event.objects.exists() or Batch.objects.exists() or Rejection.objects.exists())


def test_a_click_is_stored_counted_and_redirected(link: TrackingLink) -> None:
    answer = click("/go/launch?ttclid=E.C.P.abc&utm_campaign=May", Referer="https://www.tiktok.com/")
    assert (answer.status_code, answer["Cache-Control"], answer.content) == (302, "no-store", b"")
    assert answer["Location"] == "https://game.example/play?utm_campaign=May&ttclid=E.C.P.abc"
    (event,) = Event.objects.all()
    for name, of_server in (("ac_id", ""), ("ac_twin", True)):
        cookie = answer.cookies[name]
        assert str(UUID(cookie.value)) == event.anonymous_id
        assert (cookie["httponly"], cookie["max-age"], cookie["path"]) == (of_server, 34_560_000, "/")
        assert (cookie["samesite"], cookie["secure"]) == ("Lax", "")
    assert (event.kind, event.surface, event.key_id, event.consent_level) == (Kind.PAGE, "link", None, "")
    assert (event.request_ip, event.user_id, event.game_id) == ("203.0.113.7", "", link.game_id)
    assert event.context == {
        "page_url": "http://127.0.0.1:8000/go/launch?ttclid=E.C.P.abc&utm_campaign=May",
        "page_path": "/go/launch",
        "library": "Tracking link",
        "ip": "203.0.113.7",
        "user_agent": BROWSER,
        "page_referrer": "https://www.tiktok.com/",
    }
    assert event.day == event.received_at.astimezone(UTC).date()
    assert clicks_of(link) == 1
    assert LinkCount.objects.get().last_at == event.received_at
    assert [(row.key_id, row.accepted) for row in RequestCount.objects.filter(game_id=link.game_id)] == [(0, 1)]


def test_the_answer_on_the_event_loop_is_the_same(link: TrackingLink, monkeypatch: pytest.MonkeyPatch) -> None:
    with web_process(monkeypatch):
        loop = Loop()
        assert loop.ask("/go/launch", method="GET", headers={"User-Agent": BROWSER}).status == 299
        assert loop.reached == [("/go/launch", b"")], "a link that is not in the cache is looked up on a thread"
        click("/go/launch")
        answer: Answer = loop.ask("/go/launch?ttclid=E.C.P.abc", method="GET", headers={"User-Agent": BROWSER})
    assert (answer.status, answer.content) == (302, b"")
    assert answer.headers["location"] == "https://game.example/play?ttclid=E.C.P.abc"
    assert answer.headers["set-cookie"].startswith(("ac_id=", "ac_twin="))
    assert answer.headers["cache-control"] == "no-store"
    assert Event.objects.filter(context__page_url=f"{link.url}?ttclid=E.C.P.abc").count() == 1
    assert clicks_of(link) == 2


def test_a_click_through_a_link_gets_the_purchase(game: Game, link: TrackingLink, key: NewKey) -> None:
    answer = click("/go/launch?ttclid=E.C.P.abc&adgroup_name=Fans&utm_campaign=May")
    anonymous = Event.objects.get().anonymous_id
    assert answer.cookies["ac_id"].value == anonymous
    queue.drain()
    now = immutable.ago(seconds=0)
    named = immutable.identify("ada", anonymous, eventTimestamp=now)
    immutable.digest(key, named, immutable.purchase("ada", eventTimestamp=now))
    conversion = Conversion.objects.get(trigger="purchase")
    touch = Touch.objects.get()
    assert (conversion.touch, touch.network, touch.click_id) == (touch, "tiktok", "E.C.P.abc")
    assert (touch.ip, touch.user_agent) == ("203.0.113.7", BROWSER)
    assert (touch.campaign["utm_campaign"], touch.campaign["ad_group_name"]) == ("May", "Fans")


@pytest.mark.parametrize(
    ("query", "clicks"),
    [("ttclid=E.C.P.abc&utm_source=tiktok&utm_medium=cpc", 1), ("utm_source=tiktok&utm_medium=cpc", 2)],
)
def test_the_landing_page_states_the_click_of_a_link_again(
    link: TrackingLink, key: NewKey, query: str, clicks: int
) -> None:
    """As the web pixel on the same host does."""
    target = click(f"/go/launch?{query}&utm_campaign=May")["Location"]
    anonymous = Event.objects.get().anonymous_id
    now = immutable.ago(seconds=0)
    immutable.digest(key, immutable.page(anonymous, target, eventTimestamp=now))
    immutable.digest(key, immutable.identify("ada", anonymous, eventTimestamp=now))
    immutable.digest(key, immutable.purchase("ada", eventTimestamp=immutable.ago(seconds=0)))
    conversion = Conversion.objects.get(trigger="purchase")
    touches = Touch.objects.order_by("clicked_at")
    assert (len(touches), conversion.touch) == (clicks, touches.last())
    assert {(touch.network, touch.campaign["utm_campaign"]) for touch in touches} == {("tiktok", "May")}


def test_the_utm_parameters_of_the_link_make_a_paid_click_without_a_click_id(game: Game) -> None:
    factories.link(game, slug="x", utm_source="twitter", utm_medium="cpc", utm_campaign="Launch")
    click("/go/x?utm_source=newsletter&utm_term=rpg")
    queue.drain()
    touch = Touch.objects.get()
    assert (touch.network, touch.click_id) == ("x", "")
    assert touch.campaign == {
        "utm_source": "twitter",
        "utm_medium": "cpc",
        "utm_campaign": "Launch",
        "utm_term": "rpg",
    }


@pytest.mark.parametrize("name", ["ac_id", "ac_twin"])
@pytest.mark.parametrize("known", ["5f0c2a52-9a0e-4a30-8b6e-6f1a9a4f2b11", "adopted-1.from_another"])
def test_a_known_browser_keeps_its_id_and_gets_no_cookie(link: TrackingLink, name: str, known: str) -> None:
    answer = click("/go/launch", Cookie=f"other=1; {name}={known}")
    assert not answer.cookies
    assert Event.objects.get().anonymous_id == known


@pytest.mark.parametrize(
    "stated", ["", "x", "00000000-0000-0000-0000-000000000000", "5f0c2a52~9a0e-4a30-8b6e", "1" * 5000]
)
def test_a_cookie_without_an_id_is_replaced(link: TrackingLink, stated: str) -> None:
    answer = click("/go/launch", Cookie=f"ac_id={stated}")
    stored = Event.objects.get().anonymous_id
    assert [answer.cookies[name].value for name in ("ac_id", "ac_twin")] == [stored, stored]
    assert stored != stated


def test_over_https_the_cookie_is_secure(link: TrackingLink, settings: LazySettings) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    answer = click("/go/launch", **{"X-Forwarded-Proto": "https"})
    assert [cookie["secure"] for cookie in answer.cookies.values()] == [True, True]


def test_at_full_the_level_is_stated(game: Game) -> None:
    factories.link(game, slug="full", consent=LinkConsent.FULL)
    click("/go/full")
    assert Event.objects.get().consent_level == "full"


def test_at_anonymous_neither_address_nor_agent_is_stored(game: Game) -> None:
    link = factories.link(game, slug="anonymous", consent=LinkConsent.ANONYMOUS)
    answer = click("/go/anonymous?ttclid=E.C.P.abc", Referer="https://www.tiktok.com/@ada")
    (event,) = Event.objects.all()
    assert "ac_id" in answer.cookies
    assert (event.consent_level, event.request_ip) == ("anonymous", "")
    assert event.context == {
        "page_url": f"{link.url}?ttclid=E.C.P.abc",
        "page_path": "/go/anonymous",
        "library": "Tracking link",
    }
    queue.drain()
    assert (Touch.objects.get().click_id, Touch.objects.get().ip) == ("E.C.P.abc", "")


@pytest.mark.parametrize(
    ("consent", "strict", "headers"),
    [
        (LinkConsent.NONE, False, {}),
        (LinkConsent.GAME, True, {}),
        (LinkConsent.GAME, False, {"Sec-GPC": "1"}),
        (LinkConsent.FULL, False, {"Sec-GPC": "1"}),
    ],
)
def test_at_none_a_click_is_counted_and_nothing_is_stored_or_set(
    game: Game, consent: LinkConsent, strict: bool, headers: dict[str, str]
) -> None:
    Game.objects.update(strict_consent=strict)
    link = factories.link(game, slug="none", consent=consent)
    answer = click("/go/none?ttclid=E.C.P.abc", Cookie="ac_id=5f0c2a52-9a0e-4a30-8b6e-6f1a9a4f2b11", **headers)
    assert (answer.status_code, answer["Location"]) == (302, "https://game.example/play?ttclid=E.C.P.abc")
    assert not answer.cookies
    assert nothing_is_stored()
    assert clicks_of(link) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"User-Agent": ""},
        {"User-Agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"},
        {"User-Agent": "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)"},
        {"User-Agent": "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)"},
        {"User-Agent": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"},
        {"User-Agent": "TelegramBot (like TwitterBot)"},
        {"User-Agent": "WhatsApp/2.23.20.0"},
        {"User-Agent": "Mozilla/5.0 (compatible; Bytespider; spider-feedback@bytedance.com)"},
        {"User-Agent": "curl/8.5.0"},
        {"User-Agent": "python-requests/2.32"},
        {"Sec-Purpose": "prefetch;prerender"},
        {"Purpose": "prefetch"},
        {"X-Purpose": "preview"},
        # A part of another page, by which others claim purchases.
        {"Sec-Fetch-Dest": "image", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Dest": "iframe", "Sec-Fetch-Mode": "navigate"},
        {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors"},
    ],
)
def test_programs_and_pages_loaded_ahead_are_redirected_and_not_counted(
    link: TrackingLink, headers: dict[str, str]
) -> None:
    answer = click("/go/launch?ttclid=E.C.P.abc", **headers)
    assert answer.status_code == 302
    assert not answer.cookies
    assert nothing_is_stored()
    assert clicks_of(link) == 0


@pytest.mark.parametrize(
    "agent",
    [
        "Mozilla/5.0 (Linux; Android 9; CUBOT_X19) AppleWebKit/537.36 Chrome/120.0 Mobile Safari/537.36",
        "Mozilla/5.0 (Linux; Android 9; CUBOT) AppleWebKit/537.36 Chrome/120.0 Mobile Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Mobile/15E148 [FBAN/FBIOS;FBAV/450.0]",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) GSA/300.0 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (Linux; Android 14) Snapchat/12.70 (like Safari/8615, panda)",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0",
    ],
)
def test_browsers_and_browsers_inside_apps_are_counted(link: TrackingLink, agent: str) -> None:
    click("/go/launch", **{"User-Agent": agent})
    assert clicks_of(link) == 1


def from_address(address: str, **headers: str) -> HttpResponse:
    return Client().get("/go/launch?ttclid=E.C.P.1", headers={"User-Agent": BROWSER, **headers}, REMOTE_ADDR=address)


def test_a_flood_from_one_address_is_redirected_and_counted_without_events(
    link: TrackingLink, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.LINK_CLICKS_PER_MINUTE = 2
    with capture_logs() as lines:
        answers = [from_address("203.0.113.8") for _ in range(4)]
    limited = {"event": "link_clicks_limited", "limit": 2, "log_level": "warning"}
    assert [line for line in lines if line["event"] == "link_clicks_limited"] == [limited], "once, without the address"
    assert [(one.status_code, one["Location"]) for one in answers] == [
        (302, "https://game.example/play?ttclid=E.C.P.1")
    ] * 4
    assert [len(one.cookies) for one in answers] == [2, 2, 0, 0]
    assert (Event.objects.count(), clicks_of(link)) == (2, 4)
    from_address("203.0.113.9")
    assert Event.objects.count() == 3, "another address has its own limit"
    monkeypatch.setattr(pace, "WINDOW_SECONDS", 0.0)
    pace.forget()
    from_address("203.0.113.8")
    assert Event.objects.count() == 4, "a minute later"


def test_a_client_does_not_get_around_the_limit_with_the_addresses_of_its_network(
    link: TrackingLink, settings: LazySettings
) -> None:
    settings.LINK_CLICKS_PER_MINUTE = 1
    for address in ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "[2001:db8:1:2::3]:443", "2001:db8:1:3::1"):
        from_address(address)
    assert (Event.objects.count(), clicks_of(link)) == (2, 4)


def test_addresses_that_clients_invent_have_no_limit_of_their_own(link: TrackingLink, settings: LazySettings) -> None:
    settings.LINK_CLICKS_PER_MINUTE = 1
    for number in range(3):
        from_address("203.0.113.8", **{"X-Forwarded-For": f"198.51.100.{number}"})
    assert Event.objects.count() == 1


def test_clicks_of_an_unknown_address_or_without_a_limit_are_all_stored(
    link: TrackingLink, settings: LazySettings
) -> None:
    settings.LINK_CLICKS_PER_MINUTE = 1
    for _ in range(2):
        from_address("")
    settings.LINK_CLICKS_PER_MINUTE = 0
    for _ in range(2):
        from_address("203.0.113.8")
    assert Event.objects.count() == 4


def test_the_memory_of_the_limit_is_bounded(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.LINK_CLICKS_PER_MINUTE = 1
    monkeypatch.setattr(pace, "MAX_NETWORKS", 2)
    addresses = ("203.0.113.1", "203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.1")
    assert [pace.take(address) for address in addresses] == [True, False, True, True, True]


def test_head_is_redirected_and_not_counted(link: TrackingLink) -> None:
    answer = Client().head("/go/launch", headers={"User-Agent": BROWSER})
    assert (answer.status_code, answer["Location"]) == (302, "https://game.example/play")
    assert nothing_is_stored()
    assert clicks_of(link) == 0


def test_a_post_is_refused(link: TrackingLink) -> None:
    answer = Client().post("/go/launch", headers={"User-Agent": BROWSER})
    assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD, OPTIONS")
    assert nothing_is_stored()
    assert clicks_of(link) == 0


def test_a_store_gets_utm_parameters_and_no_click_id(game: Game) -> None:
    for slug, host in (("a", "store.steampowered.com"), ("b", "store.epicgames.com"), ("c", "studio.itch.io")):
        factories.link(game, slug=slug, destination=f"https://{host}/game", utm_source="tiktok")
        answer = click(f"/go/{slug}?ttclid=E.C.P.abc&utm_campaign=May&utm_source=other")
        assert query_of(answer) == {"utm_source": "tiktok", "utm_campaign": "May"}
        assert urlsplit(answer["Location"]).netloc == host


def test_a_website_gets_only_parameters_that_afterclick_reads(link: TrackingLink) -> None:
    answer = click("/go/launch?ScCid=abc-1&gclid=__MACRO__&email=ada%40players.example&next=https://evil.example")
    assert query_of(answer) == {"ScCid": "abc-1"}
    assert "players.example" not in str(Event.objects.values().get())
    assert "gclid=__MACRO__" in Event.objects.get().context["page_url"], "the page of the event shows unfilled macros"


HOSTILE = [
    "?utm_source=//evil.example",
    "?utm_source=https://evil.example/",
    "?utm_source=%0d%0aSet-Cookie:%20a=b",
    "?utm_campaign=a%00b",
    "?ttclid=@evil.example",
    "?ttclid=%0d%0aLocation:%20https://evil.example",
    "?ttclid=\u202eE.C.P",
    "?utm_source=%ff%fe",
    "?url=https://evil.example",
    "?#@evil.example",
    "?" + "a=1&" * 5000,
    "?utm_source=" + "a" * 8000,
]


@pytest.mark.parametrize("query", HOSTILE)
def test_no_query_changes_where_a_link_leads(link: TrackingLink, query: str) -> None:
    answer = click(f"/go/launch{query}")
    assert answer.status_code == 302
    parts = urlsplit(answer["Location"])
    assert (parts.scheme, parts.netloc, parts.path, parts.fragment) == ("https", "game.example", "/play", "")
    assert answer["Location"].isascii()
    assert answer["Location"].isprintable()
    assert len(answer["Location"]) < 3000
    assert clicks_of(link) == 1


@pytest.mark.parametrize(
    "path",
    [
        "/go/",
        "/go//evil.example",
        "/go/launch/more",
        "/go/nothing",
        "/go/launch%00",
        "/go/%2e%2e/launch",
        "/go/ü",
        "/go/launch%0d%0a",
    ],
)
def test_an_unknown_slug_gets_a_page_of_its_own(link: TrackingLink, path: str) -> None:
    answer = click(path)
    assert answer.status_code == 404
    assert "This link does not exist" in answer.content.decode()
    assert "default-src 'none'" in answer["Content-Security-Policy"]
    assert "Location" not in answer.headers
    assert nothing_is_stored()


def test_a_slug_is_found_in_capitals_and_with_a_slash(link: TrackingLink) -> None:
    assert [click(path).status_code for path in ("/go/LAUNCH", "/go/launch/")] == [302, 302]


def test_an_archived_link_is_not_found_and_a_restored_one_redirects(link: TrackingLink) -> None:
    assert click("/go/launch").status_code == 302
    links.archive_link(link=link)
    assert click("/go/launch").status_code == 404
    links.restore_link(link=link)
    assert click("/go/launch").status_code == 302
    assert clicks_of(link) == 2


def test_a_changed_destination_applies_at_once(link: TrackingLink) -> None:
    click("/go/launch")
    links.change_link(link=link, values=LinkValues(name="Launch", destination=STEAM))
    assert click("/go/launch")["Location"] == STEAM


def test_while_postgresql_is_unavailable_known_links_redirect(
    link: TrackingLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookup.load_links()

    def lost() -> float:
        return REGISTRY.get_sample_value("afterclick_link_clicks_total", {"outcome": "not_stored"}) or 0.0

    before = lost()
    with postgresql_away():
        answers = [click("/go/launch?ttclid=E.C.P.abc") for _ in range(2)]
        unknown = click("/go/other")
        with web_process(monkeypatch):
            answer = Loop().ask("/go/launch", method="GET", headers={"User-Agent": BROWSER})
        with pytest.raises(OperationalError):
            counting.save()
    assert [one["Location"] for one in answers] == ["https://game.example/play?ttclid=E.C.P.abc"] * 2
    assert (answer.status, answer.headers["location"]) == (302, "https://game.example/play")
    assert (unknown.status_code, unknown["Retry-After"]) == (503, "5")
    assert "This link cannot be opened now" in unknown.content.decode()
    assert lost() - before == 3
    assert nothing_is_stored()
    assert clicks_of(link) == 3, "they are counted once the database is back"


def test_a_slow_database_delays_the_player_by_a_limited_time(
    link: TrackingLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "MAX_WAIT_SECONDS", 0.2)
    free = threading.Event()
    click("/go/launch", **{"User-Agent": "curl/8.5.0"})

    def write(writes: Sequence[Write]) -> None:
        free.wait(30)
        transaction.write_all(writes)

    with web_process(monkeypatch, write=write):
        started = time.monotonic()
        answer = Loop().ask("/go/launch", method="GET", headers={"User-Agent": BROWSER})
        waited = time.monotonic() - started
        free.set()
    assert (answer.status, answer.headers["location"]) == (302, "https://game.example/play")
    assert 0.2 <= waited < 10
    assert clicks_of(link) == 1
    assert Event.objects.count() == 1, "the commit that nobody waited for"


def test_a_web_process_with_too_many_events_in_memory_redirects(
    link: TrackingLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    click("/go/launch", **{"User-Agent": "curl/8.5.0"})
    monkeypatch.setattr(write_queue, "MAX_WAITING_EVENTS", 0)
    with web_process(monkeypatch):
        answer = Loop().ask("/go/launch?ttclid=E.C.P.abc", method="GET", headers={"User-Agent": BROWSER})
    assert (answer.status, answer.headers["location"]) == (302, "https://game.example/play?ttclid=E.C.P.abc")
    assert "set-cookie" not in answer.headers
    assert nothing_is_stored()
    assert clicks_of(link) == 1


def test_the_clicks_of_a_suppressed_player_are_counted_and_not_stored(
    game: Game, link: TrackingLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suppression, "TAKES_EFFECT", timedelta(0))
    click("/go/launch")
    queue.drain()
    anonymous = Event.objects.get().anonymous_id
    made = erasure.request_erasure(
        game=game, namespace="anonymous", subject=anonymous, requested_by="ada", suppress=True
    )
    for _ in range(3):
        erasure.drain()
    lookup.clear_link_cache()
    answer = click("/go/launch?ttclid=E.C.P.abc", Cookie=f"ac_id={anonymous}")
    made.refresh_from_db()
    assert (answer.status_code, Event.objects.count(), made.suppressed_messages) == (302, 0, 1)
    assert clicks_of(link) == 2


def test_the_clicks_of_a_deleted_game_do_not_stop_the_others(game: Game, link: TrackingLink) -> None:
    other = factories.link(factories.game(), slug="other")
    click("/go/launch")
    click("/go/other")
    other.game.delete()
    assert clicks_of(link) == 1
    assert LinkCount.objects.count() == 1


def test_counts_of_several_processes_add_up(link: TrackingLink) -> None:
    for _ in range(3):
        click("/go/launch")
        counting.save()
    assert clicks_of(link) == 3
    assert LinkCount.objects.count() == 1


def test_an_erasure_deletes_the_clicks_of_the_player_and_keeps_the_counts(game: Game, link: TrackingLink) -> None:
    answer = click("/go/launch?ttclid=E.C.P.abc")
    queue.drain()
    anonymous = Event.objects.get().anonymous_id
    made = erasure.request_erasure(
        game=game, namespace="anonymous", subject=anonymous, requested_by="ada", suppress=False
    )
    for _ in range(3):
        erasure.drain()
    made.refresh_from_db()
    assert (made.state, Event.objects.count(), Touch.objects.count()) == ("done", 0, 0)
    assert clicks_of(link) == 1
    assert answer.cookies["ac_id"].value == anonymous


def test_a_link_stores_clicks_in_its_own_game_only(game: Game, link: TrackingLink) -> None:
    other = factories.link(factories.game(), slug="other")
    click("/go/other")
    assert [event.game_id for event in Event.objects.all()] == [other.game_id]
    assert (clicks_of(link), clicks_of(other)) == (0, 1)


def made(game: Game, **changes: Any) -> TrackingLink:
    slug = changes.pop("slug", "")
    return links.create_link(
        game=game, slug=slug, values=LinkValues(**{"name": "Launch", "destination": STEAM, **changes})
    )


def test_a_slug_is_random_or_chosen_and_unique_in_the_installation(game: Game) -> None:
    assert len(made(game).slug) == 8
    assert made(game, slug=" Launch-1 ").slug == "launch-1"
    with pytest.raises(LinkRefused, match="This slug is taken"):
        made(factories.game(), slug="launch-1")
    assert TrackingLink.objects.count() == 2


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"slug": "-a"}, "slug"),
        ({"slug": "a/b"}, "slug"),
        ({"slug": "a" * 61}, "slug"),
        ({"name": " "}, "name"),
        ({"name": "a" * 81}, "name"),
        ({"utm_source": "a" * 201}, "utm_source"),
        ({"destination": "https://10.0.0.1/"}, "destination"),
    ],
)
def test_a_link_that_is_not_valid_is_refused(game: Game, changes: dict[str, str], field: str) -> None:
    with pytest.raises(LinkRefused) as refused:
        made(game, **changes)
    assert refused.value.field == field
    assert not TrackingLink.objects.exists()


def test_a_change_of_another_version_is_refused(link: TrackingLink) -> None:
    links.change_link(link=link, values=LinkValues(name="New", destination=STEAM), version=1)
    with pytest.raises(links.LinkChanged):
        links.change_link(link=link, values=LinkValues(name="Old", destination=STEAM), version=1)
    link.refresh_from_db()
    assert (link.name, link.version) == ("New", 2)
