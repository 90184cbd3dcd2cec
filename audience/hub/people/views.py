"""People: the newest players of a game, and search by id or email address."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Case, IntegerField, QuerySet, Value, When, Window
from django.db.models.functions import RowNumber
from django.http import HttpResponse

from audience.hub.toolkit.access import HubRequest, game_view, page, sees_addresses
from audience.hub.toolkit.filters import search_text
from audience.hub.toolkit.masking import masked
from audience.hub.toolkit.paging import newest
from audience.models import Game, Identity, Membership, Owners, Person
from audience.models.people import ANONYMOUS, USER

# How many ids of a person the list shows; the page of the person has the others.
MAX_IDS_SHOWN = 4
# Maximum number of results; an address shared by more persons identifies none.
MAX_FOUND = 200
# Namespaces that a player can be erased by, in order of preference.
ERASURE_NAMESPACES = (USER, ANONYMOUS)


@dataclass(frozen=True, slots=True)
class PersonRow:
    """`name` is from the traits, `ids` the first of their ids: [(namespace, value), ...]."""

    person: Person
    name: str
    email: str
    ids: list[tuple[str, str]]

    @property
    def title(self) -> str:
        return self.name or self.email or (self.ids[0][1] if self.ids else "Without a name")


@game_view()
def people(request: HubRequest, membership: Membership) -> HttpResponse:
    """`q` is any id or an e-mail address; without it, the newest players."""
    query, before = search_text(request, "q"), request.GET.get("before", "")
    found = newest(matching_people(membership.game, query), by="first_seen_at", before=before)
    rows = person_rows(found.rows, addresses=sees_addresses(membership))
    template = "hub/people/_rows.html" if request.htmx else "hub/people/page.html"
    return page(request, template, membership, rows=rows, older=found.older, before=before, query=query)


def matching_people(game: Game, query: str) -> QuerySet[Person]:
    """Return all players for a blank query, else those it names. Each kind of id is queried by its own index."""
    rows = Person.objects.filter(game=game)
    if not query:
        return rows
    lookups = [rows.known_as(game, query), rows.filter(devices__game=game, devices__device_id=query)]
    lookups += [rows.with_email(query)] if "@" in query else []
    return rows.filter(pk__in={pk for lookup in lookups for pk in lookup.values_list("pk", flat=True)[:MAX_FOUND]})


def person_rows(found: Sequence[Person], *, addresses: bool) -> list[PersonRow]:
    """Return the persons with the first few ids of each, to bound memory."""
    place = Window(RowNumber(), partition_by="person", order_by=[_user_first(), "first_seen_at", "pk"])
    first = (
        Identity.objects.filter(person__in=found)
        .annotate(place=place)
        .filter(place__lte=MAX_IDS_SHOWN)
        .order_by("place")
    )
    ids: dict[UUID | None, list[tuple[str, str]]] = defaultdict(list)
    for row in first:
        ids[row.person_id].append((row.namespace, masked(row.as_sent, addresses=addresses, name=row.namespace)))
    traits = {person.pk: masked(person.traits, addresses=addresses) for person in found}
    return [
        PersonRow(
            person=person,
            name=_text(traits[person.pk].get("name")),
            email=_text(traits[person.pk].get("email")),
            ids=ids[person.pk],
        )
        for person in found
    ]


def erasure_identity(person: Person) -> Identity | None:
    """Return the identity for erasing a player: the user id, else an anonymous id of its own, else None."""
    return (
        person.identities.filter(namespace__in=ERASURE_NAMESPACES)
        .exclude(owners__in=(Owners.SEVERAL, Owners.OTHER))
        .order_by(_user_first(), "first_seen_at", "pk")
        .first()
    )


def _user_first() -> Case:
    return Case(
        When(namespace=USER, then=Value(0)),
        When(namespace=ANONYMOUS, then=Value(1)),
        default=Value(2),
        output_field=IntegerField(),
    )


def _text(value: Any) -> str:
    return value[:200] if isinstance(value, str) else ""
