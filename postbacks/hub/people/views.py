"""The page of one player: ids, traits, clicks, conversions, consent, and erasing."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpResponse

from audience.hub.events.detail import pretty
from audience.hub.events.feed import HEAVY, event_row
from audience.hub.events.feed import Row as EventRow
from audience.hub.keys.forms import ForgetForm
from audience.hub.people.views import erased_by
from audience.hub.toolkit.access import HubRequest, game_view, has_role, page
from audience.hub.toolkit.masking import masked, shortened
from audience.models import Event, Identity, Membership, Person, Role
from audience.models.people import ANONYMOUS
from audience.privacy.erasure import sent_under
from consent.models import ConsentDecision, Level
from consent.policy import effective_level
from postbacks.hub.toolkit.conversion_rows import Row as ConversionRow
from postbacks.hub.toolkit.conversion_rows import row_of, with_outcomes
from postbacks.reporting.labels import network_label

# Of each list: one person is at most a page, also the one that a client's mistake made of thousands.
MOST = 50


@dataclass(frozen=True, slots=True)
class Trait:
    name: str
    value: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Named:
    """One identity, device or group, as the page names it."""

    kind: str
    value: str
    at: datetime
    more: str = ""


@dataclass(frozen=True, slots=True)
class Click:
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
    addresses = has_role(membership, Role.MARKETER)
    identities = list(found.identities.order_by("first_seen_at", "pk")[: MOST + 1])
    handle = erased_by(found) if has_role(membership, Role.ADMIN) else None
    context = {
        "person": found,
        "most": MOST,
        "traits": traits_of(found, addresses=addresses),
        "identities": [
            Named(row.namespace, masked(row.value, addresses=addresses, name=row.namespace), row.first_seen_at)
            for row in identities[:MOST]
        ],
        "has_more_identities": len(identities) > MOST,
        "belongings": belongings_of(found, addresses=addresses),
        "clicks": clicks_of(found, addresses=addresses),
        "conversions": conversions_of(found, addresses=addresses),
        "events": events_of(membership, identities),
        "erase_form": ForgetForm(subject=handle.value) if handle else None,
        "handle": handle,
        **consent_of(membership, identities, addresses=addresses),
    }
    return page(request, "hub/people/person.html", membership, title=title_of(found, context["identities"]), **context)


def title_of(found: Person, identities: Any) -> str:
    """Return the title: the user id, else another id. Names and addresses are not unique."""
    best = sorted(identities, key=lambda row: (row.kind != "user", row.kind != ANONYMOUS))
    return str(best[0].value) if best else f"Player {str(found.pk)[:8]}"


def traits_of(found: Person, *, addresses: bool) -> list[Trait]:
    times = {name: datetime.fromisoformat(at) for name, at in found.trait_times.items()}
    return [
        Trait(
            name=masked(name, addresses=addresses),
            value=as_text(masked(value, addresses=addresses, name=name)),
            at=times.get(name),
        )
        for name, value in sorted(found.traits.items())
    ]


def as_text(value: Any) -> str:
    """Return text as it is, anything else as JSON."""
    return value if isinstance(value, str) else pretty(value)


def belongings_of(found: Person, *, addresses: bool) -> list[Named]:
    """Return devices, with the beginning of their push token, and groups."""
    devices = [
        Named(
            "device",
            masked(device.device_id, addresses=addresses),
            device.updated_at,
            f"push token {shortened(device.token)}" if device.token else "no push token",
        )
        for device in found.devices.order_by("-updated_at", "pk")[:MOST]
    ]
    groups = found.groups.order_by("-updated_at", "pk")[:MOST]
    return [*devices, *(Named("group", masked(row.group_id, addresses=addresses), row.updated_at) for row in groups)]


def clicks_of(found: Person, *, addresses: bool) -> list[Click]:
    return [
        Click(
            network=network_label(touch.network),
            at=touch.clicked_at,
            click_id=masked(touch.click_id, addresses=addresses),
            campaign=" · ".join(str(masked(said, addresses=addresses)) for said in touch.campaign.values() if said),
            page_url=masked(touch.page_url, addresses=addresses),
        )
        for touch in found.touches.order_by("-clicked_at", "pk")[:MOST]
    ]


def conversions_of(found: Person, *, addresses: bool) -> list[ConversionRow]:
    rows = with_outcomes(found.conversions.all()).order_by("-event_at", "pk")[:MOST]
    return [row_of(conversion, addresses=addresses) for conversion in rows]


def events_of(membership: Membership, identities: list[Identity]) -> list[EventRow]:
    """Return the newest events with any of the person's ids, and their times."""
    keys = [(row.namespace, row.value) for row in identities]
    # By a time without an index, so that the ids' own indexes are used and not everybody's newest events walked.
    found = Event.objects.filter(sent_under(membership.game_id, keys)).defer(*HEAVY).order_by("-event_at", "-pk")
    return [replace(event_row(event, membership), at=event.event_at) for event in found[:MOST]]


def consent_of(membership: Membership, identities: list[Identity], *, addresses: bool) -> dict[str, Any]:
    """Return the level in force for events without one, and the decisions, newest first."""
    ids = [row.value for row in identities if row.namespace == ANONYMOUS]
    decisions = list(ConsentDecision.objects.for_ids(membership.game_id, ids)[:MOST])
    newest = Level(decisions[0].level) if decisions else None
    level = effective_level(stated="", recorded=newest, strict=membership.game.strict_consent)
    rows = [(decision, masked(decision.anonymous_id, addresses=addresses)) for decision in decisions]
    return {"consent": level, "decisions": rows}
