"""The web pixel on a studio's pages: what it sends, and that each message is stored once, also after faults."""

import json
import time
from itertools import pairwise

import pytest
from playwright.sync_api import Browser, BrowserContext

from audience.digest import queue
from audience.models import Event, Person, Touch
from audience.pixel import script
from tests import chromium
from tests.browser.studio import Studio, paths, stored, times_sent, until, watched
from tests.browser.studio import site as site
from tests.browser.studio import visitor as visitor

VISITS = 10_000
# 20 ms on a machine that does nothing else. Those that run the tests do, and are up to three times slower.
MAX_SCRIPT_MS = 5 * 20
QUEUED = "() => Object.keys(localStorage).filter((name) => name.startsWith('ac_q.')).length"


# What is sent -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("proxied", [False, True], ids=["cross-origin", "proxied"])
@pytest.mark.parametrize("tag", [False, True], ids=["snippet", "tag"])
def test_a_landing_page_is_stored_as_an_ad_click(
    visitor: BrowserContext, site: Studio, proxied: bool, tag: bool
) -> None:
    site.install(proxied=proxied, tag=tag, consent="full")
    visitor.add_cookies([{"name": "_ttp", "value": "ttp-7", "url": site.site}])
    page = visitor.new_page()
    page.goto("/play?TTCLID=E.C.P.a%2Bb&utm_source=tiktok&utm_campaign=Launch+day&email=anna@example.com&sid=1")
    (event,) = stored(page, 1)
    cookie = {one["name"]: one for one in visitor.cookies()}["ac_id"]

    expected = f"{site.site}/play?TTCLID=E.C.P.a%2Bb&utm_source=tiktok&utm_campaign=Launch+day"
    assert event.context["page_url"] == expected
    assert event.context["page_title"] == "/play"
    assert event.context["cookies"] == {"_ttp": "ttp-7"}
    assert event.context["library"] == "afterclick-web"
    assert event.context["consent"] == {"source": "configuration"}
    assert event.context["user_agent"].startswith("Mozilla/5.0")
    assert event.context["ip"] == "127.0.0.1"
    assert (event.kind, event.consent_level, event.user_id) == ("page", "full", "")
    assert event.anonymous_id == cookie["value"]
    assert "anna" not in json.dumps(event.raw)
    queue.drain()
    touch = Touch.objects.get()
    assert (touch.network, touch.parameter, touch.click_id) == ("tiktok", "ttclid", "E.C.P.a+b")
    assert touch.campaign == {"utm_source": "tiktok", "utm_campaign": "Launch day"}
    assert touch.browser_id == "ttp-7"


def test_a_request_needs_no_preflight(visitor: BrowserContext, site: Studio) -> None:
    page = visitor.new_page()
    page.goto("/")
    stored(page, 1)
    (request,) = site.batches()
    assert (request.method, request.headers["Content-Type"]) == ("POST", "text/plain;charset=UTF-8")
    assert {request.method for request in site.requests} == {"GET", "POST"}
    assert "Cookie" not in request.headers


def test_each_page_of_a_single_page_application_is_sent_once(visitor: BrowserContext, site: Studio) -> None:
    page = visitor.new_page()
    page.goto("/?gclid=g-1&lang=de")
    stored(page, 1)
    page.evaluate("history.replaceState({}, '', '/?lang=de')")  # no other page
    page.wait_for_timeout(100)
    page.evaluate("history.pushState({}, '', '/shop')")
    page.wait_for_timeout(100)
    page.evaluate("history.pushState({}, '', '/shop')")  # no other page
    page.evaluate("history.replaceState({}, '', '/shop#top')")  # no other page
    page.wait_for_timeout(100)
    page.evaluate("history.go(-2)")
    events = stored(page, 3)
    assert paths(events) == ["?gclid=g-1", "shop", ""]
    assert [event.context.get("page_referrer", "") for event in events][1] == f"{site.site}/?gclid=g-1"


def test_history_is_wrapped_where_there_is_no_navigation_api(visitor: BrowserContext, site: Studio) -> None:
    visitor.add_init_script("delete window.navigation; Object.defineProperty(window, 'navigation', {value: undefined})")
    page = visitor.new_page()
    page.goto("/?gclid=g-1")
    stored(page, 1)
    for change in ("replaceState({}, '', '/')", "pushState({}, '', '/shop')", "back()"):
        page.evaluate(f"history.{change}")
        page.wait_for_timeout(150)
    assert paths(stored(page, 3)) == ["?gclid=g-1", "shop", ""]


