"""Random histories of shared browsers and devices: the digest agrees with the model in any order of arrival."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from audience.digest import weak_ids
from audience.models import Conversion, Game, Identity, Person, Touch
from tests import factories
from tests.audience.identity_histories import History, histories, send
from tests.audience.identity_oracle import MAX_OWNERS, Oracle, Player
from tests.effort import IN_FULL

pytestmark = [pytest.mark.long, pytest.mark.django_db]

# (network, click key)
Click = tuple[str, str]
CONVERSIONS = ("game_launch", "purchase")


class Known:
    """What is known of one player: user ids, clicks with their times, traits, and conversions."""

    def __init__(self, users: frozenset[str]) -> None:
        self.users = users
        self.touches: dict[Click, datetime] = {}
        self.traits: dict[str, str] = {}
        # message id -> (trigger, reason, the click that won it)
        self.conversions: dict[str, tuple[str, str, Click | None]] = {}

    def as_text(self) -> str:
        known = [sorted(self.users), sorted(self.touches.items()), self.traits, self.conversions]
        return json.dumps(known, default=str, sort_keys=True)

    @property
    def is_visible(self) -> bool:
        return bool(self.users or self.touches or self.traits or self.conversions)


def digested(game: Game, history: History) -> Any:
    """Return what the database knows of each player of the game."""
    named = user_ids_of(history)
    users: dict[Any, set[str]] = defaultdict(set)
    for person_id, value in Identity.objects.filter(game=game, namespace="user").values_list("person_id", "value"):
        if value in named:
            users[person_id].add(value)
    known = {row.pk: Known(frozenset(users[row.pk])) for row in Person.objects.filter(game=game)}
    for row in Person.objects.filter(game=game):
        known[row.pk].traits = row.traits
    for touch in Touch.objects.filter(game=game):
        known[touch.person_id].touches[touch.network, touch.click_key] = touch.clicked_at
    for row in Conversion.objects.filter(game=game).select_related("touch"):
        # The click of a conversion that does not count, or is never posted, is of no interest.
        won = row.touch if row.reason not in ("repeat_launch", "shared_id") else None
        click = (won.network, won.click_key) if won else None
        known[row.person_id].conversions[row.message_id] = (row.trigger, row.reason, click)
    return counted(known.values())


def counted(players: Any) -> Any:
    return Counter(known.as_text() for known in players if known.is_visible)


def expected(history: History, at: datetime, *, max_owners: int) -> Any:
    """Return what the model knows of each player."""
    oracle = Oracle(history.modelled(), max_owners=max_owners)
    named = user_ids_of(history)
    known: dict[Player, Known] = {
        player: Known(frozenset(value for namespace, value in player if namespace == "user" and value in named))
        for player in oracle.named_players()
    }
    theirs: dict[Player, list[int]] = defaultdict(list)
    for position, player in enumerate(oracle.players()):
        known.setdefault(player, Known(frozenset()))
        theirs[player].append(position)
    for player, positions in theirs.items():
        learn(known[player], history, positions, at)
    for crowd in oracle.crowds() & known.keys():
        known[crowd].conversions = {
            message_id: (trigger, reason if reason == "repeat_launch" else "shared_id", None)
            for message_id, (trigger, reason, _) in known[crowd].conversions.items()
        }
    return counted(known.values())


def user_ids_of(history: History) -> set[str]:
    """Return the user ids that events name, without previous ids of aliases."""
    return {message.user for message in history.modelled()} | {step.ends[1] for step in history.steps}


def learn(known: Known, history: History, positions: list[int], at: datetime) -> None:
    """Add what a player's events say, in order of time."""
    messages = history.modelled()
    launched = False
    traits: dict[str, tuple[float, str]] = {}
    positions = sorted(positions, key=lambda one: (messages[one].at, messages[one].message_id))
    for position in positions:
        step = history.steps[position]
        if step.click:
            known.touches.setdefault(("tiktok", step.click_key(position)), at + timedelta(minutes=step.minute))
        if step.kind == "identify" and step.email != "":
            value = "" if step.email is None else json.dumps(step.email)
            traits["email"] = max(traits.get("email", (-1.0, "")), (step.minute, value))
    known.traits = {name: json.loads(value) for name, (_, value) in traits.items() if value}
    for position in positions:
        step, message = history.steps[position], messages[position]
        if step.kind not in CONVERSIONS:
            continue
        if step.kind == "game_launch" and launched:
            known.conversions[message.message_id] = (step.kind, "repeat_launch", None)
            continue
        launched = launched or step.kind == "game_launch"
        click = last_click(known, at + timedelta(minutes=step.minute))
        known.conversions[message.message_id] = (step.kind, "" if click else "no_click", click)


def last_click(known: Known, at: datetime) -> Click | None:
    before = [(clicked_at, click) for click, clicked_at in known.touches.items() if clicked_at <= at]
    return max(before)[1] if before else None


@contextmanager
def left_no_trace() -> Iterator[None]:
    """Rows of hundreds of examples in one transaction would slow it down."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def check(history: History, *, max_owners: int = MAX_OWNERS) -> None:
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
    wanted = expected(history, at, max_owners=max_owners)
    for arrival in history.arrivals:
        with left_no_trace():
            game = factories.game()
            send(history, arrival, game=game, at=at)
            found = digested(game, history)
        if found != wanted:
            note(f"{history.as_text(arrival)}\nexpected: {wanted - found}\ngot: {found - wanted}")
        assert found == wanted


random_histories = settings(
    max_examples=500 if IN_FULL else 20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    print_blob=True,
)


@random_histories
@given(history=histories())
def test_in_every_order_of_arrival_each_event_belongs_to_the_player_of_the_model(history: History) -> None:
    check(history)


@random_histories
@given(history=histories(), max_owners=st.integers(1, 2))
def test_ids_of_too_many_players_own_nothing_in_every_order_of_arrival(history: History, max_owners: int) -> None:
    """With a smaller limit; tests/audience/test_shared_machines.py has the real one."""
    with mock.patch.object(weak_ids, "MAX_OWNERS", max_owners):
        check(history, max_owners=max_owners)
