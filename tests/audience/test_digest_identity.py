"""Which events belong to one player, and what is stored about the player."""

import itertools
from datetime import datetime
from typing import Any

import pytest

from audience.digest import event_groups, queue
from audience.digest.event_groups import ClaimedBatch, EventGroup
from audience.digest.event_ids import PLACEHOLDER_IDS
from audience.games.keys import NewKey, create_key
from audience.models import Batch, Conversion, Device, Event, Game, Group, Identity, Owners, Person
from tests.audience.immutable import ABSENT, ago, alias, digest, identify, message, page, purchase, send

pytestmark = pytest.mark.django_db


def players() -> list[list[str]]:
    """The ids of each person, as "namespace:value"."""
    found: dict[Any, list[str]] = {person.pk: [] for person in Person.objects.all()}
    for identity in Identity.objects.order_by("namespace", "value"):
        found[identity.person_id].append(f"{identity.namespace}:{identity.value}")
    return sorted(found.values())


def anonymous(anonymous_id: str, **changes: Any) -> dict[str, Any]:
    return message(userId=ABSENT, anonymousId=anonymous_id, **changes)


# Who is who


def test_an_id_seen_again_is_the_same_player(key: NewKey) -> None:
    digest(key, anonymous("a-1"), anonymous("a-1"))
    digest(key, anonymous("a-1"))

    assert players() == [["anonymous:a-1"]]


def test_ids_differ_by_namespace_and_case(key: NewKey) -> None:
    digest(key, anonymous("x"), message(userId="x"), message(userId="X"))

    assert players() == [["anonymous:x"], ["user:X"], ["user:x"]]


def test_ids_of_one_message_are_one_player(key: NewKey) -> None:
    digest(key, message(userId="user-1", anonymousId="a-1", deviceId="d-1"))

    assert players() == [["anonymous:a-1", "device:d-1", "user:user-1"]]


def test_users_of_one_device_are_two_players_and_the_latest_is_listed_with_it(key: NewKey) -> None:
    digest(key, message(userId="user-1", deviceId="d-1"))
    digest(key, message(userId="user-2", deviceId="d-1"))

    assert players() == [["device:d-1", "user:user-2"], ["user:user-1"]]
    assert Identity.objects.get(value="d-1").owners == Owners.SEVERAL


def test_a_session_id_is_not_an_identity(key: NewKey) -> None:
    digest(key, message(userId="user-1", sessionId="s-1"), message(userId="user-2", sessionId="s-1"))

    assert players() == [["user:user-1"], ["user:user-2"]]


HISTORY = {
    "web visit": lambda: page("a-web"),
    "web login": lambda: identify("user-1", "a-web"),
    "game on a device": lambda: message(userId=ABSENT, anonymousId="a-game", deviceId="d-1"),
    "login on the device": lambda: identify("user-1", deviceId="d-1"),
}


@pytest.mark.long
@pytest.mark.parametrize("order", list(itertools.permutations(HISTORY)), ids="; ".join)
def test_linked_ids_are_one_player_in_any_order_of_arrival(key: NewKey, order: tuple[str, ...]) -> None:
    for name in order:
        digest(key, HISTORY[name]())

    assert players() == [["anonymous:a-game", "anonymous:a-web", "device:d-1", "user:user-1"]]


def test_a_chain_of_anonymous_ids_joins_no_users(key: NewKey) -> None:
    digest(key, *[message(userId=f"user-{n}", anonymousId=f"a-{n + 1}") for n in range(20)])
    digest(key, *[message(userId=f"user-{n}", anonymousId=f"a-{n}") for n in range(20)])

    assert Person.objects.count() == 20
    assert Identity.objects.count() == 41
    assert Identity.objects.filter(owners=Owners.SEVERAL).count() == 19


def test_a_chain_of_aliases_within_one_batch_is_one_player(key: NewKey) -> None:
    digest(key, *[message(userId=f"user-{n}") for n in range(20)])
    digest(key, *[alias(f"user-{n}", f"user-{n + 1}") for n in range(20)])

    assert Person.objects.count() == 1
    assert Identity.objects.count() == 21


