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
