"""The functions of migration 0042 find the events of weak ids by index, with one plan per connection."""

import json
from datetime import date
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from audience.digest.event_ids import PLACEHOLDER_IDS
from audience.models import Game
from audience.storage import partitions
from tests.audience.test_hub_events import event

pytestmark = pytest.mark.django_db
FUNCTIONS = "SELECT count(*) FROM pg_proc WHERE proname ~ '^audience_events_(naming|without_user)_'"
SEQUENTIAL_SCANS = "SELECT sum(seq_scan) FROM pg_stat_xact_user_tables WHERE relname ~ '^audience_event_[0-9]'"


def query(text: str, *params: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(text, params)
        return cursor.fetchall() if cursor.description else []


def users_named_with(game: Game, *devices: str) -> list[str]:
    weak_ids = json.dumps([{"id": 1, "value": device} for device in devices])
    rows = query(
        "SELECT user_id FROM audience_events_naming_device(%s, %s, %s)", game.pk, weak_ids, list(PLACEHOLDER_IDS)
    )
    return sorted(user for (user,) in rows)


def guests_of(game: Game, *devices: str, digesting: tuple[int, ...] = ()) -> list[tuple[str, str]]:
    weak_ids = json.dumps([{"value": device} for device in devices])
    rows = query(
        "SELECT anonymous_id, message_id FROM audience_events_without_user_device(%s, %s, %s, %s::bigint[])",
        *(game.pk, weak_ids, list(PLACEHOLDER_IDS), list(digesting)),
    )
    return sorted(rows)


def test_events_with_a_user_name_a_weak_id_and_others_are_those_of_guests(game: Game, other_game: Game) -> None:
    event(game, 1, device_id="pc", user_id="anna")
    event(game, 2, device_id="pc", user_id="Guest", anonymous_id="a")  # a placeholder
    event(game, 3, device_id="pc", anonymous_id="a")
    event(game, 4, device_id="pc", anonymous_id="b")
    event(game, 5, device_id="pc", user_id="ben", kind="device")  # a registration
    event(game, 6, device_id="pc", user_id="cem", links=[["user", "pc"]])  # an alias of the id itself
    event(other_game, 7, device_id="pc", user_id="dora")
    digesting = event(game, 8, device_id="pc", anonymous_id="c").pk

    assert users_named_with(game, "pc", "tv") == ["anna"]
    assert guests_of(game, "pc", "tv", digesting=(digesting,)) == [("a", "event-2"), ("b", "event-4")]


def test_a_partition_that_is_added_later_is_read_too(game: Game) -> None:
    assert users_named_with(game, "pc") == []
    day = date(2031, 4, 28)
    partitions.create_partition(partitions.EVENTS, day)
    event(game, 1, device_id="pc", user_id="anna", day=day)

    assert users_named_with(game, "pc") == ["anna"]


def test_the_plan_is_made_once_and_looks_up_each_id_in_an_index(game: Game) -> None:
    event(game, 1, device_id="pc", user_id="anna")
    before = query(SEQUENTIAL_SCANS)
    assert users_named_with(game, "pc") == ["anna"]
    assert query(SEQUENTIAL_SCANS) == before
    # A plan that is made from now on reads whole tables.
    query("SET LOCAL enable_indexscan = off")
    query("SET LOCAL enable_bitmapscan = off")
    assert users_named_with(game, "pc") == ["anna"]
    assert query(SEQUENTIAL_SCANS) == before
    partitions.create_partition(partitions.EVENTS, date(2031, 4, 28))
    assert users_named_with(game, "pc") == ["anna"]
    assert query(SEQUENTIAL_SCANS) > before


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_the_migration_is_reversible() -> None:
    newest = MigrationExecutor(connection).loader.graph.leaf_nodes()
    assert query(FUNCTIONS) == [(4,)]
    MigrationExecutor(connection).migrate([("audience", "0041_limited_data_use")])
    assert query(FUNCTIONS) == [(0,)]
    MigrationExecutor(connection).migrate(newest)
    assert query(FUNCTIONS) == [(4,)]
