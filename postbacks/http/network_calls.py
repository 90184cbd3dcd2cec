"""A call to an ad network, with the short-lived access token that some of them want.

Access tokens are kept in this process's memory only, by credential, until shortly before they expire. One that the
network refuses is dropped, and the call is made once more with a new one: a refused call was not taken.
"""

import hashlib
import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace

from postbacks.http.exchange import post
from postbacks.networks.interface.network import AccessToken, Network, Outcome, Request, Response, Target, Verdict

TIMEOUT = 10.0  # seconds for a call and the token that it needs together
EXPIRY_MARGIN_SECONDS = 60.0
UNUSABLE = "The stored credential cannot be used to ask for an access token: enter it again."

_tokens: dict[str, tuple[str, float]] = {}  # by credential: the token and the monotonic time of its end
_locks: dict[str, threading.Lock] = defaultdict(threading.Lock)


@dataclass(frozen=True, slots=True)
class Call:
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
    timeout: float = TIMEOUT,
) -> Call:
    """Send what `build` makes of the target, within `timeout` seconds, and have the network read the answer.

    Raises what `build` raises. An Outcome about the token is never `unknown`: the event itself was not sent.
    """
    until, classify = time.monotonic() + timeout, classify or network.classify
    made, token, is_kept = _call(network, target, build, classify, until)
    if made.outcome.access == "token" and is_kept:
        _drop(_key(network, target), token)
        made, *_ = _call(network, target, build, classify, until)
    return made


def _call(
    network: Network,
    target: Target,
    build: Callable[[Target], Request],
    classify: Callable[[Response], Outcome],
    until: float,
) -> tuple[Call, str, bool]:
    """The call, the access token it was made with ('' without one) and whether that was a kept one."""
    found, is_kept = _access_token(network, target, until)
    if isinstance(found, Call):
        return found, "", False
    if found:
        target = target.with_access_token(found)
    request = _hiding(build(target), target)
    response = post(request, timeout=_left(until))
    return Call(request, response, classify(response)), found, is_kept


def _access_token(network: Network, target: Target, until: float) -> tuple[str | Call, bool]:
    """The token and whether it was a kept one; '' where none is needed, a failed Call where none was got."""
    try:
        request = network.token_request(target)
    except ValueError:
        return Call(None, None, Outcome(Verdict.CREDENTIAL, None, UNUSABLE, access="token")), False
    if request is None:
        return "", False
    key = _key(network, target)
    with _locks[key]:
        token, expires_at = _tokens.get(key, ("", 0.0))
        if token and time.monotonic() < expires_at:
            return token, True
        response = post(_hiding(request, target), timeout=_left(until))
        found = network.token_from(response)
        if not isinstance(found, AccessToken):
            return Call(None, response, replace(found, unknown=False)), False
        _tokens[key] = (found.value, time.monotonic() + found.expires_in - EXPIRY_MARGIN_SECONDS)
        return found.value, False


def _drop(key: str, token: str) -> None:
    """Drop a refused token, unless another thread has replaced it."""
    with _locks[key]:
        if _tokens.get(key, ("", 0.0))[0] == token:
            del _tokens[key]


def _hiding(request: Request, target: Target) -> Request:
    return replace(request, secrets=tuple({*request.secrets, *target.secrets}))


def _key(network: Network, target: Target) -> str:
    whole = json.dumps([network.kind, target.base_url, dict(target.credential)], sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()


def _left(until: float) -> float:
    return max(until - time.monotonic(), 0.5)
