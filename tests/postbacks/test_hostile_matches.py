"""Modeled matches against hostile and odd senders: addresses that name nobody, test traffic, late facts, and cost."""

import threading
import time
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from audience.games.keys import NewKey
from audience.models import Conversion, FailedWork, Game, ModeledMatch, Person, Role, Touch
from postbacks.reporting.modeled import rows, upkeep
from postbacks.reporting.modeled.matching import MAX_PLAYERS, Result
from tests import hub
from tests.audience.immutable import LIBRARY, alias
from tests.management_api import game_api
from tests.postbacks.test_modeled_matches import (
    HOME,
    MATCHED,
    age,
    decided,
    digest,
    launch,
    launched,
    matches,
    visit,
    visited,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _enabled(game: Game) -> None:
    game.joins = ["modeled"]
    game.save()


@pytest.mark.parametrize(
    "address",
    [
        "unknown",
        "localhost",
        "${ip}",
        "10.0.0.7",
        "192.168.1.20",
        "172.16.0.1",
        "127.0.0.1",
        "169.254.10.1",
        "100.64.0.7",
        "::1",
        "fe80::1",
        "fd00::1",
        "::ffff:10.0.0.7",
        # The last part was removed by the sender.
        "203.0.113.0",
        "2001:db8:5:6::",
    ],
)
def test_an_address_that_names_no_household_is_no_match(key: NewKey, address: str) -> None:
    digest(key, visit(ip=address), launch(ip=address))
    assert matches() == {}


@pytest.mark.parametrize(
    ("clicked", "launched_at"),
    [
        ("2001:DB8::9", "2001:db8::9"),
        ("::ffff:203.0.113.9", HOME),
        (f" {HOME}", HOME),
    ],
)
def test_the_spelling_of_an_address_does_not_matter(key: NewKey, clicked: str, launched_at: str) -> None:
    digest(key, visit(ip=clicked), launch(ip=launched_at))
    assert matches() == MATCHED


def test_an_address_with_very_many_players_is_shared_at_any_time() -> None:
    own, first = visited(1, hours=0), launched(1, hours=1)
    others = [launched(number, hours=20 + number) for number in range(2, MAX_PLAYERS + 1)]
    assert decided([first, *others], [own]) == {1: Result("shared")}  # type: ignore[arg-type]
    assert decided([first, *others[1:]], [own]) == {1: Result("matched", 1)}  # type: ignore[arg-type]


def test_of_an_address_with_very_many_launches_the_newest_are_read(key: NewKey) -> None:
    """A carrier's address, or a sender who invents launches, has any number of them."""
    digest(key, visit(), launch())
    row = Conversion.objects.get()
    people = [
        Person(game_id=row.game_id, first_seen_at=row.event_at, last_seen_at=row.event_at) for _ in range(MAX_PLAYERS)
    ]
    Person.objects.bulk_create(people)
    for number, person in enumerate(people):
        row.pk, row.person, row.message_id = uuid.uuid4(), person, f"copy-{number}"
        row.save(force_insert=True)
    launches = rows.launches_of(row.game, since=row.event_at - timedelta(hours=1))
    assert len(launches) == MAX_PLAYERS
    assert set(matches().values()) <= {("shared", "")}


def test_the_system_is_what_the_game_states_as_its_name(key: NewKey) -> None:
    stated = {**LIBRARY, "ip": HOME, "os": {"name": "Haiku", "note": "not Windows"}}
    digest(key, visit(), launch(context=stated))
    assert matches() == {}
    digest(key, launch("player-2", context={**LIBRARY, "ip": HOME, "os": "Windows"}))
    assert matches() == {"player-2": ("matched", "click-of-browser-1")}


def test_test_clicks_are_no_candidates(key: NewKey, sandbox_key: NewKey) -> None:
    digest(sandbox_key, visit())
    digest(key, visit("browser-2", ip="203.0.113.77", test=True), launch("player-2", ip="203.0.113.77"))
    digest(key, launch())
    assert matches() == {}


@pytest.mark.parametrize("flag", ["limited_data_use", "gpc"])
def test_limited_data_use_of_the_visitor_excludes_its_click(key: NewKey, flag: str) -> None:
    page = visit()
    digest(key, {**page, "context": {**page["context"], flag: True}}, launch())
    assert matches() == {}


def test_limited_data_use_of_the_game_excludes_all(game: Game, key: NewKey) -> None:
    game.limited_data_use = True
    game.save()
    digest(key, visit(), launch())
    assert matches() == {}


def test_an_old_match_ends_when_the_player_gets_a_click_of_another_visit(key: NewKey) -> None:
    digest(key, visit(), launch())
    assert matches() == MATCHED
    age(9)
    digest(key, visit("own", ip="203.0.113.50", hours=1), alias("own", "player-1"))
    assert Conversion.objects.get().touch is None
    assert matches() == {}


def test_an_old_match_ends_when_the_visitor_launches_the_game(key: NewKey) -> None:
    digest(key, visit(), launch())
    assert matches() == MATCHED
    age(9)
    digest(key, launch("ada", ip="203.0.113.50", anonymousId="browser-1"))
    assert matches() == {}


def test_switching_it_off_shows_nothing_from_then_on(game: Game, key: NewKey) -> None:
    digest(key, visit(), launch())
    assert matches() == MATCHED
    admin, base = hub.member(game, Role.ADMIN), f"/g/{game.slug}"
    row = Conversion.objects.get()
    assert "Modeled match" in admin.get(f"{base}/conversions/{row.pk}/").content.decode()
    admin.post(f"{base}/joins/settings/", {"joins": ["steam"], "match_hours": "6"})
    for page in ("conversions/", f"conversions/{row.pk}/", "campaigns/"):
        assert "Modeled" not in admin.get(f"{base}/{page}").content.decode(), page
    assert matches() == {}


def test_the_count_of_matches_is_without_launches_that_have_a_click_by_now(game: Game, key: NewKey) -> None:
    digest(key, visit(), launch())
    assert matches() == MATCHED
    digest(key, alias("browser-1", "player-1"))
    page = hub.normalized_html(hub.member(game, Role.VIEWER).get(f"/g/{game.slug}/joins/").content.decode())
    section = page.partition('id="modeled"')[2].partition("</section>")[0]
    assert section.count('class="number">0</td>') == 3


def test_a_click_without_tags_and_one_that_gets_them_later_are_counted_by_their_names(game: Game, key: NewKey) -> None:
    page = visit()
    bare = {**page["context"], "pageUrl": "https://mygame.com/?ttclid=click-of-browser-1"}
    digest(key, {**page, "context": bare}, launch())
    assert matches() == MATCHED
    viewer = hub.member(game, Role.VIEWER)

    def shown() -> str:
        html = hub.normalized_html(viewer.get(f"/g/{game.slug}/campaigns/").content.decode())
        return html.partition('id="modeled-title"')[2].partition("</section>")[0]

    assert "(not named)" in shown()
    digest(key, visit(hours=2.5))
    assert matches() == MATCHED
    assert "autumn" in shown()
    assert "(not named)" not in shown()


def test_viewers_see_no_address_in_the_click_id_of_a_match(game: Game, key: NewKey) -> None:
    page = visit()
    digest(key, {**page, "context": {**page["context"], "pageUrl": "https://mygame.com/?ttclid=ada@example.com"}})
    digest(key, launch())
    assert matches() == {"player-1": ("matched", "ada@example.com")}
    path = f"games/{game.slug}/conversions/{Conversion.objects.get().pk}"
    ids = [
        game_api(game, role).get(path).json()["modeled_match"]["click"]["click_id"]
        for role in (Role.VIEWER, Role.MARKETER)
    ]
    assert ids == ["a…@example.com", "ada@example.com"]
    page_of_viewer = hub.member(game, Role.VIEWER).get(f"/g/{game.slug}/conversions/{Conversion.objects.get().pk}/")
    assert "ada@example.com" not in page_of_viewer.content.decode()


def test_a_click_of_the_player_deletes_the_match_with_its_attribution(game: Game, key: NewKey) -> None:
    digest(key, visit(), launch())
    assert matches() == MATCHED
    digest(key, alias("browser-1", "player-1"))
    assert Conversion.objects.get().touch is not None
    assert not ModeledMatch.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("model", [Touch, Conversion])
def test_a_click_or_launch_that_is_deleted_meanwhile_fails_no_run(game: Game, key: NewKey, model: Any) -> None:
    """Merges and erasures delete rows all the time, and a run takes seconds."""
    digest(key, visit(), launch(), visit("browser-2", ip="203.0.113.50"), launch("player-2", ip="203.0.113.50"))

    def match() -> None:
        upkeep.match_launches()
        connection.close()

    thread = threading.Thread(target=match)
    with transaction.atomic():
        # A fast deletion by SQL, since the row has no match yet.
        model.objects.order_by("pk").filter(person__identities__value__in=["browser-1", "player-1"]).delete()
        thread.start()
        with connection.cursor() as cursor:
            for _ in range(200):
                cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
                if cursor.fetchone()[0]:
                    break
                time.sleep(0.05)
            else:
                pytest.fail("The run did not wait for the deletion.")
    thread.join()
    assert not FailedWork.objects.exists()
    assert [row.conversion.user_id for row in ModeledMatch.objects.select_related("conversion")] == ["player-2"]
