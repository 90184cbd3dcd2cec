"""Links, paths and commands in the documentation exist, and pages stay short."""

import re
import tomllib
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md")
)
MAX_WORDS = {"docs/architecture.md": 1_700, "docs/performance.md": 500}

# Folders in which a path in backticks is taken for a path of this repository.
TOP_FOLDERS = ("audience", "config", "consent", "docs", "postbacks", "static", "templates", "tests", ".ci")
FILE_ENDINGS = (".py", ".md", ".html", ".js", ".css", ".lock", ".toml", ".svg", ".example", "Makefile")
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE_BLOCK = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
IN_BACKTICKS = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"[\w.<>*-]+(/[\w.<>*-]+)*/?")
PLACEHOLDER = re.compile(r"<[^>]*>")


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def exists(name: str) -> bool:
    """Whether there is a file or folder of this path or, for a bare name, of this name; <placeholders> match any."""
    pattern = PLACEHOLDER.sub("*", name.rstrip("/"))
    if any(ROOT.glob(pattern)):
        return True
    return "/" not in pattern and any(next((ROOT / top).rglob(pattern), None) for top in TOP_FOLDERS)


def paths(page: str) -> set[str]:
    """What stands in backticks outside of code blocks and looks like a path of this repository."""
    names = IN_BACKTICKS.findall(CODE_BLOCK.sub("", text(page)))
    return {
        name
        for name in names
        if PATH.fullmatch(name) and (name.split("/")[0] in TOP_FOLDERS and "/" in name or name.endswith(FILE_ENDINGS))
    }


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_of_a_page_leads_to_a_file(page: str) -> None:
    links = [link.split("#")[0] for link in LINK.findall(text(page)) if "://" not in link and not link.startswith("#")]

    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_path_named_on_a_page_exists(page: str) -> None:
    assert sorted(name for name in paths(page) if not exists(name)) == []


@pytest.mark.parametrize("page", PAGES)
def test_every_command_named_on_a_page_exists(page: str) -> None:
    targets = re.findall(r"^\.PHONY: (.+)$", text("Makefile"), re.MULTILINE)[0].split()
    named = set(
        re.findall(r"\bmake(?: -s)?(?: [A-Z]+=\S+)* ([a-z][a-z-]*)(?=`|\s+#|\s*$|\))", text(page), re.MULTILINE)
    )
    commands = set(re.findall(r"\bmanage\.py ([a-z_]+)", text(page)))

    assert sorted(named - set(targets)) == []
    assert sorted(commands - set(get_commands())) == []


@pytest.mark.parametrize(("page", "words"), sorted(MAX_WORDS.items()))
def test_a_page_stays_short_enough_to_be_read(page: str, words: int) -> None:
    assert len(text(page).split()) <= words


def test_the_newest_version_of_the_changelog_is_that_of_the_project_and_its_api() -> None:
    versions = re.findall(r"^## (\S+) \(\d{4}-\d\d-\d\d\)$", text("CHANGELOG.md"), re.MULTILINE)

    assert tomllib.loads(text("pyproject.toml"))["project"]["version"] == versions[0]
    assert settings.SPECTACULAR_SETTINGS["VERSION"] == versions[0]


def test_paths_and_links_are_found_in_pages() -> None:
    assert "audience/intake/urls.py" in paths("docs/architecture.md")
    assert exists("postbacks/networks/<kind>/")
    assert exists("manage.py")
    assert not exists("postbacks/networks/<kind>/nothing.py")
    assert not exists("nothing.py")
