"""The data stored about one player: counts, download, erasure. For admins; a download leaves an audit entry."""

from dataclasses import dataclass
from uuid import UUID

from django.http import Http404, HttpResponse, StreamingHttpResponse

from audience.digest.owned_ids import events_of, owned_ids
from audience.hub.toolkit import spreadsheet
from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.hub.toolkit.confirmation import ErasePersonForm
from audience.models import Membership, Person, Role
from audience.privacy.player_data import decisions_of, rejections_of
from audience.reporting.people import erasure_identity, person_rows
from postbacks.models import Delivery
from postbacks.reporting import person_export

# Maximum number of rows counted per label. More are a client's mistake: one id sent for thousands of players.
MAX_COUNTED = 10_000
MAX_DECISIONS = 100


@dataclass(frozen=True, slots=True)
class RowCount:
    """The number of one kind of row; `is_capped` if not all were counted."""

    label: str
    number: int
    is_capped: bool


@game_view(role=Role.ADMIN)
def privacy_person(request: HubRequest, membership: Membership, pk: UUID) -> HttpResponse:
    person = _person(membership, pk)
    erasure_id = erasure_identity(person)
    decisions = decisions_of(membership.game_id, owned_ids(person)).order_by("-decided_at", "-id")
    context = {
        "person": person,
        "title": person_rows([person], addresses=True)[0].title,
        "counts": counts_of(person),
        "decisions": list(decisions[:MAX_DECISIONS]),
        "form": ErasePersonForm(subject=erasure_id.as_sent) if erasure_id else None,
    }
    return page(request, "hub/privacy/person.html", membership, **context)


@game_view(role=Role.ADMIN, methods=("POST",))
def privacy_export(request: HubRequest, membership: Membership, pk: UUID) -> StreamingHttpResponse:
    """POST only, since it leaves an audit entry."""
    person = _person(membership, pk)
    name = person_export.file_name(person)
    return spreadsheet.streamed(person_export.export(person), name=name, content_type="application/json")


def counts_of(person: Person) -> list[RowCount]:
    """Return a count per kind of row, at most MAX_COUNTED each."""
    ids = owned_ids(person)
    kinds = {
        "Events": events_of(person.game_id, ids),
        "Clicks": person.touches.all(),
        "Conversions": person.conversions.all(),
        "Deliveries": Delivery.objects.filter(conversion__person=person),
        "Devices": person.devices.all(),
        "Groups": person.groups.all(),
        "Consent decisions": decisions_of(person.game_id, ids),
        "Rejected messages": rejections_of(person.game_id, ids),
    }
    counted = {label: rows.order_by()[: MAX_COUNTED + 1].count() for label, rows in kinds.items()}
    return [
        RowCount("Traits", len(person.traits), is_capped=False),
        RowCount("IDs", min(len(ids), MAX_COUNTED), is_capped=len(ids) > MAX_COUNTED),
        *(RowCount(label, min(count, MAX_COUNTED), is_capped=count > MAX_COUNTED) for label, count in counted.items()),
    ]


def _person(membership: Membership, pk: UUID) -> Person:
    person = Person.objects.select_related("game").filter(game=membership.game, pk=pk).first()
    if person is None:
        raise Http404("This player was merged with another player or erased.")
    return person
