"""Erases an anonymous id of several players: what only it told, in whichever player it lies, and the id itself.

The users' own events stay, without the id.
"""

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from django.conf import settings
from django.db.models import Q, QuerySet

from audience.background import wakeup
from audience.database import bulk
from audience.digest import attribution, clicks, devices_and_groups, moved_facts, ownership, reassignment, traits
from audience.digest.event_ids import is_id
from audience.digest.identity import People
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
    Person,
    Rejection,
    Touch,
    goals,
)
from audience.models.people import ANONYMOUS, DEVICE, GroupMembership
from audience.privacy import deletion
from audience.privacy.deletion import Erased
from audience.privacy.id_removal import without_id
from consent.decisions import delete_decisions

Row = TypeVar("Row", Event, Conversion)

# Fields of an event that may hold an id in any form.
JSON_FIELDS = ("raw", "context", "properties", "traits")
ROWS_AT_ONCE = 500


@dataclass(slots=True)
class Told:
    """What the events told that are erased."""

    persons: set[uuid.UUID] = field(default_factory=set)
    clicks: set[tuple[str, str]] = field(default_factory=set)
    traits: set[tuple[str, str]] = field(default_factory=set)
    groups: set[str] = field(default_factory=set)
    devices: set[str] = field(default_factory=set)
    device_ids: set[str] = field(default_factory=set)


def erase(game: Game, identity: Identity) -> Erased:
    forms = [identity.value, *identity.spellings]
    events = Event.objects.filter(NAMES_NO_USER, game_id=game.pk, anonymous_id__in=forms, links=[])
    told = _told(game, identity, events)
    deletion.redact_batch_errors(game, forms)
    # The player of a crowd's id has nothing else.
    crowd = identity.person if identity.owners == Owners.CROWD else None
    ids = {*deletion.conversions_of(game, events)}
    ids |= set(Conversion.objects.filter(person=crowd).values_list("pk", flat=True))
    conversions = Conversion.objects.filter(pk__in=ids)
    told.persons |= set(conversions.values_list("person_id", flat=True))
    counts = {"postbacks_cancelled": deletion.cancel_postbacks(game, conversion_ids=ids)}
    conversions.delete()
    counts["events"] = events.delete()[0]
    counts["rejections"] = Rejection.objects.filter(game=game, subjects__overlap=forms).delete()[0]
    counts["consent_decisions"] = delete_decisions(game_id=game.pk, anonymous_ids=[identity.value])
    counts["conversions"] = len(ids)
    kept = _forget(game, identity)
    identity.delete()
    touches, devices, cancelled = _take_back(game, told)
    counts["postbacks_cancelled"] += cancelled
    counts |= {"touches": touches, "devices": devices}
    others = Identity.objects.filter(game=game, namespace=DEVICE, value__in=told.device_ids, owners=Owners.OTHER)
    gone = deletion.leave_to_others(game, others.values_list("namespace", "value"))
    counts["identities"] = 1 + len(gone)
    counts["people"] = 1 if crowd else 0
    if crowd:
        crowd.delete()
    return Erased({**counts, "events_kept": kept}, forms)


def _told(game: Game, identity: Identity, events: QuerySet[Event]) -> Told:
    told = Told(persons={identity.person_id} if identity.person_id else set())
    device_ids = events.values_list("device_id", flat=True).distinct()
    told.device_ids = {canonical(value) for value in device_ids if is_id(value)}
    owning = ownership.load(game, [(ANONYMOUS, identity.value), *((DEVICE, value) for value in told.device_ids)])
    for event in events.defer("raw").order_by().iterator():
        device_id = canonical(event.device_id) if event.kind != Kind.DEVICE else ""
        if player := owning.player(identity.value, device_id, event.event_at):
            told.persons.add(player)
        if click := clicks.read(properties=event.properties, context=event.context):
            told.clicks.add((click.network, click.click_id or f"message:{event.message_id}"))
        if event.kind == Kind.GROUP:
            told.groups.add(event.group_id)
        if event.kind == Kind.DEVICE:
            told.devices.add(event.device_id)
        told.traits |= {(name, event.event_at.isoformat()) for name in event.traits}
    return told


