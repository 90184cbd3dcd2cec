"""The recipients of alerts: members by their choice, and webhooks; and the errors of sending to one."""

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
    """The message was not delivered, for the reason in the text; a retry may succeed."""


class NoReceiver(Exception):
    """The message has no receiver any more, for the reason in the text."""


def default_choice(role: str) -> AlertFrequency:
    """Return what a member without a choice receives: viewers get no emails."""
    return AlertFrequency.NEVER if role == Role.VIEWER else AlertFrequency.AT_ONCE


def choice_of(*, game: Game, user: Any, role: str) -> AlertFrequency:
    row = AlertChoice.objects.filter(game=game, user=user).first()
    return AlertFrequency(row.told) if row else default_choice(role)


@transaction.atomic
def choose(*, game: Game, user: Any, frequency: AlertFrequency) -> None:
    """Store how often `user` receives alerts. A digest that is chosen after DIGEST_HOUR begins on the next day."""
    now = clock.now()
    skip_today = {"digest_sent_on": now.date()} if now.hour >= DIGEST_HOUR else {}
    row, created = AlertChoice.objects.select_for_update().get_or_create(
        game=game, user=user, defaults={"told": frequency, **skip_today}
    )
    if not created and row.told != frequency:
        starts_daily = frequency in DAILY and row.told not in DAILY
        AlertChoice.objects.filter(pk=row.pk).update(told=frequency, **(skip_today if starts_daily else {}))


def members(game: Game) -> list[Membership]:
    """Return the members of a game with an email address."""
    active = Membership.objects.filter(game=game, user__is_active=True).exclude(user__email="")
    return list(active.select_related("user").order_by("pk"))


@transaction.atomic
def notify(*, alert: Alert, kind: NoticeKind, now: datetime) -> None:
    """Store a Notice for every member who gets immediate emails and every subscribed webhook. Idempotent."""
    choices = dict(AlertChoice.objects.filter(game=alert.game_id).values_list("user_id", "told"))
    mailed = [row for row in members(alert.game) if choices.get(row.user_id, default_choice(row.role)) in AT_ONCE]
    hooks = AlertHook.objects.filter(game=alert.game_id, enabled=True, events__contains=[f"alert.{kind}"])
    fields = {"game_id": alert.game_id, "alert": alert, "kind": kind, "next_attempt_at": now, "created_at": now}
    rows = [Notice(user_id=membership.user_id, **fields) for membership in mailed]
    rows += [Notice(hook=hook, **fields) for hook in hooks]
    Notice.objects.bulk_create(rows, ignore_conflicts=True)
    wake(NOTICES_TASK)
