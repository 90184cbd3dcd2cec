"""Users and signed-in clients for tests of the Hub, and a check for inline code."""

import re
from html.parser import HTMLParser

from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.test import Client

from audience.models import Game, Membership, Role

PASSWORD = "a-password-for-tests"


def user(name: str, **overrides: object) -> object:
    """A user whose password is PASSWORD."""
    fields = {"username": name, "email": f"{name}@studio.example", "password": make_password(PASSWORD)}
    person = get_user_model()(**fields, **overrides)
    person.save()
    return person


def member(game: Game, role: Role) -> Client:
    """A client signed in as a new member of the game with this role."""
    person = user(f"{role.value}-of-{game.slug}")
    Membership.objects.create(game=game, user=person, role=role)
    return signed_in(person)


def signed_in(person: object) -> Client:
    client = Client()
    client.force_login(person)
    return client


class _Inline(HTMLParser):
    """Collects inline scripts, styles and event handlers, which the Content-Security-Policy forbids."""

    def __init__(self) -> None:
        super().__init__()
        self.problems: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if tag == "style" or (tag == "script" and "src" not in names):
            self.problems.append(tag)
        self.problems += [f"{tag} {name}" for name in names if name == "style" or name.startswith(("on", "hx-on"))]
        if any((names.get(name) or "").startswith("javascript:") for name in ("href", "src", "action")):
            self.problems.append(f"{tag} javascript:")


def inline_code(html: str) -> list[str]:
    """Return every inline script, style and event handler of a page."""
    parser = _Inline()
    parser.feed(html)
    return parser.problems


def normalized_html(html: str) -> str:
    """Return the HTML with single spaces and none beside tags, so that line breaks of templates do not matter."""
    return re.sub(r"\s*(<[^>]*>)\s*", r"\1", re.sub(r"\s+", " ", html))
