"""Sends messages as signed calls to a studio's webhook.

The receiver verifies `Afterclick-Signature: t=<unix seconds>,v1=<hex>`, where v1 is the HMAC-SHA256 of `<t>.<body>`
with the webhook's secret, refuses an old `t`, and detects repetitions by `Afterclick-Id`. Anything but 2xx is retried
(postbacks/monitoring/alerts/notices.py).
"""

import hashlib
import hmac
import json
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from audience.database import clock
from postbacks import http
from postbacks.http.public_hosts import FORBIDDEN
from postbacks.models import Alert, Notice
from postbacks.monitoring.alerts import labels
from postbacks.monitoring.alerts.outcome import NoReceiver, SendingFailed
from postbacks.networks.interface import answers
from postbacks.networks.interface.network import USER_AGENT, Request

TIMEOUT = 10.0  # seconds
FAILURES = {**answers.FAILURES, "dns": "The name of the host could not be resolved"}
PRIVATE = "Not sent: this address is not on the public internet. The operator can allow it with ALERT_PRIVATE_HOSTS."


def send(notice: Notice) -> str:
    """Call the webhook and return its answer. Raises SendingFailed, or NoReceiver if the webhook is disabled."""
    hook = notice.hook
    if hook is None or not hook.enabled:
        raise NoReceiver("The hook is switched off.")
    secret = hook.secret.get("key", "")
    if not secret:
        raise NoReceiver("The hook's secret cannot be read: delete the hook and add it again.")
    request = _request(notice, hook.url, secret)
    response = http.post_to_public_host(request, private_hosts=settings.ALERT_PRIVATE_HOSTS, timeout=TIMEOUT)
    if response.failure == FORBIDDEN:
        raise SendingFailed(PRIVATE)
    if response.status is None:
        raise SendingFailed(f"{FAILURES.get(response.failure or '', 'The hook could not be reached')}.")
    if 300 <= response.status < 400:
        raise SendingFailed(
            f"It answered {response.status}, a redirect, which is not followed: enter the address it leads to."
        )
    if not 200 <= response.status < 300:
        raise SendingFailed(f"It answered {response.status}.")
    return f"It answered {response.status}."


def signature(*, secret: str, at: int, body: bytes) -> str:
    """Return `t=<at>,v1=<hex>` for a body signed at `at`, in Unix seconds."""
    signed = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256)
    return f"t={at},v1={signed.hexdigest()}"


def host_of(url: str) -> str:
    """Return the host of a webhook's URL, since the path is often a secret."""
    return urlsplit(url).hostname or ""


def _request(notice: Notice, url: str, secret: str) -> Request:
    body = json.dumps(payload(notice)).encode()
    at = int(clock.now().timestamp())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "Afterclick-Event": event(notice),
        "Afterclick-Id": str(notice.pk),
        "Afterclick-Signature": signature(secret=secret, at=at, body=body),
    }
    return Request("POST", url, headers, body)


def event(notice: Notice) -> str:
    """Return `alert.opened`, `alert.recovered` (ended in the way of `ending`) or `test`."""
    return notice.kind if notice.alert is None else f"alert.{notice.kind}"


def payload(notice: Notice) -> dict[str, Any]:
    """Return the body. `text` is one line for chat servers; times are ISO 8601 in UTC."""
    game = {"slug": notice.game.slug, "name": notice.game.name}
    facts = {
        "id": str(notice.pk),
        "event": event(notice),
        "created_at": notice.created_at.isoformat(),
        "game": game,
    }
    if notice.alert is None:
        return {
            **facts,
            "text": f"{notice.game}: this is a test from Afterclick.",
            "url": labels.alerts_url(notice.game),
        }
    return {**facts, **_alert(notice.alert, notice.kind)}


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
