"""Traits and groups that any call states: what holds for the event, for its player, and for a group."""

import itertools
import json
from datetime import date
from typing import Any

import pytest
from django.utils import timezone

from audience.digest import event_groups
from audience.digest.event_groups import ClaimedBatch
from audience.games.keys import NewKey, create_key
from audience.models import Conversion, Dialect, Event, Game, Group, Identity, Person
from postbacks.hub.people.views import traits_of
from tests.audience import immutable
from tests.audience.wire import digest, only_event, post

pytestmark = pytest.mark.django_db
CACHED = {"email": "cached@example.com", "plan": "gold"}
OWN = {"email": "own@example.com"}
CALLS = {
    "page": {"name": "Home"},
    "screen": {"name": "Home"},
    "alias": {"previousId": "a-0"},
    "group": {"groupId": "guild"},
}


@pytest.fixture
def rudder(game: Game) -> NewKey:
    return create_key(game=game, name="web", dialect=Dialect.RUDDERSTACK)


def call(kind: str, key: NewKey, *, minute: int = 0, **fields: Any) -> None:
    """Send a call of user u-1."""
    sent = {"userId": "u-1", "timestamp": f"2026-04-08T11:{minute:02}:00Z", **CALLS.get(kind, {}), **fields}
    assert post(f"/v1/{kind}", sent, key).status_code == 200


def traits() -> Any:
    return Person.objects.get().traits


# Of the event


def test_traits_of_a_track_hold_for_that_event_only(rudder: NewKey) -> None:
    call("track", rudder, event="purchase", traits=OWN, context={"traits": CACHED})
    digest()

    assert (only_event().traits, only_event().context["traits"]) == (OWN, CACHED)
    assert Conversion.objects.get().context["traits"] == {"email": "own@example.com", "plan": "gold"}
    assert traits() == {}


def test_a_conversion_without_traits_has_none_in_its_context(rudder: NewKey) -> None:
    call("track", rudder, event="purchase", context={"locale": "en-GB"})
    digest()

    assert Conversion.objects.get().context == {"locale": "en-GB"}


def test_the_traits_of_a_batchs_context_hold_for_its_members(rudder: NewKey) -> None:
    member = {"type": "track", "userId": "u-1", "event": "purchase"}
    assert post("/v1/batch", {"batch": [member], "context": {"traits": CACHED}}, rudder).status_code == 200
    digest()

    assert Conversion.objects.get().context["traits"] == CACHED


@pytest.mark.parametrize("wrong", ["alex", 7, ["email"], None, True])
def test_traits_of_another_type_are_none(rudder: NewKey, wrong: Any) -> None:
    call("track", rudder, event="purchase", traits=wrong, context={"traits": wrong})
    call("page", rudder, traits=wrong, context={"traits": wrong})
    digest()

    assert traits() == {}


# Of the player


@pytest.mark.parametrize("kind", ["page", "screen", "alias"])
def test_a_call_without_an_event_sets_traits_of_the_player(rudder: NewKey, kind: str) -> None:
    call(kind, rudder, traits=OWN, context={"traits": CACHED})
    digest()

    assert traits() == {"email": "own@example.com", "plan": "gold"}


def test_a_groups_own_traits_are_never_the_players(rudder: NewKey) -> None:
    call("group", rudder, traits={"email": "guild@example.com", "name": "Sky"}, context={"traits": {"plan": "gold"}})
    digest()

    assert traits() == {"plan": "gold"}
    assert Group.objects.get().traits == {"email": "guild@example.com", "name": "Sky"}


STEPS: dict[str, Any] = {
    "identify": lambda key: call("identify", key, minute=10, traits={"email": "new@example.com", "age": None}),
    "stale page": lambda key: call("page", key, minute=20, context={"traits": {"email": "old@example.com", "age": 7}}),
    "page": lambda key: call("page", key, minute=5, context={"traits": {"plan": "gold"}}),
    "null": lambda key: call("screen", key, minute=30, context={"traits": {"plan": None, "email": None}}),
    "screen": lambda key: call("screen", key, minute=6, context={"traits": {"plan": "silver"}}),
}


@pytest.mark.long
@pytest.mark.parametrize("order", list(itertools.permutations(STEPS))[::7], ids="; ".join)
def test_what_a_client_has_stored_never_replaces_what_an_identify_says(rudder: NewKey, order: tuple[str, ...]) -> None:
    for name in order:
        STEPS[name](rudder)
        digest()

    person = Person.objects.get()
    assert person.traits == {"email": "new@example.com", "plan": "silver"}
    assert person.trait_times == {
        "email": "2026-04-08T11:10:00+00:00",
        "age": "2026-04-08T11:10:00+00:00",
        "plan": "2026-04-08T11:06:00+00:00 other",
    }


def test_traits_move_with_their_events_to_the_player_they_belong_to(rudder: NewKey) -> None:
    guest = {"anonymousId": "a-1", "userId": None}
    call("page", rudder, minute=20, **guest, context={"traits": {"plan": "gold"}})
    digest()
    call("identify", rudder, minute=10, userId="u-1", anonymousId="a-1")
    call("identify", rudder, minute=15, userId="u-2", anonymousId="a-1")
    digest()

    named = {identity.value: identity.person.traits for identity in identities()}
    assert named == {"u-1": {}, "u-2": {"plan": "gold"}}


