"""The ids of a player, explained: on the player's page and by `manage.py explain_person`."""

import re
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from audience.games.keys import NewKey, create_key
from audience.models import Event, Game, Identity, Person, Role
from audience.wording import dates
from consent.models import ConsentDecision
from tests import factories, hub
from tests.audience.immutable import ABSENT, alias, digest, identify, message

pytestmark = pytest.mark.django_db

ADA, BOB, BROWSER = "player-ada", "player-bob", "family-browser"
DAY = datetime.now(UTC).replace(hour=10, minute=0, second=0, microsecond=0) - timedelta(days=10)


def at(day: int) -> str:
    return (DAY + timedelta(days=day)).isoformat()


def text_of(day: int) -> str:
    moment = DAY + timedelta(days=day)
    return dates.moment(moment)


@pytest.fixture
def family(key: NewKey) -> None:
    """Ada's browser from day 1, Bob's from day 3 to day 5."""
    digest(
        key,
        message(userId=ABSENT, anonymousId=BROWSER, eventName="before", eventTimestamp=at(0)),
        identify(ADA, BROWSER, eventTimestamp=at(1), messageId="00000001-0000-4000-8000-000000000001"),
        identify(BOB, BROWSER, eventTimestamp=at(3), messageId="00000001-0000-4000-8000-000000000003"),
        message(userId=ABSENT, anonymousId=BROWSER, eventName="of-bob", eventTimestamp=at(4)),
        identify(ADA, BROWSER, eventTimestamp=at(5), messageId="00000001-0000-4000-8000-000000000005"),
        message(userId=ABSENT, anonymousId=BROWSER, eventName="after", eventTimestamp=at(6)),
    )


def person_of(user: str) -> Person:
    return Identity.objects.get(namespace="user", value=user).person


def page_of(game: Game, person: Person, client: Client | None = None) -> str:
    client = client or hub.member(game, Role.MARKETER)
    page = client.get(f"/g/{game.slug}/people/{person.pk}/").content.decode()
    return re.sub(r"\s+", " ", page)


def section(page: str, name: str) -> str:
    return page.split(f'<h2 id="{name}"')[1].split("</section>")[0]


def explained(*args: str) -> list[str]:
    out = StringIO()
    call_command("explain_person", *args, stdout=out)
    return out.getvalue().splitlines()


# The page


def test_a_shared_id_is_listed_with_the_time_it_was_this_players(family: None, game: Game) -> None:
    client = hub.member(game, Role.MARKETER)
    ids = section(page_of(game, person_of(BOB), client), "identities")
    assert BROWSER in ids
    assert f"also used by 1 other player; this player’s from {text_of(3)} to {text_of(5)}" in ids
    ids = section(page_of(game, person_of(ADA), client), "identities")
    assert f"also used by 1 other player; this player’s until {text_of(3)}, from {text_of(5)}" in ids


def test_an_id_of_one_player_has_no_note(key: NewKey, game: Game) -> None:
    digest(key, identify(ADA, BROWSER))
    assert "also used" not in page_of(game, person_of(ADA))


def test_the_events_are_those_of_the_time_it_was_this_players(family: None, game: Game) -> None:
    client = hub.member(game, Role.MARKETER)
    events = section(page_of(game, person_of(BOB), client), "events")
    assert "of-bob" in events
    assert "before" not in events
    assert "after" not in events
    events = section(page_of(game, person_of(ADA), client), "events")
    assert "of-bob" not in events
    assert "before" in events
    assert "after" in events


@pytest.mark.parametrize(("name", "user"), [("before", ADA), ("of-bob", BOB), ("after", ADA)])
def test_the_page_of_an_event_links_its_player_at_that_time(family: None, game: Game, name: str, user: str) -> None:
    event = Event.objects.get(name=name)
    page = hub.member(game, Role.VIEWER).get(f"/g/{game.slug}/events/{event.day}/{event.pk}/").content.decode()
    assert re.findall(r"/people/([0-9a-f-]{36})/", page) == [str(person_of(user).pk)]


def test_the_consent_decisions_are_those_of_the_time_it_was_this_players(family: None, game: Game) -> None:
    for day, source in ((0, "of-ada"), (4, "of-bob")):
        ConsentDecision.objects.create(
            game_id=game.pk, anonymous_id=BROWSER, level="none", source=source, decided_at=at(day)
        )
    consent = section(page_of(game, person_of(BOB)), "consent")
    assert "of-bob" in consent
    assert "of-ada" not in consent


