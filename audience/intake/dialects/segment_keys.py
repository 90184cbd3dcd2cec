"""The keys that a body of the Segment family names."""

from collections.abc import Mapping, Sequence
from typing import Any

from audience.intake.dialects import segment
from audience.intake.messages.message import Violation

# A megabyte of `{},` gzips to a kilobyte and costs its reader minutes; SDKs' messages take 200 bytes and more.
MOST_MEMBERS = 20_000
UNKNOWN_KEY = Violation("writeKey", "UNKNOWN_KEY", "invalid write key")

# What a key that is no public one begins with, and how much of it is kept at most.
SECRET_START = "sk_"
PREFIX_LENGTH = 24


def without_secret(raw: dict[str, Any]) -> dict[str, Any]:
    """The message as it is stored: a `writeKey` that is no public key is cut to its first half, 24 characters at most.

    Of a server's key only the digest is kept (audience/models/keys.py), also where the key stands in the body.
    """
    named = segment.text_of(raw.get("writeKey"))
    if not named.startswith(SECRET_START):
        return raw
    return {**raw, "writeKey": f"{named[: min(PREFIX_LENGTH, len(named) // 2)]}…"}


def written_names(payload: Any) -> list[str]:
    """The values of `writeKey` in a body, each once: at the top, then of a batch's members in their order."""
    if not isinstance(payload, Mapping):
        return []
    members: Sequence[Any] = payload["batch"] if isinstance(payload.get("batch"), list) else []
    holders = [payload, *(member for member in members[:MOST_MEMBERS] if isinstance(member, Mapping))]
    return list(dict.fromkeys(filter(None, (segment.text_of(holder.get("writeKey")) for holder in holders))))
