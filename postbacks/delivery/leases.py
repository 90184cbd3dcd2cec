"""The rows of a claim: read with what sending needs of them and nothing else, leased with the attempts written.

A delivery with its conversion, player and click is some seventy columns. Having the ORM put the query together and read
each value was most of what a claim cost: here a row comes as one JSON document.
"""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeVar
from uuid import UUID

import orjson
from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import Model
from django.db.models.base import ModelState

from audience.database import bulk
from audience.models import Conversion, Person, Touch
from postbacks.delivery import retry
from postbacks.models import Delivery, PostbackConfig
from postbacks.outbox import facts

M = TypeVar("M", bound=Model)

# What gate.reason_not_to_send, gate.levels and facts.of read, and what a call and its end need. What is missing here
# and read all the same, Django fetches row by row.
READ: dict[type[Model], tuple[str, ...]] = {
    Delivery: (
        *("id", "sent_as", "event_id", "network", "state", "reason", "verdict", "attempts_made", "attempts_counted"),
        *("leased_until", "first_attempt_at", "safe_until", "dead_after", "config_id", "conversion_id"),
    ),
    Conversion: (
        *("id", "game_id", "person_id", "touch_id", "trigger", "event_at", "user_id", "value", "currency"),
        *("properties", "context", "integrations", "consent_level", "test", "reason", "from_server"),
    ),
    Touch: ("id", "network", "click_id", "browser_id", "ip", "user_agent", "page_url", "referrer"),
    Person: ("id", "traits"),
}
# From JSON, by the type of the column; a Decimal is told as text, since a JSON number would be read as a float.
READERS: dict[str, Callable[[str], object]] = {
    "UUIDField": lru_cache(maxsize=1024)(UUID),  # each is named two or three times, the config's in every row
    "DateTimeField": datetime.fromisoformat,
    "DecimalField": Decimal,
}
# Delivery.objects.due; tests/postbacks/test_leases.py holds them together.
WAITS = """delivery.state = 'waiting' AND delivery.next_attempt_at <= %(now)s
  AND (delivery.leased_until IS NULL OR delivery.leased_until < %(now)s)"""
# Left out of the queue: what failed is tried alone (audience/background/isolation.py), and of what failed to be closed
# the answer is known, so that it must not be sent again. As in audience.models.failed_work.not_failed.
FAILED = """(SELECT 1 FROM audience_failedwork failed WHERE failed.game_id = delivery.game_id
    AND failed.queue = '{queue}' AND failed.row = delivery.id::text LIMIT 1)"""
NOT_CLOSING = f"{FAILED.format(queue='closing')} IS NULL"
NOT_FAILED = f"{FAILED.format(queue='sending')} IS NULL AND {NOT_CLOSING}"
CHOSEN = f"delivery.id = ANY(%(only)s::uuid[]) AND {NOT_CLOSING}"
DUE = """
SELECT json_build_array({columns})::text
FROM postbacks_delivery delivery
LEFT JOIN audience_conversion conversion ON conversion.id = delivery.conversion_id
LEFT JOIN audience_touch touch ON touch.id = conversion.touch_id
LEFT JOIN audience_person person ON person.id = conversion.person_id
WHERE delivery.config_id = %(config)s AND {waits} AND {which}
ORDER BY delivery.next_attempt_at LIMIT %(most)s
FOR UPDATE OF delivery SKIP LOCKED
"""
DUE_IDS = f"""
SELECT delivery.id, delivery.game_id FROM postbacks_delivery delivery
WHERE delivery.config_id = %(config)s AND {WAITS} AND {NOT_FAILED}
ORDER BY delivery.next_attempt_at LIMIT %(most)s
"""
# One statement and one parameter for all rows: from arrays each value is quoted by Python, column by column.
LEASE = """
WITH taken AS (
  UPDATE postbacks_delivery old SET attempts_made = old.attempts_made + 1, attempts_counted = old.attempts_counted + 1,
    leased_until = new.leased_until, first_attempt_at = coalesce(old.first_attempt_at, %(now)s),
    safe_until = coalesce(old.safe_until, %(safe_until)s), config_version = %(version)s
  FROM json_to_recordset(%(rows)s::json) AS new (id uuid, leased_until timestamptz) WHERE old.id = new.id
  RETURNING old.id, old.attempts_made
)
INSERT INTO postbacks_deliveryattempt
  (delivery_id, config_id, number, config_version, started_at, status, verdict, provider_code, message, request_id)
SELECT id, %(config)s, attempts_made, %(version)s, %(now)s, 'sending', '', '', '', '' FROM taken
RETURNING delivery_id, id
"""


