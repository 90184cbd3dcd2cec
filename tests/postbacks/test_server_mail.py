"""The mails to OPERATORS_EMAIL: one when a trouble begins and one when it ends, however many processes check."""

import smtplib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.test import override_settings
from django.utils import timezone

from audience.models import FailedWork, Queue
from postbacks.models import ServerTrouble
from postbacks.monitoring.server import server_troubles, watch
from postbacks.monitoring.server.trouble import TroubleKind

pytestmark = pytest.mark.django_db

OPERATORS = ["ops@studio.example", "oncall@studio.example"]
SENTENCE = "1 row of work was set aside after failing several times. Nothing is lost, but someone has to act."


@pytest.fixture(autouse=True)
def _operators() -> Iterator[None]:
    with override_settings(OPERATORS_EMAIL=OPERATORS, PUBLIC_URL="https://afterclick.example"):
        yield


class Broken(EmailBackend):
    """A mail server that takes nothing."""

    def send_messages(self, messages: object) -> int:
        raise smtplib.SMTPRecipientsRefused({"ops@studio.example": (550, b"no such user")})


BROKEN = f"{__name__}.Broken"


def trouble() -> FailedWork:
    return FailedWork.objects.create(queue=Queue.PRUNE, row="events", set_aside_at=timezone.now())


def look(*, after: timedelta = timedelta()) -> None:
    """One look of a process, so much later than now."""
    now = timezone.now() + after
    watch.record(server_troubles.find_troubles(now=now), now=now)
    watch.send_due(now=now)


def subjects() -> list[str]:
    return [message.subject for message in mail.outbox]


def test_a_trouble_is_mailed_once_when_it_begins_and_once_when_it_ends() -> None:
    row = trouble()
    for seconds in (0, 15, 30, 3600):
        look(after=timedelta(seconds=seconds))
    assert subjects() == ["[Afterclick] Work set aside on afterclick.example"]
    began = mail.outbox[0]
    assert began.to == OPERATORS
    assert SENTENCE in began.body
    assert "What to do: Read the error under Failed work in the admin site, fix its cause and try again." in began.body
    assert "https://afterclick.example/admin/postbacks/servertrouble/" in began.body

    row.delete()
    for seconds in (3610, 3625, 4100, 4201, 7200):
        look(after=timedelta(seconds=seconds))
    assert subjects()[1:] == ["[Afterclick] Over: Work set aside on afterclick.example"]
    assert f"Problem: {SENTENCE}" in mail.outbox[1].body
    (known,) = ServerTrouble.objects.all()
    assert known.ended_at == known.seen_at
    assert known.begin_mailed_at is not None
    assert known.end_mailed_at is not None


def test_a_trouble_that_ends_and_returns_within_minutes_is_mailed_once() -> None:
    row = trouble()
    look()
    for minutes in range(0, 60, 10):
        row.delete()
        look(after=timedelta(minutes=minutes + 1))
        look(after=timedelta(minutes=minutes + 9))
        row = trouble()
        look(after=timedelta(minutes=minutes + 9.5))
    assert subjects() == ["[Afterclick] Work set aside on afterclick.example"]
    assert ServerTrouble.objects.count() == 1


def test_a_trouble_that_returns_after_its_end_is_mailed_again() -> None:
    row = trouble()
    look()
    row.delete()
    look(after=timedelta(seconds=601))
    trouble()
    look(after=timedelta(seconds=660))
    assert [subject.partition(" on ")[0] for subject in subjects()] == [
        "[Afterclick] Work set aside",
        "[Afterclick] Over: Work set aside",
        "[Afterclick] Work set aside",
    ]


@override_settings(OPERATORS_EMAIL=[])
def test_without_operators_it_is_recorded_and_nobody_is_mailed() -> None:
    trouble()
    look()
    assert subjects() == []
    assert list(ServerTrouble.objects.values_list("kind", "sentence")) == [(TroubleKind.WORK_SET_ASIDE.value, SENTENCE)]


def test_a_trouble_mail_that_is_refused_is_sent_again_a_minute_later() -> None:
    trouble()
    with override_settings(EMAIL_BACKEND=BROKEN):
        look()
    look(after=timedelta(seconds=30))
    assert subjects() == []
    look(after=timedelta(seconds=61))
    assert subjects() == ["[Afterclick] Work set aside on afterclick.example"]


def test_the_end_of_a_trouble_that_was_never_mailed_is_not_mailed() -> None:
    row = trouble()
    with override_settings(EMAIL_BACKEND=BROKEN):
        look()
        row.delete()
        look(after=timedelta(seconds=70))
    look(after=timedelta(seconds=700))
    assert ServerTrouble.objects.get().ended_at is not None
    assert subjects() == []


def test_a_trouble_mail_claimed_by_another_process_is_not_sent_twice() -> None:
    trouble()
    now = timezone.now()
    watch.record(server_troubles.find_troubles(now=now), now=now)
    (due,) = watch.due(now)
    watch.send_due(now=now)
    assert watch.claim_mail(due, now) is False
    assert len(subjects()) == 1


def test_ended_troubles_are_kept_for_a_month() -> None:
    now = timezone.now()
    said = {"title": "No beat", "sentence": "…", "next_step": "…", "began_at": now, "seen_at": now}
    for days in (29, 31):
        ServerTrouble.objects.create(kind="no_beat", ended_at=now - timedelta(days=days), next_mail_at=now, **said)
    watch.record([], now=now)
    assert ServerTrouble.objects.count() == 1


def test_a_trouble_is_not_mailed_without_a_mail_server(settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    trouble()
    look()
    row = ServerTrouble.objects.get()
    assert (row.begin_mailed_at, watch.due(timezone.now())) == (None, [])
