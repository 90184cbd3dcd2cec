"""The heartbeat thread: heartbeats, clock, and checks for server troubles."""

import os
import subprocess
import sys
import threading
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from celery import current_app
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.db import DatabaseError, connection
from django.test import override_settings
from django.utils import timezone

from audience.background import heartbeats
from audience.models import FailedWork, Heartbeat, ProcessKind, Queue
from audience.tasks import digest
from config import heartbeat, services
from config.beat import Scheduler
from config.heartbeat import HeartbeatThread
from config.task_settings import BEAT
from postbacks.models import ServerTrouble
from postbacks.monitoring.server import watch

pytestmark = pytest.mark.django_db(transaction=True)


def rows() -> list[tuple[str, str]]:
    return list(Heartbeat.objects.order_by("pk").values_list("kind", "name"))


def test_a_process_records_a_heartbeat() -> None:
    thread = HeartbeatThread(ProcessKind.WEB)
    thread.run_once()
    assert rows() == [("web", heartbeats.process_name())]
    first = Heartbeat.objects.get()
    thread.run_once()
    second = Heartbeat.objects.get()
    assert second.started_at == first.started_at
    assert second.seen_at > first.seen_at


def test_a_process_that_starts_anew_under_its_old_name_has_just_started() -> None:
    old = timezone.now() - timedelta(hours=3)
    Heartbeat.objects.create(kind="worker", name="celery@a", started_at=old, seen_at=old, worked_at=old)
    HeartbeatThread(ProcessKind.WORKER, names=["celery@a"]).run_once()
    row = Heartbeat.objects.get()
    assert row.started_at == row.seen_at > old
    assert row.worked_at is None


def wait_for_mails() -> None:
    for thread in threading.enumerate():
        if thread.name == watch.THREAD_NAME:
            thread.join(10)
            assert not thread.is_alive()


def test_a_process_that_is_stuck_records_no_heartbeat_but_still_checks_for_troubles() -> None:
    is_working = [True, False]
    thread = HeartbeatThread(ProcessKind.BEAT, is_working=lambda: is_working.pop(0))
    thread.run_once()
    thread.run_once()
    seen = Heartbeat.objects.get().seen_at
    FailedWork.objects.create(queue=Queue.PRUNE, row="events", set_aside_at=timezone.now())
    with override_settings(OPERATORS_EMAIL=["ops@studio.example"]):
        thread.run_once()
        wait_for_mails()
    assert Heartbeat.objects.get().seen_at == seen
    assert [message.subject.partition(" on ")[0] for message in mail.outbox] == ["[Afterclick] Work set aside"]


class Stalling(EmailBackend):
    """A mail server that keeps its senders waiting."""

    called: ClassVar[list[str]] = []
    called_now, may_go_on = threading.Event(), threading.Event()

    def send_messages(self, messages: Any) -> int:
        self.called += [message.subject.partition(" on ")[0] for message in messages]
        self.called_now.set()
        self.may_go_on.wait(20)
        return len(messages)


def test_a_slow_mail_server_does_not_delay_heartbeats() -> None:
    now = timezone.now()
    for queue, row in ((Queue.PRUNE, "events"), (Queue.FAN_OUT, "1")):
        FailedWork.objects.create(queue=queue, row=row, set_aside_at=now)
    thread = HeartbeatThread(ProcessKind.WEB)
    with override_settings(OPERATORS_EMAIL=["ops@studio.example"], EMAIL_BACKEND=f"{__name__}.Stalling"):
        try:
            thread.run_once()
            assert Stalling.called_now.wait(10)
            seen = Heartbeat.objects.get().seen_at
            ServerTrouble.objects.update(next_mail_at=now)
            thread.run_once()
            assert not Stalling.may_go_on.is_set()
            assert Heartbeat.objects.get().seen_at > seen
            assert Stalling.called == ["[Afterclick] Work set aside"]
            assert ServerTrouble.objects.get().begin_mailed_at is None
        finally:
            Stalling.may_go_on.set()
            wait_for_mails()
    assert ServerTrouble.objects.get().begin_mailed_at is not None