def test_a_merge_keeps_the_person_seen_first(key: NewKey) -> None:
    digest(key, message(userId="late", eventTimestamp=ago(minutes=1)))
    digest(key, message(userId="early", eventTimestamp=ago(minutes=9)))
    early = Identity.objects.get(value="early").person_id
    digest(key, alias("late", "early"))

    assert [person.pk for person in Person.objects.all()] == [early]


def test_an_id_is_known_since_the_earliest_event_whichever_arrives_first(key: NewKey) -> None:
    digest(key, message(userId="user-1", anonymousId="a-1", eventTimestamp=ago(minutes=5)))
    digest(key, message(userId="user-1", eventTimestamp=ago(minutes=9)))
    digest(key, message(userId="user-1", eventTimestamp=ago(minutes=7)))

    known = dict(Identity.objects.values_list("value", "first_seen_at"))
    earliest = min(Event.objects.values_list("event_at", flat=True))
    assert known["user-1"] == earliest
    assert known["a-1"] > earliest


def test_first_and_last_seen_span_all_events(key: NewKey) -> None:
    moments = [ago(minutes=minutes) for minutes in (5, 9, 1)]
    for moment in moments:
        digest(key, message(userId="user-1", eventTimestamp=moment))
    person = Person.objects.get()

    assert (person.first_seen_at, person.last_seen_at) == (
        datetime.fromisoformat(moments[1]),
        datetime.fromisoformat(moments[2]),
    )


# What is done with in the database


def read(key: NewKey, *messages: Any) -> tuple[list[EventGroup], list[Event]]:
    """What a digest would read of these messages, sent as one batch."""
    send(key, *messages)
    batches = [ClaimedBatch(*row) for row in Batch.objects.due().values_list(*ClaimedBatch._fields)]
    return event_groups.read(game=key.key.game, batches=batches, triggers=["purchase"])


def test_progress_of_a_known_player_stays_in_the_database(key: NewKey) -> None:
    digest(key, message(userId="user-1", anonymousId="a-1", deviceId="d-1", eventTimestamp=ago(minutes=9)))
    last = ago(minutes=2)
    known: dict[str, Any] = {"userId": "user-1", "anonymousId": "a-1"}
    seen = [message(**known, eventTimestamp=at) for at in (ago(minutes=5), last, ago(minutes=3))]

    assert read(key, *seen) == ([], [])
    assert Person.objects.get().last_seen_at == datetime.fromisoformat(last)


@pytest.mark.parametrize(
    "ids",
    [
        {"userId": "user-1", "anonymousId": "new"},
        {"userId": "user-1", "anonymousId": "a-2"},
        {"userId": "new", "anonymousId": ABSENT},
        {"userId": "user-1", "anonymousId": "a-1", "eventTimestamp": ago(minutes=30)},
    ],
    ids=["a new id", "the id of another player", "a new player", "earlier than it was known"],
)
def test_an_event_that_may_change_an_identity_is_read(key: NewKey, ids: dict[str, Any]) -> None:
    digest(key, message(userId="user-1", anonymousId="a-1", eventTimestamp=ago(minutes=9)), anonymous("a-2"))
    before = list(Person.objects.order_by("pk").values_list("pk", "last_seen_at"))
    (sighting,), events = read(key, message(**ids))

    assert (sighting.person_id, sighting.events, events) == (None, [], [])
    assert list(Person.objects.order_by("pk").values_list("pk", "last_seen_at")) == before


def test_an_event_that_needs_its_player_is_digested_with_it(key: NewKey) -> None:
    digest(key, message(userId="user-1", eventTimestamp=ago(minutes=9)))
    (sighting,), (event,) = read(key, message(userId="user-1"), purchase("user-1"), message(userId="user-1"))

    assert (sighting.person_id, sighting.events) == (Person.objects.get().pk, [event.pk])
    assert event.name == "purchase"


def test_a_known_player_who_is_merged_in_the_same_run_takes_the_conversion_along(key: NewKey) -> None:
    digest(key, message(userId="early", eventTimestamp=ago(minutes=9)))
    digest(key, message(userId="late", eventTimestamp=ago(minutes=8)))
    digest(key, purchase("late"), alias("late", "early"))

    assert Conversion.objects.get().person == Person.objects.get()


