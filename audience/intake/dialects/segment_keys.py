"""The keys that a body of the Segment family names."""

from collections.abc import Mapping, Sequence
from typing import Any

from audience.intake.dialects import segment
from audience.intake.message import Violation

# A megabyte of `{},` gzips to a kilobyte and costs its reader minutes; SDKs' messages take 200 bytes and more.
MOST_MEMBERS = 20_000
UNKNOWN_KEY = Violation("writeKey", "UNKNOWN_KEY", "invalid write key")


def written_names(payload: Any) -> list[str]:
    """The values of `writeKey` in a body, each once: at the top, then of a batch's members in their order."""
    if not isinstance(payload, Mapping):
        return []
    members: Sequence[Any] = payload["batch"] if isinstance(payload.get("batch"), list) else []
    holders = [payload, *(member for member in members[:MOST_MEMBERS] if isinstance(member, Mapping))]
    return list(dict.fromkeys(filter(None, (segment.text_of(holder.get("writeKey")) for holder in holders))))
