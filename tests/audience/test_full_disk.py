"""A database that is full or read-only: clients retry, workers wait, and nothing is set aside."""

import base64
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from audience.digest import queue
from audience.games.keys import NewKey, create_key
from audience.models import ApiKey, Batch, Dialect, Event, FailedWork, Game, Person, Rejection, Role
from config import services
from tests import hub
from tests.audience import immutable

pytestmark = pytest.mark.django_db(transaction=True)

# disk_full, out_of_memory, read_only_sql_transaction, cannot_connect_now, io_error
states = pytest.mark.parametrize("state", ["53100", "53200", "25006", "57P03", "58030"])
TRIGGER = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '{state}'; END $$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION refuse();
"""


@contextlib.contextmanager
def refusing(table: str, state: str = "53100") -> Iterator[None]:
    """Every write to the table fails as PostgreSQL fails when it is in that state."""
    with connection.cursor() as cursor:
        cursor.execute(TRIGGER.format(table=table, state=state))
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TRIGGER refuse ON {table}; DROP FUNCTION refuse()")


def ask(key: NewKey) -> Any:
    """One good event, as a client of the key's dialect sends it."""
    dialect, now = key.key.dialect, datetime.now(UTC).isoformat()
    if dialect == Dialect.IMMUTABLE:
        return immutable.send(key, immutable.message(messageId="5f1b5c1e-95c5-4a6c-9a3e-0d3f8ad0c9b1"))
    if dialect == Dialect.PARCELVOY:
        body: Any = [{"name": "sign_in", "external_id": "u"}]
        headers = {"Authorization": f"Bearer {key.value}"}
        return Client().post("/api/client/events", body, content_type="application/json", headers=headers)
    body = {"type": "track", "event": "sign_in", "userId": "u", "messageId": "one", "timestamp": now}
    credentials = {"writeKey": key.value} if dialect == Dialect.METAROUTER else {}
    basic = {"Authorization": "Basic " + b64(f"{key.value}:")}
    return Client().post("/v1/track", {**body, **credentials}, content_type="application/json", headers=basic)


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


# What each dialect says then.
WORDS = {
    "immutable": b"Storage is temporarily unavailable. Send the request again.",
    "rudderstack": b"storage is temporarily unavailable, send this again",
    "metarouter": b"Storage is temporarily unavailable",
    "parcelvoy": b"Storage is temporarily unavailable. Send the request again.",
}


@pytest.mark.parametrize("state", ["53100", "25006"])
@pytest.mark.parametrize("dialect", Dialect.values)
def test_a_full_disk_is_answered_503_in_the_dialects_format(game: Game, dialect: str, state: str) -> None:
    key = create_key(game=game, name="web", dialect=Dialect(dialect))
    with refusing("audience_batch", state):
        answer = ask(key)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert WORDS[dialect] in answer.content
    assert not Event.objects.exists()
    assert not Batch.objects.exists()
    assert not Rejection.objects.exists()

    again = ask(key)
    assert again.status_code in (200, 204)
    assert (Event.objects.count(), Batch.objects.count()) == (1, 1)


@states
def test_a_digest_on_a_full_disk_counts_no_attempt(key: NewKey, state: str) -> None:
    immutable.send(key, immutable.message())
    with refusing("audience_person", state), pytest.raises(Exception, match="No space left"):
        queue.drain()
    assert list(Batch.objects.values_list("state", "attempts", "error")) == [("pending", 0, "")]
    assert not FailedWork.objects.exists()
    assert queue.drain() == 1
    assert Person.objects.count() == 1


@states
def test_a_page_shows_a_plain_message(game: Game, state: str) -> None:
    client = hub.member(game, Role.ADMIN)
    client.raise_request_exception = False
    with refusing("audience_apikey", state):
        fields = {"name": "backend", "kind": "secret", "environment": "production", "dialect": "immutable"}
        answer = client.post(f"/g/{game.slug}/keys/new/", fields)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    page = hub.normalized_html(answer.content.decode())
    assert "The database is unavailable" in page
    assert "Accepted events are safe, but your last change may not be saved." in page
    assert hub.inline_code(page) == []
    assert not ApiKey.objects.exists()


def test_another_database_error_is_still_a_500(game: Game) -> None:
    client = hub.member(game, Role.ADMIN)
    client.raise_request_exception = False
    with refusing("audience_apikey", "23514"):
        fields = {"name": "backend", "kind": "secret", "environment": "production", "dialect": "immutable"}
        answer = client.post(f"/g/{game.slug}/keys/new/", fields)
    assert answer.status_code == 500
    assert "Something went wrong" in answer.content.decode()


def test_a_log_on_a_full_disk_ends_no_process() -> None:
    program = (
        "import django; django.setup(); import structlog\n"
        "for _ in range(3): structlog.get_logger('audience').error('a line that the disk does not take')\n"
        "print('goes on')"
    )
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"},
            cwd=services.BASE_DIR,
            stdout=subprocess.PIPE,
            stderr=full,
            text=True,
            check=False,
        )
    assert done.stdout == "goes on\n"
