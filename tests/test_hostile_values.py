"""Values that are made to take long or to fail: readers of clicks and contacts return at once, and raise nothing."""

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from audience.digest import queue
from audience.digest.clicks import read_with_unfilled
from audience.games.keys import NewKey, create_key
from audience.models import Dialect, Event, Game, Touch
from postbacks.networks.interface import contacts
from postbacks.outbox.contact_facts import read_contacts
from postbacks.outbox.personal_facts import read_personal
from tests.audience.wire import post

MAX_SECONDS = 3.0  # of all values of a test, which take tenths of one on a busy machine
LENGTH = 64 * 1024


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    started = time.process_time()
    yield
    assert time.process_time() - started < MAX_SECONDS


def encoded(text: str, times: int) -> str:
    for _ in range(times):
        text = quote(text, safe="")
    return text


URLS = [
    *(f"https://g.example/?{'a' * LENGTH}", f"https://g.example/?ttclid={'a' * LENGTH}"),
    "https://g.example/?" + "&".join(f"p{number}={number}" for number in range(10_000)),
    *(
        piece * (16_384 // len(piece))
        for piece in ("&", "&amp;", "&amp;amp;", "#", "?", "=", "%3D", "%", "%25", "\0", "[")
    ),
    *(f"?ttclid={piece * (16_000 // len(piece))}!" for piece in ("__", "[", "<", "%%", "%1$", "$", "@", "{", "w", "(")),
    *(f"?ttclid={start}{'w' * 16_000}!" for start in ("__", "[", "<", "%%", "$(", "@@", "%1$")),
    *("?" + "&ttclid=__" * 1_600, "?" + "&ttclid=%257B" * 1_200, "?" + "&TtClId=0&utm_source=x" * 700),
    *(f"https://g.example/?u={encoded('https://g.example/?ttclid=T1&a=b c', times)}" for times in (1, 2, 4, 6)),
    *("http://" + "[" * 16_000, f"http://{'a.' * 8_000}/?x=1", "http://[::1" + ":" * 10_000),
]


@pytest.mark.parametrize("where", ["page", "referrer", "properties", "click id", "cookies", "campaign"])
def test_a_click_is_read_in_time_from_any_url(where: str) -> None:
    for url in URLS:
        properties: dict[str, Any] = {
            "properties": dict.fromkeys(("url", "search", "path", "referrer", "deep_link", "landing_page"), url),
            "click id": {"ttclid": url, "utm_source": url},
            "cookies": {"gclid": "G1", "_ttp": url, "cookies": {"_fbp": url}},
            "campaign": {"campaign": {"source": url, "ttclid": url}},
        }.get(where, {})
        context = {"page": {"page_url": url}, "referrer": {"page_url": "https://g.example/", "page_referrer": url}}
        read_with_unfilled(properties=properties, context=context.get(where, {}), name="x" * 256)


def test_a_click_is_read_in_time_among_10_000_properties() -> None:
    many = {f"name-{number}": "x" for number in range(10_000)} | {f"ttclid{'x' * number}": "1" for number in range(99)}
    context = {**many, "campaign": many, "cookies": many, "referrer": many}
    click, _ = read_with_unfilled(properties={**many, "TTCLID": "T1", "cookies": many}, context=context)

    assert click is not None
    assert click.click_id == "T1"


PIECES = (
    '"',
    "(",
    ")",
    "()",
    "<",
    ">",
    "[",
    "\\",
    ":",
    "a:",
    "a:b,",
    "a:b;",
    ",",
    ";",
    "@",
    "<@",
    "a.",
    "-",
    "\u200b",
    " ",
)
PIECES += (
    "a@b,",
    "ü",
    "ü.",
    "+",
    "1",
    "+1(",
    "tel:",
    "ext",
    "x 1 ",
    ";ext=",
    ";phone-context=+",
    "１",
    "\ufdfa",
    "%",
    "mailto:",
)


@pytest.mark.parametrize(
    "form", ["{}", "{}a@g.example", "a@g.example {}", "x {} <a@g.example>", '"{}a@g.example', "+1{}"]
)
def test_a_contact_is_read_in_time_from_any_text(form: str) -> None:
    for piece in PIECES:
        text = form.format(piece * (1_000 // len(piece)))
        person = {
            "email": [text] * 10,
            "phone": [text] * 10,
            "country": "US",
            "address": {"country": text, "zip": text},
        }
        context = {"traits": person, "screen": text, "device": {"advertisingId": text}}
        read_contacts(context, {"em": text, "ph": text}, person)
        read_personal(person, {}, person, context)
        contacts.read_public_address(text * 100)


@pytest.mark.django_db
def test_the_digest_of_such_urls_takes_no_longer(game: Game) -> None:
    key: NewKey = create_key(game=game, name="web", dialect=Dialect.RUDDERSTACK)
    for number, url in enumerate(url[:28_000].replace("\0", "_") for url in URLS):
        context = {"page": {"url": url, "referrer": url[:1_000]}}
        sent = {"userId": f"u-{number}", "properties": {"path": url[:1_000]}, "context": context}
        assert post("/v1/page", sent, key).status_code == 200
    assert queue.drain() == len(URLS) == Event.objects.count()
    assert not Touch.objects.exclude(click_id="T1").filter(click_id__startswith="T").exists()
