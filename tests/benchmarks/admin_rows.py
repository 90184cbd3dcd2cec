"""A million made-up rows of a model, inserted by one statement that its fields describe."""

from typing import Any

from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.db import connection, models

# Expressions over `n`, which counts backwards in time, by the internal type of the field. {label} is the model's name.
BY_TYPE = {
    "BooleanField": "n %% 20 = 0",
    "CharField": "left('{name}-' || n, {length})",
    "DateField": "(now() - n * interval '2 s')::date",
    "DateTimeField": "now() - n * interval '2 s'",
    "DecimalField": "9.99",
    "EmailField": "'a' || n || '@studio.example'",
    "GenericIPAddressField": "('203.0.113.' || n %% 250)::inet",
    "JSONField": "'{{}}'::jsonb",
    "TextField": "'{name}-' || n",
    "UUIDField": "md5('{label}' || n)::uuid",
}
# What a field needs in place of these, by model and field.
GIVEN = {
    "audience.conversion.fanned_out_at": "CASE WHEN n %% 100000 > 0 THEN now() END",
    "audience.conversion.moved_to": "NULL",
    "audience.conversion.touch": "n",
    "audience.conversion.trigger": "CASE WHEN n %% 3 = 0 THEN 'level_up' ELSE 'purchase' END",
    "audience.conversion.reason": "CASE WHEN n %% 1000 = 0 THEN 'erased' WHEN n %% 3 = 0 THEN 'no_click' ELSE '' END",
    "audience.conversion.value_problem": "CASE WHEN n %% 5000 = 0 THEN 'no_currency' ELSE '' END",
    "audience.batch.state": "CASE WHEN n %% 50000 = 0 THEN 'failed' ELSE 'done' END",
    "audience.batch.event_ids": "ARRAY[n, n + 1]::bigint[]",
    "audience.erasure.state": "CASE WHEN n %% 50000 = 0 THEN 'pending' ELSE 'done' END",
    "audience.erasure.linked_hashes": "ARRAY[encode(sha256(n::text::bytea), 'hex')]",
    "audience.exchangerate.currency": "lpad((n %% 1000)::text, 3, 'x')",
    "audience.identity.namespace": "(ARRAY['user', 'anonymous'])[1 + n %% 2]",
    "audience.touch.network": "(ARRAY['tiktok', 'reddit', 'google'])[1 + n %% 3]",
    "auditlog.logentry.action": "n %% 4",
    "auditlog.logentry.actor": "NULL",
    "auditlog.logentry.additional_data": "jsonb_build_object('game', (SELECT min(id) FROM audience_game))",
    "postbacks.alert.recovered_at": "now()",
    "postbacks.delivery.state": "CASE WHEN n > {rows} * 0.9 AND n %% 5000 = 0 THEN 'failed' ELSE 'delivered' END",
    "postbacks.delivery.network": "'tiktok'",
    "postbacks.delivery.reason": "''",
    "postbacks.credentialcheck.network": "'tiktok'",
    "postbacks.adcost.network": "'tiktok'",
    "postbacks.advert.network": "'tiktok'",
    "postbacks.flow.network": "'tiktok'",
    "postbacks.postbackconfig.network": "'tiktok'",
    "postbacks.servertrouble.ended_at": "now()",
}
TRIGGERED = "SELECT DISTINCT tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal AND tgparentid = 0"
FOREIGN_KEYS = """
SELECT conrelid::regclass::text, quote_ident(conname) FROM pg_constraint WHERE contype = 'f' AND conparentid = 0
"""
# Values of these types are bytes or arrays of no interest to a list.
EMPTY = {"ArrayField": "ARRAY[]::text[]", "BinaryField": "''::bytea"}


def without_checks() -> None:
    """Drop the foreign keys and disable the triggers of all tables, which most made-up rows would violate."""
    with connection.cursor() as cursor:
        cursor.execute(FOREIGN_KEYS)
        for table, name in cursor.fetchall():
            cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        cursor.execute(TRIGGERED)
        for (table,) in cursor.fetchall():
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")


def insert(model: type[models.Model], rows: int, small: dict[str, list[Any]]) -> None:
    """Insert `rows` rows. `small` has the ids of the rows of small tables by the label of their model; a foreign key to
    another table refers to its row with the same number."""
    fields = [field for field in model._meta.concrete_fields if not is_serial(field)]
    columns = ", ".join(f'"{field.column}"' for field in fields)
    values = ", ".join(expression(field, rows, small) for field in fields)
    with connection.cursor() as cursor:
        cursor.execute(
            f'INSERT INTO "{model._meta.db_table}" ({columns}) SELECT {values} FROM generate_series(%s, 1, -1) n '
            "ON CONFLICT DO NOTHING",
            [rows],
        )
        cursor.execute(f'VACUUM ANALYZE "{model._meta.db_table}"')


def is_serial(field: Any) -> bool:
    return field.get_internal_type() in ("AutoField", "BigAutoField")


def expression(field: Any, rows: int, small: dict[str, list[Any]]) -> str:
    """Return the SQL of a column."""
    label = f"{field.model._meta.label_lower}"
    given = GIVEN.get(f"{label}.{field.name}")
    if given is not None:
        return given.format(rows=rows)
    if field.is_relation:
        return _reference(field, small)
    kind = field.get_internal_type()
    if isinstance(field, ArrayField):
        return "'{}'"
    if field.choices and not field.unique:
        values = ", ".join(f"'{value}'" for value, _ in field.flatchoices)
        return f"(ARRAY[{values}])[1 + n %% {len(field.flatchoices)}]"
    length = field.max_length or 60
    pattern = BY_TYPE.get(kind) or EMPTY.get(kind) or "n %% 1000"
    return pattern.format(name=field.name[:6], length=length, label=label)


def _reference(field: Any, small: dict[str, list[Any]]) -> str:
    label = field.related_model._meta.label_lower
    ids = small.get(label)
    if ids:
        quoted = ", ".join(f"'{pk}'" for pk in ids)
        kind = "uuid" if field.target_field.get_internal_type() == "UUIDField" else "bigint"
        return f"(ARRAY[{quoted}]::{kind}[])[1 + n %% {len(ids)}]"
    if field.null:
        return "NULL"
    return f"md5('{label}' || n)::uuid" if field.target_field.get_internal_type() == "UUIDField" else "n"


def truncate(model: type[models.Model]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f'TRUNCATE "{model._meta.db_table}" RESTART IDENTITY CASCADE')


def model_of(label: str) -> type[models.Model]:
    return apps.get_model(label)
