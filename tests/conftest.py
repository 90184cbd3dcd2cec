"""Fixtures for all tests: a game with its keys, clean tables, and settings that make tests fast."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import hypothesis
import pytest
from django.core.management.commands import flush
from django.db import connection
from django.db.backends.postgresql.operations import DatabaseOperations
from django.test import override_settings

from audience.games.keys import NewKey, create_key
from audience.intake.requests import auth
from audience.models import Environment, Game, KeyKind
from audience.storage import rollups as audience_rollups
from postbacks.reporting import rollups as postbacks_rollups
from tests import databases
from tests.chromium import browser as browser
from tests.effort import examples

# Examples may be slow on a busy machine.
hypothesis.settings.register_profile(
    "any machine", max_examples=examples(100), deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")


# Tests with a browser, the SDKs of other products, or the whole product in several processes.
LONG_FOLDERS = {Path(__file__).parent / name for name in ("browser", "faults", "journeys", "sdk")}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of LONG_FOLDERS `long`; others that take several seconds have the mark where they are defined."""
    for item in items:
        if LONG_FOLDERS.intersection(item.path.parents):
            item.add_marker(pytest.mark.long)


@pytest.fixture(scope="session", autouse=True)
def _fast_passwords() -> Iterator[None]:
    """tests/config/test_sign_in.py tests the hasher of the product."""
    with override_settings(PASSWORD_HASHERS=["tests.hashers.FastHasher"]):
        yield


# Tables that only migrations write: they are not emptied, so that post_migrate need not run.
WRITTEN_BY_MIGRATIONS = {"django_content_type", "auth_permission"}
ALL_ROLLUPS = (*audience_rollups.ROLLUPS, *postbacks_rollups.ROLLUPS)


def delete_rows(operations: DatabaseOperations, style: object, tables: Iterable[str], **options: object) -> list[str]:
    """Return SQL that empties `tables`, with the signature of DatabaseOperations.sql_flush.

    TRUNCATE creates new files for every table and index, which takes thirty times as long as deleting a few rows.
    Triggers write counts about the deleted rows into tables without a model; these are emptied last.
    """
    deletes = [f"DELETE FROM {operations.quote_name(name)}" for name in tables if name not in WRITTEN_BY_MIGRATIONS]
    counts = [f"DELETE FROM {rollup.name}{part}" for rollup in ALL_ROLLUPS for part in ("minute", "tail")]
    return ["; ".join([*deletes, *counts])]


@pytest.fixture(scope="session", autouse=True)
def _fast_flush() -> Iterator[None]:
    """Make Django's flush after a test that commits fast."""
    with (
        mock.patch.object(DatabaseOperations, "sql_flush", delete_rows),
        mock.patch.object(flush, "emit_post_migrate_signal"),
    ):
        yield


END_OTHER_CONNECTIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None) -> None:
    """Let the test's database be a copy of one that is migrated already."""
    connection.settings_dict["TEST"]["TEMPLATE"] = databases.ensure_template()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """End the connections of the product's threads, so that pytest-django can drop the database."""
    yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(END_OTHER_CONNECTIONS)


@pytest.fixture(autouse=True)
def _events_are_deleted(request: pytest.FixtureRequest) -> Iterator[None]:
    """Empty `audience_event` after a test that commits, since Django does not manage that table."""
    marker = request.node.get_closest_marker("django_db")
    commits = {"transactional_db", "live_server"} & set(request.fixturenames)
    if not commits and not (marker and marker.kwargs.get("transaction")):
        yield
        return
    request.getfixturevalue("transactional_db")
    yield
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM audience_event")


@pytest.fixture(autouse=True)
def _keys_are_not_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disable the cache of keys, since tests change rows of keys without audience/games/keys.py, which clears it."""
    monkeypatch.setattr(auth, "KEY_CACHE_SECONDS", 0.0)
    auth.clear_key_cache()


@pytest.fixture
def game(db: None) -> Game:
    return Game.objects.create(name="Sky Raiders", slug="sky-raiders")


@pytest.fixture
def other_game(db: None) -> Game:
    return Game.objects.create(name="Deep Miners", slug="deep-miners")


@pytest.fixture
def key(game: Game) -> NewKey:
    return create_key(game=game, name="web")


@pytest.fixture
def sandbox_key(game: Game) -> NewKey:
    return create_key(game=game, name="staging", environment=Environment.SANDBOX)


@pytest.fixture
def secret_key(game: Game) -> NewKey:
    return create_key(game=game, name="backend", kind=KeyKind.SECRET)