def test_two_ad_clicks_in_one_tab_are_two_clicks(visitor: BrowserContext, site: Studio) -> None:
    page = visitor.new_page()
    page.goto("/?ttclid=E.C.P.first")
    page.goto("/?ttclid=E.C.P.second")
    stored(page, 2)
    page.evaluate("history.pushState({}, '', '/?rdt_cid=third')")
    stored(page, 3)
    queue.drain()
    assert sorted(Touch.objects.values_list("click_id", flat=True)) == ["E.C.P.first", "E.C.P.second", "third"]
    assert Person.objects.count() == 1


def test_buttons_forms_and_outbound_links_are_sent_by_name_only(visitor: BrowserContext, site: Studio) -> None:
    page = visitor.new_page()
    page.goto("/")
    stored(page, 1)
    page.evaluate("document.addEventListener('click', (e) => e.target.id === 'store' && e.preventDefault())")
    page.click("#play")
    page.click("#store")
    page.click("#form button")
    page.wait_for_url("**/thanks?*")
    events = [event for event in stored(page, 5) if event.kind == "track"]
    assert [(event.name, event.properties) for event in events] == [
        ("play_clicked", {"element": "button"}),
        ("outbound_link_clicked", {"host": "store.example:9", "path": "/app/7"}),
        ("newsletter_sent", {"element": "form"}),
    ]
    texts = json.dumps([event.raw for event in Event.objects.all()])
    assert "player" not in texts
    assert "secret" not in texts


def test_automatic_events_can_be_disabled(visitor: BrowserContext, site: Studio) -> None:
    site.install(consent="full", pages="0", links="0")
    page = visitor.new_page()
    page.goto("/")
    page.evaluate("document.addEventListener('click', (e) => e.target.id === 'store' && e.preventDefault())")
    page.click("#store")
    page.evaluate("history.pushState({}, '', '/shop')")
    page.evaluate("afterclick('track', 'own_event', {level: 3})")
    (event,) = stored(page, 1)
    assert (event.name, event.properties) == ("own_event", {"level": 3})


def test_calls_before_the_script_has_loaded_are_kept(visitor: BrowserContext, site: Studio) -> None:
    site.head += "<script>afterclick('identify', 7, {email: 'anna@example.com'}); afterclick('track', 'early')</script>"
    site.policy = ""
    page = visitor.new_page()
    page.goto("/")
    events = {event.kind: event for event in stored(page, 3)}
    assert (events["identify"].user_id, events["identify"].traits) == ("7", {"email": "anna@example.com"})
    assert (events["track"].name, events["track"].user_id) == ("early", "7")


# Delivery ---------------------------------------------------------------------------------------------------------


def test_nothing_is_lost_when_a_page_is_closed_while_the_server_is_unavailable(
    visitor: BrowserContext, site: Studio
) -> None:
    site.fault = 503
    page = visitor.new_page()
    page.goto("/?ttclid=E.C.P.1")
    page.wait_for_timeout(200)
    page.evaluate("history.pushState({}, '', '/shop')")
    page.wait_for_timeout(100)
    page.evaluate("afterclick('track', 'last_words')")
    page.close(run_before_unload=False)
    assert Event.objects.count() == 0
    site.fault = 0
    page = visitor.new_page()
    page.goto("/back")
    events = stored(page, 4)
    assert [event.name or path for event, path in zip(events, paths(events), strict=True)] == [
        *("?ttclid=E.C.P.1", "shop", "last_words", "back")
    ]
    assert len({event.anonymous_id for event in events}) == 1
    assert set(times_sent(site).values()) == {1}
    until(page, lambda: page.evaluate(QUEUED) == 0)


def test_messages_of_the_last_moment_are_sent_while_the_page_is_closed(visitor: BrowserContext, site: Studio) -> None:
    page = visitor.new_page()
    page.goto("/")
    stored(page, 1)
    page.evaluate("afterclick('track', 'last_words'); location.href = 'about:blank'")
    assert [event.name for event in stored(page, 2)] == ["", "last_words"]


