"""The recipients of alerts: members by their choice, and webhooks; and why a message did not reach one."""

from datetime import datetime
from typing import Any

from django.db import transaction

from audience.background.wakeup import wake
from audience.database import clock
from audience.models import Game, Membership, Role
from postbacks.models import Alert, AlertChoice, AlertFrequency, AlertHook, Notice, NoticeKind

NOTICES_TASK = "postbacks.tasks.notices"
# The hour (UTC) at which digests of the previous day are due.
DIGEST_HOUR = 8
AT_ONCE = (AlertFrequency.AT_ONCE, AlertFrequency.BOTH)
DAILY = (AlertFrequency.DAILY, AlertFrequency.BOTH)


class SendingFailed(Exception):
    """Not delivered, with a sentence; a retry may succeed."""


class NoReceiver(Exception):
    """There is no receiver any more, with a sentence."""


def default_choice(role: str) -> AlertFrequency:
    """Return the choice of a member who made none: viewers get no mails."""
    return AlertFrequency.NEVER if role == Role.VIEWER else AlertFrequency.AT_ONCE


def choice_of(*, game: Game, user: Any, role: str) -> AlertFrequency:
    row = AlertChoice.objects.filter(game=game, user=user).first()
    return AlertFrequency(row.told) if row else default_choice(role)


@transaction.atomic
def choose(*, game: Game, user: Any, told: AlertFrequency) -> None:
    """Store how `user` receives alerts. A digest chosen after its hour begins tomorrow."""
    now = clock.now()
    sent = {"digest_sent_on": now.date()} if now.hour >= DIGEST_HOUR else {}
    row, made = AlertChoice.objects.select_for_update().get_or_create(
        game=game, user=user, defaults={"told": told, **sent}
    )
    if not made and row.told != told:
        started = sent if told in DAILY and row.told not in DAILY else {}
        AlertChoice.objects.filter(pk=row.pk).update(told=told, **started)


def members(game: Game) -> list[Membership]:
    """Return the members of a game with an email address."""
    active = Membership.objects.filter(game=game, user__is_active=True).exclude(user__email="")
    return list(active.select_related("user").order_by("pk"))


@transaction.atomic
def notify(*, alert: Alert, kind: NoticeKind, now: datetime) -> None:
    """Store a Notice for every member with immediate mails and every enabled webhook. Idempotent."""
    choices = dict(AlertChoice.objects.filter(game=alert.game_id).values_list("user_id", "told"))
    mailed = [m for m in members(alert.game) if choices.get(m.user_id, default_choice(m.role)) in AT_ONCE]
    hooks = AlertHook.objects.filter(game=alert.game_id, enabled=True)
    new = {"game_id": alert.game_id, "alert": alert, "kind": kind, "next_attempt_at": now, "created_at": now}
    rows = [Notice(user_id=membership.user_id, **new) for membership in mailed]
    rows += [Notice(hook=hook, **new) for hook in hooks]
    Notice.objects.bulk_create(rows, ignore_conflicts=True)
    wake(NOTICES_TASK)
