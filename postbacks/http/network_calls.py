"""A call to an ad network, with the short-lived access token that some of them require.

Access tokens are kept by credential (access_tokens.py). If the network refuses one, the call is made once more with a
new one, since a refused call has no effect.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import structlog
from django.conf import settings

from audience.database import clock
from postbacks.http import access_tokens
from postbacks.http.exchange import post
from postbacks.http.public_hosts import post_to_public_host
from postbacks.networks.interface.call import Outcome, Request, Response, Target, Verdict
from postbacks.networks.interface.network import Network

logger = structlog.get_logger(__name__)

TIMEOUT_SECONDS = 10.0  # for a call and the token that it needs together; leases.LEASE_SECONDS is longer
MAX_REQUEST_ID_LENGTH = 512  # DeliveryAttempt.request_id; a truncated one is useless
TOO_LATE = "No access token was received in time."
UNUSABLE = "The stored credential cannot be used to request an access token. Enter it again."

_locks: dict[str, threading.Lock] = defaultdict(threading.Lock)


@dataclass(frozen=True, slots=True)
class NetworkCall:
    """`request` is what was sent, None when there was no access token to send it with."""

    request: Request | None
    response: Response | None
    outcome: Outcome


def call(
    network: Network,
    target: Target,
    build: Callable[[Target], Request],
    *,
    classify: Callable[[Response], Outcome] | None = None,
    timeout: float = TIMEOUT_SECONDS,
) -> NetworkCall:
    """Send the request that `build` makes for the target, within `timeout` seconds, and classify the answer.

    Raises what `build` raises. The Outcome of a failed token request is never `unknown`, since the event was not sent.
    """
    deadline = time.monotonic() + timeout
    classify = classify or partial(network.classify_answer, target=target)
    result, token, is_cached = _call(network, target, build, classify, deadline)
    if result.outcome.access == "token" and is_cached:
        result, *_ = _call(network, target, build, classify, deadline, refused=token)
    return result


def _call(
    network: Network,
    target: Target,
    build: Callable[[Target], Request],
    classify: Callable[[Response], Outcome],
    deadline: float,
    *,
    refused: str = "",
) -> tuple[NetworkCall, str, bool]:
    """The result, the access token that was used ('' without one) and whether that was cached."""
    token, is_cached = _access_token(network, target, deadline, refused)
    if isinstance(token, NetworkCall):
        return token, "", False
    if token:
        target = target.with_access_token(token)
    request = _with_secrets(build(target), target)
    response = _post(request, _remaining(deadline))
    return NetworkCall(request, response, _storable(classify(response), request.secrets)), token, is_cached


def _post(request: Request, timeout: float) -> Response:
    if request.is_public_only:
        return post_to_public_host(request, private_hosts=settings.POSTBACK_PRIVATE_HOSTS, timeout=timeout)
    return post(request, timeout=timeout)


def _access_token(network: Network, target: Target, deadline: float, refused: str) -> tuple[str | NetworkCall, bool]:
    """The token and whether it was cached; '' where none is needed, a failed NetworkCall if it could not be obtained.

    A cached token is not used if it has expired or is the `refused` one.
    """
    if not network.uses_access_token:
        return "", False
    key = access_tokens.key_of(network.kind, target)
    # Many threads may need the token of a credential at the same time: one requests it, the others wait.
    if not _locks[key].acquire(timeout=_remaining(deadline)):
        return NetworkCall(None, None, Outcome(Verdict.TRANSIENT, None, TOO_LATE)), False
    try:
        if token := access_tokens.usable(key, refused=refused):
            return token, True
        return _new_access_token(network, target, deadline), False
    finally:
        _locks[key].release()


def _new_access_token(network: Network, target: Target, deadline: float) -> str | NetworkCall:
    try:
        request = network.token_request(target, now=clock.now())
    except ValueError:
        return NetworkCall(None, None, Outcome(Verdict.CREDENTIAL, None, UNUSABLE, access="token"))
    if request is None:
        return ""
    request = _with_secrets(request, target)
    response = post(request, timeout=_remaining(deadline))
    try:
        token = network.token_from(response)
    except Exception:  # an unexpected answer does not mean that the credential is bad
        logger.exception("token_answer_unreadable", network=network.kind)
        token = Outcome(Verdict.TRANSIENT, None, "The answer to the request for an access token could not be read.")
    if isinstance(token, Outcome):
        return NetworkCall(None, response, _storable(replace(token, unknown=False), request.secrets))
    access_tokens.store(access_tokens.key_of(network.kind, target), token)
    return token.value


def _with_secrets(request: Request, target: Target) -> Request:
    # The longest first, since one may be a prefix of another.
    return replace(request, secrets=tuple(sorted({*request.secrets, *target.secrets}, key=len, reverse=True)))


def _storable(outcome: Outcome, secrets: Sequence[str]) -> Outcome:
    """Remove secrets that `post` does not mask, and characters that PostgreSQL refuses."""
    request_id = _cleaned(outcome.request_id or "", secrets)
    if len(request_id) > MAX_REQUEST_ID_LENGTH:
        logger.warning("request_id_too_long", length=len(request_id))
        request_id = ""
    return replace(
        outcome,
        message=_cleaned(outcome.message, secrets),
        code=_cleaned(outcome.code or "", secrets) or None,
        request_id=request_id or None,
    )


def _cleaned(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "[hidden]")
    # A truncated answer may end in half of a surrogate pair.
    return text.replace("\x00", " ").encode("utf-8", "replace").decode()


def _remaining(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.5)
