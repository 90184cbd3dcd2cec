"""The family of an operating system, from user agents and the names that game engines state."""

import re
from typing import Any

# In this order: the user agents of Android and ChromeOS also have "Linux", those of iPhones "Mac OS X", and those of
# consoles "Windows" or "Linux".
FAMILIES = (
    ("console", re.compile(r"xbox|playstation|nintendo", re.IGNORECASE)),
    ("android", re.compile(r"android", re.IGNORECASE)),
    ("ios", re.compile(r"iphone|ipad|ipod|\bios\b", re.IGNORECASE)),
    ("chromeos", re.compile(r"\bcros\b|chrome ?os", re.IGNORECASE)),
    ("windows", re.compile(r"\bwindows|\bwin(32|64)\b", re.IGNORECASE)),
    ("macos", re.compile(r"mac ?os|macintosh|\bosx|\bmac\b", re.IGNORECASE)),
    ("linux", re.compile(r"linux|steam ?os|\bx11\b|ubuntu", re.IGNORECASE)),
)
MAX_LENGTH = 1024


def system_of(*stated: Any) -> str:
    """Return the family that the first of these values names; '' if none does."""
    texts = (value[:MAX_LENGTH] for value in stated if isinstance(value, str))
    found = (name for text in texts for name, pattern in FAMILIES if pattern.search(text))
    return next(found, "")
