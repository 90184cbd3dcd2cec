"""Access tokens by credential, until shortly before they expire: in the memory of this process, and encrypted in the
cache that all processes share, so that each token is requested once.
"""

import hashlib
import json
import time

from django.core.cache import cache
from django.core.exceptions import ValidationError

from audience.database import clock
from audience.database.encryption import decrypt, encrypt
from postbacks.networks.interface.call import AccessToken, Target

EXPIRY_MARGIN_SECONDS = 60.0
MAX_SECONDS = 24 * 60 * 60.0  # a token is kept no longer, whatever its network says

_tokens: dict[str, tuple[str, float]] = {}  # by key: the token and the monotonic time at which it expires


def key_of(kind: str, target: Target) -> str:
    text = json.dumps([kind, target.base_url, target.token_url, dict(target.credential)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def usable(key: str, *, refused: str = "") -> str:
    """Return the token; '' if there is none, it has expired, or it is the `refused` one."""
    token, expires_at = _tokens.get(key, ("", 0.0))
    if token and token != refused and time.monotonic() < expires_at:
        return token
    _tokens.pop(key, None)
    token, seconds = _shared(key)
    if not token or token == refused or seconds <= 0:
        return ""
    _tokens[key] = (token, time.monotonic() + seconds)
    return token


def store(key: str, token: AccessToken) -> None:
    seconds = min(token.expires_in, MAX_SECONDS) - EXPIRY_MARGIN_SECONDS
    if seconds > 0:
        _tokens[key] = (token.value, time.monotonic() + seconds)
        cache.set(_name(key), encrypt([token.value, clock.now().timestamp() + seconds]), timeout=seconds)


def forget() -> None:
    """Delete the tokens in the memory of this process."""
    _tokens.clear()


def _shared(key: str) -> tuple[str, float]:
    """Return the token of the shared cache, and the seconds until it expires."""
    try:
        token, expires_at = decrypt(cache.get(_name(key)) or "")
    except (ValidationError, TypeError, ValueError):
        return "", 0.0
    return str(token), float(expires_at) - clock.now().timestamp()


def _name(key: str) -> str:
    return f"access-token:{key}"
