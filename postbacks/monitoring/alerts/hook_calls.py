"""One signed call of a webhook, and what its answer means.

A 2xx counts whatever its body is, since webhooks have no common format of bodies. It is quoted, so that an error of a
chat server in a 200, or a sign-in page, is seen. A 410 means that the receiver wants no further messages. Anything else
is retried. Redirects are not followed.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.conf import settings

from audience.database import clock
from postbacks import http
from postbacks.http.public_hosts import FORBIDDEN
from postbacks.models import AlertHook
from postbacks.monitoring.alerts import hook_secrets
from postbacks.networks.interface import answers
from postbacks.networks.interface.call import Request, Response
from postbacks.networks.interface.network import USER_AGENT

TIMEOUT_SECONDS = 10.0
MAX_QUOTED = 200  # characters of an answer
GONE = 410
FAILURES = {**answers.FAILURES, "dns": "The name of the host could not be resolved"}
PRIVATE = "Not sent: this address is not on the public internet. The operator can allow it with ALERT_PRIVATE_HOSTS."
NO_SECRET = "The secret of the webhook cannot be read. Rotate it."
DISABLED_BY_RECEIVER = "It answered 410 Gone, which asks for no further messages. The webhook was disabled."


class HookResult(StrEnum):
    ACCEPTED = "accepted"
    FAILED = "failed"  # a retry may succeed
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class HookAnswer:
    """`message` is a sentence about the answer, `quoted` what the receiver said in a 2xx as a sentence, or ''.
    `retry_after` is in seconds."""

    result: HookResult
    message: str
    quoted: str = ""
    retry_after: float | None = None


def call(hook: AlertHook, *, message_id: str, event: str, body: dict[str, Any]) -> HookAnswer:
    """Call the webhook once; `message_id` is the same on every attempt. Reads nothing from the database."""
    now = clock.now()
    valid = hook_secrets.valid_secrets(hook, now)
    if not valid:
        return HookAnswer(HookResult.FAILED, NO_SECRET)
    encoded = json.dumps(body).encode()
    timestamp = int(now.timestamp())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        **hook_secrets.headers(valid, message_id=message_id, event=event, body=encoded, timestamp=timestamp),
    }
    request = Request("POST", hook.url, headers, encoded)
    response = http.post_to_public_host(request, private_hosts=settings.ALERT_PRIVATE_HOSTS, timeout=TIMEOUT_SECONDS)
    return _read(response)


def _read(response: Response) -> HookAnswer:
    if response.failure == FORBIDDEN:
        return HookAnswer(HookResult.FAILED, PRIVATE)
    if response.status is None:
        reason = FAILURES.get(response.failure or "", "The webhook could not be reached")
        return HookAnswer(HookResult.FAILED, f"{reason}.")
    answer = f"It answered {response.status}"
    if response.status == GONE:
        return HookAnswer(HookResult.GONE, DISABLED_BY_RECEIVER)
    if 300 <= response.status < 400:
        text = f"{answer}, a redirect, which is not followed. Enter the URL that it leads to."
        return HookAnswer(HookResult.FAILED, text)
    if not 200 <= response.status < 300:
        return HookAnswer(HookResult.FAILED, f"{answer}.", retry_after=answers.retry_after(response))
    said = answers.body_text(response)
    if said.startswith("<"):
        text = f"{answer} with a web page. Check that this URL accepts webhooks."
        return HookAnswer(HookResult.ACCEPTED, text, quoted=text)
    return HookAnswer(HookResult.ACCEPTED, f"{answer}.", f"{answer}: “{said[:MAX_QUOTED]}”." if said else "")
