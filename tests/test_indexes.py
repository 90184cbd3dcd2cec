"""Each index of the tables that grow, with who reads it: it costs every row that is written, and has to earn that."""

import importlib
import re
from datetime import date
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.db.models import ForeignKey, QuerySet

from audience.digest import run
from audience.games.keys import NewKey
from audience.models import Conversion
from audience.storage import partitions
from postbacks.delivery import claims
from postbacks.models import DeliveryAttempt
from tests import factories
from tests.audience import immutable

# Index -> who asks what it answers, or, of a constraint, who relies on it.
READERS = {
    "audience_event": {
        "audience_event_pkey": "audience.digest.reading.read",
        "event_once": "audience.intake.storing.store.write",
        "event_newest": "audience.hub.events.feed.newest",
        "event_by_user": "audience.privacy.erasure.sent_under",
        "event_by_anonymous": "audience.privacy.erasure.sent_under",
        "event_by_device": "audience.privacy.erasure.sent_under",
    },
    "audience_batch": {
        "audience_batch_pkey": "audience.digest.run.run",
        "batch_due": "audience.digest.run.drain",
        "batch_set_aside": "config.gauges.Queues",
    },
    "audience_rejection": {
        "audience_rejection_pkey": "audience.intake.replay.replay",
        "rejection_newest": "audience.hub.events.feed.newest",
        "rejection_age": "audience.storage.prune.steps",
    },
    "audience_person": {
        "audience_person_pkey": "audience.digest.identity.resolve",
        "people_newest": "audience.hub.people.views.people",
        "people_by_email": "audience.hub.people.views.found_people",
    },
    "audience_identity": {
        "audience_identity_pkey": "audience.admin.players.IdentityInline",
        "one_person_per_identity": "audience.digest.identity.resolve",
        "identity_by_value": "audience.privacy.erasure.drain",
        "audience_identity_person_id": "audience.digest.merge.merge",
    },
    "audience_device": {
        "audience_device_pkey": "audience.digest.belongings.apply",
        "one_row_per_device": "audience.digest.belongings.apply",
        "device_by_token": "audience.digest.belongings.apply",
        "audience_device_person_id": "audience.digest.merge.merge",
    },
    "audience_group": {
        "audience_group_pkey": "audience.digest.belongings.apply",
        "one_row_per_group": "audience.digest.belongings.apply",
    },
    "audience_group_members": {
        "audience_group_members_pkey": "audience.models.people.GroupMembership",
        "audience_group_members_group_id_person_id_ba097cfd_uniq": "audience.digest.belongings.apply",
        "audience_group_members_person_id": "audience.digest.merge.merge",
    },
    "audience_touch": {
        "audience_touch_pkey": "audience.digest.attribution.attribute",
        "one_touch_per_click": "audience.digest.attribution.attribute",
        "touch_newest": "audience.digest.attribution.attribute",
        "touch_click_id": "postbacks.reporting.search.find",
        "audience_touch_game_id": "postbacks.hub.guide.steps.walked",
    },
    "audience_conversion": {
        "audience_conversion_pkey": "postbacks.outbox.fan_out.fan_out_due",
        "one_conversion_per_event": "audience.digest.conversions.record",
        "one_launch_per_person": "audience.digest.conversions.elect",
        "conversion_to_fan_out": "postbacks.outbox.fan_out.fan_out_due",
        "conversion_newest": "postbacks.hub.conversions.views.conversions",
        "conversion_person": "audience.digest.merge.merge",
        "audience_conversion_touch_id": "audience.digest.merge.merge",
    },
    "postbacks_delivery": {
        "delivery_unknown": "postbacks.reporting.places.placed",
        "postbacks_delivery_pkey": "postbacks.delivery.attempts.close",
        "one_delivery_per_conversion_and_config": "postbacks.outbox.fan_out.fan_out_due",
        "delivery_due": "postbacks.delivery.claims.claim",
        "delivery_held": "postbacks.configs.hold.release",
        "delivery_failed": "postbacks.delivery.failed.matching",
        "delivery_newest": "postbacks.monitoring.health.counting.count",
        "delivery_of_replay": "postbacks.delivery.replays.cancel",
        "delivery_by_time": "postbacks.reporting.audit.run",
    },
    "postbacks_deliveryattempt": {
        "postbacks_deliveryattempt_pkey": "postbacks.delivery.attempts.close",
        "attempts_are_numbered": "postbacks.delivery.claims.claim",
        "attempt_newest": "postbacks.hub.delivery_log.attempts.newest",
        "attempt_by_status": "postbacks.hub.delivery_log.attempts.newest",
        "attempt_open": "postbacks.configs.applying.quiesce",
    },
}


@pytest.mark.django_db
@pytest.mark.parametrize("table", READERS)
def test_every_index_has_a_reader(table: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexname FROM pg_indexes WHERE tablename = %s", [table])
        # Django ends the name of one that it made for a foreign key in a hash.
        found = {re.sub(r"_id_[0-9a-f]{8}$", "_id", name) for (name,) in cursor.fetchall()}
    assert found == set(READERS[table])


@pytest.mark.parametrize("reader", sorted({reader for indexes in READERS.values() for reader in indexes.values()}))
def test_every_reader_is_there(reader: str) -> None:
    module, _, name = reader.rpartition(".")
    assert callable(getattr(importlib.import_module(module), name))


# Keys by which nobody looks for a row, and that the database does not check.
UNREAD = {"audience_batch": {"game_id", "key_id"}, "audience_rejection": {"key_id"}}


@pytest.mark.django_db
@pytest.mark.parametrize("table", READERS)
def test_a_foreign_key_without_an_index_of_its_own_leads_another(table: str) -> None:
    """Read from the catalogue: which of two indexes a plan takes would hang on the statistics of the moment."""
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
def test_an_index_that_begins_another_would_be_seen(columns: str, found: list[tuple[str, str]]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE INDEX short ON audience_identity {columns}")
    assert sorted(beginnings()) == sorted(found)


@pytest.mark.django_db
def test_what_is_asked_in_order_is_read_in_the_order_of_its_index() -> None:
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
    run.drain()
    before = updates("audience_person")
    immutable.send(key, immutable.message(eventTimestamp=immutable.ago(minutes=1)))
    run.drain()
    after = updates("audience_person")

    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)


@pytest.mark.django_db
def test_a_lease_touches_no_index() -> None:
    delivery = factories.delivery(factories.config(factories.game()))
    before = updates("postbacks_delivery")
    assert [claim.delivery.pk for claim in claims.claim(network="tiktok", most=5)] == [delivery.pk]
    after = updates("postbacks_delivery")

    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)


@pytest.mark.django_db
def test_every_week_of_batches_is_vacuumed_early() -> None:
    partitions.make(partitions.BATCHES, date(2031, 4, 28))
    told = "autovacuum_vacuum_scale_factor=0.05,autovacuum_analyze_scale_factor=0.02"
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT array_to_string(reloptions, ',') FROM pg_class "
            "JOIN pg_inherits ON inhrelid = pg_class.oid WHERE inhparent = 'audience_batch'::regclass"
        )
        assert cursor.fetchall() == [(told,)]
