"""The rows of the catalog's pages, with addresses masked for members who may not see them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from audience.catalog.checks import Check
from audience.catalog.figures import EventKey, Sender
from audience.hub.toolkit.access import sees_addresses
from audience.hub.toolkit.masking import masked
from audience.models import Game, Kind, Membership, PropertyType
from postbacks.networks import NETWORKS
from postbacks.reporting.catalog.events import CatalogEvent, CatalogProperty, EventDetails
from postbacks.reporting.catalog.goal_uses import GoalUse

NO_KEY = "No key"
NOT_STATED = "Not stated"
LABELS = {
    PropertyType.ANY: "any type",
    PropertyType.TEXT: "text",
    PropertyType.NUMBER: "number",
    PropertyType.BOOLEAN: "true or false",
    PropertyType.LIST: "list",
    PropertyType.OBJECT: "object",
}


@dataclass(frozen=True, slots=True)
class GoalLink:
    """A goal with the postback that has it; `href` leads to where it is defined."""

    label: str
    postback: str
    href: str
    is_off: bool


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event in the list, and the head of its page. `live_href` lists its newest messages."""

    title: str
    is_named: bool
    description: str
    number: int
    last_at: datetime | None
    badges: list[str]
    goals: list[GoalLink]
    checks: list[str]
    href: str
    live_href: str


@dataclass(frozen=True, slots=True)
class PropertyRow:
    """`percent` is the share of events with a value: "100%", "<0.1%". `types` are [(type, events), ...]."""

    path: str
    filled: int
    percent: str
    types: list[tuple[str, int]]
    empty: int
    expected: str
    is_required: bool
    goals: list[str]


def event_url(game: Game, key: EventKey, **parameters: str) -> str:
    """Return the page of an event; `parameters` are filters that it keeps."""
    named = {"name": key.name} if key.kind == Kind.TRACK else {"kind": key.kind}
    return f"{reverse('catalog-event', kwargs={'slug': game.slug})}?{urlencode({**named, **parameters})}"


def event_row(event: CatalogEvent, membership: Membership, parameters: dict[str, str]) -> EventRow:
    game, addresses = membership.game, sees_addresses(membership)
    names = {"name": event.key.name} if event.key.kind == Kind.TRACK else {"kind": event.key.kind}
    badges = ["Predefined"] if event.is_predefined else []
    badges += ["Described"] if event.is_described else []
    badges += ["Becomes a conversion"] if event.becomes_conversion else []
    return EventRow(
        title=masked(event.title, addresses=addresses),
        is_named=bool(event.key.name),
        description=masked(event.description, addresses=addresses),
        number=event.number,
        last_at=event.last_at,
        badges=badges,
        goals=[_goal(use, game, addresses) for use in event.uses],
        checks=_sentences(event.checks, addresses),
        href=event_url(game, event.key, **parameters),
        live_href=f"{reverse('events', kwargs={'slug': game.slug})}?{urlencode({**names, 'status': 'accepted'})}",
    )


def property_rows(details: EventDetails, membership: Membership) -> list[PropertyRow]:
    return [_property(row, sees_addresses(membership)) for row in details.properties]


def sender_rows(senders: Iterable[Sender]) -> list[tuple[str, str, str, int]]:
    """Return [(key, SDK, version, events), ...]."""
    return [(one.key or NO_KEY, one.library or NOT_STATED, one.version, one.number) for one in senders]


def _property(row: CatalogProperty, addresses: bool) -> PropertyRow:
    return PropertyRow(
        path=masked(row.path, addresses=addresses),
        filled=row.filled,
        percent=_percent(row.share),
        types=[(LABELS[kind], number) for kind, number in row.types],
        empty=row.empty,
        expected=" or ".join(LABELS[kind] for kind in row.expected),
        is_required=row.is_required,
        goals=_texts((use.label for use in row.uses), addresses),
    )


def _percent(share: float) -> str:
    """Return a share as text: rounded, but 0% and 100% for none and all only."""
    if 0 < share < 0.001:
        return "<0.1%"
    rounded = f"{min(share, 0.999) * 100:.1f}".removesuffix(".0") if 0 < share < 1 else f"{share:.0%}".rstrip("%")
    return f"{rounded}%"


def _goal(use: GoalUse, game: Game, addresses: bool) -> GoalLink:
    if use.config is None:
        href = reverse("goals", kwargs={"slug": game.slug})
        return GoalLink(masked(use.label, addresses=addresses), "", href, is_off=False)
    network = NETWORKS[use.config.network]
    href = reverse("integration", kwargs={"slug": game.slug, "network": use.config.network})
    return GoalLink(masked(use.label, addresses=addresses), network.label, href, not use.config.enabled)


def _sentences(checks: Sequence[Check], addresses: bool) -> list[str]:
    return _texts((check.sentence for check in checks), addresses)


def _texts(texts: Iterable[str], addresses: bool) -> list[str]:
    found: list[Any] = [masked(text, addresses=addresses) for text in dict.fromkeys(texts)]
    return found
