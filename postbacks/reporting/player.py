"""What is stored about a player, as the page of the player lists it."""

from collections.abc import Iterable
from dataclasses import dataclass

from audience.digest import id_history
from audience.digest.id_history import Joining
from audience.digest.owned_ids import OwnedId, events_of, owned_ids
from audience.hub.events.selection import PAYLOAD_FIELDS, with_placeholders
from audience.models import Conversion, Device, Event, Game, Group, Person, Touch
from audience.privacy.player_data import decisions_of
from consent.decisions import effective_level
from consent.models import ConsentDecision, Level
from postbacks.reporting.conversion_rows import with_outcomes

# Maximum rows per list, since a client's mistake may have merged thousands of players into one.
MAX_LISTED = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayerData:
    """At most MAX_LISTED rows of each kind, the newest first; ids and joinings the oldest first.

    `events` are by the time of the event, without their payload. `consent` is the level that applies to events without
    one.
    """

    person: Person
    ids: list[OwnedId]
    has_more_ids: bool
    joinings: list[Joining]
    devices: list[Device]
    groups: list[Group]
    clicks: list[Touch]
    conversions: list[Conversion]
    events: list[Event]
    consent: Level
    decisions: list[ConsentDecision]


def load_player(player: Person) -> PlayerData:
    owned = owned_ids(player, limit=MAX_LISTED + 1)
    ids = owned[:MAX_LISTED]
    decisions = list(decisions_of(player.game_id, ids).order_by("-decided_at", "-id")[:MAX_LISTED])
    return PlayerData(
        person=player,
        ids=ids,
        has_more_ids=len(owned) > MAX_LISTED,
        joinings=id_history.joinings(player, ids)[:MAX_LISTED],
        devices=list(player.devices.order_by("-updated_at", "pk")[:MAX_LISTED]),
        groups=list(player.groups.order_by("-updated_at", "pk")[:MAX_LISTED]),
        clicks=list(player.touches.order_by("-clicked_at", "pk")[:MAX_LISTED]),
        conversions=list(with_outcomes(player.conversions.all()).order_by("-event_at", "pk")[:MAX_LISTED]),
        events=newest_events(player.game_id, ids),
        consent=_level(player.game, decisions),
        decisions=decisions,
    )


def newest_events(game_id: int, ids: Iterable[OwnedId]) -> list[Event]:
    """Return the newest events of a player by event time, annotated by with_placeholders."""
    # Ordered by a time without an index, so that PostgreSQL uses the indexes of the ids and does not scan the newest
    # events of the game.
    events = with_placeholders(events_of(game_id, ids).defer(*PAYLOAD_FIELDS))
    return list(events.order_by("-event_at", "-pk")[:MAX_LISTED])


def _level(game: Game, decisions: list[ConsentDecision]) -> Level:
    newest = Level(decisions[0].level) if decisions else None
    return effective_level(stated="", at_event=newest, later=None, strict=game.strict_consent)
