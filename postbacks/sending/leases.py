"""The rows of a claim: read with what sending needs of them and nothing else, leased with the attempts written.

A delivery with its conversion, player, click and game is some seventy columns, and making objects of them was most of
what a claim cost.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.db import connection

from postbacks.deciding import facts
from postbacks.models import Delivery, PostbackConfig
from postbacks.sending import retry

# What gate.against, gate.levels and facts.of read, and what a call and its end need.
READ = (
    *("sent_as", "event_id", "network", "state", "reason", "verdict", "attempts_made", "attempts_counted"),
    *("leased_until", "first_attempt_at", "safe_until", "dead_after", "config_id", "conversion_id"),
    *(f"conversion__{name}" for name in ("game_id", "person_id", "touch_id", "trigger", "event_at", "user_id")),
    *(f"conversion__{name}" for name in ("value", "currency", "properties", "context", "integrations")),
    *(f"conversion__{name}" for name in ("consent_level", "test", "reason")),
    *(f"conversion__touch__{name}" for name in ("network", "click_id", "browser_id", "ip", "user_agent")),
    *(f"conversion__touch__{name}" for name in ("page_url", "referrer")),
    "conversion__person__traits",
)
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


def due(config: PostbackConfig, *, now: datetime, most: int) -> list[Delivery]:
    """Up to `most` due deliveries of `config`, locked, the longest waiting first; the rest of each is deferred."""
    if not most:
        return []
    rows = Delivery.objects.due(now).filter(config=config)
    related = rows.select_related("conversion__touch", "conversion__person").only(*READ)
    found = list(related.select_for_update(skip_locked=True, of=("self",))[:most])
    for row in found:
        row.config = config
        if row.conversion is not None:
            row.conversion.game = config.game
    facts.load_names([row.conversion for row in found if row.conversion is not None])
    return found


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
