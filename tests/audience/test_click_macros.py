"""Clicks with an unfilled macro: they win nothing, are counted once, shown on the Overview and listed on a page."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audience.digest import queue
from audience.games.keys import NewKey
from audience.hub.events import click_macros, placeholders
from audience.models import Batch, ClickMacroCount, Conversion, Event, Game, Role
from tests import hub
from tests.audience.immutable import ago, click, digest, message, page, purchase

pytestmark = pytest.mark.django_db


def counted() -> list[Any]:
    rows = ClickMacroCount.objects.order_by("-number", "parameter", "value")
    return list(rows.values_list("parameter", "value", "number"))


@pytest.fixture
def viewer(game: Game) -> Client:
    return hub.member(game, Role.VIEWER)


def test_an_unfilled_macro_takes_no_sale_from_the_real_click(key: NewKey) -> None:
    macros = ["ttclid=__CLICKID__", "gclid=%7Bgclid%7D", "ttclid=undefined"]
    digest(
        key,
        page("a-1", "https://mygame.com/?rdt_cid=5185847163480834048", eventTimestamp=ago(minutes=60)),
        *(page("a-1", f"https://mygame.com/?{macro}", eventTimestamp=ago(minutes=30)) for macro in macros),
        purchase("ada", anonymousId="a-1"),
    )

    won = Conversion.objects.select_related("touch").get().touch
    assert won is not None
    assert won.click_id == "5185847163480834048"
    assert counted() == [("gclid", "{gclid}", 1), ("ttclid", "__CLICKID__", 1), ("ttclid", "undefined", 1)]
    assert not ClickMacroCount.objects.exclude(starts_at__minute=0, starts_at__second=0).exists()


def test_each_event_is_counted_once_however_often_it_is_digested(key: NewKey) -> None:
    again = click("a-1", "__CLICKID__")
    digest(key, again, click("a-2", "__CLICKID__"), click("a-3", "T1"))
    digest(key, again)
    Batch.objects.update(state="pending", next_attempt_at=timezone.now())
    queue.drain()

    assert counted() == [("ttclid", "__CLICKID__", 2)]


def test_a_long_value_and_one_with_a_nul_are_counted_as_shown(key: NewKey) -> None:
    digest(key, click("a-1", "{{" + "x" * 80 + "}}"), click("a-1", "{{a%00b}}"))

    assert set(counted()) == {("ttclid", "{{" + "x" * 61 + "…", 1), ("ttclid", "{{a\ufffdb}}", 1)}


def test_a_note_that_a_client_sends_is_dropped(key: NewKey) -> None:
    context = {"library": "x", "libraryVersion": "1", "pageUrl": "https://mygame.com/?ttclid=__CLICKID__"}
    digest(key, page("a-1", context={**context, "_unfilled_macros": {"ttclid": "mine"}}))

    assert counted() == [("ttclid", "__CLICKID__", 1)]
    assert Event.objects.get().context["_unfilled_macros"] == {"ttclid": "__CLICKID__"}


def test_the_overview_says_so_and_links_to_exactly_these_events(game: Game, viewer: Client, key: NewKey) -> None:
    digest(key, *(click(f"a-{number}", "__CLICKID__") for number in range(3)))
    digest(key, page("a-9", "https://mygame.com/?msclkid=%7Bmsclkid%7D"), click("a-1", "T1"))
    digest(key, message(eventName="other"))

    overview = viewer.get(f"/g/{game.slug}/").content.decode()
    assert "3 clicks have an unfilled TikTok macro" in overview
    assert "1 click has an unfilled msclkid macro" in overview
    assert "Check the ad’s URL" in overview
    href = f"/g/{game.slug}/events/?macro=ttclid%3D__CLICKID__"
    assert f'href="{href}"' in overview
    listed = viewer.get(href).content.decode()
    pages = [event.context.get("page_url") for event in Event.objects.all() if f"/{event.day}/{event.pk}/" in listed]
    assert pages == ["https://mygame.com/?ttclid=__CLICKID__"] * 3
    assert "<code>ttclid=__CLICKID__</code>" in listed


def test_a_count_older_than_seven_days_is_neither_shown_nor_listed(game: Game, viewer: Client, key: NewKey) -> None:
    digest(key, click("a-1", "__CLICKID__"))
    earlier = placeholders.period_start() - timedelta(hours=1)
    ClickMacroCount.objects.update(starts_at=earlier)
    Event.objects.update(received_at=earlier)
    event = Event.objects.get()

    assert click_macros.most_frequent(game, limit=3) == []
    listed = viewer.get(f"/g/{game.slug}/events/?macro=ttclid=__CLICKID__").content.decode()
    assert f"/{event.day}/{event.pk}/" not in listed


@pytest.mark.parametrize("text", ["", "ttclid", "ttclid=", "name=x", "=x"])
def test_a_filter_that_is_none_filters_nothing(game: Game, viewer: Client, key: NewKey, text: str) -> None:
    digest(key, message(eventName="other"))

    assert ">other<" in viewer.get(f"/g/{game.slug}/events/", {"macro": text}).content.decode()


def test_the_page_of_an_event_names_the_macro(game: Game, viewer: Client, key: NewKey) -> None:
    digest(key, click("a-1", "__CLICKID__"))
    event = Event.objects.get()

    html = viewer.get(f"/g/{game.slug}/events/{event.day}/{event.pk}/").content.decode()

    assert "<code>ttclid=__CLICKID__</code> is a macro that the ad network did not replace" in html
    assert "_unfilled_macros" not in html
