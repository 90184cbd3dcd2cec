"""The Global Privacy Control of a browser, in messages of the web pixel (static/pixel/site.js).

The script reads the setting from the page; some extensions of browsers state it in the header of requests only.
"""

from collections.abc import Mapping
from typing import Any

from audience.intake.dialects.segment_fields import json_mapping, mapping

# The name of the library that the script states in its messages.
LIBRARY = "afterclick-web"
# The source of a level that the page itself has stated, which takes precedence (docs/pixel.md).
PAGE = "page"
SIGNAL = {"gpc": True, "limited_data_use": True}
PERSONAL = frozenset({"userId", "traits"})


def limited(raw: dict[str, Any], batch_context: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message of the pixel as the script sends it in such a browser; any other message unchanged."""
    context = json_mapping(raw, "context")
    library = {**batch_context, **context}.get("library")
    if not isinstance(library, Mapping) or library.get("name") != LIBRARY:
        return raw
    consent = mapping(context, "consent")
    context["consent"] = {**consent, **SIGNAL}
    if raw.get("consentLevel") != "full" or consent.get("source") == PAGE:
        return {**raw, "context": context}
    context.pop("cookies", None)
    kept = {name: value for name, value in raw.items() if name not in PERSONAL}
    return {**kept, "context": context, "consentLevel": "anonymous"}
