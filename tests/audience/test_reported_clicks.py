"""Clicks as the SDKs of RudderStack, Segment and Immutable report them: which one a purchase is attributed to."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from audience.games.keys import NewKey, create_key
from audience.models import Conversion, Dialect, Game
from tests.audience import immutable
from tests.audience.wire import digest, post

pytestmark = pytest.mark.django_db
LONG = "https://g.example/?utm_content=" + "x" * 2017
CUT_ID = "E.C.P.abcdefghijklmnopqrstuvwxyz0123456789"


def ago(minutes: float) -> str:
    return (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat()


@pytest.fixture
def rudderstack(game: Game) -> NewKey:
    return create_key(game=game, name="rudderstack", dialect=Dialect.RUDDERSTACK)


def visit(url: str, minutes: float = 10, **fields: Any) -> tuple[str, dict[str, Any]]:
    return "/v1/page", {"userId": "u", "timestamp": ago(minutes), "context": {"page": {"url": url}}, **fields}


def bought(**fields: Any) -> tuple[str, dict[str, Any]]:
    properties = {"value": 9.99, "currency": "USD"}
    return "/v1/track", {"event": "purchase", "userId": "u", "timestamp": ago(1), "properties": properties, **fields}


def winner(key: NewKey, *calls: tuple[str, dict[str, Any]]) -> str:
    """Send and digest the calls; return the click id that the purchase is attributed to, else the reason."""
    for path, body in calls:
        assert post(path, body, key).status_code == 200
    digest()
    conversion = Conversion.objects.select_related("touch").get(trigger="purchase")
    return conversion.touch.click_id if conversion.touch else conversion.reason


def test_an_unfilled_macro_does_not_win_over_a_real_click(rudderstack: NewKey) -> None:
    real = visit("https://g.example/?rdt_cid=5185847163480834048", 60)
    unfilled = [visit(f"https://g.example/?{text}") for text in ("ttclid=__CLICKID__", "gclid=%7Bgclid%7D")]

    assert winner(rudderstack, real, *unfilled, visit("https://g.example/?ttclid=undefined"), bought()) == (
        "5185847163480834048"
    )


@pytest.mark.parametrize("macro", ["__CLICKID__", "null", "undefined", "{{ttclid}}", "{{CLICK_ID}}"])
def test_an_unfilled_macro_alone_is_no_click(rudderstack: NewKey, macro: str) -> None:
    page = {"page": {"url": f"https://g.example/?ttclid={macro}"}}

    assert winner(rudderstack, bought(context=page)) == "no_click"


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/page", {"properties": {"url": "https://g.example/?ttclid=E.C.P.1", "path": "/"}}),
        ("/v1/screen", {"name": "Shop", "properties": {"url": "https://g.example/?ttclid=E.C.P.1"}}),
        ("/v1/track", {"event": "Deep Link Opened", "properties": {"url": "mygame://open?ttclid=E.C.P.1"}}),
        ("/v1/page", {"context": {"page": {"url": "https://g.example/", "search": "?ttclid=E.C.P.1"}}}),
        ("/v1/page", {"context": {"page": {"url": "https://g.example/?utm_source=news&amp;ttclid=E.C.P.1"}}}),
        ("/v1/page", {"context": {"page": {"url": "https://g.example/?ref=7?ttclid=E.C.P.1"}}}),
        ("/v1/page", {"context": {"page": {"url": "https://g.example/#/shop?ttclid=E.C.P.1"}}}),
        ("/v1/page", {"context": {"pageUrl": "https://g.example/?ttclid=E.C.P.1"}}),
        ("/v1/track", {"event": "opened", "context": {"installReferrer": "utm_source=apps&ttclid=E.C.P.1"}}),
        ("/v1/track", {"event": "opened", "properties": {"TTCLID": "E.C.P.1"}}),
    ],
)
def test_a_click_is_seen_wherever_the_sdk_puts_its_url(rudderstack: NewKey, path: str, fields: dict[str, Any]) -> None:
    assert winner(rudderstack, (path, {"userId": "u", "timestamp": ago(10), **fields}), bought()) == "E.C.P.1"


def test_a_click_id_beyond_character_2048_of_its_url_is_whole(rudderstack: NewKey) -> None:
    assert winner(rudderstack, bought(context={"page": {"url": f"{LONG}&ttclid={CUT_ID}"}})) == CUT_ID
    touch = Conversion.objects.get().touch
    assert touch is not None
    assert touch.page_url == ""


def test_the_cookie_and_the_address_of_the_second_page_are_the_clicks(rudderstack: NewKey) -> None:
    url = "https://g.example/?ttclid=E.C.P.1"
    context = {"page": {"url": url}, "ip": "203.0.113.7", "userAgent": "Mozilla/5.0"}
    second = visit(url, 55, properties={"_ttp": "COOKIE"}, context=context)

    assert winner(rudderstack, visit(url, 60), second, bought()) == "E.C.P.1"
    touch = Conversion.objects.get().touch
    assert touch is not None
    assert (touch.cookies, touch.ip, touch.user_agent) == ({"_ttp": "COOKIE"}, "203.0.113.7", "Mozilla/5.0")


def test_the_install_referrer_of_the_unity_sdk_is_a_click(key: NewKey) -> None:
    referrer = "utm_source=tiktok&utm_medium=cpc&ttclid=E.C.P.1"
    immutable.digest(
        key,
        immutable.message(
            eventName="install_referrer_received",
            userId=immutable.ABSENT,
            anonymousId="a-1",
            eventTimestamp=immutable.ago(minutes=30),
            properties={"install_referrer": referrer},
        ),
        immutable.launch(immutable.ABSENT, anonymousId="a-1"),
    )

    touch = Conversion.objects.get().touch
    assert touch is not None
    assert (touch.click_id, touch.campaign) == ("E.C.P.1", {"utm_source": "tiktok", "utm_medium": "cpc"})
