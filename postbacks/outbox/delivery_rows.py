"""The rows that a fan-out writes: one Delivery per conversion and config that takes its click, waiting, held, or
skipped with a reason. The conversion's own reason explains why the other postbacks of the game have none.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from audience.models import Conversion, Reason
from consent.models import Level
from postbacks.models import Delivery, DeliveryState, PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.outbox import consent_levels, gate, once_per_player, repeated_orders
from postbacks.outbox.goals import Goal, Match, match_goal
from postbacks.outbox.once_per_player import Key

Pair = tuple[Conversion, PostbackConfig]


def key_of(row: Delivery) -> Key:
    assert row.conversion_id  # None only for erased players
    return (row.conversion_id, row.config_id)


def rows(
    conversions: Sequence[Conversion], configs: Iterable[PostbackConfig], now: datetime, *, existing: Iterable[Delivery]
) -> list[Delivery]:
    """A new Delivery for each conversion and config that takes its click, and for each `existing` one that was skipped.

    That was skipped by an earlier fan-out: maybe for another click, or before its postback was deleted.
    """
    pairs = _pairs(conversions, configs, existing)
    matches = {key: match_goal(config, conversion) for key, (conversion, config) in pairs.items()}
    eligible = [conversion for conversion, config in pairs.values() if gate.is_eligible(conversion, config)]
    levels = consent_levels.levels(list(dict.fromkeys(eligible)))
    repeats = once_per_player.repeats(pairs.values(), matches)
    deliveries: dict[Key, Delivery] = {}
    for key, (conversion, config) in pairs.items():
        level = levels.get(conversion.pk, Level.NONE)
        deliveries[key] = _row(conversion, config, matches[key], level, now, repeated=key in repeats)
    sendable = [pairs[key] for key, row in deliveries.items() if row.state != DeliveryState.SKIPPED]
    for key in repeated_orders.repeats(sendable, matches):
        _skip(deliveries[key], Reason.REPEAT_ORDER, now)
    return list(deliveries.values())


def _pairs(
    conversions: Sequence[Conversion], configs: Iterable[PostbackConfig], existing: Iterable[Delivery]
) -> dict[Key, Pair]:
    by_game: dict[int, list[PostbackConfig]] = defaultdict(list)
    for config in configs:
        by_game[config.game_id].append(config)
    pairs: dict[Key, Pair] = {}
    for conversion in conversions:
        click = conversion.touch
        taking = [config for config in by_game[conversion.game_id] if click is not None and config.takes_click(click)]
        pairs |= {(conversion.pk, config.pk): (conversion, config) for config in taking}
    by_id = {conversion.pk: conversion for conversion in conversions}
    for row in existing:
        if row.state == DeliveryState.SKIPPED and row.network in NETWORKS:
            pairs.setdefault(key_of(row), (by_id[key_of(row)[0]], row.config))
    return pairs


def _row(
    conversion: Conversion, config: PostbackConfig, match: Match, level: Level, now: datetime, *, repeated: bool
) -> Delivery:
    reason = gate.reason_not_to_send(conversion, config, level=level, now=now, repeated=repeated, match=match)
    not_before = None if reason else gate.not_before(conversion, config, level=level)
    row = Delivery(
        game_id=conversion.game_id,
        conversion=conversion,
        config=config,
        network=config.network,
        trigger=conversion.trigger,
        sent_as=match.sent_as if isinstance(match, Goal) else "",
        object_id=match.object_id if isinstance(match, Goal) else "",
        event_id=gate.event_id(conversion, config),
        event_at=conversion.event_at,
        dead_after=gate.deadline(config, conversion.event_at),
        config_version=config.version,
        state=DeliveryState.HELD if config.held_at else DeliveryState.WAITING,
        not_before=not_before,
        next_attempt_at=None if config.held_at else max(now, not_before or now),
        created_at=now,
    )
    if reason:
        _skip(row, reason, now)
    return row


def _skip(row: Delivery, reason: Reason, now: datetime) -> None:
    row.state, row.reason, row.not_before, row.next_attempt_at = DeliveryState.SKIPPED, reason, None, None
    row.finished_at = now
