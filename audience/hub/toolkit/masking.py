"""Masks players' addresses for members who may not see them, and secrets for everyone."""

import json
import re
from typing import Any

# Matches addresses in text, JSON and URLs (%40). The first letter is kept, to distinguish players. A lookahead makes
# the search linear; the possessive `*+` of Python 3.11.2 (Debian 12) stops at the first `%`.
LOCAL_PART = r"(?=((?:[\w.+'\-]|%(?!40))*))\2"
EMAIL = re.compile(rf"(?<![\w.+'%\-])(?=[\w.+'%\-])(\w?){LOCAL_PART}(@|%40)([\w\-]+(?:\.[\w\-]+)*)")
# International form, with the usual separators: "+1 (555) 010-4477".
PHONE = re.compile(r"(?<![\w+])\+\d[\d ().\-]{5,20}\d")
PHONE_NAMES = re.compile(r"phone|mobile|msisdn|whatsapp", re.IGNORECASE)
SECRET_KEY = re.compile(r"\bsk_[\w\-]{8,}")
SECRET_NAMES = re.compile(r"(password|passwd|secret|token|authorization|credential|cookie|api_?key)s?$", re.IGNORECASE)
ELLIPSIS = "…"


def without_addresses(text: str) -> str:
    """Replace `ada@example.com` by `a…@example.com` and `+15550104477` by `+…77` anywhere in the text."""
    return PHONE.sub(lambda match: f"+{ELLIPSIS}{match[0][-2:]}", EMAIL.sub(rf"\1{ELLIPSIS}\3\4", text))


def shortened(value: Any) -> str:
    """Return the beginning of a token and an ellipsis, or only the ellipsis if the value is too short for a token."""
    return f"{value[:8]}{ELLIPSIS}" if isinstance(value, str) and len(value) >= 24 else ELLIPSIS


def masked(value: Any, *, addresses: bool, name: str = "") -> Any:
    """Return a JSON value without secrets and, unless `addresses`, without email addresses and phone numbers.

    `name` is the key of the value: numbers are recognized as phone numbers by name only.
    """
    if isinstance(value, dict):
        return {
            masked(key, addresses=addresses): masked(inner, addresses=addresses, name=key)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [masked(inner, addresses=addresses, name=name) for inner in value]
    if value is None or isinstance(value, bool) or value == "":
        return value
    if SECRET_NAMES.search(name):
        return shortened(value)
    if not addresses and PHONE_NAMES.search(name):
        return f"{ELLIPSIS}{str(value)[-2:]}"
    if isinstance(value, str):
        value = SECRET_KEY.sub(lambda match: f"{match[0][:11]}{ELLIPSIS}", value)
        return value if addresses else without_addresses(value)
    return value


def as_json(value: Any) -> str:
    """Return the value as indented JSON text."""
    return json.dumps(value, indent=2, ensure_ascii=False)
