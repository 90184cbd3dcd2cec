"""The indexes of the growing tables: none is missing, none is redundant, and updates change none."""

from datetime import date
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.db.models import ForeignKey, QuerySet

from audience.digest import queue
from audience.games.keys import NewKey
from audience.models import Conversion
from audience.storage import partitions
from postbacks.delivery import claims
from postbacks.models import DeliveryAttempt
from tests import factories
from tests.audience import immutable
from tests.postbacks.test_index_readers import READERS

# The tables that grow; tests/postbacks/test_index_readers.py names and runs a reader of each of their indexes.
TABLES = list(READERS)

# Keys by which nobody looks for a row, and that the database does not check.
UNREAD = {"audience_batch": {"game_id", "key_id"}, "audience_rejection": {"key_id"}}


@pytest.mark.django_db
@pytest.mark.parametrize("table", TABLES)
def test_a_foreign_key_without_an_index_of_its_own_leads_another(table: str) -> None:
    """Read from the catalog: which of two indexes a plan takes would hang on the statistics of the moment."""
    (model,) = [model for model in apps.get_models() if model._meta.db_table == table]
    keys = {field.column for field in model._meta.fields if isinstance(field, ForeignKey)}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0] "
            "WHERE indrelid = %s::regclass "
            "AND (indpred IS NULL OR pg_get_expr(indpred, indrelid) = format('(NOT (%%s IS NULL))', attname))",
            [table],
        )
        leading = {name for (name,) in cursor.fetchall()}
    assert keys - leading == UNREAD.get(table, set())


# Two indexes of one table of which the first is the beginning of the other, so that the other answers whatever the
# first does. A partial index is no substitute for a whole one, nor a whole one for the short list of a partial one.
BEGINNINGS = """
SELECT part.indexrelid::regclass::text, whole.indexrelid::regclass::text
FROM pg_index part JOIN pg_index whole USING (indrelid)
JOIN pg_class short ON short.oid = part.indexrelid JOIN pg_class long ON long.oid = whole.indexrelid
JOIN pg_class of ON of.oid = indrelid
WHERE part.indexrelid <> whole.indexrelid AND NOT part.indisunique AND short.relam = long.relam
AND short.relam = (SELECT oid FROM pg_am WHERE amname = 'btree') AND NOT of.relispartition
AND part.indexprs IS NULL AND whole.indexprs IS NULL
AND pg_get_expr(part.indpred, indrelid) IS NOT DISTINCT FROM pg_get_expr(whole.indpred, indrelid)
AND (whole.indkey::int2[])[:part.indnkeyatts - 1] = (part.indkey::int2[])[:part.indnkeyatts - 1]
AND (whole.indclass::oid[])[:part.indnkeyatts - 1] = (part.indclass::oid[])[:part.indnkeyatts - 1]
AND of.relname ~ %s ORDER BY 1, 2
"""
OURS = "^(audience|postbacks|consent)_"


def beginnings(tables: str = OURS) -> list[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(BEGINNINGS, [tables])
        return list(cursor.fetchall())


@pytest.mark.django_db
def test_no_index_is_the_beginning_of_another() -> None:
    """While a game is not in its statistics the planner prefers the short one, and reads the whole game for each id."""
    assert beginnings() == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ("(game_id)", [("short", "one_person_per_identity"), ("short", "identity_by_value")]),
        ("(game_id, namespace DESC)", [("short", "one_person_per_identity")]),
        ("(value)", []),
        ("(game_id) WHERE value <> ''", []),
        ("(game_id, value text_pattern_ops)", []),
    ],
)
def test_an_index_that_is_a_prefix_of_another_is_detected(columns: str, found: list[tuple[str, str]]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE INDEX short ON audience_identity {columns}")
    assert sorted(beginnings()) == sorted(found)


@pytest.mark.django_db
def test_ordered_queries_read_rows_in_the_order_of_an_index() -> None:
    """No statistics decide here: of each table one index alone spares these the sorting, which is forbidden."""
    config = factories.config(factories.game())
    game, delivery = config.game, factories.delivery(config)
    asked: dict[str, QuerySet[Any]] = {
        "attempts_are_numbered": delivery.attempts.order_by("number"),
        "attempt_newest": DeliveryAttempt.objects.filter(config=config).order_by("-started_at"),
        "conversion_newest": Conversion.objects.filter(game=game).order_by("-event_at"),
        "people_newest": game.people.order_by("-first_seen_at"),
    }
    with connection.cursor() as cursor:
        for way in ("seqscan", "sort", "incremental_sort"):
            cursor.execute(f"SET LOCAL enable_{way} = off")
    assert {name: name in rows.explain() for name, rows in asked.items()} == dict.fromkeys(asked, True)


def updates(table: str) -> tuple[int, int]:
    """Rows updated in this transaction, and those of them that stayed in their page without an index entry."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relname = %s", [table])
        found: tuple[int, int] = cursor.fetchone()
        return found


@pytest.mark.django_db
def test_a_sighting_of_a_known_player_touches_no_index(key: NewKey) -> None:
    immutable.send(key, immutable.message(eventTimestamp=immutable.ago(minutes=10)))
    queue.drain()
    before = updates("audience_person")
    immutable.send(key, immutable.message(eventTimestamp=immutable.ago(minutes=1)))
    queue.drain()
    after = updates("audience_person")

    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)


@pytest.mark.django_db
def test_a_lease_touches_no_index() -> None:
    delivery = factories.delivery(factories.config(factories.game()))
    before = updates("postbacks_delivery")
    assert [claim.delivery.pk for claim in claims.claim(network="tiktok", limit=5)] == [delivery.pk]
    after = updates("postbacks_delivery")

    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)


@pytest.mark.django_db
def test_every_week_of_batches_is_vacuumed_early() -> None:
    partitions.create_partition(partitions.BATCHES, date(2031, 4, 28))
    told = "autovacuum_vacuum_scale_factor=0.05,autovacuum_analyze_scale_factor=0.02"
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT array_to_string(reloptions, ',') FROM pg_class "
            "JOIN pg_inherits ON inhrelid = pg_class.oid WHERE inhparent = 'audience_batch'::regclass"
        )
        assert cursor.fetchall() == [(told,)]
