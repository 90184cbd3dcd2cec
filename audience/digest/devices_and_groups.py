"""Registered devices with their push tokens, and groups with their traits."""

import uuid
from collections.abc import Mapping, Sequence

from audience.models import Device, Event, Game, Group, Kind
from audience.models.people import GroupMembership


def apply(*, game: Game, events: Sequence[Event], people: Mapping[int, uuid.UUID]) -> None:
    """Store the registrations and memberships of `events`, which are in order of event time."""
    for event in events:
        if event.kind == Kind.DEVICE and event.device_id:
            _register(game, event, people[event.pk])
        elif event.kind == Kind.GROUP and event.group_id:
            _join(game, event, people[event.pk])
    _add_members(game, events, people)


def _register(game: Game, event: Event, person_id: uuid.UUID) -> None:
    """Assign the device to the person of the latest registration. A push token belongs to one device only."""
    details = {name: value for name, value in event.properties.items() if name != "token"}
    token = str(event.properties.get("token") or "")
    others = Device.objects.filter(game=game, token=token).exclude(device_id=event.device_id)
    if token and others.filter(updated_at__gt=event.event_at).exists():
        # Another device has registered it since; registrations arrive in any order.
        token = ""
    values = {"person_id": person_id, "token": token, "details": details, "updated_at": event.event_at}
    device, created = Device.objects.get_or_create(game=game, device_id=event.device_id, defaults=values)
    if not created and device.updated_at <= event.event_at:
        # A registration without a token does not change the stored one.
        values["token"] = token or device.token
        Device.objects.filter(pk=device.pk).update(**values)
    if token:
        others.update(token="")


def _join(game: Game, event: Event, person_id: uuid.UUID) -> None:
    """Add the membership and the group's traits; per trait the later event wins."""
    values = {"traits": event.traits, "updated_at": event.event_at}
    group, created = Group.objects.get_or_create(game=game, group_id=event.group_id, defaults=values)
    if not created:
        # Without traits nothing but memberships is known of it, whose time is none of a trait.
        late = bool(group.traits) and event.event_at < group.updated_at
        group.updated_at = max(event.event_at, group.updated_at) if group.traits else event.event_at
        group.traits = {**event.traits, **group.traits} if late else {**group.traits, **event.traits}
        group.save(update_fields=["traits", "updated_at"])
    group.members.add(person_id)  # type: ignore[arg-type]  # the stubs accept integer keys only


def _add_members(game: Game, events: Sequence[Event], people: Mapping[int, uuid.UUID]) -> None:
    """Add the memberships that other calls state in their context: a few statements for all events."""
    stated = [event for event in events if event.group_id and event.kind != Kind.GROUP]
    first_at = {event.group_id: event.event_at for event in reversed(stated)}
    if not first_at:
        return
    missing = [Group(game=game, group_id=group_id, updated_at=first_at[group_id]) for group_id in sorted(first_at)]
    Group.objects.bulk_create(missing, ignore_conflicts=True)
    groups = dict(Group.objects.filter(game=game, group_id__in=first_at).values_list("group_id", "pk"))
    pairs = sorted({(groups[event.group_id], people[event.pk]) for event in stated})
    members = [GroupMembership(group_id=group_id, person_id=person_id) for group_id, person_id in pairs]
    GroupMembership.objects.bulk_create(members, ignore_conflicts=True)