def _forget(game: Game, identity: Identity) -> int:
    """Remove the id from the events and conversions that stay; return how many events."""
    forms = [identity.value, *identity.spellings]
    aliases = Ownership.objects.filter(identity=identity).exclude(message_id="").values_list("message_id", flat=True)
    owners = Ownership.objects.filter(identity=identity).values("user__person")
    of_owners = Conversion.objects.filter(Q(person__in=owners) | Q(person=identity.person_id), game=game)
    for conversions in _in_parts(of_owners.filter(anonymous_id=identity.value)):
        for conversion in conversions:
            conversion.anonymous_id = ""
            _remove(conversion, ("context", "properties"), identity.value)
        bulk.update(conversions, ["anonymous_id", "context", "properties"])
    named = Q(anonymous_id__in=forms) & ~Q(anonymous_id="") | Q(message_id__in=list(aliases))
    kept = 0
    for events in _in_parts(Event.objects.filter(named, game_id=game.pk)):
        for event in events:
            event.anonymous_id = "" if event.anonymous_id in forms else event.anonymous_id
            event.links = [link for link in event.links if link[1] not in forms]
            _remove(event, JSON_FIELDS, identity.value)
        bulk.update(events, ["anonymous_id", "links", *JSON_FIELDS])
        kept += len(events)
    return kept


def _in_parts(rows: QuerySet[Row]) -> Iterator[list[Row]]:
    ids = list(rows.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(ids), ROWS_AT_ONCE):
        yield list(rows.filter(pk__in=ids[start : start + ROWS_AT_ONCE]))


def _remove(row: Event | Conversion, names: Iterable[str], removed: str) -> None:
    for name in names:
        setattr(row, name, without_id(getattr(row, name), removed))


def _take_back(game: Game, told: Told) -> tuple[int, int, int]:
    """Take from the players what no other event tells; return how many touches, devices and postbacks that were.

    The events that stay are digested once more: a click, trait, group or device that they tell too is theirs.
    """
    GroupMembership.objects.filter(person__in=told.persons, group__game=game, group__group_id__in=told.groups).delete()
    registered = Device.objects.filter(game=game, person__in=told.persons, device_id__in=told.devices)
    before = registered.count()
    registered.delete()
    counted = goals.conversion_event_names(game=game)
    kept = reassignment.reassign(game, told.persons, [], counted, set())
    keys = {key for _, key in told.clicks}
    touches = Touch.objects.filter(person__in=told.persons, click_key__in=keys).exclude(clicked_at=moved_facts.UNSET)
    lost = [touch.pk for touch in touches if (touch.network, touch.click_key) in told.clicks]
    attributed = Conversion.objects.filter(touch__in=lost)
    cancelled = deletion.cancel_postbacks(game, conversion_ids=attributed.values_list("pk", flat=True))
    deletion.settle_without_click(attributed)
    Touch.objects.filter(pk__in=lost).delete()
    _remove_traits(told)
    by_event = {event.pk: person_id for event, person_id in kept.items()}
    people = People(by_event=by_event, changed=set(told.persons), moved=list(kept))
    traits.apply(events=list(kept), people=by_event)
    devices_and_groups.apply(game=game, events=list(kept), people=by_event)
    if attribution.attribute(game=game, events=list(kept), people=people):
        wakeup.wake(settings.CONVERSIONS_READY_TASK)
    return len(lost), before - registered.count(), cancelled


def _remove_traits(told: Told) -> None:
    persons = list(Person.objects.filter(pk__in=told.persons))
    for person in persons:
        for name, at in list(person.trait_times.items()):
            if (name, at) in told.traits:
                del person.trait_times[name]
                person.traits.pop(name, None)
    bulk.update(persons, ["traits", "trait_times"])
