"""Server troubles: when each begins and ends, and how the Overview and /metrics show it."""

import html
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from audience.models import Batch, Conversion, FailedWork, Game, Heartbeat, Queue, Role
from audience.storage import partitions, partitions_ahead
from postbacks.monitoring.server import server_troubles
from postbacks.monitoring.server.trouble import Trouble, TroubleKind
from tests import factories, hub

pytestmark = pytest.mark.django_db

LONG = timedelta(minutes=2)


def process(kind: str, *, silent: timedelta = timedelta(), age: timedelta = LONG * 5, **given: Any) -> None:
    """One that started `age` ago and was last heard of `silent` ago; a worker is one of both queues."""
    now = timezone.now()
    fields = {"started_at": now - age, "seen_at": now - silent, **given}
    name = f"host:{Heartbeat.objects.count()}"
    for row in [f"{name}/digest", f"{name}/delivery"] if kind == "worker" else [name]:
        Heartbeat.objects.create(kind=kind, name=row, **fields)


def all_well() -> None:
    """A web process, a beat, and a worker that takes up tasks of both queues."""
    process("web")
    process("beat")
    process("worker", worked_at=timezone.now())


def batch(game: Game, **given: Any) -> Batch:
    fields = {"dialect": "immutable", "accepted": 1, "duplicates": 0, "rejected": 0, "event_ids": [1]}
    return Batch.objects.create(game=game, **{**fields, "received_at": timezone.now() - LONG, **given})


def silence(kind: str) -> Callable[[Game], None]:
    return lambda game: process_is_silent(kind)


def process_is_silent(kind: str) -> None:
    Heartbeat.objects.filter(kind=kind).update(seen_at=timezone.now() - LONG)


def idle(game: Game) -> None:
    Heartbeat.objects.filter(kind="worker").update(worked_at=timezone.now() - LONG)


def late_batches(game: Game) -> None:
    for _ in range(2):
        batch(game, next_attempt_at=timezone.now() - LONG)


def failing_batch(game: Game) -> None:
    batch(game, attempts=1, next_attempt_at=timezone.now() + timedelta(seconds=20))


def batch_aside(game: Game) -> None:
    batch(game, state="failed", attempts=8, error="ValueError: …")


def undecided(game: Game) -> None:
    factories.conversion(factories.person(game), created_at=timezone.now() - LONG)


def work_aside(game: Game) -> None:
    now = timezone.now()
    for number in range(1200):
        FailedWork.objects.create(game=game, queue=Queue.NOTICE, row=str(number), set_aside_at=now)


def no_partition(game: Game) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date()
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {partitions.EVENTS.name(tomorrow)}")


# How each trouble comes about, how much it counts, and the sentence of the Overview.
TROUBLES: dict[TroubleKind, tuple[Callable[[Game], None], int, str]] = {
    TroubleKind.NO_BEAT: (
        silence("beat"),
        1,
        "No beat has reported for over a minute. New events are still stored, and most are processed and sent."
        " Scheduled work (retries, alerts, erasures, deleting old rows) has stopped.",
    ),
    TroubleKind.NO_WORKER: (
        silence("worker"),
        1,
        "No worker has reported for over a minute. New events are still stored, but nothing is processed or sent.",
    ),
    TroubleKind.IDLE_WORKERS: (
        idle,
        1,
        "Workers and the beat run, but no worker has started a task for over a minute.",
    ),
    TroubleKind.DIGEST_BEHIND: (
        late_batches,
        2,
        "2 requests are stored and should have been processed over a minute ago.",
    ),
    TroubleKind.BATCHES_FAILING: (
        failing_batch,
        1,
        "1 request could not be processed yet. Nothing is lost: each request is retried for about 40 minutes and then"
        " set aside.",
    ),
    TroubleKind.BATCHES_SET_ASIDE: (
        batch_aside,
        1,
        "1 request could not be processed and was set aside. Nothing is lost.",
    ),
    TroubleKind.CONVERSIONS_UNDECIDED: (
        undecided,
        1,
        "1 conversion has waited over a minute to be assigned to postbacks. Nothing is lost, but none of them is sent.",
    ),
    TroubleKind.WORK_SET_ASIDE: (
        work_aside,
        1200,
        "1,200 rows of work were set aside after failing several times. Nothing is lost, but someone has to act.",
    ),
}
every_trouble = pytest.mark.parametrize("kind", [pytest.param(kind, id=kind.value) for kind in TROUBLES])


