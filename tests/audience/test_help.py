"""/help/: the documents of docs/ as pages for everybody, their search, their Markdown and /llms.txt."""

import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.test import Client
from django.urls import reverse

from audience.hub.documents import catalogue, page_links, rendering, search
from audience.hub.documents.catalogue import Document
from audience.models import Game, Role
from tests import factories, hub
from tests.browser import pages

NAMES = sorted(catalogue.documents())


class Links(HTMLParser):
    """The targets of links, the sources of images and the ids of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.images: list[str] = []
        self.ids: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.targets += [values["href"]] if tag == "a" else []
        self.images += [values["src"]] if tag == "img" else []
        self.ids += [values["id"]] if "id" in values else []


def read(url: str) -> str:
    answer = Client().get(url)
    assert answer.status_code == 200, url
    return answer.content.decode()


def article(name: str) -> str:
    found = re.search(r"<article.*?</article>", read(f"/help/{name}/"), re.S)
    assert found is not None
    return found[0]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of documents in place of docs/."""
    monkeypatch.setattr(catalogue, "FOLDER", tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_every_document_is_a_page_for_everybody_with_its_title_and_canonical_url(name: str) -> None:
    page, title = unescape(read(f"/help/{name}/")), catalogue.documents()[name].title

    assert f"<title>{title} · Afterclick help</title>" in page
    assert f'<link rel="canonical" href="{settings.PUBLIC_URL}/help/{name}/">' in page
    assert f'<link rel="alternate" type="text/markdown" href="/help/{name}.md">' in page
    assert re.findall(r"<h1.*?>(.*?)</h1>", page) == [title]


@pytest.mark.parametrize("name", NAMES)
def test_every_link_of_a_document_leads_to_a_page_and_a_heading_that_exist(name: str) -> None:
    found = Links(article(name))
    for image in found.images:
        assert finders.find(image.removeprefix(settings.STATIC_URL)) is not None, image
    for target in found.targets:
        if not target.startswith("https://"):
            parts = urlsplit(urljoin(f"/help/{name}/", target))
            page = Links(read(parts.path))
            assert not parts.fragment or unquote(parts.fragment) in page.ids, target


def test_links_between_documents_lead_to_help_pages_and_those_to_other_files_are_plain_text(written: Path) -> None:
    (written / "values.md").write_text(
        "# Values\n\n[id](identity.md#erasure) [X](networks/x.md) [code](../audience/hub/urls.py) [top](#values)\n"
    )
    html = rendering.rendered(Document("values", "Values", "")).html
    assert Links(html).targets == ["/help/identity/#erasure", "/help/networks/x/", "#values"]
    assert "code" in html
    (written / "networks").mkdir()
    (written / "networks" / "x.md").write_text(
        "# X\n\n[values](../values.md) [Meta](meta.md) [runs](../operations.md)\n"
    )
    html = rendering.rendered(Document("networks/x", "X", "")).html
    assert Links(html).targets == ["/help/values/", "/help/networks/meta/"]


def test_html_in_a_document_is_shown_as_text(written: Path) -> None:
    (written / "goals.md").write_text(
        "# Goals\n\n<script>alert(1)</script>\n\nA <b>b</b> `<i>` [x](javascript:alert(1))\n"
    )
    html = rendering.rendered(Document("goals", "Goals of tests", "")).html
    assert "<script" not in html
    assert "<b>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<code>&lt;i&gt;</code>" in html
    assert Links(html).targets == []


@pytest.mark.parametrize("name", NAMES)
def test_every_column_of_a_table_has_a_name(name: str) -> None:
    assert "<th></th>" not in article(name)


def test_headings_have_anchors_and_wide_tables_and_code_scroll_by_keyboard() -> None:
    html = article("keys")
    assert '<h2 id="restrictions">Restrictions</h2>' in html
    table = (
        '<div class="wide" tabindex="0" role="group" aria-label="Table: restriction, compared with, rejection code">'
    )
    assert f"{table}<table>" in html
    assert '<pre tabindex="0" aria-label="Code"><code>' in article("values")


def test_the_document_about_players_shows_three_diagrams() -> None:
    found = re.findall(r'<img src="([^"]+)" alt="[^"]{20,}"', article("identity"))
    files = ["identity-guest.svg", "identity-family.svg", "identity-sign-out.svg"]
    assert found == [f"/static/docs/{file}" for file in files]


@pytest.mark.parametrize("name", ["operations", "nothing", "..", "identity.md", "networks", "networks/../operations"])
def test_other_files_are_no_pages(name: str) -> None:
    for url in (f"/help/{name}/", f"/help/{name}.md"):
        assert Client().get(url).status_code == (200 if url == "/help/identity.md" else 404), url


def test_every_document_for_members_of_a_game_is_in_the_list() -> None:
    for_operators = {"adding-a-dialect", "adding-a-network", "architecture", "operations", "performance"}
    files = {path.relative_to(catalogue.FOLDER).with_suffix("").as_posix() for path in catalogue.FOLDER.rglob("*.md")}
    assert files - for_operators == set(catalogue.documents())


# The index and the search ----------------------------------------------------------------------------------------


def test_the_index_lists_every_document_by_topic() -> None:
    page = unescape(read("/help/"))
    headings = [re.sub("<.*?>", "", each) for each in re.findall(r"<h2 id=.*?</h2>", page)]
    assert headings == ["For marketers", "For backends", "Privacy", "Ad networks"]
    for document in catalogue.documents().values():
        assert page.count(f'href="/help/{document.name}/"') >= 2, document.name
        assert document.summary in page


@pytest.mark.parametrize("name", NAMES)
def test_a_document_is_found_by_its_title_and_by_a_word_of_each_of_its_sections(name: str) -> None:
    document = catalogue.documents()[name]
    assert search.search(document.title)[0].section.document == document
    mine = [section for section in search.sections() if section.document == document]
    assert len(mine) > 1
    for section in mine:
        found = [each.section for each in search.search(f"{document.title} {section.heading}")]
        assert section in found, section.heading


def test_a_result_has_the_sentence_with_the_word_and_the_anchor_of_its_section() -> None:
    page = read("/help/?q=half+to+even")
    assert '<a href="/help/values/#the-amount">Values and orders › The amount</a>' in page
    assert "The amount is rounded once, <mark>half</mark> <mark>to</mark> <mark>even</mark>, " in page
    assert "<title>Search for “half to even” · Afterclick help</title>" in page


def test_rows_of_tables_and_lines_of_code_are_found() -> None:
    (first, *_) = search.search("ORIGIN_NOT_ALLOWED")
    assert (first.section.document.name, first.section.anchor) in {
        ("keys", "restrictions"),
        ("errors", "message-codes"),
    }
    assert search.search("upload cdnProxy") == []
    assert [each.section.document.name for each in search.search("cdnProxy")] == ["migrating"]


def test_each_word_must_be_there_and_a_beginning_of_a_word_is_enough() -> None:
    assert search.search("refund zebra") == []
    assert search.search("refun")[0].section.anchor == "refunds"
    assert search.search("?! ") == []


def test_a_search_without_results_says_what_to_do() -> None:
    page = read("/help/?q=zebra")
    assert "Nothing found for “zebra”" in page
    assert "A page must have each word that you enter." in page
    assert '<a class="button" href="/help/">Show all pages</a>' in page


def test_what_was_searched_for_is_escaped() -> None:
    page = read("/help/?q=%3Cscript%3Ealert(1)%3C/script%3E%00")
    assert "<script>alert" not in page
    assert 'value="&lt;script&gt;alert(1)&lt;/script&gt;"' in page


# Markdown and llms.txt -------------------------------------------------------------------------------------------


def test_llms_txt_lists_every_document_as_markdown_with_a_sentence() -> None:
    answer = Client().get("/llms.txt")
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    lines = answer.content.decode().splitlines()
    assert (lines[0], lines[2]) == ("# Afterclick", f"> {catalogue.SUMMARY}")
    listed = [re.fullmatch(r"- \[(.+)\]\((.+)\): (.+\.)", line) for line in lines if line.startswith("- ")]
    assert None not in listed
    urls = [match[2].removeprefix(settings.PUBLIC_URL) for match in listed if match]
    assert urls == [*(f"/help/{name}.md" for name in catalogue.documents()), "/api/schema/"]


@pytest.mark.parametrize("name", NAMES)
def test_a_document_is_served_as_markdown(name: str) -> None:
    answer = Client().get(f"/help/{name}.md")
    assert answer["Content-Type"] == "text/markdown; charset=utf-8"
    text = catalogue.documents()[name].path.read_text()
    assert answer.content.decode() == text.replace("](images/", f"]({settings.PUBLIC_URL}/static/docs/")


# Links from the Hub ----------------------------------------------------------------------------------------------


def test_every_page_of_a_game_links_to_the_document_that_explains_it_or_has_a_reason() -> None:
    named = {name for name, entry in pages.of_the_hub().items() if "slug" in entry.pattern.converters}
    shown = named & set(pages.ROW_OF)
    assert shown - set(page_links.DOCUMENTS) - set(page_links.WITHOUT) == set()
    assert {*page_links.DOCUMENTS, *page_links.WITHOUT} - named == set()
    assert set(page_links.DOCUMENTS) & set(page_links.WITHOUT) == set()
    linked = set(page_links.DOCUMENTS.values()) - {page_links.OF_NETWORK}
    assert linked - set(catalogue.documents()) == set()


def test_the_head_of_a_page_links_to_its_document(game: Game) -> None:
    client = hub.member(game, Role.ADMIN)
    titles = {"keys/": "keys", "integrations/x/": "networks/x", "privacy/consent/": "consent", "events/": "events"}
    for path, name in titles.items():
        page = client.get(f"/g/{game.slug}/{path}").content.decode()
        title = catalogue.documents()[name].title
        assert f'<a class="explained" href="/help/{name}/">Help: {title}</a>' in page
        assert '<a href="/help/">' in page
    assert 'class="explained"' not in client.get(f"/g/{game.slug}/members/").content.decode()


def test_help_is_the_same_for_members_and_links_back_to_their_games(game: Game) -> None:
    page = hub.member(game, Role.VIEWER).get("/help/keys/").content.decode()
    assert f'<a href="{reverse("games")}">Back to your games</a>' in page
    assert game.name not in page
    signed_out = read("/help/keys/")
    assert f'<a href="{reverse("account_login")}">Sign in</a>' in signed_out
    assert "Sign out" not in signed_out


@pytest.mark.parametrize(("before", "now"), [("keys", "keys"), ("x", "networks/x"), ("identity", "identity")])
def test_the_address_of_earlier_versions_redirects(game: Game, before: str, now: str) -> None:
    viewer = hub.member(game, Role.VIEWER)
    answer = viewer.get(f"/g/{game.slug}/help/{before}/")
    assert (answer.status_code, answer["Location"]) == (301, f"/help/{now}/")
    assert viewer.get(f"/g/{game.slug}/help/operations/").status_code == 404
    assert viewer.get(f"/g/some-game/help/{before}/").status_code == 404


def test_pages_of_help_are_read_only() -> None:
    for url in ("/help/", "/help/keys/", "/help/keys.md", "/llms.txt"):
        assert Client().post(url).status_code == 405, url


def test_the_page_of_a_player_links_to_the_document(game: Game) -> None:
    person = factories.person(game, user="ada")
    page = hub.member(game, Role.VIEWER).get(f"/g/{game.slug}/people/{person.pk}/").content.decode()
    assert 'href="/help/identity/"' in page


@pytest.mark.parametrize("kind", ["x", "tiktok"])
def test_the_document_of_a_network_is_linked_where_its_credential_is_entered(game: Game, kind: str) -> None:
    page = hub.member(game, Role.MARKETER).get(f"/g/{game.slug}/integrations/{kind}/add/").content.decode()
    assert page.count(f'href="/help/networks/{kind}/"') == 2
