"""Players: finding them by an id or email address, and their rows in lists."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Case, IntegerField, QuerySet, Value, When, Window
from django.db.models.functions import RowNumber

from audience.digest import pruned_ids
from audience.hub.toolkit.masking import masked
from audience.models import Game, Identity, Owners, Person
from audience.models.people import ANONYMOUS, USER

# How many ids of a person the list shows; the page of the person has the others.
MAX_IDS_SHOWN = 4
# Maximum number of persons per kind of id, and with one email address; further ones are not found.
MAX_MATCHES = 200
# Namespaces that a player can be erased by, in order of preference.
ERASURE_NAMESPACES = (USER, ANONYMOUS)


@dataclass(frozen=True, slots=True)
class PersonRow:
    """`name` and `email` are traits, `ids` the first of the person's ids: [(namespace, value), ...]."""

    person: Person
    name: str
    email: str
    ids: list[tuple[str, str]]

    @property
    def title(self) -> str:
        return self.name or self.email or (self.ids[0][1] if self.ids else "Without a name")


def matching_people(game: Game, query: str) -> QuerySet[Person]:
    """Return the players with an id or email address; all for a blank query. Each lookup uses an index of its own."""
    rows = Person.objects.filter(game=game)
    if not query:
        return rows
    lookups = [rows.with_id(game, query), rows.filter(devices__game=game, devices__device_id=query)]
    lookups += [rows.with_email(query)] if "@" in query else []
    found = {pk for lookup in lookups for pk in lookup.values_list("pk", flat=True)[:MAX_MATCHES]}
    return rows.filter(pk__in=found or pruned_ids.players(game, query))


def person_rows(persons: Sequence[Person], *, addresses: bool) -> list[PersonRow]:
    """Return the rows with the first MAX_IDS_SHOWN ids of each person. `addresses`: whether to show email addresses."""
    position = Window(RowNumber(), partition_by="person", order_by=[_user_first(), "first_seen_at", "pk"])
    identities = Identity.objects.filter(person__in=persons).annotate(position=position)
    ids: dict[UUID | None, list[tuple[str, str]]] = defaultdict(list)
    for row in identities.filter(position__lte=MAX_IDS_SHOWN).order_by("position"):
        ids[row.person_id].append((row.namespace, masked(row.as_sent, addresses=addresses, name=row.namespace)))
    traits = {person.pk: masked(person.traits, addresses=addresses) for person in persons}
    return [
        PersonRow(
            person=person,
            name=_text(traits[person.pk].get("name")),
            email=_text(traits[person.pk].get("email")),
            ids=ids[person.pk],
        )
        for person in persons
    ]


def erasure_identity(person: Person) -> Identity | None:
    """Return the identity to erase a player by: the user id, else an anonymous id of this player only, else None."""
    return (
        person.identities.filter(namespace__in=ERASURE_NAMESPACES)
        .exclude(owners__in=(Owners.SEVERAL, Owners.OTHER))
        .order_by(_user_first(), "first_seen_at", "pk")
        .first()
    )


def _user_first() -> Case:
    """Return an expression that sorts user ids first, then anonymous ids."""
    return Case(
        When(namespace=USER, then=Value(0)),
        When(namespace=ANONYMOUS, then=Value(1)),
        default=Value(2),
        output_field=IntegerField(),
    )


def _text(value: Any) -> str:
    return value[:200] if isinstance(value, str) else ""