def test_ids_of_another_game_are_other_players(key: NewKey, other_game: Game) -> None:
    digest(key, message(userId="user-1", eventTimestamp=ago(minutes=9)))
    (sighting,), _ = read(create_key(game=other_game, name="web"), message(userId="user-1"))

    assert sighting.person_id is None


# Aliases


STEAM = {"fromType": "steam", "toType": "passport"}


@pytest.mark.parametrize(
    ("first_seen_as", "types", "ids"),
    [
        ("anonymousId", {}, ["anonymous:7656", "user:user-1"]),
        ("anonymousId", {"fromType": "anonymous"}, ["anonymous:7656", "user:user-1"]),
        ("userId", {}, ["user:7656", "user:user-1"]),
        ("userId", STEAM, ["passport:user-1", "steam:7656", "user:7656", "user:user-1"]),
        ("typed", {}, ["steam:7656", "user:7656", "user:user-1"]),
        ("typed", STEAM, ["passport:user-1", "steam:7656", "user:7656", "user:user-1"]),
    ],
)
@pytest.mark.parametrize("alias_first", [True, False])
def test_an_alias_finds_its_id_however_it_was_seen(
    key: NewKey, first_seen_as: str, types: dict[str, str], ids: list[str], alias_first: bool
) -> None:
    seen = {
        "anonymousId": lambda: anonymous("7656"),
        "userId": lambda: message(userId="7656"),
        "typed": lambda: identify("7656", identityType="steam"),
    }[first_seen_as]
    joined = alias("7656", "user-1", **types)
    for sent in [joined, seen()] if alias_first else [seen(), joined]:
        digest(key, sent)

    assert players() == [ids]


def test_an_alias_without_types_names_an_anonymous_id(key: NewKey) -> None:
    digest(key, anonymous("a-1"), message(userId="user-1"), alias("a-1", "user-1"))

    assert players() == [["anonymous:a-1", "user:user-1"]]


def test_siblings_aliases_from_one_guest_do_not_join_them(key: NewKey) -> None:
    digest(key, anonymous("guest-1"), alias("guest-1", "anna"), alias("guest-1", "ben"))

    assert players() == [["anonymous:guest-1", "user:ben"], ["user:anna"]]


def test_aliases_join_users_when_their_previous_id_turns_out_to_be_a_user_id(key: NewKey) -> None:
    digest(key, anonymous("x"), alias("x", "anna"), alias("x", "ben"))
    digest(key, message(userId="x"))

    assert players() == [["anonymous:x"], ["user:anna", "user:ben", "user:x"]]


def test_a_typed_identify_and_a_typed_alias_join_the_same_ids(key: NewKey) -> None:
    digest(key, identify("7656", identityType="steam"))
    digest(key, alias("7656", "user-1", fromType="Steam"))

    assert Person.objects.count() == 1


def test_alias_and_identify_of_one_batch_join_what_came_before(key: NewKey) -> None:
    digest(key, page("a-1"), purchase("user-1"))
    digest(key, alias("a-1", "user-1", fromType="anonymous", toType="passport"), identify("user-1"))

    assert players() == [["anonymous:a-1", "passport:user-1", "user:user-1"]]


@pytest.mark.parametrize("kind", ["person", "event", "anonymous", "user", "device", "xbox live", "x" * 256, "ünïcode"])
def test_an_identity_type_may_be_any_text(key: NewKey, kind: str) -> None:
    digest(key, message(userId="someone else"))
    digest(key, *[alias(str(number), f"user-{number}", fromType=kind) for number in range(1, 4)])

    assert Person.objects.count() == 4


# Placeholders


@pytest.mark.parametrize(
    "placeholder", ["unknown", "UNKNOWN", "00000000-0000-0000-0000-000000000000", *sorted(PLACEHOLDER_IDS)]
)
def test_a_placeholder_id_merges_no_players(key: NewKey, placeholder: str) -> None:
    digest(
        key,
        message(userId=placeholder, anonymousId="a-1"),
        message(userId="user-2", anonymousId=placeholder),
        message(userId="user-3", deviceId=placeholder),
        alias("a-4", placeholder),
        alias(placeholder, "user-5", fromType="steam"),
        identify(placeholder, identityType="steam"),
    )

    assert players() == [
        [],
        ["anonymous:a-1"],
        ["user:user-2"],
        ["user:user-3"],
        ["user:user-5"],
    ]


