"""Shows documents of docs/ in the Hub, for links from its pages."""

from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import Http404, HttpResponse
from django.templatetags.static import static
from django.utils.safestring import mark_safe
from markdown_it import MarkdownIt
from markdown_it.token import Token

from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.models import Membership

# Documents for members of a game, by the name of their file. Others are for those who run the server.
TITLES = {
    "campaigns": "Campaigns, cohorts and costs",
    "contacts": "Emails, phone numbers and traits",
    "goals": "Goals",
    "identity": "Player identity",
    "keys": "API keys",
    "values": "Values and orders",
}
# The pages of networks, docs/networks/<kind>.md, whose first line is the title.
NETWORK_PAGES = {path.stem: path for path in sorted((settings.BASE_DIR / "docs" / "networks").glob("*.md"))}
TITLES |= {name: path.read_text(encoding="utf-8").splitlines()[0].strip("# ") for name, path in NETWORK_PAGES.items()}


@game_view()
def document(request: HubRequest, membership: Membership, name: str) -> HttpResponse:
    if name not in TITLES:
        raise Http404("There is no such document.")
    return page(request, "hub/documents/page.html", membership, title=TITLES[name], text=as_html(name))


@cache
def as_html(name: str) -> str:
    """Return a document as HTML. Its images are served as static files, and its links lead to pages of the Hub."""
    path = NETWORK_PAGES.get(name, settings.BASE_DIR / "docs" / f"{name}.md")
    text = path.read_text(encoding="utf-8")
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(text)
    for token in tokens:
        token.children = _linked(token.children or []) if token.type == "inline" else token.children
    html: str = markdown.renderer.render(tokens, markdown.options, {})
    return mark_safe(html)


def _linked(tokens: list[Token]) -> list[Token]:
    """Return inline tokens with links to other documents of the Hub; links to other files become plain text."""
    shown: list[Token] = []
    has_page: list[bool] = []
    for token in tokens:
        if token.type == "image":
            token.attrs["src"] = static("docs/" + str(token.attrs["src"]).removeprefix("images/"))
        elif token.type == "link_open":
            has_page.append(_point_to_hub(token))
        if token.type not in ("link_open", "link_close") or has_page[-1]:
            shown.append(token)
        if token.type == "link_close":
            has_page.pop()
    return shown


def _point_to_hub(link: Token) -> bool:
    """Set the link's target to the Hub's page of the document; return False if it has none."""
    target: Any = link.attrs["href"]
    file, _, fragment = target.partition("#")
    name = Path(file).stem
    if target.startswith(("https://", "http://", "#")):
        return True
    # The page of another document is a sibling of this one.
    link.attrs["href"] = f"../{name}/" + (f"#{fragment}" if fragment else "")
    return name in TITLES
