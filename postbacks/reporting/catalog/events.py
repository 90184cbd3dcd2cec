"""The event catalog of a game: what it sends, what is known of it, which goals count it, and what is probably wrong."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from audience.catalog import checks, figures, predefined
from audience.catalog.checks import Check
from audience.catalog.descriptions import description_of
from audience.catalog.figures import EventFigures, EventKey, Period, Sender, track
from audience.catalog.similar_names import NameForms, similar_names
from audience.models import DescribedEvent, Game, Kind, PropertyType, Trigger
from audience.models.event_counts import OTHER_KIND
from postbacks.reporting.catalog import goal_uses
from postbacks.reporting.catalog.goal_uses import GoalUse

KINDS = dict(Kind.choices)


@dataclass(frozen=True, slots=True)
class CatalogEvent:
    """An event that the game sends, that a goal counts, or that the studio described.

    `description` is the studio's, else that of a predefined event, else ''. `last_at` is the last receipt in the
    period.
    """

    key: EventKey
    number: int
    last_at: datetime | None
    description: str
    is_predefined: bool
    is_described: bool
    uses: Sequence[GoalUse]
    checks: Sequence[Check]

    @property
    def title(self) -> str:
        """Return the name of a track event, or the kind of another message."""
        return self.key.name or (KINDS[self.key.kind] if self.key.kind != Kind.TRACK else "Without a name")

    @property
    def becomes_conversion(self) -> bool:
        return self.key.kind == Kind.TRACK and (self.key.name in Trigger.values or bool(self.uses))


@dataclass(frozen=True, slots=True)
class Catalog:
    """`others` are the events with names beyond the limit of the counts, and with names that are not stored."""

    events: list[CatalogEvent]
    others: int


@dataclass(frozen=True, slots=True)
class CatalogProperty:
    """A property that events have, or should have. `share` is the part of the events with a value in it, from 0 to 1.

    `types` are those that were sent, with their numbers of events, the most frequent first; `expected` those of the
    description or of the predefined event, () for any. `uses` are goals whose condition reads it.
    """

    path: str
    filled: int
    share: float
    types: Sequence[tuple[PropertyType, int]]
    empty: int
    expected: Sequence[PropertyType]
    is_required: bool
    uses: Sequence[GoalUse]


@dataclass(frozen=True, slots=True)
class EventDetails:
    """`described` is the studio's own description. `has_further_properties`: some are not counted by themselves.
    `last_at` is the last receipt that is known, which may be before the period."""

    event: CatalogEvent
    properties: Sequence[CatalogProperty]
    has_further_properties: bool
    senders: Sequence[Sender]
    described: DescribedEvent | None
    last_at: datetime | None


def list_events(*, game: Game, period: Period, search: str = "", only_with_checks: bool = False) -> Catalog:
    """Return the events, the most frequent first, then those that were not sent.

    `search` is a part of the name or description, in any case.
    """
    sent = figures.read_all(game=game, period=period)
    uses, described = goal_uses.by_event(game), _described(game)
    others = figures.others(sent.values())
    found = {key: event for key, event in sent.items() if key.kind != OTHER_KIND}
    # Goals count no test messages.
    for name in {*uses, *described} if not period.test else ():
        found.setdefault(track(name), EventFigures(track(name)))
    alike = similar_names(sent, {*predefined.EVENTS, *uses, *described})
    rows = [
        _row(event, uses.get(_name(event) or "", []), described.get(_name(event) or ""), alike.get(event.key, []))
        for event in found.values()
    ]
    rows = [row for row in rows if not only_with_checks or row.checks]
    rows = [row for row in rows if search.casefold() in f"{row.title} {row.description}".casefold()]
    return Catalog(sorted(rows, key=lambda row: (-row.number, row.title)), others)


def event_details(*, game: Game, key: EventKey, period: Period) -> EventDetails:
    """Return one event, also if it was never sent."""
    event = figures.read_one(game=game, key=key, period=period)
    all_uses = goal_uses.by_event(game)
    # Goals count no test messages, so that none of these is missing.
    uses = all_uses.get(_name(event) or "", []) if event.number or not period.test else []
    described = description_of(game=game, name=key.name) if key.kind == Kind.TRACK else None
    names = figures.names(game=game, period=period) if event.number else []
    alike = NameForms(names, known_names(game, all_uses)).checks(key) if names else []
    return EventDetails(
        event=_row(event, uses, described, alike),
        properties=_properties(event, uses, described),
        has_further_properties=event.has_further_properties,
        senders=figures.senders(game=game, key=key, period=period),
        described=described,
        last_at=event.last_at or figures.last_sent(game=game, key=key, test=period.test),
    )


def known_names(game: Game, uses: Iterable[str]) -> set[str]:
    """Return the event names that are expected: predefined, described, and those that goals count (`uses`)."""
    return {*predefined.EVENTS, *uses, *_described(game)}


def required_of(game: Game) -> dict[str, dict[str, PropertyType]]:
    """Return {event name: {path: type}} of the properties that the studio's descriptions require."""
    return {name: row.required_types for name, row in _described(game).items()}


def _described(game: Game) -> dict[str, DescribedEvent]:
    return {row.name: row for row in DescribedEvent.objects.filter(game=game)}


def _name(event: EventFigures) -> str | None:
    """Return the name by which goals count the event; None for other kinds than track."""
    return event.key.name if event.key.kind == Kind.TRACK else None


def _row(event: EventFigures, uses: Sequence[GoalUse], own: DescribedEvent | None, alike: list[Check]) -> CatalogEvent:
    known = predefined.EVENTS.get(_name(event) or "")
    required = own.required_types if own else {}
    return CatalogEvent(
        key=event.key,
        number=event.number,
        last_at=event.last_at,
        description=(own.description if own else "") or (known.description if known else ""),
        is_predefined=known is not None,
        is_described=own is not None,
        uses=uses,
        checks=[*goal_uses.checks(event, uses), *checks.of_event(event, required), *alike],
    )


def _properties(
    event: EventFigures, uses: Sequence[GoalUse], described: DescribedEvent | None
) -> list[CatalogProperty]:
    """Return the properties, the most frequent first, then those that are only expected."""
    known = predefined.EVENTS.get(_name(event) or "")
    required = described.required_types if described else {}
    expected = {one.name: one for one in known.properties} if known else {}
    conditions = [(use.goal.condition.property, use) for use in uses if use.goal.condition]
    rows = []
    for path in dict.fromkeys([*event.properties, *required, *expected, *(path for path, _ in conditions)]):
        sent, one = event.properties.get(path), expected.get(path)
        own = (required[path],) if path in required and required[path] != PropertyType.ANY else ()
        row = CatalogProperty(
            path=path,
            filled=sent.filled if sent else 0,
            share=sent.share_of(event.number) if sent else 0.0,
            types=sorted(sent.types.items(), key=lambda pair: -pair[1]) if sent else (),
            empty=sent.empty if sent else 0,
            expected=own or (one.types if one else ()),
            is_required=path in required or bool(one and one.required),
            uses=[use for name, use in conditions if name == path],
        )
        rows.append(row)
    return sorted(rows, key=lambda row: (-row.share, -row.filled, row.path))