def found() -> list[Trouble]:
    return server_troubles.find_troubles()


def overview(game: Game, **who: Any) -> str:
    client = hub.signed_in(hub.user("ops", **who))
    return hub.normalized_html(html.unescape(client.get(f"/g/{game.slug}/").content.decode()))


def scraped() -> dict[str, float]:
    """The gauge of every trouble, by its kind."""
    text = Client().get("/metrics").content.decode()
    families = [f for f in text_string_to_metric_families(text) if f.name == "afterclick_server_trouble"]
    return {sample.labels["kind"]: sample.value for family in families for sample in family.samples}


def test_every_kind_of_trouble_is_tested() -> None:
    assert {*TROUBLES, TroubleKind.NO_PARTITION_AHEAD} == set(TroubleKind)


def test_a_server_without_problems_has_no_trouble(game: Game) -> None:
    all_well()
    batch(game)
    factories.conversion(factories.person(game))
    assert found() == []
    assert scraped() == {kind.value: 0.0 for kind in TroubleKind}
    assert "This server" not in overview(game, is_superuser=True)


@every_trouble
def test_each_trouble_is_found_with_its_sentence_and_count(kind: TroubleKind, game: Game) -> None:
    all_well()
    happen, count, sentence = TROUBLES[kind]
    happen(game)
    assert [(one.kind, one.count, one.sentence) for one in found()] == [(kind, count, sentence)]
    assert scraped() == {**{other.value: 0.0 for other in TroubleKind}, kind.value: float(count)}


@every_trouble
def test_the_overview_shows_troubles_to_everybody_and_links_operators_to_the_rows(
    kind: TroubleKind, game: Game
) -> None:
    all_well()
    happen, _, sentence = TROUBLES[kind]
    happen(game)
    (trouble,) = found()
    seen = overview(game, is_superuser=True, is_staff=True)
    if kind in (TroubleKind.DIGEST_BEHIND, TroubleKind.BATCHES_SET_ASIDE):
        assert sentence not in seen  # the game's own notice has the game's own figure
        return
    assert f"<h3>{kind.label}:" in seen
    assert sentence in seen
    assert trouble.next_step in seen
    assert (f'href="{trouble.href}"' in seen) == bool(trouble.href)


def test_the_overview_does_not_say_that_all_is_done_while_the_server_is_in_trouble(game: Game) -> None:
    all_well()
    client = hub.member(game, Role.VIEWER)
    assert b"On time" in client.get(f"/g/{game.slug}/").content
    undecided(game)
    assert b"On time" not in client.get(f"/g/{game.slug}/").content


def test_a_member_who_is_not_staff_reads_the_sentence_without_the_link(game: Game) -> None:
    all_well()
    undecided(game)
    client = hub.member(game, Role.VIEWER)
    seen = hub.normalized_html(client.get(f"/g/{game.slug}/").content.decode())
    assert "<h3>Conversions not assigned: This server</h3>" in seen
    assert "1 conversion has waited over a minute" in seen
    assert "/admin/" not in seen


def test_the_link_of_a_trouble_leads_to_exactly_its_rows(game: Game) -> None:
    all_well()
    undecided(game)
    factories.conversion(factories.person(game), fanned_out_at=timezone.now(), message_id="decided")
    (trouble,) = found()
    listed = hub.signed_in(hub.user("ops", is_superuser=True, is_staff=True)).get(trouble.href)
    assert listed.status_code == 200
    assert listed.context["cl"].result_count == 1


def test_a_partition_that_is_missing_tomorrow_is_named(game: Game) -> None:
    all_well()
    no_partition(game)
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date()
    (trouble,) = found()
    assert trouble.kind == TroubleKind.NO_PARTITION_AHEAD
    assert trouble.count == 1
    assert trouble.sentence == (
        f"There is no partition for tomorrow: audience_event_{tomorrow:%Y%m%d}. Nothing is lost, but rows of a day"
        " without one are slower to store and to delete."
    )
    partitions_ahead.create_ahead()
    assert found() == []


