"""Erases an anonymous id of several players: the events whose player no other id determines, and the id itself.

Events with a user id are kept, without the anonymous id.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from django.conf import settings
from django.db.models import Q, QuerySet

from audience.background import wakeup
from audience.database import bulk
from audience.digest import (
    active_quarters,
    attribution,
    clicks,
    devices_and_groups,
    moved_rows,
    named_parameters,
    orders,
    ownership,
    reassignment,
    spellings,
    touches,
    traits,
)
from audience.digest.event_ids import is_id
from audience.digest.identity import ResolvedPlayers
from audience.digest.owned_ids import NAMES_NO_USER
from audience.ids.values import canonical
from audience.models import (
    Conversion,
    Device,
    Event,
    Game,
    Identity,
    Kind,
    Owners,
    Ownership,
    Rejection,
    Touch,
    goals,
)
from audience.models.people import ANONYMOUS, DEVICE, GroupMembership
from audience.privacy import erasure_steps, joins
from audience.privacy.erasure_steps import Erased
from audience.privacy.id_removal import without_id
from consent.decisions import delete_decisions

Row = TypeVar("Row", Event, Conversion)

# Fields of an event that may contain an id in any spelling.
JSON_FIELDS = ("raw", "context", "properties", "traits")
ROWS_AT_ONCE = 500


@dataclass(slots=True)
class Contributions:
    """What the erased events added to players: (network, click key), (trait, ISO time), ids, and quarter hours of
    activity."""

    persons: set[uuid.UUID] = field(default_factory=set)
    clicks: set[tuple[str, str]] = field(default_factory=set)
    traits: set[tuple[str, str]] = field(default_factory=set)
    groups: set[str] = field(default_factory=set)
    devices: set[str] = field(default_factory=set)
    device_ids: set[str] = field(default_factory=set)
    quarters: dict[uuid.UUID, set[datetime]] = field(default_factory=lambda: defaultdict(set))


def erase(game: Game, identity: Identity) -> Erased:
    spellings.complete(game, [identity])
    sent = [identity.value, *identity.spellings]
    events = Event.objects.filter(NAMES_NO_USER, game_id=game.pk, anonymous_id__in=sent, links=[])
    added = _read_contributions(game, identity, events)
    erasure_steps.redact_batch_errors(game, sent)
    # The person of a crowd's id has no other ids.
    crowd = identity.person if identity.owners == Owners.CROWD else None
    ids = {*erasure_steps.conversions_of(game, events)}
    ids |= set(Conversion.objects.filter(person=crowd).values_list("pk", flat=True))
    conversions = Conversion.objects.filter(pk__in=ids)
    added.persons |= set(conversions.values_list("person_id", flat=True))
    counts = {"postbacks_cancelled": erasure_steps.erase_in_postbacks(game, conversion_ids=ids)}
    conversions.delete()
    counts["events"] = events.delete()[0]
    counts["rejections"] = Rejection.objects.filter(game=game, subjects__overlap=sent).delete()[0]
    counts["consent_decisions"] = delete_decisions(game_id=game.pk, anonymous_ids=[identity.value])
    joins.delete_of_browser(game, identity.value)
    counts["conversions"] = len(ids)
    updated = _remove_id(game, identity)
    identity.delete()
    touches, devices, cancelled = _remove_contributions(game, added)
    counts["postbacks_cancelled"] += cancelled
    counts |= {"touches": touches, "devices": devices}
    others = Identity.objects.filter(game=game, namespace=DEVICE, value__in=added.device_ids, owners=Owners.OTHER)
    deleted = erasure_steps.assign_to_others(game, others.values_list("namespace", "value"))
    counts["identities"] = 1 + len(deleted)
    counts["people"] = 1 if crowd else 0
    if crowd:
        active_quarters.forget([crowd.pk])
        crowd.delete()
    return Erased({**counts, "events_kept": updated}, sent, [])


def _read_contributions(game: Game, identity: Identity, events: QuerySet[Event]) -> Contributions:
    added = Contributions(persons={identity.person_id} if identity.person_id else set())
    device_ids = events.values_list("device_id", flat=True).distinct()
    added.device_ids = {canonical(value) for value in device_ids if is_id(value)}
    lookup = ownership.load(game, [(ANONYMOUS, identity.value), *((DEVICE, value) for value in added.device_ids)])
    table = named_parameters.table_of(game)
    for event in events.defer("raw").order_by().iterator():
        device_id = canonical(event.device_id) if event.kind != Kind.DEVICE else ""
        if player := lookup.player([(ANONYMOUS, identity.value), (DEVICE, device_id)], event.event_at):
            added.persons.add(player)
            added.quarters[player].add(active_quarters.quarter_of(event.event_at))
        if click := clicks.read_event(event, table=table):
            added.clicks.add((click.network, click.key(event.message_id)))
        if event.group_id:
            added.groups.add(event.group_id)
        if event.kind == Kind.DEVICE:
            added.devices.add(event.device_id)
        added.traits |= {(trait.name, trait.set_at) for trait in traits.of_player(event)}
    return added


def _remove_id(game: Game, identity: Identity) -> int:
    """Remove the id from the remaining events and conversions; return the number of events."""
    sent = [identity.value, *identity.spellings]
    aliases = Ownership.objects.filter(identity=identity).exclude(message_id="").values_list("message_id", flat=True)
    owners = Ownership.objects.filter(identity=identity).values("user__person")
    of_owners = Conversion.objects.filter(Q(person__in=owners) | Q(person=identity.person_id), game=game)
    for conversions in _in_parts(of_owners.filter(anonymous_id=identity.value)):
        for conversion in conversions:
            conversion.anonymous_id = ""
            _remove(conversion, ("context", "properties"), identity.value)
            conversion.order_id = conversion.order_id and orders.read_order_id(conversion.properties)
        bulk.update(conversions, ["anonymous_id", "context", "properties", "order_id"])
    named = Q(anonymous_id__in=sent) & ~Q(anonymous_id="") | Q(message_id__in=list(aliases))
    changed = 0
    for events in _in_parts(Event.objects.filter(named, game_id=game.pk)):
        for event in events:
            event.anonymous_id = "" if event.anonymous_id in sent else event.anonymous_id
            event.links = [link for link in event.links if link[1] not in sent]
            _remove(event, JSON_FIELDS, identity.value)
        bulk.update(events, ["anonymous_id", "links", *JSON_FIELDS])
        changed += len(events)
    return changed


def _in_parts(rows: QuerySet[Row]) -> Iterator[list[Row]]:
    ids = list(rows.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(ids), ROWS_AT_ONCE):
        yield list(rows.filter(pk__in=ids[start : start + ROWS_AT_ONCE]))


def _remove(row: Event | Conversion, names: Iterable[str], removed: str) -> None:
    for name in names:
        setattr(row, name, without_id(getattr(row, name), removed))


def _remove_contributions(game: Game, added: Contributions) -> tuple[int, int, int]:
    """Remove what only the erased events added to players; return the numbers of touches, devices and postbacks.

    The remaining events are digested again, so that a click, trait, group or device that they contain too is kept.
    """
    GroupMembership.objects.filter(
        person__in=added.persons, group__game=game, group__group_id__in=added.groups
    ).delete()
    devices = Device.objects.filter(game=game, person__in=added.persons, device_id__in=added.devices)
    before = devices.count()
    devices.delete()
    triggers = goals.conversion_event_names(game=game)
    remaining = reassignment.reassign(game, added.persons, [], triggers, set())
    keys = {key for _, key in added.clicks}
    stored = Touch.objects.filter(person__in=added.persons, click_key__in=keys).exclude(clicked_at=touches.UNSET)
    erased_ids = [touch.pk for touch in stored if (touch.network, touch.click_key) in added.clicks]
    attributed = Conversion.objects.filter(touch__in=erased_ids)
    cancelled = erasure_steps.erase_in_postbacks(game, conversion_ids=attributed.values_list("pk", flat=True))
    erasure_steps.mark_click_erased(attributed)
    Touch.objects.filter(pk__in=erased_ids).delete()
    moved_rows.remove_traits(added.persons, added.traits)
    # What the remaining events show too is stored again by the attribution.
    active_quarters.remove(game_id=game.pk, quarters=added.quarters)
    by_event = {event.pk: person_id for event, person_id in remaining.items()}
    people = ResolvedPlayers(by_event=by_event, changed=set(added.persons), moved=list(remaining))
    orders.choose_purchases(person_ids={*added.persons, *by_event.values()}, fan_out_again=False)
    traits.apply(events=list(remaining), people=by_event)
    devices_and_groups.apply(game=game, events=list(remaining), people=by_event)
    if attribution.attribute(game=game, events=list(remaining), people=people):
        wakeup.wake(settings.CONVERSIONS_READY_TASK)
    return len(erased_ids), before - devices.count(), cancelled
