"""Resolves strong ids: user ids, and ids that a merge or a typed identify names. Only explicit calls join them."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import orjson
from django.db import connection

from audience.digest import ownership, persons
from audience.digest.event_groups import EventGroup
from audience.digest.event_ids import IdentityKey
from audience.digest.ownership import KnownId, NewId
from audience.digest.persons import Member, Merged, UnionFind
from audience.models import Game, Ownership, OwnershipSource
from audience.models.people import ANONYMOUS, USER

# The earlier aliases from anonymous ids with these values. Values are passed as one JSON text, as in ownership.py.
# LIMIT: see event_groups.IDENTITY_OF.
ALIASES = f"""
SELECT ownership.id, sent.value, named.person_id FROM jsonb_array_elements_text(%(values)s) AS sent (value)
CROSS JOIN LATERAL (
  SELECT id FROM audience_identity
  WHERE (game_id, namespace, value) = (%(game)s, '{ANONYMOUS}', sent.value) LIMIT 1
) AS alias
JOIN audience_ownership ownership ON identity_id = alias.id AND source = '{OwnershipSource.ALIAS}'
JOIN audience_identity named ON named.id = ownership.user_id
"""


@dataclass(slots=True)
class NamedPersons:
    """`by_group`: for each group of events the person that it names, or None.

    `users`: previous ids of aliases that are user ids. `unaliased`: weak ids without their earlier aliases, since they
    turned out to be user ids.
    """

    by_group: list[uuid.UUID | None]
    users: set[str] = field(default_factory=set)
    unaliased: set[IdentityKey] = field(default_factory=set)


def resolve(
    game: Game, groups: Sequence[EventGroup], known: dict[IdentityKey, KnownId], merged: Merged
) -> NamedPersons:
    """Find, create or merge the persons of all strong ids of these groups, and add the new ids to `known`."""
    named = NamedPersons([None] * len(groups))
    direct = {key for group in groups for key in group.ids.strong}
    sets = UnionFind()
    first_at: dict[Member, datetime] = {}
    for index, group in enumerate(groups):
        ids = group.ids
        if ids.previous and ((USER, ids.previous) in known or (USER, ids.previous) in direct):
            named.users.add(ids.previous)
        if ids.strong:
            sets.join([index, *ids.strong, *[(USER, ids.previous)] * (ids.previous in named.users)])
    for key, person_id in _aliased(game, [key for key in direct if key not in known], named):
        sets.join([key, person_id])
    for key in sets.ids():
        if key in known:
            sets.join([known[key].strong_person_id, key])
    for index, group in enumerate(groups):
        if group.ids.strong:
            root = sets.root(index)
            first_at[root] = min(group.first_at, first_at.get(root, group.first_at))
    persons_by_root = persons.find_or_create(sets, first_at, merged)
    for index, group in enumerate(groups):
        if group.ids.strong:
            named.by_group[index] = persons_by_root[sets.root(index)]
    owners = {key: persons_by_root[sets.root(key)] for key in sets.ids()}
    _store(game, groups, owners, known)
    return named


def _store(
    game: Game, groups: Iterable[EventGroup], owners: Mapping[IdentityKey, uuid.UUID], known: dict[IdentityKey, KnownId]
) -> None:
    seen: dict[IdentityKey, datetime] = {}
    for group in groups:
        for key in group.ids.strong:
            seen[key] = min(group.first_at, seen.get(key, group.first_at))
    known |= ownership.add(
        game, {key: NewId(first_at, owners[key]) for key, first_at in seen.items() if key not in known}
    )
    earlier = [known[key] for key, first_at in seen.items() if first_at < known[key].first_seen_at]
    for row in earlier:
        row.first_seen_at, row.person_id = seen[row.key], owners[row.key]
    ownership.change(game, earlier)


def _aliased(game: Game, new: Sequence[IdentityKey], named: NamedPersons) -> list[tuple[IdentityKey, uuid.UUID]]:
    """Return the persons of earlier aliases whose previous id is one of these new user ids, and undo their naming."""
    values = [value for namespace, value in new if namespace == USER]
    if not values:
        return []
    with connection.cursor() as cursor:
        cursor.execute(ALIASES, {"game": game.pk, "values": orjson.dumps(values).decode()})
        aliases = cursor.fetchall()
    if not aliases:
        return []
    Ownership.objects.filter(pk__in=[pk for pk, _, _ in aliases]).delete()
    named.unaliased.update((ANONYMOUS, value) for _, value, _ in aliases)
    return [((USER, value), person_id) for _, value, person_id in aliases]
