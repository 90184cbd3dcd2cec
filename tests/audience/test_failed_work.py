"""Rows set aside: counted for Prometheus, listed in the admin, and retried there."""

import io
from datetime import timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily

from audience.background import set_aside
from audience.database import clock
from audience.models import Batch, BatchState, FailedWork, Game, Queue
from audience.storage import prune
from config import gauges

pytestmark = pytest.mark.django_db


def failed(game: Game | None, queue: Queue = Queue.FAN_OUT, *, row: str = "1", aside: bool = True) -> FailedWork:
    now = timezone.now()
    return FailedWork.objects.create(
        game=game,
        queue=queue,
        row=row,
        attempts=8 if aside else 1,
        error="OverflowError: date value out of range",
        next_attempt_at=now + timedelta(minutes=30),
        set_aside_at=now if aside else None,
    )


def batch(game: Game, state: BatchState) -> Batch:
    sums = {"accepted": 1, "duplicates": 0, "rejected": 0, "event_ids": [1], "attempts": 8, "error": "ValueError: no"}
    later = timezone.now() + timedelta(minutes=30)
    return Batch.objects.create(
        game=game, dialect="immutable", received_at=timezone.now(), state=state, next_attempt_at=later, **sums
    )


def staff(client: Client, *permissions: str) -> Client:
    user = get_user_model().objects.create_user("operator", "o@example.com", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return client


def told(entry: Any) -> tuple[str, dict[str, list[str]]]:
    return str(entry.object_repr), entry.changes


def gauge() -> dict[str, float]:
    """afterclick_set_aside by queue, without the queues that have nothing."""
    (found,) = [one for one in gauges.QueueCollector().collect() if one.name == "afterclick_set_aside"]
    assert isinstance(found, GaugeMetricFamily)
    return {sample.labels["queue"]: sample.value for sample in found.samples if sample.value}


def test_rows_set_aside_or_with_a_later_attempt_are_not_due(game: Game) -> None:
    aside, later, due = failed(game), failed(game, row="2", aside=False), failed(game, row="3", aside=False)
    FailedWork.objects.filter(pk=due.pk).update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    failed(game, Queue.REPLAY)

    assert set(FailedWork.objects.not_due(Queue.FAN_OUT)) == {aside, later}
    assert list(FailedWork.objects.due()) == [due]
    assert set(FailedWork.objects.of(Queue.FAN_OUT).set_aside()) == {aside}


def test_failed_work_is_deleted_with_its_game(game: Game, other_game: Game) -> None:
    failed(game)
    kept = failed(other_game)
    game.delete()
    assert list(FailedWork.objects.all()) == [kept]


def test_prometheus_reads_the_number_of_rows_set_aside_per_queue(game: Game, other_game: Game) -> None:
    assert gauge() == {}
    failed(game), failed(other_game), failed(None, Queue.PRUNE), failed(game, Queue.REPLAY, aside=False)
    batch(game, BatchState.FAILED)
    assert gauge() == {"digest": 1, "fan_out": 2, "prune": 1}


def test_retrying_restores_all_attempts_and_is_in_the_audit_log(game: Game, other_game: Game) -> None:
    rows = [failed(game), failed(game, row="2"), failed(None, Queue.ROLLUP)]
    left = failed(other_game)

    assert set_aside.retry_set_aside(FailedWork.objects.exclude(pk=left.pk)) == 3
    for row in rows:
        row.refresh_from_db()
        assert (row.attempts, row.set_aside_at) == (0, None)
        assert row.next_attempt_at <= clock.now()
    left.refresh_from_db()
    assert left.attempts == 8
    entries = LogEntry.objects.filter(changes__has_key="set-aside work")
    assert [told(entry) for entry in entries] == [("Sky Raiders", {"set-aside work": ["2", "tried again"]})]


def test_digesting_again_takes_the_failed_requests_only(game: Game) -> None:
    aside, done = batch(game, BatchState.FAILED), batch(game, BatchState.DONE)

    assert set_aside.retry_failed_batches(Batch.objects.all()) == 1
    assert set_aside.retry_failed_batches(Batch.objects.all()) == 0
    aside.refresh_from_db()
    done.refresh_from_db()
    assert (aside.state, aside.attempts, done.state, done.attempts) == ("pending", 0, "done", 8)
    assert list(Batch.objects.due()) == [aside]


@pytest.mark.parametrize(
    ("model", "action"), [("audience_batch", "digest_again"), ("audience_failedwork", "try_again")]
)
def test_the_admin_asks_to_confirm_a_retry(admin_client: Client, game: Game, model: str, action: str) -> None:
    aside, row = batch(game, BatchState.FAILED), failed(game)
    chosen = {"action": action, "_selected_action": [aside.pk if action == "digest_again" else row.pk]}
    url = reverse(f"admin:{model}_changelist")

    assert "?</h1>" in admin_client.post(url, chosen).content.decode()
    assert (Batch.objects.get().attempts, FailedWork.objects.get().attempts) == (8, 8)

    page = admin_client.post(url, {**chosen, "confirmed": "yes"}, follow=True)
    assert [str(message).rpartition(" ")[2] for message in page.context["messages"]] == ["1."]
    found = (Batch.objects.get().attempts, FailedWork.objects.get().attempts)
    assert found == ((0, 8) if action == "digest_again" else (8, 0))


def test_the_view_permission_does_not_allow_a_retry(client: Client, game: Game) -> None:
    row = failed(game)
    staff(client, "view_failedwork")
    url = reverse("admin:audience_failedwork_changelist")
    client.post(url, {"action": "try_again", "confirmed": "yes", "_selected_action": [row.pk]})
    row.refresh_from_db()
    assert row.attempts == 8
    page = client.get(url).content.decode()
    assert "date value out of range" in page
    assert "Try again" not in page


def command(name: str, *arguments: str) -> str:
    told = io.StringIO()
    call_command(name, *arguments, stdout=told)
    return told.getvalue()


def test_retry_batches_reports_the_number_and_none_the_second_time(game: Game, other_game: Game) -> None:
    aside, other = batch(game, BatchState.FAILED), batch(other_game, BatchState.FAILED)

    assert command("retry_batches", "--game", game.slug) == "Queued again: 1.\n"
    assert command("retry_batches", "--game", game.slug) == "Queued again: 0.\n"
    assert {row.pk: row.state for row in Batch.objects.all()} == {aside.pk: "pending", other.pk: "failed"}
    assert command("retry_batches", str(aside.pk), str(other.pk)) == "Queued again: 1.\n"
    assert list(Batch.objects.due()) == [aside, other]


def test_retry_set_aside_retries_only_what_was_set_aside(game: Game, other_game: Game) -> None:
    mine, waiting = failed(game), failed(game, row="2", aside=False)
    replay, other = failed(game, Queue.REPLAY), failed(other_game)

    assert command("retry_set_aside", "--game", game.slug, "--queue", "fan_out") == "Queued again: 1.\n"
    attempts = dict(FailedWork.objects.values_list("pk", "attempts"))
    assert attempts == {mine.pk: 0, waiting.pk: 1, replay.pk: 8, other.pk: 8}
    assert command("retry_set_aside", str(other.pk)) == "Queued again: 1.\n"
    assert command("retry_set_aside") == "Queued again: 1.\n"
    assert command("retry_set_aside") == "Queued again: 0.\n"
    assert not FailedWork.objects.set_aside().exists()


@pytest.mark.parametrize("name", ["retry_batches", "retry_set_aside"])
def test_an_unknown_game_is_reported_and_nothing_is_retried(game: Game, name: str) -> None:
    failed(game), batch(game, BatchState.FAILED)
    with pytest.raises(CommandError, match="The game “sky-riders” does not exist."):
        command(name, "--game", "sky-riders")
    assert (FailedWork.objects.set_aside().count(), Batch.objects.get().state) == (1, "failed")


def test_obsolete_failed_work_is_pruned_and_work_set_aside_is_not(game: Game) -> None:
    forgotten, aside, waiting = failed(game, aside=False), failed(game, row="2"), failed(game, row="3", aside=False)
    answer = failed(game, Queue.CLOSING, aside=False)
    long_ago = timezone.now() - timedelta(hours=25)
    FailedWork.objects.filter(pk__in=[forgotten.pk, aside.pk, answer.pk]).update(next_attempt_at=long_ago)
    prune.prune()
    assert set(FailedWork.objects.all()) == {aside, waiting, answer}
