"""Saving many rows in one statement, with any values."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audience.database import bulk
from audience.models import Conversion, Game, Person
from tests import factories

pytestmark = pytest.mark.django_db
AT = datetime(2026, 4, 8, 12, tzinfo=UTC)


def test_a_bulk_update_saves_every_kind_of_value_in_one_statement(game: Game) -> None:
    rows = [factories.conversion(factories.person(game)) for _ in range(3)]
    said: list[dict[str, Any]] = [
        {"value": Decimal("9.990000"), "currency": "USD", "properties": {"a": [1, None, "x\ty\\"]}, "event_at": AT},
        {"value": None, "currency": "", "properties": {}, "event_at": AT + timedelta(microseconds=1)},
        {"value": Decimal("-0.000001"), "currency": "EUR", "properties": {"ü": "‘’"}, "event_at": AT, "test": True},
    ]
    for row, values in zip(rows, said, strict=True):
        for name, value in values.items():
            setattr(row, name, value)
    with CaptureQueriesContext(connection) as asked:
        bulk.update(rows, ["value", "currency", "properties", "event_at", "test", "touch"])

    assert len(asked) == 1
    for row, values in zip(rows, said, strict=True):
        stored = Conversion.objects.get(pk=row.pk)
        assert {name: getattr(stored, name) for name in values} == values


def test_a_bulk_update_leaves_other_columns_and_rows_unchanged(game: Game) -> None:
    changed, other = factories.person(game), factories.person(game)
    changed.traits, changed.first_seen_at, other.traits = {"name": "Ada"}, AT, {"name": "Bo"}
    bulk.update([changed], ["traits"])

    assert Person.objects.get(pk=changed.pk).traits == {"name": "Ada"}
    assert Person.objects.get(pk=changed.pk).first_seen_at != AT
    assert Person.objects.get(pk=other.pk).traits == {}


def test_deleted_rows_are_skipped(game: Game) -> None:
    gone, kept = factories.person(game), factories.person(game)
    Person.objects.filter(pk=gone.pk).delete()
    gone.traits = kept.traits = {"name": "Ada"}
    bulk.update([gone, kept], ["traits"])

    assert [person.traits for person in Person.objects.all()] == [{"name": "Ada"}]


def test_an_empty_bulk_update_runs_no_query(game: Game) -> None:
    with CaptureQueriesContext(connection) as asked:
        bulk.update([], ["traits"])
    assert len(asked) == 0


def test_a_bulk_insert_stores_every_kind_of_value_and_skips_rows_that_exist(game: Game) -> None:
    properties = {"a": [1, None, "x\ty\\", 1.5, 10**30], "ü": "‘’"}
    made = [
        Conversion(game=game, person=factories.person(game), trigger="purchase", message_id=f"m-{n}") for n in range(3)
    ]
    for row in made:
        row.event_day, row.event_at, row.anonymous_id = AT.date(), AT + timedelta(microseconds=1), "'a'"
        row.value, row.currency, row.properties = Decimal("-0.000001"), "EUR", properties
        row.value_problem, row.order_id, row.origin = "", "", ""
    with CaptureQueriesContext(connection) as asked:
        assert bulk.insert(made[:2]) == {made[0].pk, made[1].pk}
    assert len(asked) == 1
    repeated = Conversion.objects.get(pk=made[0].pk)
    repeated.pk = made[2].pk

    assert bulk.insert([repeated]) == set()
    for row in made[:2]:
        stored = Conversion.objects.get(pk=row.pk)
        assert {f.attname: getattr(stored, f.attname) for f in stored._meta.concrete_fields} == {
            f.attname: getattr(row, f.attname) for f in row._meta.concrete_fields
        }
    assert Conversion.objects.count() == 2


def test_a_bulk_insert_refuses_a_value_that_json_cannot_hold(game: Game) -> None:
    row = Conversion(game=game, person=factories.person(game), event_day=AT.date(), context={"a": b"bytes"})
    with pytest.raises(TypeError, match="cannot be stored"):
        bulk.insert([row])
    assert bulk.insert([]) == set()