def test_many_messages_at_once_are_sent_in_batches_below_the_limit_of_browsers(
    visitor: BrowserContext, site: Studio
) -> None:
    page = visitor.new_page()
    page.goto("/")
    stored(page, 1)
    many = "for (let i = 0; i < 200; i++) afterclick('track', 'burst', {i, text: 'ü'.repeat(300)})"
    page.evaluate(f"{many}; location.href = 'about:blank'")
    page.wait_for_timeout(500)
    assert Event.objects.count() > 50  # before any other page
    page.goto("/again")
    events = stored(page, 202)
    assert sorted(event.properties["i"] for event in events if event.name == "burst") == list(range(200))
    assert max(int(request.headers["Content-Length"]) for request in site.batches()) < 60 * 1024


def test_two_tabs_do_not_send_each_others_messages(visitor: BrowserContext, site: Studio) -> None:
    site.fault = 503
    first, second = visitor.new_page(), visitor.new_page()
    first.goto("/first")
    second.goto("/second")
    first.wait_for_timeout(300)
    first.evaluate("afterclick('track', 'one')")
    second.evaluate("afterclick('track', 'two')")
    first.wait_for_timeout(300)
    site.fault = 0
    third = visitor.new_page()
    third.goto("/third")
    stored(first, 5)
    assert set(times_sent(site).values()) == {1}


def test_the_wait_that_the_server_states_is_kept_also_by_the_next_page(visitor: BrowserContext, site: Studio) -> None:
    site.faults, site.retry_after = [503, 503], "2"
    page = visitor.new_page()
    page.goto("/")
    until(page, lambda: len(site.batches()) == 1)
    page.wait_for_timeout(1_000)
    start = time.monotonic()
    page.goto("/next")
    until(page, lambda: len(site.batches()) == 2)
    assert time.monotonic() - start > 0.5
    page.wait_for_timeout(1_000)
    assert len(site.batches()) == 2
    stored(page, 2)


@pytest.mark.parametrize("status", [408, 429, 500, 502])
def test_a_transient_refusal_is_retried(visitor: BrowserContext, site: Studio, status: int) -> None:
    site.faults = [status]
    page = visitor.new_page()
    page.goto("/")
    stored(page, 1)
    assert [request.status for request in site.batches()] == [status, 200]


@pytest.mark.parametrize("status", [400, 401, 403, 413])
def test_a_permanent_refusal_is_not_retried(visitor: BrowserContext, site: Studio, status: int) -> None:
    site.faults = [status]
    page = visitor.new_page()
    page.goto("/refused")
    until(page, lambda: len(site.batches()) == 1)
    page.wait_for_timeout(1_500)
    page.goto("/next")
    assert paths(stored(page, 1)) == ["next"]


def test_a_page_from_the_back_forward_cache_is_a_page_view(browser: Browser, site: Studio) -> None:
    cached = browser.browser_type.launch(
        executable_path=chromium.CHROMIUM, args=chromium.FLAGS, ignore_default_args=["--disable-back-forward-cache"]
    )
    with watched(cached.new_context(base_url=site.site)) as context:
        page = context.new_page()
        page.goto("/one")
        page.evaluate("window.addEventListener('pageshow', (e) => { window.restored = e.persisted })")
        stored(page, 1)
        page.goto("/two")
        stored(page, 2)
        page.evaluate("history.back()")
        page.wait_for_url("**/one", wait_until="commit")
        assert page.evaluate("window.restored") is True
        assert paths(stored(page, 3)) == ["one", "two", "one"]
        page.evaluate("afterclick('track', 'still_here')")
        assert stored(page, 4)[-1].name == "still_here"
    cached.close()


def test_each_of_ten_thousand_visits_is_stored_once(visitor: BrowserContext, site: Studio) -> None:
    site.install(consent="full", pages="0")
    site.faults = [503 if number % 20 == 0 else 429 if number % 30 == 0 else 0 for number in range(1, 200)]
    page = visitor.new_page()
    page.goto("/")
    page.wait_for_function("window.afterclick.on")
    visit = "for (let i = %d; i < %d; i++) { afterclick('page', 'visit', {i}); afterclick('reset') }"
    for start in range(0, VISITS, 400):
        page.evaluate(visit % (start, start + 400))
        until(page, lambda end=start + 400: Event.objects.count() >= end)  # type: ignore[misc]
    events = Event.objects.values_list("message_id", "anonymous_id", "properties__i")
    assert sorted(number for _, _, number in events) == list(range(VISITS))
    assert len({message for message, _, _ in events}) == len({visitor for _, visitor, _ in events}) == VISITS


