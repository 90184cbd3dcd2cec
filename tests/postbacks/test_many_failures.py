"""Thousands of failing rows do not delay the others."""

import logging
from collections.abc import Iterator

import pytest
from django.db import connection, transaction
from django.utils import timezone

from audience.models import Conversion, FailedWork, Game, Queue
from postbacks.delivery import claims
from postbacks.models import PostbackConfig
from postbacks.outbox import fan_out
from tests import factories
from tests.postbacks import poison

FAILED_BEFORE = """
INSERT INTO audience_failedwork (game_id, queue, row, attempts, error, kept, first_failed_at, next_attempt_at)
SELECT %s, queue, gen_random_uuid()::text, 1, '', '{}', now(), now() + interval '1 hour'
FROM generate_series(1, %s), unnest(ARRAY['fan_out', 'sending', 'closing']) AS queue
"""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """A hundred tracebacks tell no more than one."""
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


def plan(query: str, params: object) -> str:
    """How PostgreSQL would answer, with too little memory for a table of all failures."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '64kB'")
        cursor.execute(f"EXPLAIN {query}", params)
        return "\n".join(line for (line,) in cursor.fetchall())


@pytest.mark.django_db
def test_the_queues_look_up_failed_work_by_its_index_however_much_there_is(config: PostbackConfig) -> None:
    poison.execute(FAILED_BEFORE, config.game_id, 5_000)
    poison.execute("ANALYZE audience_failedwork")
    undecided = fan_out.due().values_list("pk")[: fan_out.BATCH]
    for query, params in (
        undecided.query.sql_with_params(),
        claims.claimable_configs("tiktok", timezone.now()).query.sql_with_params(),
    ):
        said = plan(query, params)
        assert "one_failure_per_row_of_a_queue" in said
        assert "Seq Scan on audience_failedwork" not in said


@pytest.fixture
def poisoned_game(transactional_db: None) -> Iterator[Game]:
    """A game none of whose conversions can be decided."""
    game = factories.game()
    lift = poison.refuse("audience_conversion", f"OLD.game_id = {game.pk}")
    yield game
    lift()


def conversions(game: Game, number: int) -> None:
    person = factories.person(game)
    for _ in range(number):
        factories.conversion(person)


def decided(game: Game) -> int:
    return Conversion.objects.filter(game=game).exclude(fanned_out_at=None).count()


def failed(game: Game) -> int:
    return FailedWork.objects.filter(game=game, queue=Queue.FAN_OUT).count()


def test_a_batch_of_bad_conversions_is_taken_apart_for_a_bounded_time(
    poisoned_game: Game, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversions(poisoned_game, 20)
    monkeypatch.setattr(fan_out, "MAX_ISOLATION_SECONDS", -1.0)
    assert fan_out.fan_out_due(limit=20) == 20
    assert failed(poisoned_game) == 0
    monkeypatch.setattr(fan_out, "MAX_ISOLATION_SECONDS", 60.0)
    fan_out.fan_out_due(limit=20)
    assert failed(poisoned_game) == 20


def test_a_game_of_which_many_conversions_failed_comes_after_all_others(
    poisoned_game: Game, game: Game, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fan_out, "MANY_FAILED", 3)
    monkeypatch.setattr(fan_out, "BATCH", 4)
    conversions(poisoned_game, 3)
    fan_out.drain()
    assert failed(poisoned_game) == 3

    conversions(poisoned_game, 6)  # older than those of the other game
    conversions(game, 6)
    monkeypatch.setattr(fan_out, "MAX_ISOLATION_SECONDS", -1.0)
    assert fan_out.drain() is True, "the failing game has more"
    assert (decided(game), decided(poisoned_game)) == (6, 0)
    assert failed(poisoned_game) == 3


def test_the_good_conversions_of_a_failing_game_are_decided(game: Game, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fan_out, "MANY_FAILED", 1)
    poison.execute(FAILED_BEFORE, game.pk, 3)
    conversions(game, 5)
    assert fan_out.drain() is False
    assert decided(game) == 5
