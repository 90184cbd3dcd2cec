"""Adding and changing webhooks: URL, events, secret, state. The messages are described in docs/webhooks.md."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import structlog
from auditlog.models import LogEntry
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from audience.accounts import audit_log
from audience.background.wakeup import wake
from audience.database import clock
from audience.models import Game
from postbacks import http
from postbacks.models import (
    ALERT_EVENTS,
    AlertHook,
    HookEvent,
    HookMessage,
    MessageState,
    Notice,
    NoticeKind,
    NoticeState,
)
from postbacks.monitoring.alerts import hook_secrets
from postbacks.monitoring.alerts.recipients import NOTICES_TASK
from postbacks.outbox.hook_messages import HOOK_MESSAGES_TASK

logger = structlog.get_logger(__name__)

MAX_HOOKS = 10  # per game
# How long a rotated secret may sign beside its successor.
MAX_OVERLAP = timedelta(days=7)
GONE = "The receiver answered 410 Gone, which asks for no further messages."


class HookRefused(Exception):
    """The webhook cannot be added or changed. The message is shown on the form; `field` is the one it is about."""

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message)
        self.field = field


@transaction.atomic
def add_hook(
    *, game: Game, url: str, created_by: Any, events: Collection[str] = tuple(ALERT_EVENTS)
) -> tuple[AlertHook, str]:
    """Create a webhook; return it and its secret, which is shown once. Raises HookRefused."""
    url, chosen = url.strip(), _checked_events(events)
    refusal = http.refusal(url, private_hosts=settings.ALERT_PRIVATE_HOSTS)
    if refusal:
        raise HookRefused(f"This URL cannot be called: {refusal}.", field="url")
    existing = AlertHook.objects.filter(game=Game.objects.select_for_update(no_key=True).get(pk=game.pk))
    if existing.filter(url=url).exists():
        raise HookRefused("A webhook with this URL already exists.", field="url")
    if existing.count() >= MAX_HOOKS:
        raise HookRefused(f"A game has at most {MAX_HOOKS} webhooks. Delete one first.", field="url")
    secret = hook_secrets.new_secret()
    fields = {"url": url, "events": chosen, "secret": {"key": secret}, "created_by": created_by}
    return AlertHook.objects.create(game=game, **fields), secret


@transaction.atomic
def change_events(*, hook: AlertHook, events: Collection[str]) -> None:
    """Subscribe the webhook to exactly these events. Waiting messages about other events are deleted, not sent.

    Raises HookRefused for an unknown event, or none.
    """
    chosen = _checked_events(events)
    _lock(hook)
    hook.events = chosen
    hook.save(update_fields=["events"])
    waiting_messages(hook).exclude(event__in=chosen).delete()


@transaction.atomic
def rotate_secret(*, hook: AlertHook, overlap: timedelta) -> str:
    """Replace the secret and return the new one, which is shown once. Until the end of the overlap both sign.

    Without an overlap the earlier secrets sign nothing from now on. Raises ValueError unless `overlap` is 0 to 7 days.
    """
    if not timedelta(0) <= overlap <= MAX_OVERLAP:
        raise ValueError("The overlap of a secret is 0 to 7 days.")
    _lock(hook)
    now, secret = clock.now(), hook_secrets.new_secret()
    hook.previous_secrets = hook_secrets.rotated(hook, now=now, overlap=overlap)
    hook.secret = {"key": secret}
    hook.save(update_fields=["secret", "previous_secrets"])
    until = str(now + overlap) if hook.previous_secrets else "None"
    changes = {"secret": ("None", "rotated"), "previous_secret_until": ("None", until)}
    audit_log.record(game=hook.game, subject=hook, action=LogEntry.Action.UPDATE, changes=changes)
    return secret


@transaction.atomic
def set_hook_enabled(*, hook: AlertHook, enabled: bool) -> None:
    """Enable or disable a webhook. Waiting messages to a disabled webhook are not sent."""
    _lock(hook)
    _set_enabled(hook, enabled=enabled)
    if enabled:
        AlertHook.objects.filter(pk=hook.pk).update(failures=0, paused_until=None)
        wake(HOOK_MESSAGES_TASK)


@transaction.atomic
def disable_gone(*, hook: AlertHook) -> None:
    """Disable a webhook whose receiver answered 410. Does nothing if it was deleted or disabled meanwhile."""
    row = AlertHook.objects.select_for_update(no_key=True).filter(pk=hook.pk, enabled=True).first()
    if row is not None:
        _set_enabled(row, enabled=False, because=GONE)
        logger.warning("hook_disabled", hook_id=row.pk, game_id=row.game_id)


@transaction.atomic
def delete_hook(*, hook: AlertHook) -> None:
    """Delete a webhook with its secret and its waiting messages. A message that is being sent may still arrive."""
    waiting_messages(hook).delete()
    hook.delete()


@transaction.atomic
def request_test(*, hook: AlertHook) -> Notice:
    """Enqueue and return a message of kind `test`, or return the waiting one."""
    locked = AlertHook.objects.select_for_update(no_key=True).get(pk=hook.pk)
    waiting = Notice.objects.filter(hook=locked, kind=NoticeKind.TEST, state=NoticeState.WAITING).first()
    notice = waiting or Notice.objects.create(game=locked.game, hook=locked, kind=NoticeKind.TEST)
    wake(NOTICES_TASK)
    return notice


def waiting_messages(hook: AlertHook) -> QuerySet[HookMessage]:
    """Return the messages about conversions and erasures that wait to be sent to the webhook."""
    return HookMessage.objects.filter(game=hook.game_id, hook=hook, state=MessageState.WAITING)


def host_of(url: str) -> str:
    """Return the host of a webhook's URL, to show it without its path, which is often a secret."""
    return urlsplit(url).hostname or ""


def _checked_events(events: Collection[str]) -> list[str]:
    """Return the events once each, in the order of HookEvent. Raises HookRefused."""
    if unknown := sorted(set(events) - set(HookEvent.values)):
        raise HookRefused(f"There is no event “{unknown[0]}”.", field="events")
    if not events:
        raise HookRefused("Select at least one event.", field="events")
    return [event for event in HookEvent.values if event in events]


def _set_enabled(hook: AlertHook, *, enabled: bool, because: str = "") -> None:
    hook.enabled, hook.disabled_because = enabled, because
    hook.save(update_fields=["enabled", "disabled_because"])


def _lock(hook: AlertHook) -> None:
    """Lock the row and reload it: concurrent changes must not overwrite each other."""
    hook.refresh_from_db(from_queryset=AlertHook.objects.select_for_update(no_key=True, of=("self",)))