def test_a_conversion_without_a_usable_id_is_stored(key: NewKey) -> None:
    digest(key, purchase("unknown"), purchase("unknown"))

    assert list(Conversion.objects.values_list("reason", flat=True)) == ["no_click", "no_click"]


# Traits


def test_the_later_event_sets_a_trait_whichever_arrives_first(key: NewKey) -> None:
    older = identify("user-1", traits={"email": "old@example.com", "level": 1}, eventTimestamp=ago(minutes=9))
    newer = identify("user-1", traits={"email": "new@example.com"}, eventTimestamp=ago(minutes=5))
    for order in ([older, newer], [newer, older]):
        Person.objects.all().delete()
        for sent in order:
            digest(key, {**sent, "messageId": message()["messageId"]})

        assert Person.objects.get().traits == {"email": "new@example.com", "level": 1}


def test_of_two_events_at_one_time_the_same_one_sets_a_trait_in_either_order(key: NewKey) -> None:
    at = ago(minutes=5)
    one = identify("user-1", traits={"email": "a@example.com", "level": None}, eventTimestamp=at)
    two = identify("user-1", traits={"email": "b@example.com", "level": 2}, eventTimestamp=at)
    for order in ([one, two], [two, one]):
        Person.objects.all().delete()
        for sent in order:
            digest(key, {**sent, "messageId": message()["messageId"]})

        assert Person.objects.get().traits == {"email": "b@example.com", "level": 2}


def test_an_explicit_null_clears_a_trait_and_an_older_value_does_not_restore_it(key: NewKey) -> None:
    digest(key, identify("user-1", traits={"email": "a@example.com", "age": 9}, eventTimestamp=ago(minutes=9)))
    digest(key, identify("user-1", traits={"email": None}, eventTimestamp=ago(minutes=5)))
    assert Person.objects.get().traits == {"age": 9}
    digest(key, identify("user-1", traits={"email": "b@example.com"}, eventTimestamp=ago(minutes=7)))

    assert Person.objects.get().traits == {"age": 9}


def test_a_merge_keeps_the_latest_value_of_each_trait(key: NewKey) -> None:
    digest(key, identify("user-1", traits={"a": 1, "b": 1, "c": 1}, eventTimestamp=ago(minutes=9)))
    digest(key, identify("user-2", traits={"a": 2}, eventTimestamp=ago(minutes=10)))
    digest(key, identify("user-2", traits={"b": 2, "c": None, "d": 2}, eventTimestamp=ago(minutes=5)))
    digest(key, alias("user-1", "user-2"))

    assert Person.objects.get().traits == {"a": 1, "b": 2, "d": 2}


def test_a_track_sets_no_traits_of_its_player(key: NewKey) -> None:
    digest(key, message(userId="user-1", traits={"email": "a@example.com"}))

    assert Person.objects.get().traits == {}


# What else a merge moves


def test_a_merge_moves_devices_and_groups(key: NewKey, game: Game) -> None:
    digest(key, message(userId="user-1", eventTimestamp=ago(minutes=9)), message(userId="user-2"))
    first, second = (Identity.objects.get(value=value).person for value in ("user-1", "user-2"))
    Device.objects.create(game=game, person=second, device_id="d-2")
    guild, clan = (Group.objects.create(game=game, group_id=name) for name in ("guild", "clan"))
    guild.members.add(first, second)
    clan.members.add(second)
    digest(key, alias("user-2", "user-1"))

    assert list(Person.objects.all()) == [first]
    assert [device.person for device in Device.objects.all()] == [first]
    assert [list(group.members.all()) for group in (guild, clan)] == [[first], [first]]


def test_merging_many_persons_at_once_keeps_all_conversions(key: NewKey) -> None:
    digest(key, *[purchase(f"user-{number}") for number in range(30)])
    digest(key, *[alias(f"user-{number}", "user-0") for number in range(1, 30)])

    assert Person.objects.count() == 1
    assert Conversion.objects.filter(person=Person.objects.get()).count() == 30


def test_undigested_events_belong_to_no_player(key: NewKey) -> None:
    send(key, identify("user-1", "a-1"))
    assert not Person.objects.exists()
    queue.drain()
    assert Person.objects.count() == 1
