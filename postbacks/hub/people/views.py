"""The page of one player: ids, traits, clicks, conversions, consent, events, and erasure."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpResponse

from audience.digest import id_history, traits
from audience.digest.ownership import MAX_OWNERS
from audience.hub.events.feed import event_row
from audience.hub.toolkit.access import HubRequest, game_view, has_role, page, sees_addresses
from audience.hub.toolkit.confirmation import ErasePersonForm
from audience.hub.toolkit.masking import as_json, masked, shortened
from audience.models import Event, Membership, Person, Role
from audience.models.people import ANONYMOUS
from audience.reporting.people import erasure_identity
from postbacks.reporting.conversion_rows import conversion_row, folded
from postbacks.reporting.labels import network_label
from postbacks.reporting.player import MAX_LISTED, PlayerData, load_player


@dataclass(frozen=True, slots=True)
class LabelledId:
    """An identity, device or group. `time`: when it was first seen, or last updated; `note` may be ''."""

    kind: str
    value: str
    time: datetime
    note: str = ""


@dataclass(frozen=True, slots=True)
class LinkedIds:
    """Ids that an event linked to the player: [(namespace, id), ...]. `event` is None once it was deleted."""

    event_at: datetime
    ids: list[tuple[str, str]]
    description: str
    user_id: str
    event: Event | None


@dataclass(frozen=True, slots=True)
class ClickRow:
    network: str
    clicked_at: datetime
    click_id: str
    campaign: str
    page_url: str


@game_view()
def person(request: HubRequest, membership: Membership, pk: UUID) -> HttpResponse:
    player = Person.objects.filter(game=membership.game, pk=pk).first()
    if player is None:
        response = page(request, "hub/people/person_gone.html", membership)
        response.status_code = 404
        return response
    addresses, found = sees_addresses(membership), load_player(player)
    erasure_id = erasure_identity(player) if has_role(membership, Role.ADMIN) else None
    context = {
        "person": player,
        "max_listed": MAX_LISTED,
        "max_owners": MAX_OWNERS,
        "traits": traits_of(player, addresses=addresses),
        "identities": [
            LabelledId(name, masked(value, addresses=addresses, name=name), row.identity.first_seen_at, note)
            for row in found.ids
            for name, value, note in [(row.key[0], row.identity.as_sent, id_history.sharing_note(row))]
        ],
        "has_more_identities": found.has_more_ids,
        "is_crowd": any(row.is_crowd and row.periods for row in found.ids),
        "linked_ids": linked_ids_of(found, addresses=addresses),
        "devices_and_groups": devices_and_groups(found, addresses=addresses),
        "clicks": clicks_of(found, addresses=addresses),
        "conversions": folded([conversion_row(row, addresses=addresses) for row in found.conversions]),
        "events": [replace(event_row(event, membership), moment=event.event_at) for event in found.events],
        "erase_form": ErasePersonForm(subject=erasure_id.as_sent) if erasure_id else None,
        "consent": found.consent,
        "decisions": [(row, masked(row.anonymous_id, addresses=addresses)) for row in found.decisions],
    }
    return page(request, "hub/people/person.html", membership, title=title_of(player, context["identities"]), **context)


def title_of(player: Person, identities: Any) -> str:
    """Return the user id, else another id, as the title: names and email addresses are not unique."""
    by_preference = sorted(identities, key=lambda row: (row.kind != "user", row.kind != ANONYMOUS))
    return str(by_preference[0].value) if by_preference else f"Player {str(player.pk)[:8]}"


def traits_of(player: Person, *, addresses: bool) -> list[tuple[str, str, datetime | None]]:
    """Return (name, value, time it was set) of each trait."""
    times = {name: traits.time_of(set_at) for name, set_at in player.trait_times.items()}
    return [
        (masked(name, addresses=addresses), as_text(masked(value, addresses=addresses, name=name)), times.get(name))
        for name, value in sorted(player.traits.items())
    ]


def as_text(value: Any) -> str:
    """Return text as it is, anything else as JSON."""
    return value if isinstance(value, str) else as_json(value)


def devices_and_groups(found: PlayerData, *, addresses: bool) -> list[LabelledId]:
    """Return the devices, with the beginnings of their push tokens, and the groups."""
    devices = [
        LabelledId(
            "device",
            masked(device.device_id, addresses=addresses),
            device.updated_at,
            f"push token {shortened(device.token)}" if device.token else "no push token",
        )
        for device in found.devices
    ]
    groups = [LabelledId("group", masked(row.group_id, addresses=addresses), row.updated_at) for row in found.groups]
    return [*devices, *groups]


def clicks_of(found: PlayerData, *, addresses: bool) -> list[ClickRow]:
    return [
        ClickRow(
            network=network_label(touch.network),
            clicked_at=touch.clicked_at,
            click_id=masked(touch.click_id, addresses=addresses),
            campaign=" · ".join(str(masked(value, addresses=addresses)) for value in touch.campaign.values() if value),
            page_url=masked(touch.page_url, addresses=addresses),
        )
        for touch in found.clicks
    ]


def linked_ids_of(found: PlayerData, *, addresses: bool) -> list[LinkedIds]:
    """Return the ids that each event linked to the player, oldest first."""
    return [
        LinkedIds(
            event_at=joining.event_at,
            ids=[(name, masked(value, addresses=addresses, name=name)) for name, value in joining.keys],
            description=joining.description,
            user_id=masked(joining.user_id, addresses=addresses, name="user"),
            event=joining.event,
        )
        for joining in found.joinings
    ]
