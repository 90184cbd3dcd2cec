"""The keys in the body of a Segment-shaped request."""

from collections.abc import Mapping, Sequence
from typing import Any

from audience.intake.dialects import segment
from audience.intake.messages.message import Violation

# A megabyte of `{},` is a kilobyte of gzip and takes minutes to process; a message of an SDK has at least 200 bytes.
MAX_BATCH_MEMBERS = 20_000
UNKNOWN_KEY = Violation("writeKey", "UNKNOWN_KEY", "invalid write key")

# How keys that are not public begin, and how many of their characters are stored at most.
SECRET_PREFIX = "sk_"
MAX_PREFIX_LENGTH = 24


def without_secret(raw: dict[str, Any]) -> dict[str, Any]:
    """The message as it is stored: a `writeKey` that is not public is cut to its first half, MAX_PREFIX_LENGTH at most.

    Only the digest of such a key may be stored (audience/models/keys.py).
    """
    value = segment.text_of(raw.get("writeKey"))
    if not value.startswith(SECRET_PREFIX):
        return raw
    return {**raw, "writeKey": f"{value[: min(MAX_PREFIX_LENGTH, len(value) // 2)]}…"}


def key_values(payload: Any) -> list[str]:
    """The values of `writeKey` in a body, each once: at the top, then of a batch's members in their order."""
    if not isinstance(payload, Mapping):
        return []
    members: Sequence[Any] = payload["batch"] if isinstance(payload.get("batch"), list) else []
    holders = [payload, *(member for member in members[:MAX_BATCH_MEMBERS] if isinstance(member, Mapping))]
    return list(dict.fromkeys(filter(None, (segment.text_of(holder.get("writeKey")) for holder in holders))))
