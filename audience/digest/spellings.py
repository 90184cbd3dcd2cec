"""The spellings in which ids were sent, where they differ from the canonical form in Identity.value."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import orjson
from django.db import connection

from audience.digest.event_groups import EventGroup
from audience.digest.event_ids import IdentityKey, is_id
from audience.ids.values import canonical
from audience.models import Game, Identity
from audience.models.people import ANONYMOUS, DEVICE, USER

# Maximum number per id; more are not recorded. In practice a UUID has a few.
MAX_SPELLINGS = 20
RECORD = """
UPDATE audience_identity known SET spellings = ARRAY(
  SELECT DISTINCT spelling COLLATE "C" FROM unnest(spellings || added) AS spelling ORDER BY 1 LIMIT %(limit)s)
FROM jsonb_to_recordset(%(rows)s) AS sent (namespace text, value text, added text[])
WHERE (game_id, known.namespace, known.value) = (%(game)s, sent.namespace, sent.value) AND NOT added <@ spellings
"""

SENT = "SELECT DISTINCT {column} FROM audience_event WHERE game_id = %s AND audience_canonical_id({column}) = %s"


def record(game: Game, groups: Iterable[EventGroup]) -> None:
    """Add the spellings of these events' ids to their identities."""
    new: dict[IdentityKey, set[str]] = {}
    for group in groups:
        for namespace, sent in _stated(group):
            if (value := canonical(sent)) != sent and is_id(sent):
                new.setdefault((namespace, value), set()).add(sent)
    if new:
        rows = [{"namespace": key[0], "value": key[1], "added": sorted(spellings)} for key, spellings in new.items()]
        with connection.cursor() as cursor:
            params: dict[str, Any] = {"game": game.pk, "rows": orjson.dumps(rows).decode(), "limit": MAX_SPELLINGS}
            cursor.execute(RECORD, params)


def load(game_id: int, keys: Iterable[IdentityKey]) -> dict[IdentityKey, list[str]]:
    """Return {id: its canonical form and all spellings in which it was sent}, which columns of events may contain."""
    values_by_key = {key: [key[1]] for key in keys}
    values = {value for _, value in values_by_key}
    identities: Any = Identity.objects.filter(game_id=game_id, value__in=values).exclude(spellings=[])
    for namespace, value, spellings in identities.values_list("namespace", "value", "spellings"):
        if (namespace, value) in values_by_key:
            values_by_key[namespace, value] += spellings
    return values_by_key


def complete(game: Game, identities: Iterable[Identity]) -> None:
    """Read all spellings of ids that reached MAX_SPELLINGS from the events, for an erasure. They are not saved."""
    for identity in identities:
        if len(identity.spellings) >= MAX_SPELLINGS and identity.namespace in (ANONYMOUS, USER, DEVICE):
            query = SENT.format(column=f"{identity.namespace}_id")
            with connection.cursor() as cursor:
                cursor.execute(query, [game.pk, identity.value])
                identity.spellings = sorted({*identity.spellings, *(sent for (sent,) in cursor.fetchall())})


def load_anonymous(game_id: int, sent: Iterable[str]) -> dict[str, set[str]]:
    """Return {canonical form: all spellings} of anonymous ids, including the spellings `sent`."""
    by_value: dict[str, set[str]] = defaultdict(set)
    for spelling in sent:
        by_value[canonical(spelling)].add(spelling)
    for (_, value), spellings in load(game_id, [(ANONYMOUS, value) for value in by_value]).items():
        by_value[value].update(spellings)
    return dict(by_value)


def _stated(group: EventGroup) -> list[IdentityKey]:
    columns = [(ANONYMOUS, group.anonymous_id), (USER, group.user_id), (DEVICE, group.device_id)]
    links = orjson.loads(group.links_json) if group.links_json else []
    return [*columns, *((str(namespace), str(value)) for namespace, value in links)]