def test_a_move_takes_exactly_the_traits_of_the_moved_events(rudder: NewKey) -> None:
    """The identify of the same moment as a page that moves has set the same trait."""
    call("identify", rudder, minute=5, anonymousId="a-1", traits={"email": "one@example.com"})
    call("page", rudder, minute=20, userId=None, anonymousId="a-1", context={"traits": {"plan": "gold", "level": 7}})
    call("screen", rudder, minute=6, userId=None, anonymousId="a-1", context={"traits": {"level": 3}})
    call("identify", rudder, minute=20, traits={"plan": "gold"})
    digest()
    assert traits() == {"email": "one@example.com", "plan": "gold", "level": 7}
    call("identify", rudder, minute=10, userId="u-2", anonymousId="a-1")
    digest()

    named = {identity.value: (identity.person.traits, identity.person.trait_times) for identity in identities()}
    assert named == {
        "u-1": (
            {"email": "one@example.com", "plan": "gold", "level": 3},
            {
                "email": "2026-04-08T11:05:00+00:00",
                "plan": "2026-04-08T11:20:00+00:00",
                "level": "2026-04-08T11:06:00+00:00 other",
            },
        ),
        "u-2": (
            {"plan": "gold", "level": 7},
            dict.fromkeys(("plan", "level"), "2026-04-08T11:20:00+00:00 other"),
        ),
    }


def identities() -> Any:
    return Identity.objects.filter(namespace="user").select_related("person")


def test_an_identify_by_email_is_the_players_email(key: NewKey) -> None:
    immutable.digest(key, immutable.identify("alex@example.com", identityType="email"))

    assert traits() == {"email": "alex@example.com"}


def test_a_stated_email_precedes_the_one_that_identifies(key: NewKey) -> None:
    stated = {"email": "new@example.com"}
    immutable.digest(key, immutable.identify("alex@example.com", identityType="email", traits=stated))

    assert traits() == stated


def test_a_merge_by_email_and_phone_sets_them(rudder: NewKey) -> None:
    merged = [{"type": "email", "value": "alex@example.com"}, {"type": "mobile", "value": "+1-202-555-0146"}]
    call("merge", rudder, mergeProperties=merged)
    digest()

    assert traits() == {"email": "alex@example.com", "phone": "+1-202-555-0146"}


# Of a group


@pytest.mark.parametrize("kind", ["track", "page", "screen", "alias", "identify"])
def test_a_group_in_the_context_of_any_call_is_a_membership(rudder: NewKey, kind: str) -> None:
    call(kind, rudder, event="progress", traits={"email": "a@example.com"}, context={"groupId": "guild"})
    digest()

    group = Group.objects.get()
    assert (group.group_id, group.traits, list(group.members.all())) == ("guild", {}, [Person.objects.get()])


@pytest.mark.parametrize("value", ["", "undefined", None, True, {}, "x" * 513, "a\ud800"])
def test_a_value_that_is_no_id_is_no_membership_and_no_reason_to_refuse(rudder: NewKey, value: Any) -> None:
    sent = {"userId": "u-1", "event": "progress", "context": {"groupId": value}}
    assert post("/v1/track", json.dumps(sent).encode(), rudder).status_code == 200
    digest()

    assert only_event().group_id == ""
    assert not Group.objects.exists()


def test_an_event_without_a_usable_id_makes_no_member(rudder: NewKey) -> None:
    call("track", rudder, userId="undefined", event="progress", context={"groupId": "guild"})
    digest()

    assert only_event().group_id == "guild"
    assert (Group.objects.count(), Person.objects.count()) == (0, 0)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_membership_does_not_age_a_groups_traits(rudder: NewKey, order: tuple[int, ...]) -> None:
    calls = [
        lambda: call("track", rudder, minute=30, event="progress", context={"groupId": "guild"}),
        lambda: call("group", rudder, minute=10, traits={"name": "Old"}),
        lambda: call("group", rudder, minute=20, traits={"name": "New"}),
    ]
    for number in order:
        calls[number]()
        digest()

    assert Group.objects.get().traits == {"name": "New"}


def test_events_of_a_member_are_not_read_again(rudder: NewKey, game: Game) -> None:
    call("track", rudder, event="progress", context={"groupId": "guild"})
    digest()
    for group in ("guild", "guild", "other"):
        call("track", rudder, minute=1, event="progress", context={"groupId": group, "traits": CACHED})
    first, second, other = Event.objects.order_by("-pk").values_list("pk", flat=True)[:3][::-1]

    def read(*ids: int) -> list[int]:
        day = date(2026, 4, 8)
        batch = ClaimedBatch(pk=1, accepted=len(ids), first_day=day, last_day=day, event_ids=list(ids))
        _, events = event_groups.read(game=game, batches=[batch], triggers=["purchase"])
        return [event.pk for event in events]

    assert read(first, second) == []
    assert read(other) == [other]


def test_the_page_of_a_player_shows_traits_of_any_call_with_their_times(game: Game) -> None:
    at = timezone.now()
    person = Person(game=game, traits={"plan": "gold"}, trait_times={"plan": f"{at.isoformat()} other"})
    assert traits_of(person, addresses=True) == [("plan", "gold", at)]
