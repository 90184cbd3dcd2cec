"""The first user of an installation: the sign-in page names the command, which asks for an email address."""

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client

from tests import hub

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"
NO_USER = "<strong>This installation has no user yet.</strong> Run <code>make admin</code>"


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def typed(monkeypatch: Any) -> Iterator[list[str]]:
    """The answers to the prompts of the command, in order; the prompts take their places."""
    answers: list[str] = []
    asked: list[str] = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return answers.pop(0)

    monkeypatch.setattr("builtins.input", answer)
    monkeypatch.setattr("getpass.getpass", lambda *_: PASSWORD)
    yield answers
    assert answers == []
    assert set(asked) <= {"Email address: "}


def test_the_sign_in_page_of_an_installation_without_users_names_the_command() -> None:
    page = hub.normalized_html(Client().get("/accounts/login/").content.decode())
    assert hub.normalized_html(NO_USER) in page
    assert "python manage.py createsuperuser" in page
    hub.user("ada")
    assert "make admin" not in Client().get("/accounts/login/").content.decode()


def test_the_command_asks_for_an_address_and_no_user_name(typed: list[str]) -> None:
    typed += [" Boss@Studio.example "]
    call_command("createsuperuser", stdin=Terminal(), stdout=StringIO())
    boss = User.objects.get()
    assert (boss.username, boss.email, boss.is_superuser) == ("boss@studio.example", "boss@studio.example", True)
    answer = Client().post("/accounts/login/", {"login": "boss@studio.example", "password": PASSWORD})
    assert (answer.status_code, answer["Location"]) == (302, "/")


def test_an_address_that_is_invalid_or_taken_is_asked_for_again(typed: list[str]) -> None:
    hub.user("ada")
    typed += ["", "boss", "ADA@studio.example", "boss@studio.example"]
    said = StringIO()
    call_command("createsuperuser", stdin=Terminal(), stdout=StringIO(), stderr=said)
    assert said.getvalue().splitlines() == [
        "Error: Enter a valid email address.",
        "Error: Enter a valid email address.",
        "Error: An account for ada@studio.example already exists.",
    ]
    assert set(User.objects.values_list("email", flat=True)) == {"ada@studio.example", "boss@studio.example"}


def test_without_a_terminal_an_address_is_enough(monkeypatch: Any) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    call_command("createsuperuser", interactive=False, email="boss@studio.example", stdout=StringIO())
    assert User.objects.get().username == "boss@studio.example"
    monkeypatch.setenv("DJANGO_SUPERUSER_EMAIL", "second@studio.example")
    monkeypatch.setenv("DJANGO_SUPERUSER_USERNAME", "second")
    call_command("createsuperuser", interactive=False, stdout=StringIO())
    assert User.objects.get(username="second").email == "second@studio.example"
    with pytest.raises(CommandError, match="An account for boss@studio.example already exists"):
        call_command("createsuperuser", interactive=False, username="again", email="boss@studio.example")
    monkeypatch.delenv("DJANGO_SUPERUSER_EMAIL")
    monkeypatch.delenv("DJANGO_SUPERUSER_USERNAME")
    with pytest.raises(CommandError, match="You must use --"):
        call_command("createsuperuser", interactive=False)
    assert User.objects.count() == 2