def test_rows_of_processes_that_ended_long_ago_are_deleted() -> None:
    now = timezone.now()
    for name, hours in (("old", 25), ("newer", 23)):
        at = now - timedelta(hours=hours)
        Heartbeat.objects.create(kind="web", name=name, started_at=at, seen_at=at)
    HeartbeatThread(ProcessKind.WEB, names=["own"]).run_once()
    assert rows() == [("web", "newer"), ("web", "own")]


def test_a_process_replaces_silent_ones_of_its_kind_on_its_machine() -> None:
    now = timezone.now()
    here = heartbeats.process_name().rpartition(":")[0]
    for kind, name, seconds in (
        ("web", f"{here}:0", 61),
        ("web", f"{here}:00", 3600),
        ("web", f"{here}:000", 50),
        ("beat", f"{here}:0", 61),
        ("web", "elsewhere:0", 61),
    ):
        at = now - timedelta(seconds=seconds)
        Heartbeat.objects.create(kind=kind, name=name, started_at=at, seen_at=at)
    HeartbeatThread(ProcessKind.WEB).run_once()
    assert sorted(rows()) == sorted(
        [("web", f"{here}:000"), ("beat", f"{here}:0"), ("web", "elsewhere:0"), ("web", heartbeats.process_name())]
    )


def test_a_round_that_fails_ends_nothing(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    errors: list[Exception] = [DatabaseError("the database is away"), KeyError("a defect")]

    def fail() -> None:
        raise errors.pop(0)

    monkeypatch.setattr(watch, "record_and_mail", fail)
    caplog.set_level("WARNING", logger="config.heartbeat")  # whatever a test before this one left
    thread = HeartbeatThread(ProcessKind.WEB)
    thread.run_once()
    thread.run_once()
    assert errors == []
    assert len([record for record in caplog.records if "heartbeat_failed" in record.getMessage()]) == 2


def test_a_round_holds_no_connection_afterwards() -> None:
    HeartbeatThread(ProcessKind.WEB).run_once()
    assert connection.connection is None


def test_a_worker_records_once_in_an_interval_that_it_starts_tasks_of_a_queue() -> None:
    node = f"celery@{uuid4()}"
    HeartbeatThread(ProcessKind.WORKER, names=[f"{node}/digest", f"{node}/delivery"]).run_once()

    def work_of(queue: str) -> Any:
        request = SimpleNamespace(hostname=node, delivery_info={"routing_key": queue})
        heartbeat.record_work(task=SimpleNamespace(request=request))
        return Heartbeat.objects.get(name=f"{node}/{queue}").worked_at

    first = work_of("delivery")
    assert first is not None
    assert Heartbeat.objects.get(name=f"{node}/digest").worked_at is None
    assert work_of("delivery") == first
    assert work_of("digest") > first


def test_the_beat_sends_every_task_when_it_starts_and_writes_no_file(tmp_path: Any) -> None:
    scheduler = Scheduler(current_app, schedule_filename=str(tmp_path / "schedule"))
    due = [name for name, entry in scheduler.schedule.items() if entry.is_due().is_due]
    assert sorted(due) == sorted(BEAT)
    assert list(tmp_path.iterdir()) == []


def test_the_beat_counts_as_working_while_its_loop_runs() -> None:
    sent = []

    class Quiet(Scheduler):
        def apply_async(self, entry: Any, *args: Any, **kwargs: Any) -> Any:
            sent.append(entry.task)

    scheduler = Quiet(current_app)
    assert scheduler.is_ticking() is False
    for _ in BEAT:
        scheduler.tick()
    assert scheduler.is_ticking() is True
    assert digest.name in sent


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("nobody", "'nobody'"),
        ("ops@studio.example,root", "'root'"),
        ("Ops <ops@studio.example>", "'Ops <ops@studio.example>'"),
    ],
)
def test_a_bad_operators_email_stops_the_boot_with_one_line(value: str, problem: str) -> None:
    env = {**os.environ, "OPERATORS_EMAIL": value, "DJANGO_SETTINGS_MODULE": "config.settings"}
    command = [sys.executable, "-c", "import django; django.setup()"]
    done = subprocess.run(command, env=env, cwd=services.BASE_DIR, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "Afterclick cannot start: OPERATORS_EMAIL must be email addresses, comma-separated, not"
        f" {problem} (see .env.example).\n"
    )
