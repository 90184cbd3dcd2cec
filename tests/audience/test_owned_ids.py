"""Which events belong to a player, and when a shared id belonged to whom."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from audience.digest.owned_ids import OwnedPeriod, events_of, owned_ids, player_of
from audience.games.keys import NewKey
from audience.models import Event, Game, Identity, Person
from tests.audience.immutable import ABSENT, digest, identify, message
from tests.effort import examples

pytestmark = pytest.mark.django_db

START = datetime.now(UTC) - timedelta(hours=10)


def at(minute: int) -> datetime:
    return START + timedelta(minutes=minute)


def login(user: str, minute: int, browser: str = "browser") -> dict[str, object]:
    return identify(user, browser, eventTimestamp=at(minute).isoformat())


def periods_of(user: str, browser: str = "browser") -> tuple[OwnedPeriod, ...]:
    person = Identity.objects.get(namespace="user", value=user).person
    (found,) = [one for one in owned_ids(person) if one.key == ("anonymous", browser)]
    return found.periods


def test_a_period_begins_with_a_naming_and_ends_where_that_of_another_begins(key: NewKey) -> None:
    digest(key, login("ada", 10), login("ada", 15), login("bob", 20), login("ada", 30))

    assert periods_of("ada") == (OwnedPeriod(None, at(20)), OwnedPeriod(at(30), None))
    assert periods_of("bob") == (OwnedPeriod(at(20), at(30)),)


def test_an_id_of_one_player_is_theirs_at_any_time(key: NewKey) -> None:
    digest(key, login("ada", 10))

    assert periods_of("ada") == (OwnedPeriod(None, None),)


def test_a_user_of_a_crowd_has_no_period(key: NewKey) -> None:
    digest(key, *(login(f"user-{number}", number) for number in range(51)))

    assert periods_of("user-3") == ()


def test_no_more_ids_are_read_than_asked_for(key: NewKey) -> None:
    digest(key, *(login("ada", number, f"browser-{number}") for number in range(5)), login("bob", 9, "browser-0"))
    person = Identity.objects.get(namespace="user", value="ada").person

    assert {one.key[1] for one in owned_ids(person, limit=3)} == {"browser-0", "ada", "browser-1"}


@pytest.mark.parametrize("seed", range(examples(20)))
def test_each_event_is_one_players_as_the_digest_decides(key: NewKey, game: Game, seed: int) -> None:
    history = any_history(random.Random(seed))
    for part in (history[:7], history[7:]):
        digest(key, *part)

    owner = {pk: person.pk for person in Person.objects.all() for pk in _events(game, person)}
    assert owner == {event.pk: player_of(event) for event in Event.objects.all()}
    assert sum(len(_events(game, person)) for person in Person.objects.all()) == len(history)


def any_history(chance: random.Random) -> list[dict[str, object]]:
    """Events of three users, three browsers and two consoles."""
    return [
        message(
            userId=chance.choice(["player-1", "player-2", "player-3", "undefined", ABSENT, ABSENT]),
            anonymousId=chance.choice(["browser-1", "browser-2", "browser-3"]),
            deviceId=chance.choice(["console-1", "console-2", ABSENT]),
            eventTimestamp=at(minute).isoformat(),
        )
        for minute in chance.sample(range(500), 14)
    ]


def _events(game: Game, person: Person) -> list[int]:
    return list(events_of(game.pk, owned_ids(person)).values_list("pk", flat=True))