def test_the_main_thread_is_blocked_for_a_few_milliseconds(browser: Browser, site: Studio) -> None:
    site.head, code = "", script.current().content.decode()
    measured = []
    for _ in range(10):
        with watched(browser.new_context(base_url=site.site, bypass_csp=True)) as context:
            page = context.new_page()
            page.goto("/")
            measured.append(
                page.evaluate(
                    """([code, key]) => {
                        const script = document.createElement("script")
                        script.text = code
                        script.dataset.key = key
                        script.dataset.consent = "full"
                        const start = performance.now()
                        document.head.append(script)
                        afterclick("track", "first")
                        return performance.now() - start
                    }""",
                    [code, site.key],
                )
            )
    assert min(measured) < MAX_SCRIPT_MS, measured


# Identity ---------------------------------------------------------------------------------------------------------


def test_two_people_on_one_browser_are_two_players(visitor: BrowserContext, site: Studio) -> None:
    page = visitor.new_page()
    page.goto("/")
    page.evaluate("afterclick('identify', 'anna'); afterclick('track', 'played')")
    stored(page, 3)
    page.evaluate("afterclick('reset'); afterclick('track', 'between'); afterclick('identify', 'ben')")
    stored(page, 5)
    page.goto("/later")
    events = stored(page, 6)
    users = {
        event.anonymous_id: {one.user_id for one in events if one.anonymous_id == event.anonymous_id}
        for event in events
    }
    assert sorted(map(sorted, users.values())) == [["", "anna"], ["", "ben"]]
    queue.drain()
    assert Person.objects.count() == 2


def test_the_server_sets_the_cookies_of_the_id_where_it_is_proxied(visitor: BrowserContext, site: Studio) -> None:
    site.install(proxied=True, consent="full")
    page = visitor.new_page()
    page.goto("/")
    (event,) = stored(page, 1)
    until(page, lambda: len(visitor.cookies()) == 2)
    cookies = {cookie["name"]: cookie for cookie in visitor.cookies()}
    assert {name: (one["value"], one["httpOnly"], one["sameSite"]) for name, one in cookies.items()} == {
        "ac_id": (event.anonymous_id, False, "Lax"),
        "ac_twin": (event.anonymous_id, True, "Lax"),
    }
    assert [round((one["expires"] - time.time()) / 86_400) for one in cookies.values()] == [400, 400]
    # As Safari does after seven days with cookies that a script has set.
    page.evaluate("document.cookie = 'ac_id=; path=/; max-age=0'")
    page.goto("/later")
    assert {one.anonymous_id for one in stored(page, 2)} == {event.anonymous_id}
    page.evaluate("afterclick('reset'); afterclick('track', 'next_person')")
    after = stored(page, 3)[-1]
    assert after.anonymous_id != event.anonymous_id
    until(page, lambda: {cookie["value"] for cookie in visitor.cookies()} == {after.anonymous_id})


def test_a_reset_before_the_id_is_known_starts_a_new_visitor(visitor: BrowserContext, site: Studio) -> None:
    """The cookie that only the server reads has the id of the last person."""
    site.install(proxied=True, consent="full")
    site.id_seconds = 1
    visitor.add_cookies([{"name": "ac_twin", "value": "last-person-7", "url": site.site}])
    page = visitor.new_page()
    page.goto("/")
    page.wait_for_function("window.afterclick.on")
    page.evaluate("afterclick('reset'); afterclick('track', 'next_person')")
    first, second = stored(page, 2)
    assert (first.anonymous_id, second.name) == ("last-person-7", "next_person")
    assert second.anonymous_id != "last-person-7"
    until(page, lambda: {cookie["value"] for cookie in visitor.cookies()} == {second.anonymous_id})


def test_a_reset_before_the_consent_keeps_the_events_apart(visitor: BrowserContext, site: Studio) -> None:
    site.install(consent="wait")
    visitor.add_cookies([{"name": "ac_id", "value": "last-person-7", "url": site.site}])
    page = visitor.new_page()
    page.goto("/")
    page.wait_for_function("window.afterclick.on")
    page.evaluate("afterclick('identify', 'anna'); afterclick('reset'); afterclick('track', 'next_person')")
    page.wait_for_timeout(200)
    assert [cookie["value"] for cookie in visitor.cookies()] == ["last-person-7"]
    page.evaluate("afterclick('consent', 'full')")
    *before, after = stored(page, 3)
    assert {event.anonymous_id for event in before} == {"last-person-7"}
    assert (after.name, after.user_id, after.anonymous_id == "last-person-7") == ("next_person", "", False)


