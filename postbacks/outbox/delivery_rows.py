"""The rows that a fan-out writes: one Delivery per conversion and config, waiting, held, or skipped with a reason."""

from collections.abc import Sequence
from datetime import datetime

from audience.models import Conversion, Reason
from consent.models import Level
from postbacks.models import Delivery, DeliveryState, PostbackConfig
from postbacks.outbox import consent_levels, gate, once_per_player, repeated_orders
from postbacks.outbox.goals import Goal, Match, match_goal
from postbacks.outbox.once_per_player import Key


def key(row: Delivery) -> Key:
    assert row.conversion_id  # None only for erased players
    return (row.conversion_id, row.config_id)


def rows(conversions: Sequence[Conversion], configs: Sequence[PostbackConfig], now: datetime) -> list[Delivery]:
    """A new Delivery for each conversion and config of its game, whether there is one or not."""
    pairs = [(conv, config) for conv in conversions for config in configs if config.game_id == conv.game_id]
    matches = {(conv.pk, config.pk): match_goal(config, conv) for conv, config in pairs}
    levels = consent_levels.levels([conv for conv in conversions if gate.reason_for_any_config(conv) is None])
    repeats = once_per_player.repeats(pairs, matches)
    deliveries = []
    for conv, config in pairs:
        pair, level = (conv.pk, config.pk), levels.get(conv.pk, Level.NONE)
        deliveries.append(_row(conv, config, matches[pair], level, now, repeated=pair in repeats))
    sendable = {
        key(row): pair for row, pair in zip(deliveries, pairs, strict=True) if row.state != DeliveryState.SKIPPED
    }
    repeated_keys = repeated_orders.repeats(sendable.values(), matches)
    for row in deliveries:
        if key(row) in repeated_keys:
            _skip(row, Reason.REPEAT_ORDER, now)
    return deliveries


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
