"""What a person has and belongs to: registered devices with their push tokens, groups with their traits."""

import uuid
from collections.abc import Mapping, Sequence

from audience.models import Device, Event, Game, Group, Kind, Person


def apply(*, game: Game, events: Sequence[Event], people: Mapping[int, uuid.UUID]) -> None:
    """Take the registrations and memberships of `events`, which come in the order they happened."""
    for event in events:
        if event.kind == Kind.DEVICE and event.device_id:
            _register(game, event, people[event.pk])
        elif event.kind == Kind.GROUP and event.group_id:
            _join(game, event, people[event.pk])


def _register(game: Game, event: Event, person_id: uuid.UUID) -> None:
    """The later registration says whose device it is; a push token belongs to one device."""
    details = {name: value for name, value in event.properties.items() if name != "token"}
    token = str(event.properties.get("token") or "")
    said = {"person_id": person_id, "token": token, "details": details, "updated_at": event.event_at}
    device, made = Device.objects.get_or_create(game=game, device_id=event.device_id, defaults=said)
    if not made and device.updated_at <= event.event_at:
        # A registration without a token leaves the one that is known.
        said["token"] = token or device.token
        Device.objects.filter(pk=device.pk).update(**said)
    if token:
        others = Device.objects.filter(game=game, token=token, updated_at__lte=event.event_at).exclude(pk=device.pk)
        others.update(token="")


def _join(game: Game, event: Event, person_id: uuid.UUID) -> None:
    """The membership, and the group's traits: the later event's word wins over the earlier one's."""
    said = {"traits": event.traits, "updated_at": event.event_at}
    group, made = Group.objects.get_or_create(game=game, group_id=event.group_id, defaults=said)
    if not made:
        late = event.event_at < group.updated_at
        group.traits = {**event.traits, **group.traits} if late else {**group.traits, **event.traits}
        group.updated_at = max(event.event_at, group.updated_at)
        group.save(update_fields=["traits", "updated_at"])
    group.members.add(Person(pk=person_id))
