"""Goals that count once per player: which conversions are not the player's first.

Decided at fan-out, by the player's events at that time. A conversion counts if a delivery of it was not skipped or may
have arrived. Otherwise the earliest by event time counts, whatever its outcome; conversions of a server key precede
others, since with a public key anyone can report an earlier one. So the order of arrival matters only for an event that
arrives after a later one got such a delivery: it is the repeat.
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

# The key of a Delivery: conversion id, config id.
Key = tuple[uuid.UUID, uuid.UUID]
# Person id and goal: one conversion of each counts.
PersonGoal = tuple[uuid.UUID, Goal]


@dataclass(frozen=True, slots=True)
class OnceCandidate:
    """A conversion accepted by a goal that counts once."""

    conversion: Conversion
    config: PostbackConfig
    goal: Goal

    @property
    def key(self) -> Key:
        return (self.conversion.pk, self.config.pk)

    @property
    def person_goal(self) -> PersonGoal:
        return (self.conversion.person_id, self.goal)


def lock_games(configs: Iterable[PostbackConfig]) -> None:
    """Lock the games whose configs have a goal that counts once, until the transaction ends.

    To be called before conversions are read: if two batches have conversions of one player, the second one must see the
    decisions of the first.
    """
    games = {config.game_id for config in configs if any(goal.once for goal in goals_of(config))}
    with connection.cursor() as cursor:
        for game_id in sorted(games):
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"goals of game {game_id}"])


def repeats(pairs: Iterable[tuple[Conversion, PostbackConfig]], matches: Mapping[Key, Match]) -> set[Key]:
    """The pairs whose goal, by `matches`, counts once and has counted another conversion of the player.

    Two queries per config at most.
    """
    by_config: dict[uuid.UUID, list[OnceCandidate]] = defaultdict(list)
    for conversion, config in pairs:
        goal = matches[conversion.pk, config.pk]
        if isinstance(goal, Goal) and goal.once and gate.is_eligible(conversion, config):
            by_config[config.pk].append(OnceCandidate(conversion, config, goal))
    return {candidate.key for same_config in by_config.values() for candidate in _repeats(same_config)}


def _repeats(candidates: Sequence[OnceCandidate]) -> list[OnceCandidate]:
    """The repeats of candidates of one config."""
    config = candidates[0].config
    person_ids, events = {c.conversion.person_id for c in candidates}, {c.goal.event for c in candidates}
    conversions = _conversions_of(person_ids, events)
    may_be_sent = ~Q(state=DeliveryState.SKIPPED) | Q(may_have_arrived=True)
    tried = Delivery.objects.filter(may_be_sent, config=config, conversion=OuterRef("pk"))
    counted = _first_conversions(config, conversions.filter(Exists(tried)))
    uncounted = {c.conversion.person_id for c in candidates if c.person_goal not in counted}
    counted = {**_first_conversions(config, conversions.filter(person_id__in=uncounted)), **counted}
    return [c for c in candidates if counted.get(c.person_goal, c.conversion.pk) != c.conversion.pk]


def _conversions_of(person_ids: set[uuid.UUID], events: set[str]) -> QuerySet[Conversion]:
    """The conversions of these people and events, those of server keys first, by event time.

    Without test traffic, erased players and refunds.
    """
    of_players = Conversion.objects.filter(person_id__in=person_ids, trigger__in=events, test=False)
    counting = of_players.exclude(reason__in=(Reason.ERASED, Reason.REFUND))
    needed = counting.only("person_id", "trigger", "properties", "value", "from_server")
    return needed.order_by(Coalesce("from_server", Value(False)).desc(), "event_at", "message_id")


def _first_conversions(config: PostbackConfig, conversions: Iterable[Conversion]) -> dict[PersonGoal, uuid.UUID]:
    """The id of the first of `conversions`, in this order, that each goal accepts of each player."""
    firsts: dict[PersonGoal, uuid.UUID] = {}
    for conversion in conversions:
        goal = match_goal(config, conversion)
        if isinstance(goal, Goal):
            firsts.setdefault((conversion.person_id, goal), conversion.pk)
    return firsts
