"""Documents as HTML, by markdown-it-py. HTML in a document is shown as text."""

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.templatetags.static import static
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from mdit_py_plugins.anchors import anchors_plugin

from audience.hub.documents.catalogue import Document, documents

IMAGES = "images/"


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of the second level: the list "On this page"."""

    anchor: str
    text: str


@dataclass(frozen=True, slots=True)
class Rendered:
    html: SafeString
    headings: tuple[Heading, ...]


@cache
def rendered(document: Document) -> Rendered:
    """Return the document without its title."""
    parser, environment = _parser(), {"document": document}
    found = _without_title(tokens(document))
    headings = [
        Heading(str(token.attrs["id"]), plain(found[index + 1]))
        for index, token in enumerate(found)
        if token.type == "heading_open" and token.tag == "h2"
    ]
    html: str = parser.renderer.render(found, parser.options, environment)
    return Rendered(mark_safe(html), tuple(headings))


@cache
def tokens(document: Document) -> Sequence[Token]:
    """Return the parsed document. Its links are relative to the document."""
    return _parser().parse(document.text, {"document": document})


def _without_title(found: Sequence[Token]) -> Sequence[Token]:
    return found[3:] if found and (found[0].type, found[0].tag) == ("heading_open", "h1") else found


def plain(inline: Token) -> str:
    """Return the text of a heading, paragraph or cell without its markup."""
    parts = (child.content if child.content else " " for child in inline.children or () if _is_text(child))
    return " ".join("".join(parts).split())


def _is_text(token: Token) -> bool:
    return token.type in ("text", "code_inline", "softbreak", "hardbreak")


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").use(anchors_plugin, max_level=4)
    parser.core.ruler.push("point_links_to_help", _point_links_to_help)
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", _table_close)
    parser.add_render_rule("fence", _code)
    return parser


def _table_open(renderer: RendererHTML, found: Sequence[Token], index: int, *_: Any) -> str:
    """A wide table scrolls by itself, by the keyboard too. It is named by its first row."""
    cells = []
    for token in found[index:]:
        if token.type == "tr_close":
            break
        cells += [plain(token)] if token.type == "inline" else []
    name = ", ".join(filter(None, cells))
    return format_html('<div class="wide" tabindex="0" role="group" aria-label="Table: {}"><table>\n', name)


def _table_close(*_: Any) -> str:
    return "</table></div>\n"


def _code(renderer: RendererHTML, found: Sequence[Token], index: int, *_: Any) -> str:
    return format_html('<pre tabindex="0" aria-label="Code"><code>{}</code></pre>\n', found[index].content)


def _point_links_to_help(state: StateCore) -> None:
    """Point links and images of a document to pages of /help/ and static files. A link to any other file of the
    repository becomes plain text."""
    document: Document = state.env["document"]
    for token in state.tokens:
        if token.type == "inline":
            token.children = _pointed(token.children or [], document)


def _pointed(children: Sequence[Token], document: Document) -> list[Token]:
    shown: list[Token] = []
    is_link: list[bool] = []
    for token in children:
        if token.type == "image":
            token.attrs["src"] = static("docs/" + str(token.attrs["src"]).removeprefix(IMAGES))
        if token.type == "link_open":
            target = url_of(str(token.attrs["href"]), document)
            token.attrs["href"] = target
            is_link.append(bool(target))
        if token.type not in ("link_open", "link_close") or is_link[-1]:
            shown.append(token)
        if token.type == "link_close":
            is_link.pop()
    return shown


def url_of(target: str, document: Document) -> str:
    """Return the URL of a link's target; '' for a file that is no page of /help/."""
    if target.startswith(("https://", "http://", "#", "/")):
        return target
    file, hash_sign, fragment = target.partition("#")
    name = posixpath.normpath(posixpath.join(posixpath.dirname(document.name), file)).removesuffix(".md")
    if name not in documents():
        return ""
    return reverse("help-page", kwargs={"name": name}) + hash_sign + fragment
