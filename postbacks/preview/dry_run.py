"""Evaluates proposed settings on the conversions of the last week, without writing anything."""

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from audience.database import clock
from audience.models import Conversion, Event, Kind, Reason
from audience.models.goals import conversion_event_names
from consent.models import Level
from postbacks.models import PostbackConfig
from postbacks.outbox import consent_levels, conversion_facts, gate, once_per_player, reasons, repeated_orders
from postbacks.outbox.goals import goals_of, match_goal

DAYS = 7
MAX_CONVERSIONS = 20_000  # the newest ones
CHUNK_SIZE = 1000
SCAN_LIMIT = 20_000  # newest events, searched for those of goals whose names make no conversions yet
COLUMNS = ("trigger", "event_at", "created_at", "reason", "test", "touch__network", "touch__parameter")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonCount:
    """The number of conversions not sent for a reason; `before`: with the current settings, None if there are none."""

    reason: Reason
    count: int
    before: int | None

    @property
    def label(self) -> str:
        return reasons.TEXTS[self.reason].total or str(self.reason.label)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventCount:
    """The events of a goal whose name makes no conversions yet. `at_least`: not all events of the week were read."""

    event: str
    count: int
    at_least: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """`since` is a week ago or, if `is_capped`, the time of the oldest conversion evaluated."""

    since: datetime
    considered: int
    is_capped: bool
    sent: int
    sent_before: int | None
    reasons: list[ReasonCount]
    new_events: list[EventCount]

    @property
    def not_sent(self) -> int:
        return self.considered - self.sent

    @property
    def change(self) -> int:
        return 0 if self.sent_before is None else self.sent - self.sent_before

    @property
    def fewer(self) -> int:
        return max(-self.change, 0)


def run(*, proposed: PostbackConfig, current: PostbackConfig | None) -> DryRun:
    """Evaluate the newest conversions of the last 7 days with `proposed` and, to compare, with `current`.

    `proposed` need not be stored. A conversion's age at its arrival counts, so that none is too old only because it is
    evaluated later. Nothing is written.
    """
    since = clock.now() - timedelta(days=DAYS)
    counts: Counter[Reason | None] = Counter()
    before: Counter[Reason | None] | None = Counter() if current else None
    oldest, considered = since, 0
    for chunk in _chunks(proposed, since):
        considered, oldest = considered + len(chunk), chunk[-1].event_at
        levels = consent_levels.levels([conversion for conversion in chunk if gate.is_eligible(conversion, proposed)])
        counts.update(_reasons(chunk, proposed, levels))
        if current and before is not None:
            before.update(_reasons(chunk, current, levels))
    is_capped = considered >= MAX_CONVERSIONS
    return DryRun(
        since=oldest if is_capped else since,
        considered=considered,
        is_capped=is_capped,
        sent=counts[None],
        sent_before=None if before is None else before[None],
        reasons=_count_reasons(counts, before),
        new_events=_count_new_events(proposed, since),
    )


def _chunks(config: PostbackConfig, since: datetime) -> Iterator[list[Conversion]]:
    """Yield conversions, newest first. Those whose clicks are not for the config have only COLUMNS."""
    rows = Conversion.objects.filter(game=config.game, event_at__gte=since).order_by("-event_at", "-pk")
    ids = list(rows.values_list("pk", "touch__network", "touch__parameter", "test")[:MAX_CONVERSIONS])
    for start in range(0, len(ids), CHUNK_SIZE):
        chunk = ids[start : start + CHUNK_SIZE]
        attributed = {pk for pk, kind, name, test in chunk if kind and config.takes(kind, name) and not test}
        complete = list(Conversion.objects.filter(pk__in=attributed).select_related("game", "touch", "person"))
        conversion_facts.load_first_user_ids(complete)
        # Only consent and match keys need the other columns, which are most of a row.
        others = [pk for pk, *_ in chunk if pk not in attributed]
        loaded = [*complete, *Conversion.objects.filter(pk__in=others).select_related("touch").only(*COLUMNS)]
        if loaded:
            yield sorted(loaded, key=lambda conversion: conversion.event_at, reverse=True)


def _reasons(
    chunk: Sequence[Conversion], config: PostbackConfig, levels: dict[uuid.UUID, Level]
) -> Iterable[Reason | None]:
    eligible = [conversion for conversion in chunk if gate.is_eligible(conversion, config)]
    matches = {(conversion.pk, config.pk): match_goal(config, conversion) for conversion in eligible}
    repeats = once_per_player.repeats([(conversion, config) for conversion in eligible], matches)
    verdicts: dict[tuple[uuid.UUID, uuid.UUID], Reason | None] = {}
    for conversion in chunk:
        key, level = (conversion.pk, config.pk), levels.get(conversion.pk, Level.NONE)
        verdicts[key] = gate.reason_not_to_send(
            conversion,
            config,
            level=level,
            now=conversion.created_at,
            repeated=key in repeats,
            match=matches.get(key),
        )
    sendable = [(conversion, config) for conversion in eligible if verdicts[conversion.pk, config.pk] is None]
    verdicts |= dict.fromkeys(repeated_orders.repeats(sendable, matches), Reason.REPEAT_ORDER)
    return verdicts.values()


def _count_reasons(counts: Counter[Reason | None], before: Counter[Reason | None] | None) -> list[ReasonCount]:
    occurring = [reason for reason in {**counts, **(before or {})} if reason is not None]
    rows = [ReasonCount(reason=r, count=counts[r], before=None if before is None else before[r]) for r in occurring]
    return sorted(rows, key=lambda row: (-row.count, reasons.ORDER.index(row.reason)))


def _count_new_events(proposed: PostbackConfig, since: datetime) -> list[EventCount]:
    """Count the events of goals whose names make no conversions in this game yet."""
    names = sorted({goal.event for goal in goals_of(proposed)} - conversion_event_names(game=proposed.game))
    if not names:
        return []
    recent = Event.objects.filter(game_id=proposed.game_id, day__gte=(since - timedelta(days=1)).date())
    floor = recent.scan_floor(limit=SCAN_LIMIT)
    events = recent.filter(pk__gt=floor, kind=Kind.TRACK, test=False, name__in=names, event_at__gte=since)
    counts = Counter(events.values_list("name", flat=True))
    return [EventCount(event=name, count=counts[name], at_least=bool(floor)) for name in names]