def test_a_conversion_set_aside_is_one_trouble() -> None:
    all_well()
    game = factories.game()
    undecided(game)
    row = str(Conversion.objects.get().pk)
    FailedWork.objects.create(game=game, queue=Queue.FAN_OUT, row=row, set_aside_at=timezone.now())
    assert [one.kind for one in found()] == [TroubleKind.WORK_SET_ASIDE]


@pytest.mark.parametrize("kind", ["beat", "worker"])
def test_a_process_is_silent_after_a_minute_and_not_before(kind: str) -> None:
    all_well()
    now = timezone.now()
    Heartbeat.objects.filter(kind=kind).update(seen_at=now - timedelta(seconds=59))
    assert server_troubles.find_troubles(now=now) == []
    (trouble,) = server_troubles.find_troubles(now=now + timedelta(seconds=2))
    assert (trouble.kind.value, trouble.since) == (f"no_{kind}", now - timedelta(seconds=59))


def test_one_process_of_a_kind_is_enough() -> None:
    all_well()
    process("worker", silent=LONG, worked_at=timezone.now() - LONG)
    process("beat", silent=LONG)
    assert found() == []


def test_no_process_is_reported_as_silent_during_the_start() -> None:
    process("beat", silent=timedelta(hours=8), age=timedelta(hours=9))
    process("worker", silent=timedelta(hours=8), age=timedelta(hours=9))
    process("web", age=timedelta(seconds=30))
    assert found() == []
    Heartbeat.objects.filter(kind="web").update(started_at=timezone.now() - timedelta(seconds=61))
    assert [one.kind for one in found()] == [TroubleKind.NO_BEAT, TroubleKind.NO_WORKER]


def test_a_worker_that_was_never_started_is_reported() -> None:
    process("web")
    process("beat")
    (trouble,) = found()
    assert (trouble.kind, trouble.since) == (TroubleKind.NO_WORKER, None)


@pytest.mark.parametrize(("queue", "stopped"), [("digest", "nothing is processed"), ("delivery", "nothing is sent")])
def test_the_queue_without_a_worker_is_named(queue: str, stopped: str) -> None:
    all_well()
    seen = timezone.now() - LONG
    Heartbeat.objects.filter(name__endswith=queue).update(seen_at=seen)
    (trouble,) = found()
    assert (trouble.kind, trouble.since) == (TroubleKind.NO_WORKER, seen)
    assert trouble.sentence == (
        f"No worker of the queue {queue} has reported for over a minute. New events are still stored, but {stopped}."
    )
    assert f"(celery -A config worker -P threads -c 8 -Q {queue})" in trouble.next_step


@pytest.mark.parametrize("queue", ["digest", "delivery"])
def test_the_queue_whose_worker_starts_no_task_is_named(queue: str) -> None:
    all_well()
    Heartbeat.objects.filter(name__endswith=queue).update(worked_at=timezone.now() - LONG)
    (trouble,) = found()
    assert trouble.kind == TroubleKind.IDLE_WORKERS
    assert trouble.sentence == (
        f"Workers and the beat run, but no worker has started a task of the queue {queue} for over a minute."
    )


def test_a_worker_of_each_queue_and_one_of_both_are_equivalent() -> None:
    process("web")
    process("beat")
    now = timezone.now()
    for queue in ("digest", "delivery"):
        fields = {"started_at": now - LONG, "seen_at": now, "worked_at": now}
        Heartbeat.objects.create(kind="worker", name=f"{queue}@host/{queue}", **fields)
    assert found() == []


def test_workers_are_not_called_idle_while_no_beat_sends_tasks() -> None:
    all_well()
    process_is_silent("beat")
    Heartbeat.objects.filter(kind="worker").update(worked_at=timezone.now() - LONG)
    assert [one.kind for one in found()] == [TroubleKind.NO_BEAT]
