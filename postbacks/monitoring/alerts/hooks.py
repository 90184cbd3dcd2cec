"""Adding, disabling, deleting and testing webhooks."""

import secrets
from typing import Any

from django.conf import settings
from django.db import transaction

from audience.background.wakeup import wake
from audience.models import Game
from postbacks import http
from postbacks.models import AlertHook, Notice, NoticeKind, NoticeState
from postbacks.monitoring.alerts.recipients import NOTICES_TASK

MAX_HOOKS = 10  # per game


class HookRefused(Exception):
    """The webhook cannot be added. The message is shown on the form."""


@transaction.atomic
def add_hook(*, game: Game, url: str, created_by: Any) -> tuple[AlertHook, str]:
    """Create a webhook; return it and its secret, which is shown once. Raises HookRefused."""
    url = url.strip()
    why = http.refusal(url, private_hosts=settings.ALERT_PRIVATE_HOSTS)
    if why:
        raise HookRefused(f"This address cannot be called: {why}.")
    present = AlertHook.objects.filter(game=Game.objects.select_for_update(no_key=True).get(pk=game.pk))
    if present.filter(url=url).exists():
        raise HookRefused("This address is told already.")
    if present.count() >= MAX_HOOKS:
        raise HookRefused(f"A game has at most {MAX_HOOKS} hooks. Delete one first.")
    secret = f"whsec_{secrets.token_urlsafe(32)}"
    return AlertHook.objects.create(game=game, url=url, secret={"key": secret}, created_by=created_by), secret


def switch_hook(*, hook: AlertHook, enabled: bool) -> None:
    """Enable or disable a webhook. Messages waiting for a disabled one end as failed."""
    hook.enabled = enabled
    hook.save(update_fields=["enabled"])


def delete_hook(*, hook: AlertHook) -> None:
    """Delete a webhook with its secret and its messages."""
    hook.delete()


@transaction.atomic
def request_test(*, hook: AlertHook) -> Notice:
    """Enqueue a message of kind `test`; return the waiting one if there is one."""
    locked = AlertHook.objects.select_for_update(no_key=True).get(pk=hook.pk)
    waiting = Notice.objects.filter(hook=locked, kind=NoticeKind.TEST, state=NoticeState.WAITING).first()
    notice = waiting or Notice.objects.create(game=locked.game, hook=locked, kind=NoticeKind.TEST)
    wake(NOTICES_TASK)
    return notice
