"""A call to an ad network, with the short-lived access token that some of them require.

Access tokens are cached by credential in the memory of this process, until shortly before they expire. If the network
refuses one, the call is made once more with a new one, since a refused call has no effect.
"""

import hashlib
import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from postbacks.http.exchange import post
from postbacks.networks.interface.call import Outcome, Request, Response, Target, Verdict
from postbacks.networks.interface.network import Network

logger = structlog.get_logger(__name__)

TIMEOUT_SECONDS = 10.0  # for a call and the token that it needs together; leases.LEASE_SECONDS is longer
EXPIRY_MARGIN_SECONDS = 60.0
MAX_REQUEST_ID_LENGTH = 512  # DeliveryAttempt.request_id; a truncated one is useless
TOO_LATE = "There was no access token in time."
UNUSABLE = "The stored credential cannot be used to ask for an access token: enter it again."

_tokens: dict[str, tuple[str, float]] = {}  # by credential: the token and the monotonic time at which it expires
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
    deadline, classify = time.monotonic() + timeout, classify or network.classify
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
    response = post(request, timeout=_remaining(deadline))
    return NetworkCall(request, response, _storable(classify(response), request.secrets)), token, is_cached


def _access_token(network: Network, target: Target, deadline: float, refused: str) -> tuple[str | NetworkCall, bool]:
    """The token and whether it was cached; '' where none is needed, a failed NetworkCall if it could not be obtained.

    A cached token is deleted if it has expired or is the `refused` one.
    """
    try:
        request = network.token_request(target)
    except ValueError:
        return NetworkCall(None, None, Outcome(Verdict.CREDENTIAL, None, UNUSABLE, access="token")), False
    if request is None:
        return "", False
    key = _key(network, target)
    # Many threads may need the token of a credential at the same time: one requests it, the others wait.
    if not _locks[key].acquire(timeout=_remaining(deadline)):
        return NetworkCall(None, None, Outcome(Verdict.TRANSIENT, None, TOO_LATE)), False
    try:
        token, expires_at = _tokens.get(key, ("", 0.0))
        if token and token != refused and time.monotonic() < expires_at:
            return token, True
        _tokens.pop(key, None)
        return _new_access_token(network, target, request, deadline), False
    finally:
        _locks[key].release()


def _new_access_token(network: Network, target: Target, request: Request, deadline: float) -> str | NetworkCall:
    request = _with_secrets(request, target)
    response = post(request, timeout=_remaining(deadline))
    try:
        token = network.token_from(response)
    except Exception:  # an unexpected answer does not mean that the credential is bad
        logger.exception("token_answer_unreadable", network=network.kind)
        token = Outcome(Verdict.TRANSIENT, None, "The answer to the request for an access token could not be read.")
    if isinstance(token, Outcome):
        return NetworkCall(None, response, _storable(replace(token, unknown=False), request.secrets))
    expires_at = time.monotonic() + token.expires_in - EXPIRY_MARGIN_SECONDS
    _tokens[_key(network, target)] = (token.value, expires_at)
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


def _key(network: Network, target: Target) -> str:
    text = json.dumps([network.kind, target.base_url, dict(target.credential)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _remaining(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.5)
