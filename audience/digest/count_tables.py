"""The tables of counts of the event catalog (audience/models/event_counts.py): numbers are added to stored rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection

# Adds to the rows that are stored, and returns the places of the others in the arrays.
UPDATE = """
WITH new AS MATERIALIZED (
  SELECT * FROM unnest({arrays}) WITH ORDINALITY AS new ({columns}, place)
), updated AS (
  UPDATE {table} AS stored SET {sets} FROM new
  WHERE stored.game_id = %(game)s AND {equal} RETURNING new.place
)
SELECT place FROM new WHERE place NOT IN (SELECT place FROM updated) ORDER BY place
"""
INSERT = """
INSERT INTO {table} AS stored (game_id, {columns}) SELECT %(game)s, new.* FROM unnest({arrays}) AS new ({columns})
ON CONFLICT (game_id, {keys}) DO UPDATE SET {sets}
"""
# Of which the greatest is kept.
LAST_AT = "last_at"
# The values of the key columns, in their order, without the game.
Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class CountTable:
    """`keys` are columns that identify a row, with their types, without the game; `number` is added up."""

    name: str
    keys: Mapping[str, str]
    has_last_at: bool = False

    @property
    def columns(self) -> dict[str, str]:
        last = {LAST_AT: "timestamptz"} if self.has_last_at else {}
        return {**self.keys, "number": "bigint", **last}

    def statement(self, template: str, new: str) -> str:
        """Return a template for this table; `new` is the alias of the new row in `SET`."""
        sets = f"number = stored.number + {new}.number"
        sets += f", {LAST_AT} = greatest(stored.{LAST_AT}, {new}.{LAST_AT})" if self.has_last_at else ""
        return template.format(
            table=self.name,
            columns=", ".join(self.columns),
            keys=", ".join(self.keys),
            arrays=", ".join(f"%({name})s::{kind}[]" for name, kind in self.columns.items()),
            equal=" AND ".join(f"stored.{name} = new.{name}" for name in self.keys),
            sets=sets,
        )


EVENT_KEYS = {"day": "date", "test": "boolean", "kind": "text", "name": "text"}
EVENTS = CountTable("audience_eventcount", EVENT_KEYS, has_last_at=True)
SENDERS = CountTable(
    "audience_sendercount", {**EVENT_KEYS, "key_id": "bigint", "library": "text", "library_version": "text"}
)
PROPERTIES = CountTable("audience_propertycount", {**EVENT_KEYS, "path": "text", "type": "text"})
PROBLEMS = CountTable(
    "audience_valueproblemcount", {"day": "date", "test": "boolean", "name": "text", "problem": "text"}
)
UPDATES = {table.name: table.statement(UPDATE, "new") for table in (EVENTS, SENDERS, PROPERTIES)}
INSERTS = {table.name: table.statement(INSERT, "excluded") for table in (EVENTS, SENDERS, PROPERTIES, PROBLEMS)}


@dataclass(slots=True)
class Counts:
    """Numbers that are to be added to a table: {key: number}, and {key: last_at} if it has that."""

    table: CountTable
    numbers: dict[Key, int] = field(default_factory=dict)
    last_at: dict[Key, datetime] = field(default_factory=dict)

    def add(self, key: Key, number: int, last_at: datetime | None = None) -> None:
        self.numbers[key] = self.numbers.get(key, 0) + number
        if last_at:
            self.last_at[key] = max(last_at, self.last_at.get(key, last_at))

    def update(self, game_id: int) -> list[Key]:
        """Add to the rows that are stored; return the keys of the others."""
        keys = list(self.numbers)
        if not keys:
            return []
        with connection.cursor() as cursor:
            cursor.execute(UPDATES[self.table.name], self._parameters(game_id, keys))
            return [keys[place - 1] for (place,) in cursor.fetchall()]

    def insert(self, game_id: int) -> None:
        """Add to rows that may not be stored yet."""
        if self.numbers:
            with connection.cursor() as cursor:
                cursor.execute(INSERTS[self.table.name], self._parameters(game_id, sorted(self.numbers)))

    def _parameters(self, game_id: int, keys: Sequence[Key]) -> dict[str, Any]:
        columns: Iterable[Sequence[Any]] = zip(*keys, strict=True)
        values = dict(zip(self.table.keys, map(list, columns), strict=True))
        last = {LAST_AT: [self.last_at[key] for key in keys]} if self.table.has_last_at else {}
        return {"game": game_id, **values, "number": [self.numbers[key] for key in keys], **last}