def test_a_withdrawal_after_a_reset_is_one_of_the_id_that_the_browser_had(
    visitor: BrowserContext, site: Studio
) -> None:
    site.install(consent="wait")
    visitor.add_cookies([{"name": "ac_id", "value": "last-person-7", "url": site.site}])
    page = visitor.new_page()
    page.goto("/")
    page.wait_for_function("window.afterclick.on")
    page.evaluate("afterclick('reset'); afterclick('consent', 'none')")
    (event,) = stored(page, 1)
    assert (event.anonymous_id, event.consent_level) == ("last-person-7", "none")


def test_the_cookie_of_the_server_is_not_replaced_by_one_of_the_script(visitor: BrowserContext, site: Studio) -> None:
    """Safari keeps the latter for seven days only."""
    site.install(proxied=True, consent="full")
    visitor.add_init_script(
        """
        const {get, set} = Object.getOwnPropertyDescriptor(Document.prototype, "cookie")
        window.written = []
        Object.defineProperty(document, "cookie", {
          get: () => get.call(document), set(value) { written.push(value); set.call(document, value) },
        })
        """
    )
    page = visitor.new_page()
    page.goto("/")
    (event,) = stored(page, 1)
    assert page.evaluate("window.written") == []
    assert {cookie["value"] for cookie in visitor.cookies()} == {event.anonymous_id}


def test_a_full_storage_does_not_bring_an_earlier_player_back(visitor: BrowserContext, site: Studio) -> None:
    page = visitor.new_page()
    page.goto("/")
    page.evaluate("afterclick('identify', 'anna')")
    stored(page, 2)
    page.evaluate("void (Storage.prototype.setItem = () => { throw new Error('QuotaExceededError') })")
    page.evaluate("afterclick('identify', 'ben'); afterclick('track', 'played')")
    assert [event.user_id for event in stored(page, 4)] == ["", "anna", "ben", "ben"]


@pytest.mark.parametrize("status", [0, 500])
def test_without_the_route_of_the_id_messages_are_sent_with_a_new_one(
    visitor: BrowserContext, site: Studio, status: int
) -> None:
    site.install(proxied=True, consent="full")
    visitor.route("**/s/id", lambda route: route.fulfill(status=status, body="<h1>") if status else route.abort())
    page = visitor.new_page()
    page.goto("/")
    (event,) = stored(page, 1)
    assert [cookie["value"] for cookie in visitor.cookies()] == [event.anonymous_id]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("imtbl_anon_id", "11111111-1111-4111-8111-111111111111", "11111111-1111-4111-8111-111111111111"),
        ("ajs_anonymous_id", "%2222222222-2222-4222-8222-222222222222%22", "22222222-2222-4222-8222-222222222222"),
        ("rl_anonymous_id", "RS_ENC_v3_IjMzMzMzMzMzLTMzMzMi", "33333333-3333"),
    ],
)
def test_the_id_of_another_pixel_is_adopted(
    visitor: BrowserContext, site: Studio, name: str, value: str, expected: str
) -> None:
    visitor.add_cookies([{"name": name, "value": value, "url": site.site}])
    page = visitor.new_page()
    page.goto("/")
    assert stored(page, 1)[0].anonymous_id == expected


def test_a_visitor_who_blocks_storage_is_measured_for_one_page(visitor: BrowserContext, site: Studio) -> None:
    visitor.add_init_script("Object.defineProperty(window, 'localStorage', {get() { throw new Error('blocked') }})")
    site.faults = [503]
    page = visitor.new_page()
    page.goto("/")
    stored(page, 1)


def test_consecutive_requests_of_a_tab_do_not_overlap(visitor: BrowserContext, site: Studio) -> None:
    page = visitor.new_page()
    page.goto("/")
    for number in range(5):
        page.evaluate(f"afterclick('track', 'step', {{number: {number}}})")
        page.wait_for_timeout(30)
    events = stored(page, 6)
    assert all(one.event_at <= other.event_at for one, other in pairwise(events))
    assert set(times_sent(site).values()) == {1}
