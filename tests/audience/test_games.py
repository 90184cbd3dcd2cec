"""Creating a game: a unique slug, also when two are created at once."""

import threading
import time
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.db import IntegrityError, connection, transaction

from audience.games.new_game import GameRefused, create_game
from audience.models import Game, Membership, Role
from tests import hub

# Connections of this database that wait for another's transaction.
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def slugs() -> list[str]:
    return sorted(Game.objects.values_list("slug", flat=True))


@pytest.mark.django_db
def test_a_slug_that_is_taken_is_numbered() -> None:
    founder = hub.user("founder")
    made = [create_game(name="Sky Raiders", slug="sky-raiders", created_by=founder) for _ in range(3)]
    assert [game.slug for game in made] == ["sky-raiders", "sky-raiders-2", "sky-raiders-3"]
    assert Membership.objects.filter(user=founder, role=Role.ADMIN).count() == 3


@pytest.mark.django_db
def test_a_stated_slug_that_was_taken_meanwhile_is_refused() -> None:
    founder: Any = hub.user("founder")
    create_game(name="Sky Raiders", slug="sky-raiders", created_by=founder)
    with pytest.raises(GameRefused, match="Another game has this URL name. Choose another one."):
        create_game(name="Sky Raiders", slug="sky-raiders", created_by=founder, only_this_slug=True)
    assert slugs() == ["sky-raiders"]
    assert create_game(name="Other", slug="other", created_by=founder, only_this_slug=True).slug == "other"


@pytest.mark.django_db
def test_a_numbered_slug_is_no_longer_than_a_slug_may_be() -> None:
    founder = hub.user("founder")
    made = [create_game(name="Long", slug="x" * 60, created_by=founder).slug for _ in range(2)]
    assert made == ["x" * 60, "x" * 58 + "-2"]


@pytest.mark.django_db
def test_an_error_other_than_a_taken_slug_is_not_retried() -> None:
    with pytest.raises(IntegrityError):
        create_game(name=None, slug="sky-raiders", created_by=hub.user("founder"))  # type: ignore[arg-type]
    assert (slugs(), Membership.objects.count()) == ([], 0)


@pytest.mark.django_db(transaction=True)
def test_two_games_with_one_name_created_at_once_are_both_created() -> None:
    """The first has looked for its address and written it, and has not committed when the second comes."""
    founder = hub.user("founder", is_staff=True)
    written = threading.Event()

    def first() -> None:
        with transaction.atomic():
            create_game(name="Sky Raiders", slug="sky-raiders", created_by=founder)
            written.set()
            _until_somebody_waits()
        connection.close()

    thread = threading.Thread(target=first)
    thread.start()
    assert written.wait(10)
    answer: Any = hub.signed_in(founder).post("/games/new/", {"name": "Sky Raiders", "slug": ""})
    thread.join(20)
    assert (answer.status_code, answer["Location"]) == (302, "/g/sky-raiders-2/start/")
    said = [str(message) for message in get_messages(answer.wsgi_request)]
    assert said == ["The URL name sky-raiders was just taken. This game has sky-raiders-2."]
    assert slugs() == ["sky-raiders", "sky-raiders-2"]
    assert Membership.objects.filter(user=founder, role=Role.ADMIN).count() == 2


def _until_somebody_waits() -> None:
    until = time.monotonic() + 10
    with connection.cursor() as cursor:
        while time.monotonic() < until:
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(WAITING)
            if cursor.fetchone() != (0,):
                return
            time.sleep(0.02)
    raise AssertionError("the second game was not held up by the first")
