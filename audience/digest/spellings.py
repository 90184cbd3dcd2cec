"""The forms in which ids were sent, where they differ from the canonical form that Identity holds."""

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

# Of one id. A UUID has so few in practice; more are not recorded.
MAX_SPELLINGS = 20
RECORD = """
UPDATE audience_identity known SET spellings = ARRAY(
  SELECT DISTINCT form COLLATE "C" FROM unnest(spellings || forms) AS form ORDER BY 1 LIMIT %(limit)s)
FROM jsonb_to_recordset(%(rows)s) AS sent (namespace text, value text, forms text[])
WHERE (game_id, known.namespace, known.value) = (%(game)s, sent.namespace, sent.value) AND NOT forms <@ spellings
"""

FORMS = "SELECT DISTINCT {column} FROM audience_event WHERE game_id = %s AND audience_canonical_id({column}) = %s"


def record(game: Game, groups: Iterable[EventGroup]) -> None:
    """Add the forms of ids that these events state to their identities."""
    found: dict[IdentityKey, set[str]] = {}
    for group in groups:
        for namespace, value in _stated(group):
            if is_id(value) and (form := canonical(value)) != value:
                found.setdefault((namespace, form), set()).add(value)
    if found:
        rows = [
            {"namespace": namespace, "value": value, "forms": sorted(forms)}
            for (namespace, value), forms in found.items()
        ]
        with connection.cursor() as cursor:
            given: dict[str, Any] = {"game": game.pk, "rows": orjson.dumps(rows).decode(), "limit": MAX_SPELLINGS}
            cursor.execute(RECORD, given)


def forms(game_id: int, keys: Iterable[IdentityKey]) -> dict[IdentityKey, list[str]]:
    """Return each id's canonical form and all others in which it was sent: what columns of events may hold."""
    found = {key: [key[1]] for key in keys}
    values = {value for _, value in found}
    known: Any = Identity.objects.filter(game_id=game_id, value__in=values).exclude(spellings=[])
    for namespace, value, spellings in known.values_list("namespace", "value", "spellings"):
        if (namespace, value) in found:
            found[namespace, value] += spellings
    return found


def complete(game: Game, identities: Iterable[Identity]) -> None:
    """Read the forms of ids that were sent in more than MAX_SPELLINGS from all events. Not saved: for erasures."""
    for identity in identities:
        if len(identity.spellings) >= MAX_SPELLINGS and identity.namespace in (ANONYMOUS, USER, DEVICE):
            query = FORMS.format(column=f"{identity.namespace}_id")
            with connection.cursor() as cursor:
                cursor.execute(query, [game.pk, identity.value])
                identity.spellings = sorted({*identity.spellings, *(form for (form,) in cursor.fetchall())})


def forms_of_anonymous(game_id: int, sent: Iterable[str]) -> dict[str, set[str]]:
    """Return {canonical form: all known forms} of anonymous ids, those that were sent now included."""
    found: dict[str, set[str]] = defaultdict(set)
    for form in sent:
        found[canonical(form)].add(form)
    for (_, value), known in forms(game_id, [(ANONYMOUS, value) for value in found]).items():
        found[value].update(known)
    return dict(found)


def _stated(group: EventGroup) -> list[IdentityKey]:
    own = [(ANONYMOUS, group.anonymous_id), (USER, group.user_id), (DEVICE, group.device_id)]
    links = orjson.loads(group.links_json) if group.links_json else []
    return [*own, *((str(namespace), str(value)) for namespace, value in links)]