def test_the_timeline_links_the_event_that_named_the_id_first(family: None, game: Game) -> None:
    timeline = section(page_of(game, person_of(BOB)), "linked-ids")
    naming = Event.objects.get(user_id=BOB)
    assert f'href="/g/{game.slug}/events/{naming.day}/{naming.pk}/"' in timeline
    assert "Sent with a user ID" in timeline
    assert BROWSER in timeline


def test_the_timeline_has_the_explicit_calls(key: NewKey, game: Game) -> None:
    digest(key, alias("76561198000000042", ADA, fromType="steam"))
    timeline = section(page_of(game, person_of(ADA)), "linked-ids")
    assert "Alias: linked by an explicit call" in timeline
    assert '<span class="muted">steam</span> <span class="mono">76561198000000042</span>' in timeline


def test_the_timeline_names_the_moment_also_without_the_event(family: None, game: Game) -> None:
    Event.objects.all().delete()
    assert "No longer stored" in section(page_of(game, person_of(BOB)), "linked-ids")


def test_a_viewer_sees_no_address_in_the_timeline(key: NewKey, game: Game) -> None:
    digest(key, identify("ada@players.example", BROWSER))
    page = page_of(game, person_of("ada@players.example"), hub.member(game, Role.VIEWER))
    assert "a…@players.example" in page
    assert "ada@players.example" not in page


def test_the_page_of_a_crowds_player_says_that_its_id_belongs_to_nobody(key: NewKey, game: Game) -> None:
    digest(key, *(identify(f"user-{number}", BROWSER) for number in range(51)))
    digest(key, message(userId=ABSENT, anonymousId=BROWSER, eventName="of-nobody"))
    crowd = Identity.objects.get(value=BROWSER).person
    sentence = "is used by more than 50 players or moves between players too often, for example on a kiosk"
    client = hub.member(game, Role.MARKETER)
    page = page_of(game, crowd, client)
    assert sentence in page
    assert "never sent to an ad network" in page
    assert "of-nobody" in section(page, "events")
    page = page_of(game, person_of("user-7"), client)
    assert sentence not in page
    assert "used by more than 50 players, so it is not linked to any of them" in section(page, "identities")
    assert "of-nobody" not in section(page, "events")


def test_the_erasure_form_of_a_player_does_not_name_an_id_that_others_share(key: NewKey, game: Game) -> None:
    row = factories.person(game)
    factories.identity(row, value=BROWSER, owners="several")
    assert "Erase this player" not in page_of(game, row, hub.member(game, Role.ADMIN))


# The command


@pytest.mark.parametrize("given", ["user id", "uuid"])
def test_the_command_prints_the_ids_and_the_events_that_joined_them(family: None, game: Game, given: str) -> None:
    bob = person_of(BOB)
    lines = explained(BOB if given == "user id" else str(bob.pk))
    assert lines == [
        f"Player {bob.pk} of sky-raiders: first seen {text_of(3)}, last seen {dates.moment(bob.last_seen_at)}",
        "IDs:",
        f"  anonymous {BROWSER}: also used by 1 other player; this player’s from {text_of(3)} to {text_of(5)}",
        f"  user {BOB}",
        "How the IDs were linked:",
        f"  {text_of(3)}  anonymous {BROWSER}: sent with a user ID {BOB}"
        " (identify, message 00000001-0000-4000-8000-000000000003)",
        f"  {text_of(3)}  user {BOB}: first seen (identify, message 00000001-0000-4000-8000-000000000003)",
    ]


def test_the_command_explains_every_player_of_a_shared_id(family: None) -> None:
    players = [line for line in explained(BROWSER) if line.startswith("Player")]
    assert [line.split()[1] for line in players] == [str(person_of(ADA).pk), str(person_of(BOB).pk)]


def test_the_command_names_the_event_only_while_it_is_kept(family: None) -> None:
    Event.objects.all().delete()
    assert f"  {text_of(3)}  user {BOB}: first seen (event no longer stored)" in explained(BOB)


def test_the_command_looks_in_one_game_where_one_is_named(key: NewKey, other_game: Game) -> None:
    digest(key, message(userId=ADA))
    digest(create_key(game=other_game, name="web"), message(userId=ADA))
    assert sum(line.startswith("Player") for line in explained(ADA)) == 2
    (line,) = [line for line in explained(ADA, "--game", other_game.slug) if line.startswith("Player")]
    assert f" of {other_game.slug}: " in line


def test_the_command_refuses_an_id_that_nobody_has(game: Game) -> None:
    with pytest.raises(CommandError, match="No player has the ID “nobody”"):
        explained("nobody")
