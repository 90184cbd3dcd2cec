"""Bulk updates from arrays: microseconds per row, where Django's bulk_update takes a millisecond."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Field, Model
from psycopg import sql

UPDATE = "UPDATE {table} old SET {sets} FROM unnest({arrays}) AS new ({names}) WHERE old.{key} = new.{key}"


def update(rows: Sequence[Model], fields: Sequence[str]) -> None:
    """Save these fields of rows of one model with one statement. Deleted rows are skipped; no signals are sent.

    Not for array fields, since PostgreSQL has no arrays of arrays.
    """
    if not rows:
        return
    meta = rows[0]._meta
    by_name = {column.name: column for column in meta.concrete_fields}
    columns = [meta.pk, *(by_name[name] for name in fields)]
    values = [[_value(column, row) for row in rows] for column in columns]
    with connection.cursor() as cursor:
        cursor.execute(_statement(meta.db_table, columns), values)


def array(ids: Iterable[UUID]) -> str:
    """Return the ids as the text of a uuid[], for `= ANY(%s::uuid[])`."""
    return "{" + ",".join(map(str, ids)) + "}"


def _value(column: Field[Any, Any], row: Model) -> Any:
    return column.get_db_prep_save(getattr(row, column.attname), connection)


def _statement(table: str, columns: Sequence[Field[Any, Any]]) -> sql.Composed:
    key, *others = (sql.Identifier(str(column.column)) for column in columns)
    arrays = (sql.SQL("%s::" + _type(column) + "[]") for column in columns)
    return sql.SQL(UPDATE).format(
        table=sql.Identifier(table),
        sets=sql.SQL(", ").join(sql.SQL("{0} = new.{0}").format(name) for name in others),
        arrays=sql.SQL(", ").join(arrays),
        names=sql.SQL(", ").join([key, *others]),
        key=key,
    )


def _type(column: Field[Any, Any]) -> str:
    db_type = column.rel_db_type(connection) if column.primary_key else column.db_type(connection)
    assert db_type, f"{column} has no column"
    return db_type
