"""The privacy page: an admin erases a player, everyone sees the receipt."""

import pytest
from django.test import Client

from audience.models import Erasure, Game, Role
from tests import hub

GIVEN = {"namespace": "user", "subject": "user-1", "confirmation": "user-1"}


@pytest.fixture
def admin(game: Game) -> Client:
    return hub.member(game, Role.ADMIN)


def test_an_erasure_is_asked_for_with_the_id_typed_twice(game: Game, admin: Client) -> None:
    page = admin.post(f"/g/{game.slug}/privacy/erase/", GIVEN, follow=True).content.decode()
    assert "The erasure is under way" in page
    erasure = Erasure.objects.get()
    assert (erasure.namespace, erasure.subject, erasure.requested_by) == ("user", "user-1", "admin-of-sky-raiders")
    assert erasure.subject_hash[:12] in page
    assert "user-1" not in page.replace("user-1-", "")


def test_two_different_ids_erase_nobody(game: Game, admin: Client) -> None:
    page = admin.post(f"/g/{game.slug}/privacy/erase/", {**GIVEN, "confirmation": "user-2"}).content.decode()
    assert "This is not the same ID. Nothing was erased." in page
    assert not Erasure.objects.exists()


def test_an_id_is_taken_as_it_is_typed(game: Game, admin: Client) -> None:
    admin.post(f"/g/{game.slug}/privacy/erase/", {**GIVEN, "subject": " x ", "confirmation": " x "})
    assert Erasure.objects.get().subject == " x "


def test_others_read_who_may_erase(game: Game) -> None:
    page = hub.member(game, Role.MARKETER).get(f"/g/{game.slug}/privacy/").content.decode()
    assert "Admins of the game erase players here" in page
    assert "<form method" not in page.split("<main")[1]
