"""The verbs of an AlertHook."""

import secrets
from typing import Any

from django.conf import settings
from django.db import transaction

from audience.background.wakeup import wake
from audience.models import Game
from postbacks import http
from postbacks.models import AlertHook, Notice, NoticeKind, NoticeState
from postbacks.monitoring.alerts.receivers import NOTICES_TASK

HOOKS_MAX = 10  # a game


class HookRefused(Exception):
    """Why a hook cannot be added, as a sentence for the form."""


@transaction.atomic
def add_hook(*, game: Game, url: str, created_by: Any) -> tuple[AlertHook, str]:
    """A new hook and its secret, which is shown this once. HookRefused with a sentence."""
    url = url.strip()
    why = http.refusal(url, private_hosts=settings.ALERT_PRIVATE_HOSTS)
    if why:
        raise HookRefused(f"This address cannot be called: {why}.")
    present = AlertHook.objects.filter(game=Game.objects.select_for_update(no_key=True).get(pk=game.pk))
    if present.filter(url=url).exists():
        raise HookRefused("This address is told already.")
    if present.count() >= HOOKS_MAX:
        raise HookRefused(f"A game has at most {HOOKS_MAX} hooks. Delete one first.")
    secret = f"whsec_{secrets.token_urlsafe(32)}"
    return AlertHook.objects.create(game=game, url=url, secret={"key": secret}, created_by=created_by), secret


def switch_hook(*, hook: AlertHook, enabled: bool) -> None:
    """Off: nothing is written for it any more, and what still waits ends as failed."""
    hook.enabled = enabled
    hook.save(update_fields=["enabled"])


def delete_hook(*, hook: AlertHook) -> None:
    """With its secret and the messages to it."""
    hook.delete()


@transaction.atomic
def request_test(*, hook: AlertHook) -> Notice:
    """Send the hook a message of kind `test`; the one that waits already, when there is one."""
    locked = AlertHook.objects.select_for_update(no_key=True).get(pk=hook.pk)
    waiting = Notice.objects.filter(hook=locked, kind=NoticeKind.TEST, state=NoticeState.WAITING).first()
    notice = waiting or Notice.objects.create(game=locked.game, hook=locked, kind=NoticeKind.TEST)
    wake(NOTICES_TASK)
    return notice