def _kinds(model: type[Model]) -> list[str]:
    """The types of the columns that are read; a foreign key has that of the key it holds."""
    fields: dict[str, Any] = {field.attname: field for field in model._meta.concrete_fields}
    read = (fields[name] for name in READ[model])
    return [(field.target_field if field.is_relation else field).get_internal_type() for field in read]


def _columns(model: type[Model]) -> str:
    """A JSON array of what is read of a table; NULL where the join found no row."""
    table = model._meta.model_name
    named = zip(READ[model], _kinds(model), strict=True)
    columns = (f"{table}.{name}{'::text' if kind == 'DecimalField' else ''}" for name, kind in named)
    return f"CASE WHEN {table}.id IS NOT NULL THEN json_build_array({', '.join(columns)}) END"


def _readers(model: type[Model]) -> list[tuple[int, Callable[[str], object]]]:
    """Which values of `_columns` are to be read from text, and how."""
    return [(place, READERS[kind]) for place, kind in enumerate(_kinds(model)) if kind in READERS]


_ALL_COLUMNS = ", ".join(map(_columns, READ))
_DUE = DUE.format(columns=_ALL_COLUMNS, waits=WAITS, which=NOT_FAILED)
_DUE_ALONE = DUE.format(columns=_ALL_COLUMNS, waits=WAITS, which=CHOSEN)
_READERS = {model: _readers(model) for model in READ}


def due(config: PostbackConfig, *, now: datetime, most: int, only: Sequence[UUID] = ()) -> list[Delivery]:
    """Up to `most` due deliveries of `config`, locked, the longest waiting first; the rest of each is deferred.

    Those that failed are left out, unless `only` names them.
    """
    if not most:
        return []
    given: dict[str, Any] = {"config": config.pk, "now": now, "most": most, "only": bulk.array(only)}
    with connection.cursor() as cursor:
        cursor.execute(_DUE_ALONE if only else _DUE, given)
        found = [_delivery(config, *json.loads(told)) for (told,) in cursor.fetchall()]
    facts.load_names([row.conversion for row in found if row.conversion is not None])
    return found


def due_ids(config_id: UUID, *, now: datetime, most: int) -> list[tuple[UUID, int]]:
    """What `due` would read, not locked and not looked at: the ids of the deliveries, and of their game."""
    with connection.cursor() as cursor:
        cursor.execute(DUE_IDS, {"config": config_id, "now": now, "most": most})
        return [(pk, game_id) for pk, game_id in cursor.fetchall()]


def _delivery(config: PostbackConfig, delivery: Any, conversion: Any, touch: Any, person: Any) -> Delivery:
    """The row with the objects that its columns name. Without a conversion its player was erased."""
    paid = _made(Touch, touch) if touch else None
    related = {"touch": paid, "person": _made(Person, person), "game": config.game} if conversion else {}
    return _made(
        Delivery, delivery, config=config, conversion=_made(Conversion, conversion, **related) if conversion else None
    )


def _made(model: type[M], values: list[Any], **related: Model | None) -> M:
    """A stored row as Django's own `from_db` makes it, but for signals that nobody listens to."""
    for place, reader in _READERS[model]:
        if values[place] is not None:
            values[place] = reader(values[place])
    made = model.__new__(model)
    made.__dict__.update(zip(READ[model], values, strict=True))
    made._state = ModelState()
    made._state.adding, made._state.db = False, DEFAULT_DB_ALIAS
    made._state.fields_cache = related
    return made


def lease(
    config: PostbackConfig, rows: Sequence[Delivery], until: Sequence[datetime], now: datetime
) -> dict[UUID, int]:
    """Lease locked `rows`, each until its moment, and write an open attempt of each; attempt ids by delivery id."""
    leases = []
    for row, leased_until in zip(rows, until, strict=True):
        row.attempts_made, row.attempts_counted = row.attempts_made + 1, row.attempts_counted + 1
        row.leased_until, row.config_version = leased_until, config.version
        row.first_attempt_at = row.first_attempt_at or now
        row.safe_until = row.safe_until or now + retry.WINDOW
        leases.append({"id": row.pk, "leased_until": leased_until})
    given: dict[str, Any] = {
        "now": now,
        "safe_until": now + retry.WINDOW,
        "version": config.version,
        "config": config.pk,
    }
    with connection.cursor() as cursor:
        cursor.execute(LEASE, {**given, "rows": orjson.dumps(leases).decode()})
        return dict(cursor.fetchall())
