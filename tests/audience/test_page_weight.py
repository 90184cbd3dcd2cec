"""The compressed size of a page with its HTML, styles and scripts."""

import gzip
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

from audience.models import Game, Membership, Role
from tests import hub
from tests.browser import pages, rows

MAX_BYTES = 60 * 1024


class _Files(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "link" and given.get("rel") == "stylesheet":
            self.found.add(given["href"])
        if tag == "script" and "src" in given:
            self.found.add(given["src"])


def _packed(url: str) -> int:
    path = finders.find(url.split("?")[0].removeprefix("/static/"))
    assert isinstance(path, str), f"{url} is no file of ours"
    with open(path, "rb") as file:
        return len(gzip.compress(file.read(), 6))


def weight(client: Client, url: str) -> int:
    """Bytes of the page with what it links, each gzipped by itself."""
    html = client.get(url, follow=True).content
    reader = _Files()
    reader.feed(html.decode())
    assert reader.found, url
    return len(gzip.compress(html, 6)) + sum(map(_packed, reader.found))


@pytest.mark.long
def test_a_compressed_page_is_smaller_than_60_kilobytes(game: Game, other_game: Game) -> None:
    rows.fill(game)
    root: Any = hub.user("root", is_superuser=True, is_staff=True)
    Membership.objects.create(game=game, user=root, role=Role.ADMIN)
    client = hub.signed_in(root)
    found = {**pages.hub(game), **pages.account(client), **pages.account(Client())}
    heavy = {name: size for name, url in found.items() if (size := weight(client, url)) >= MAX_BYTES}
    assert heavy == {}
