"""The web pixel in Firefox: the journeys of test_pixel_delivery.py that depend most on the browser."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from audience.digest import queue
from audience.models import Event, Person, Touch
from tests.browser import marionette
from tests.browser.marionette import Firefox
from tests.browser.studio import Studio, paths, times_sent
from tests.browser.studio import site as site

pytestmark = pytest.mark.skipif(not marionette.FIREFOX, reason="Firefox is not installed: apt-get install firefox-esr")


@pytest.fixture
def window(tmp_path: Path) -> Iterator[Firefox]:
    with marionette.firefox(tmp_path) as window:
        yield window


def stored(number: int) -> list[Event]:
    """The events, once there are `number`, after a moment in which no others arrive."""
    until(lambda: Event.objects.count() >= number)
    time.sleep(0.3)
    events = list(Event.objects.order_by("event_at", "pk"))
    assert len(events) == number, [(event.kind, event.name, event.context["page_url"]) for event in events]
    return events


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    assert condition()


@pytest.mark.parametrize("proxied", [False, True], ids=["cross-origin", "proxied"])
def test_a_landing_page_and_pages_of_its_application_are_stored_once(
    window: Firefox, site: Studio, proxied: bool
) -> None:
    site.install(proxied=proxied, consent="full")
    window.goto(f"{site.site}/play?ttclid=E.C.P.first&utm_campaign=Launch+day")
    stored(1)
    window.evaluate("history.pushState({}, '', '/shop?rdt_cid=second')")
    stored(2)
    window.evaluate("history.back()")
    events = stored(3)
    assert paths(events) == [
        "play?ttclid=E.C.P.first&utm_campaign=Launch+day",
        "shop?rdt_cid=second",
        "play?ttclid=E.C.P.first&utm_campaign=Launch+day",
    ]
    assert "Firefox/" in events[0].context["user_agent"]
    assert set(times_sent(site).values()) == {1}
    queue.drain()
    assert sorted(Touch.objects.values_list("click_id", flat=True)) == ["E.C.P.first", "second"]
    assert Person.objects.count() == 1


def test_what_a_closed_page_could_not_send_is_sent_by_the_next_one(window: Firefox, site: Studio) -> None:
    window.goto(f"{site.site}/")
    stored(1)
    site.fault = 503
    window.evaluate("afterclick('track', 'one'); afterclick('track', 'two')")
    until(lambda: bool([request for request in site.batches() if request.status == 503]))
    window.close_window()
    time.sleep(0.3)
    assert Event.objects.count() == 1
    site.fault = 0
    window.goto(f"{site.site}/later")
    events = stored(4)
    assert sorted(event.name for event in events if event.kind == "track") == ["one", "two"]
    assert len({event.anonymous_id for event in events}) == 1
    assert set(times_sent(site).values()) == {1}


def test_without_consent_nothing_is_sent_or_stored(window: Firefox, site: Studio) -> None:
    site.install(consent="none")
    window.goto(f"{site.site}/?ttclid=E.C.P.first")
    window.evaluate("afterclick('track', 'one')")
    time.sleep(0.5)
    assert site.batches() == []
    assert window.evaluate("return [document.cookie, Object.keys(localStorage).length]") == ["", 0]
    window.evaluate("afterclick('consent', 'full')")
    (event,) = stored(1)
    assert (event.kind, event.consent_level) == ("page", "full")
