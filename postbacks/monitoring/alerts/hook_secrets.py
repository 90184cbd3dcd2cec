"""The secrets of webhooks, and the headers by which a receiver verifies a message: Standard Webhooks 1.0.

`webhook-signature` has one signature per valid secret, which are several while a secret is being rotated. The secrets
of earlier versions are not in the form that ready-made verifiers read. Messages that are signed with one also have the
headers of those versions: `Afterclick-Signature: t=<unix seconds>,v1=<hex>`, the HMAC-SHA256 of `<t>.<body>`.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from postbacks.models import AlertHook

PREFIX = "whsec_"
SECRET_BYTES = 32
# The standard's limits.
MIN_SECRET_BYTES, MAX_SECRET_BYTES = 24, 64
# Rotated secrets that may sign at the same time, beside the newest.
MAX_PREVIOUS = 3


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def is_standard(secret: str) -> bool:
    """Whether ready-made verifiers read the secret."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        return False
    return secret.startswith(PREFIX) and MIN_SECRET_BYTES <= len(key) <= MAX_SECRET_BYTES


def valid_secrets(hook: AlertHook, now: datetime) -> list[str]:
    """Return the secrets that sign at `now`, the newest first; none if they cannot be decrypted."""
    previous = unexpired(hook, now)
    present = [hook.secret["key"]] if hook.secret.get("key") else []
    return present + [previous[end] for end in sorted(previous, reverse=True)]


def rotated(hook: AlertHook, *, now: datetime, overlap: timedelta) -> dict[str, str]:
    """Return `previous_secrets` after a rotation: the present secret until the end of the overlap, and earlier ones.

    Without an overlap none of them signs any more, since the reason may be that one became known.
    """
    if not overlap or not hook.secret.get("key"):
        return {}
    previous = {**unexpired(hook, now), (now + overlap).isoformat(): hook.secret["key"]}
    return dict(sorted(previous.items())[-MAX_PREVIOUS:])


def overlap_end(hook: AlertHook, now: datetime) -> datetime | None:
    """Return until when an earlier secret signs too; None if none does."""
    return max((datetime.fromisoformat(end) for end in unexpired(hook, now)), default=None)


def headers(valid: Sequence[str], *, message_id: str, event: str, body: bytes, timestamp: int) -> dict[str, str]:
    """Return the headers of a call at `timestamp` (unix seconds), signed with every valid secret."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    signatures = [base64.b64encode(_hmac(_key(secret), signed).digest()).decode() for secret in valid]
    standard = {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
    earlier = next((secret for secret in valid if not is_standard(secret)), None)
    if earlier is None:
        return standard
    v1 = _hmac(earlier.encode(), f"{timestamp}.".encode() + body).hexdigest()
    return {
        **standard,
        "Afterclick-Event": event,
        "Afterclick-Id": message_id,
        "Afterclick-Signature": f"t={timestamp},v1={v1}",
    }


def unexpired(hook: AlertHook, now: datetime) -> dict[str, str]:
    """Return {end: secret} of the rotated secrets that still sign."""
    return {end: secret for end, secret in hook.previous_secrets.items() if datetime.fromisoformat(end) > now}


def _hmac(key: bytes, content: bytes) -> "hmac.HMAC":
    return hmac.new(key, content, hashlib.sha256)


def _key(secret: str) -> bytes:
    """Return the bytes that the secret encodes. Secrets of earlier versions are URL-safe base64 without padding."""
    encoded = secret.removeprefix(PREFIX)
    try:
        return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    except binascii.Error:
        return secret.encode()
