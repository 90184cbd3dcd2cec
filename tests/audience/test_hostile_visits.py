"""Hostile addresses of tracking links and claim pages: they are answered, and what is stored can be processed."""

import json

import pytest
from django.test import Client

from audience.digest import queue
from audience.games.keys import NewKey
from audience.intake.links import lookup, pace
from audience.models import Batch, BatchState, Event, FailedWork, Game, Touch
from tests import factories, hub
from tests.audience.wire import basic

pytestmark = pytest.mark.django_db(transaction=True)
AGENT = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0"
HOSTILE = [
    "utm_campaign=a%00b",
    "utm_campaign=%ff%fe",
    "utm_campaign=%ED%A0%80",
    "utm_campaign=%0d%0aSet-Cookie:%20a=b",
    "utm_campaign=<script>alert(1)</script>",
    "utm_campaign=%E2%80%AE%E2%80%AEgnirts",
    "utm_campaign={{campaign.name}}",
    "utm_campaign==cmd|' /C calc'!A0",
    "utm_campaign=" + "a" * 3_000,
    "utm_campaign=a&utm_campaign=b",
    "&&&===&?&#&",
    "ad_id=" + "%F0%9F%8E%AE" * 50,
    "a=b&" * 900,
]


@pytest.fixture(autouse=True)
def _own_state(game: Game) -> None:
    lookup.clear_link_cache()
    pace.forget()
    factories.link(game, slug="launch")
    Game.objects.update(joins=["steam"])


def processed() -> list[str]:
    """Process the events; return the click ids of the touches."""
    queue.drain()
    assert not Batch.objects.exclude(state=BatchState.DONE).exists()
    assert not FailedWork.objects.exists()
    return list(Touch.objects.order_by("click_id").values_list("click_id", flat=True))


@pytest.mark.long
@pytest.mark.parametrize("query", HOSTILE)
@pytest.mark.parametrize("path", ["/go/launch", "/claim/sky-raiders/", "/claim/sky-raiders/steam/"])
def test_a_hostile_query_is_answered_and_processed(game: Game, path: str, query: str) -> None:
    headers = {"User-Agent": AGENT, "Referer": "https://site.example/\x7f<b>"}
    answer = Client().get(f"{path}?ttclid=E.C.P.1&{query}", headers=headers)
    assert answer.status_code in (200, 302)
    assert b"<script>alert" not in answer.content
    assert "\n" not in answer.headers.get("Location", "")
    assert "a" not in answer.cookies
    assert processed() == ["E.C.P.1"]
    event = Event.objects.get()
    for page in (f"/g/{game.slug}/events/{event.day}/{event.pk}/", f"/g/{game.slug}/events/"):
        shown = hub.signed_in(hub.user(f"root-{page.count('/')}", is_superuser=True)).get(page)
        assert shown.status_code == 200
        assert b"<script>alert" not in shown.content


@pytest.mark.parametrize(
    "cookie", ["ac_id=" + "a" * 5_000, "ac_id=%00", 'ac_id="; ac_twin="', "ac_id=../../x; ac_twin=<script>", "ac_id"]
)
def test_a_hostile_cookie_is_replaced(cookie: str) -> None:
    for path in ("/go/launch", "/claim/sky-raiders/"):
        answer = Client().get(f"{path}?ttclid=E.C.P.1", headers={"User-Agent": AGENT, "Cookie": cookie})
        assert len(answer.cookies["ac_id"].value) == 36
    assert processed() == ["E.C.P.1", "E.C.P.1"]


@pytest.mark.parametrize(
    "consent",
    [
        {"tcf": "x" * 20_000},
        {"items": {"a": 1}, "keys": [], "source": {"a": 1}, "": None},
        {"source": "\u0000\ud83c", "gpp": ["DBABL"], "gdpr": {}, "ad_user_data": "<b>"},
        [["source", "tcf"]],
        "tcf",
        {"a": {"b": {"c": {"d": {"e": [{}] * 100}}}}},
    ],
)
def test_hostile_evidence_is_processed_and_its_pages_open(game: Game, key: NewKey, consent: object) -> None:
    context = {"library": {"name": "afterclick-web"}, "page": {"url": "https://g.example/?ttclid=1-x"}}
    message: dict[str, object] = {
        "type": "page",
        "messageId": "m-1",
        "anonymousId": "browser-7",
        "consentLevel": "full",
    }
    message |= {"context": {**context, "consent": consent}}
    body = json.dumps({"batch": [message]})
    answer = Client().post("/v1/batch", body, "application/json", headers=basic(key.value))
    assert answer.status_code == 200
    assert processed() == ["1-x"]
    client = hub.signed_in(hub.user("root", is_superuser=True))
    for page in ("pixel/", "privacy/?q=browser-7", "events/"):
        assert client.get(f"/g/{game.slug}/{page}").status_code == 200
