"""Webhooks: adding, enabling, disabling and testing them, and sending messages as signed calls.

The receiver verifies `Afterclick-Signature: t=<unix seconds>,v1=<hex>`, where v1 is the HMAC-SHA256 of `<t>.<body>`
with the webhook's secret, refuses an old `t`, and detects duplicates by `Afterclick-Id`. Anything but 2xx is retried
(postbacks/monitoring/alerts/notices.py). Webhooks have no common format of bodies, so a 2xx counts whatever its body
is. It is quoted, so that an error of a chat server in a 200, or a sign-in page, is seen.
"""

import hashlib
import hmac
import json
import secrets
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction

from audience.background.wakeup import wake
from audience.database import clock
from audience.models import Game
from postbacks import http
from postbacks.http.public_hosts import FORBIDDEN
from postbacks.models import Alert, AlertHook, Notice, NoticeKind, NoticeState
from postbacks.monitoring.alerts import labels
from postbacks.monitoring.alerts.recipients import NOTICES_TASK, NoReceiver, SendingFailed
from postbacks.networks.interface import answers
from postbacks.networks.interface.call import Request
from postbacks.networks.interface.network import USER_AGENT

MAX_HOOKS = 10  # per game
TIMEOUT_SECONDS = 10.0
MAX_QUOTED = 200  # characters of an answer
FAILURES = {**answers.FAILURES, "dns": "The name of the host could not be resolved"}
PRIVATE = "Not sent: this address is not on the public internet. The operator can allow it with ALERT_PRIVATE_HOSTS."


class HookRefused(Exception):
    """The webhook cannot be added. The message is shown on the form."""


@transaction.atomic
def add_hook(*, game: Game, url: str, created_by: Any) -> tuple[AlertHook, str]:
    """Create a webhook; return it and its secret, which is shown once. Raises HookRefused."""
    url = url.strip()
    refusal = http.refusal(url, private_hosts=settings.ALERT_PRIVATE_HOSTS)
    if refusal:
        raise HookRefused(f"This URL cannot be called: {refusal}.")
    existing = AlertHook.objects.filter(game=Game.objects.select_for_update(no_key=True).get(pk=game.pk))
    if existing.filter(url=url).exists():
        raise HookRefused("A webhook with this URL already exists.")
    if existing.count() >= MAX_HOOKS:
        raise HookRefused(f"A game has at most {MAX_HOOKS} webhooks. Delete one first.")
    secret = f"whsec_{secrets.token_urlsafe(32)}"
    return AlertHook.objects.create(game=game, url=url, secret={"key": secret}, created_by=created_by), secret


def set_hook_enabled(*, hook: AlertHook, enabled: bool) -> None:
    """Enable or disable a webhook. Waiting messages to a disabled webhook fail."""
    hook.enabled = enabled
    hook.save(update_fields=["enabled"])


@transaction.atomic
def request_test(*, hook: AlertHook) -> Notice:
    """Enqueue and return a message of kind `test`, or return the waiting one."""
    locked = AlertHook.objects.select_for_update(no_key=True).get(pk=hook.pk)
    waiting = Notice.objects.filter(hook=locked, kind=NoticeKind.TEST, state=NoticeState.WAITING).first()
    notice = waiting or Notice.objects.create(game=locked.game, hook=locked, kind=NoticeKind.TEST)
    wake(NOTICES_TASK)
    return notice


def send(notice: Notice) -> str:
    """Call the webhook and return its answer as a sentence. Raises SendingFailed, or NoReceiver if it is disabled."""
    hook = notice.hook
    if hook is None or not hook.enabled:
        raise NoReceiver("The webhook is disabled.")
    secret = hook.secret.get("key", "")
    if not secret:
        raise NoReceiver("The secret of the webhook cannot be read. Delete the webhook and add it again.")
    request = _request(notice, hook.url, secret)
    response = http.post_to_public_host(request, private_hosts=settings.ALERT_PRIVATE_HOSTS, timeout=TIMEOUT_SECONDS)
    if response.failure == FORBIDDEN:
        raise SendingFailed(PRIVATE)
    if response.status is None:
        raise SendingFailed(f"{FAILURES.get(response.failure or '', 'The webhook could not be reached')}.")
    answer = f"It answered {response.status}"
    if 300 <= response.status < 400:
        raise SendingFailed(f"{answer}, a redirect, which is not followed. Enter the URL that it leads to.")
    if not 200 <= response.status < 300:
        raise SendingFailed(f"{answer}.")
    said = answers.body_text(response)
    if said.startswith("<"):
        return f"{answer} with a web page. Check that this URL accepts webhooks."
    return f"{answer}: “{said[:MAX_QUOTED]}”." if said else f"{answer}."


def host_of(url: str) -> str:
    """Return the host of a webhook's URL, to show it without its path, which is often a secret."""
    return urlsplit(url).hostname or ""


def _request(notice: Notice, url: str, secret: str) -> Request:
    body = json.dumps(payload(notice)).encode()
    timestamp = int(clock.now().timestamp())
    signed = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "Afterclick-Event": event(notice),
        "Afterclick-Id": str(notice.pk),
        "Afterclick-Signature": f"t={timestamp},v1={signed.hexdigest()}",
    }
    return Request("POST", url, headers, body)


def event(notice: Notice) -> str:
    """Return `alert.opened`, `alert.recovered` (for every end; `ending` in the body says which) or `test`."""
    return notice.kind if notice.alert is None else f"alert.{notice.kind}"


def payload(notice: Notice) -> dict[str, Any]:
    """Return the body. `text` is one line for chat servers; times are ISO 8601 in UTC."""
    common: dict[str, Any] = {
        "id": str(notice.pk),
        "event": event(notice),
        "created_at": notice.created_at.isoformat(),
        "game": {"slug": notice.game.slug, "name": notice.game.name},
    }
    if notice.alert is None:
        text = f"{notice.game}: this is a test from Afterclick."
        return {**common, "text": text, "url": labels.page_url("alerts", notice.game)}
    return {**common, **_alert(notice.alert, notice.kind)}


def _alert(alert: Alert, kind: str) -> dict[str, Any]:
    config, recovered = alert.config, alert.recovered_at
    return {
        "text": f"{labels.headline(alert, kind)}. {labels.ending(alert) if kind == 'recovered' else alert.cause}",
        "url": labels.integration_url(alert),
        "postback": {"id": str(config.pk), "network": config.network, "pixel_id": config.pixel_id},
        "alert": {
            "id": str(alert.pk),
            "health": alert.health,
            "cause": alert.cause,
            "next_step": alert.next_step,
            "opened_at": alert.opened_at.isoformat(),
            "recovered_at": recovered.isoformat() if recovered else None,
            "ending": alert.ending or None,
        },
    }
