"""Every number of a page links to its rows, has an "i" beside it, or is one of those below."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser

from django.test import Client

from audience.models import Game, Role
from tests import hub
from tests.browser import pages, rows

NUMBER = re.compile(r"\d[\d,]*( %)?")
VOID = {"area", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}
# Links, drawings, times, choices and code are no figures. Those of a chart are the figures beside it.
SKIPPED = {"a", "button", "code", "option", "pre", "progress", "script", "style", "svg", "textarea", "time"}
PAGES = (
    *("overview", "overview-30-days", "events", "people", "conversions", "conversions-failed", "integrations"),
    *("integration", "integration-reddit", "comparison", "deliveries", "quality", "alerts"),
)
# What is no figure, or is defined by the words around it.
OTHER = {
    *("td HTTP", "td Latency", "td Attempt"),  # of one call
    "span small muted",  # the day of the month under a chart
    *("td Total", "td Delivered", "td Failed again"),  # of one replay, whose row says the same in a sentence
    *(
        "td On how many",
        "td Coverage",
        "td Worth",
        "td Points",
        "td On all of them",
        "td If on all events",
    ),  # match quality: the text under the table
}
# Numbers in the sentences of a notice, of a score and of a footnote.
SENTENCES = {"notice", "score", "note"}


class Element:
    def __init__(self, tag: str, attrs: dict[str, str], parent: "Element | None") -> None:
        self.tag, self.attrs, self.parent = tag, attrs, parent
        self.children: list[Element] = []
        self.text = ""

    @property
    def classes(self) -> list[str]:
        return self.attrs.get("class", "").split()

    def walk(self) -> Iterator["Element"]:
        yield self
        for child in self.children:
            yield from child.walk()

    @property
    def ancestors(self) -> Iterator["Element"]:
        parent = self.parent
        while parent is not None:
            yield parent
            parent = parent.parent

    @property
    def is_explained(self) -> bool:
        return any("explain" in part.classes for part in self.walk())


class Tree(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = self.open = Element("", {}, None)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, self.open)
        self.open.children.append(element)
        if tag not in VOID:
            self.open = element

    def handle_endtag(self, tag: str) -> None:
        if any(element.tag == tag for element in (self.open, *self.open.ancestors)):
            while self.open.tag != tag and self.open.parent:
                self.open = self.open.parent
            self.open = self.open.parent or self.root

    def handle_data(self, data: str) -> None:
        self.open.text += data


def unexplained(page: str) -> list[str]:
    """Where the numbers without a link and without an "i" are: the label of the cell, or the classes of the element."""
    tree = Tree()
    tree.feed(page)
    return [_place(element) for element in tree.root.walk() if _is_figure(element) and not _has_definition(element)]


def _is_figure(element: Element) -> bool:
    is_shown = not any(part.tag in SKIPPED or "chart" in part.classes for part in (element, *element.ancestors))
    return is_shown and bool(NUMBER.fullmatch(" ".join(element.text.split())))


def _has_definition(element: Element) -> bool:
    for part in (element, *element.ancestors):
        if SENTENCES & set(part.classes):
            return True
        if part.tag == "td":
            return _head(part).is_explained
        if part.tag in {"li", "dd"} or "step" in part.classes:
            block = part.parent if part.tag == "dd" and part.parent else part
            return block.is_explained
    return False


def _head(cell: Element) -> Element:
    """The head of the column of a cell."""
    table = next(part for part in cell.ancestors if part.tag == "table")
    heads = [part for part in table.walk() if part.tag == "th"]
    row = cell.parent
    assert row is not None
    return heads[[part for part in row.children if part.tag == "td"].index(cell)]


def _place(element: Element) -> str:
    for part in (element, *element.ancestors):
        if name := part.attrs.get("data-label") or part.attrs.get("id") or part.attrs.get("class"):
            return f"{part.tag} {name}"
    return element.tag


def test_every_number_has_a_link_or_a_definition(game: Game) -> None:
    rows.fill(game)
    client: Client = hub.member(game, Role.ADMIN)
    urls = pages.hub(game)
    found: dict[str, set[str]] = {}
    for name in PAGES:
        if places := set(unexplained(client.get(urls[name]).content.decode())) - OTHER:
            found[name] = places
    assert found == {}
