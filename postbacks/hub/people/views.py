"""The page of one player: ids, traits, clicks, conversions, consent, and erasing."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpResponse

from audience.digest import id_history
from audience.digest.owned_ids import OwnedId, events_of, owned_ids
from audience.digest.ownership import MAX_OWNERS
from audience.hub.events.feed import PAYLOAD_FIELDS, FeedRow, event_row, with_placeholders
from audience.hub.people.views import erasure_identity
from audience.hub.toolkit.access import HubRequest, game_view, has_role, page, sees_addresses
from audience.hub.toolkit.confirmation import ErasePersonForm
from audience.hub.toolkit.masking import as_json, masked, shortened
from audience.models import Event, Membership, Person, Role
from audience.models.people import ANONYMOUS
from audience.privacy.player_data import decisions_of
from consent.decisions import effective_level
from consent.models import Level
from postbacks.hub.toolkit.conversion_rows import ConversionRow, conversion_row, with_outcomes
from postbacks.reporting.labels import network_label

# Per list, since a client's mistake may have merged thousands of players into one.
MAX_LISTED = 50


@dataclass(frozen=True, slots=True)
class LabelledId:
    """One identity, device or group, as the page names it."""

    kind: str
    value: str
    at: datetime
    more: str = ""


@dataclass(frozen=True, slots=True)
class Joining:
    """An event that joined ids; None if it is not kept any more."""

    at: datetime
    ids: list[tuple[str, str]]
    how: str
    user_id: str
    event: Event | None


@dataclass(frozen=True, slots=True)
class ClickRow:
    network: str
    at: datetime
    click_id: str
    campaign: str
    page_url: str


@game_view()
def person(request: HubRequest, membership: Membership, pk: UUID) -> HttpResponse:
    found = Person.objects.filter(game=membership.game, pk=pk).first()
    if found is None:
        response = page(request, "hub/people/person_gone.html", membership)
        response.status_code = 404
        return response
    addresses = sees_addresses(membership)
    owned = owned_ids(found, limit=MAX_LISTED + 1)
    ids = owned[:MAX_LISTED]
    handle = erasure_identity(found) if has_role(membership, Role.ADMIN) else None
    context = {
        "person": found,
        "most": MAX_LISTED,
        "max_owners": MAX_OWNERS,
        "traits": traits_of(found, addresses=addresses),
        "identities": [
            LabelledId(name, masked(value, addresses=addresses, name=name), one.identity.first_seen_at, more)
            for one in ids
            for name, value, more in [(one.key[0], one.identity.as_sent, id_history.note(one))]
        ],
        "has_more_identities": len(owned) > MAX_LISTED,
        "is_crowd": any(one.is_crowd and one.periods for one in ids),
        "joinings": joinings_of(found, ids, addresses=addresses),
        "devices_and_groups": devices_and_groups(found, addresses=addresses),
        "clicks": clicks_of(found, addresses=addresses),
        "conversions": conversions_of(found, addresses=addresses),
        "events": newest_events(membership, ids),
        "erase_form": ErasePersonForm(subject=handle.as_sent) if handle else None,
        "handle": handle,
        **consent_of(membership, ids, addresses=addresses),
    }
    return page(request, "hub/people/person.html", membership, title=title_of(found, context["identities"]), **context)


def title_of(found: Person, identities: Any) -> str:
    """Return the title: the user id, else another id. Names and addresses are not unique."""
    best = sorted(identities, key=lambda row: (row.kind != "user", row.kind != ANONYMOUS))
    return str(best[0].value) if best else f"Player {str(found.pk)[:8]}"


def traits_of(found: Person, *, addresses: bool) -> list[tuple[str, str, datetime | None]]:
    """Return (name, value, time it was set)."""
    times = {name: datetime.fromisoformat(at) for name, at in found.trait_times.items()}
    return [
        (masked(name, addresses=addresses), as_text(masked(value, addresses=addresses, name=name)), times.get(name))
        for name, value in sorted(found.traits.items())
    ]


def as_text(value: Any) -> str:
    """Return text as it is, anything else as JSON."""
    return value if isinstance(value, str) else as_json(value)


def devices_and_groups(found: Person, *, addresses: bool) -> list[LabelledId]:
    """Return devices, with the beginning of their push token, and groups."""
    devices = [
        LabelledId(
            "device",
            masked(device.device_id, addresses=addresses),
            device.updated_at,
            f"push token {shortened(device.token)}" if device.token else "no push token",
        )
        for device in found.devices.order_by("-updated_at", "pk")[:MAX_LISTED]
    ]
    groups = found.groups.order_by("-updated_at", "pk")[:MAX_LISTED]
    return [
        *devices,
        *(LabelledId("group", masked(row.group_id, addresses=addresses), row.updated_at) for row in groups),
    ]


def clicks_of(found: Person, *, addresses: bool) -> list[ClickRow]:
    return [
        ClickRow(
            network=network_label(touch.network),
            at=touch.clicked_at,
            click_id=masked(touch.click_id, addresses=addresses),
            campaign=" · ".join(str(masked(value, addresses=addresses)) for value in touch.campaign.values() if value),
            page_url=masked(touch.page_url, addresses=addresses),
        )
        for touch in found.touches.order_by("-clicked_at", "pk")[:MAX_LISTED]
    ]


def conversions_of(found: Person, *, addresses: bool) -> list[ConversionRow]:
    rows = with_outcomes(found.conversions.all()).order_by("-event_at", "pk")[:MAX_LISTED]
    return [conversion_row(conversion, addresses=addresses) for conversion in rows]


def joinings_of(found: Person, ids: list[OwnedId], *, addresses: bool) -> list[Joining]:
    """Return which events joined which ids."""
    return [
        Joining(
            at=one.at,
            ids=[(name, masked(value, addresses=addresses, name=name)) for name, value in one.keys],
            how=one.how,
            user_id=masked(one.user_id, addresses=addresses, name="user"),
            event=one.event,
        )
        for one in id_history.joinings(found, ids)[:MAX_LISTED]
    ]


def newest_events(membership: Membership, ids: list[OwnedId]) -> list[FeedRow]:
    """Return the newest of the person's events, with their times."""
    # Ordered by a time without an index, so that PostgreSQL uses the indexes of the ids and does not scan the newest
    # events of the game.
    events = with_placeholders(events_of(membership.game_id, ids).defer(*PAYLOAD_FIELDS))
    found = events.order_by("-event_at", "-pk")
    return [replace(event_row(event, membership), moment=event.event_at) for event in found[:MAX_LISTED]]


def consent_of(membership: Membership, ids: list[OwnedId], *, addresses: bool) -> dict[str, Any]:
    """Return the level in force for events without one, and the decisions, newest first."""
    decisions = list(decisions_of(membership.game_id, ids).order_by("-decided_at", "-id")[:MAX_LISTED])
    newest = Level(decisions[0].level) if decisions else None
    level = effective_level(stated="", at_event=newest, later=None, strict=membership.game.strict_consent)
    rows = [(decision, masked(decision.anonymous_id, addresses=addresses)) for decision in decisions]
    return {"consent": level, "decisions": rows}
