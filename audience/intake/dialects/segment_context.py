"""The `context` of Segment-shaped messages under the names of message.Message; unknown keys are kept."""

from collections.abc import Mapping
from typing import Any

PAGE = {"url": "page_url", "path": "page_path", "title": "page_title", "referrer": "page_referrer"}
RENAMED = {"userAgent": "user_agent"}
# Stored in other fields of the message.
OMITTED = frozenset({"traits", "page", "library", "sessionId"})


def canonical(context: Mapping[str, Any]) -> dict[str, Any]:
    """`page{url,...}` -> page_url ..., `library{name,version}` -> library, library_version, `screen` -> "1920x1080"."""
    found = {
        RENAMED.get(name, name): value for name, value in context.items() if name not in OMITTED and value is not None
    }
    page = context.get("page")
    if isinstance(page, Mapping):
        found |= {name: page[key] for key, name in PAGE.items() if isinstance(page.get(key), str)}
    library = context.get("library")
    if isinstance(library, Mapping):
        found |= {
            f"library{end}": str(library[key])
            for key, end in (("name", ""), ("version", "_version"))
            if library.get(key)
        }
    elif isinstance(library, str):
        found["library"] = library
    screen = context.get("screen")
    if isinstance(screen, Mapping) and screen.get("width") and screen.get("height"):
        found["screen"] = f"{screen['width']}x{screen['height']}"
    return found


def device_id(context: Mapping[str, Any]) -> str:
    device = context.get("device")
    value = device.get("id") if isinstance(device, Mapping) else None
    return value.strip() if isinstance(value, str) else ""
