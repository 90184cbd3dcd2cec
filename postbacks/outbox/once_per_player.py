"""Goals that count once per player: which conversions are not the player's first.

Decided at fan-out, for the player as known then. A conversion that was handed over to the config counts, since it may
have been sent. Else those of a server key precede others, since with a public key anyone can report an earlier one, and
of them the earliest by event time counts, whatever its outcome. So the order of arrival matters only for an event that
arrives after a later one was handed over: it is the repeat.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Coalesce

from audience.models import Conversion, Reason
from postbacks.models import Delivery, DeliveryState, PostbackConfig
from postbacks.outbox import gate
from postbacks.outbox.goals import Goal, Match, goals_of, match_goal

# The conversion and the config of a Delivery.
Key = tuple[uuid.UUID, uuid.UUID]
# One conversion counts per person and goal.
Place = tuple[uuid.UUID, Goal]


@dataclass(frozen=True, slots=True)
class OnceCandidate:
    """A conversion taken by a goal that counts once."""

    conversion: Conversion
    config: PostbackConfig
    goal: Goal

    @property
    def key(self) -> Key:
        return (self.conversion.pk, self.config.pk)

    @property
    def place(self) -> Place:
        return (self.conversion.person_id, self.goal)


def lock_games(configs: Iterable[PostbackConfig]) -> None:
    """Lock the games of these configs that have a goal counting once, for the transaction.

    To be called before conversions are read: of two conversions of a player in two batches, the second decision must
    see the first.
    """
    games = {config.game_id for config in configs if any(goal.once for goal in goals_of(config))}
    with connection.cursor() as cursor:
        for game_id in sorted(games):
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"goals of game {game_id}"])


def repeats(pairs: Iterable[tuple[Conversion, PostbackConfig]], matches: Mapping[Key, Match]) -> set[Key]:
    """Those of these pairs, which have `matches`, whose goal counts once and counted another conversion of the player.

    Two queries per config at most.
    """
    by_config: dict[uuid.UUID, list[OnceCandidate]] = defaultdict(list)
    for conversion, config in pairs:
        goal = matches[conversion.pk, config.pk]
        if isinstance(goal, Goal) and goal.once and gate.is_eligible(conversion, config):
            by_config[config.pk].append(OnceCandidate(conversion, config, goal))
    return {candidate.key for same_config in by_config.values() for candidate in _repeats(same_config)}


def _repeats(candidates: Sequence[OnceCandidate]) -> list[OnceCandidate]:
    """Those of one config."""
    config = candidates[0].config
    people, events = {c.conversion.person_id for c in candidates}, {c.goal.event for c in candidates}
    known = _of_the_players(people, events)
    handed_over = ~Q(state=DeliveryState.SKIPPED) | Q(may_have_arrived=True)
    tried = Delivery.objects.filter(handed_over, config=config, conversion=OuterRef("pk"))
    counted = _firsts(config, known.filter(Exists(tried)))
    uncounted = {c.conversion.person_id for c in candidates if c.place not in counted}
    counted = {**_firsts(config, known.filter(person_id__in=uncounted)), **counted}
    return [c for c in candidates if counted.get(c.place, c.conversion.pk) != c.conversion.pk]


def _of_the_players(person_ids: set[uuid.UUID], events: set[str]) -> QuerySet[Conversion]:
    """Their conversions of these events without test traffic, those of server keys first, then by event time."""
    of_players = Conversion.objects.filter(person_id__in=person_ids, trigger__in=events, test=False)
    needed = of_players.exclude(reason=Reason.ERASED).only("person_id", "trigger", "properties", "from_server")
    return needed.order_by(Coalesce("from_server", Value(False)).desc(), "event_at", "message_id")


def _firsts(config: PostbackConfig, conversions: Iterable[Conversion]) -> dict[Place, uuid.UUID]:
    """Of `conversions`, in this order, the id of the first that each goal takes of each player."""
    found: dict[Place, uuid.UUID] = {}
    for conversion in conversions:
        goal = match_goal(config, conversion)
        if isinstance(goal, Goal):
            found.setdefault((conversion.person_id, goal), conversion.pk)
    return found
