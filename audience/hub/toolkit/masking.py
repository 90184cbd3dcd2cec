"""Addresses of players, cut down for those who need not know them; what opens a door, cut down for everyone."""

import re
from typing import Any

# Written in text, JSON and, as %40, in the address of a page. The local part's first letter stays, to tell two
# players apart. It starts where a run of its characters does and gives nothing back, so that the search is linear;
# said with a lookahead, since the `*+` of Python 3.11.2 (Debian 12) stops at the first `%`.
LOCAL_PART = r"(?=((?:[\w.+'\-]|%(?!40))*))\2"
EMAIL = re.compile(rf"(?<![\w.+'%\-])(?=[\w.+'%\-])(\w?){LOCAL_PART}(@|%40)([\w\-]+(?:\.[\w\-]+)*)")
# International form, with the usual separators: "+1 (555) 010-4477".
PHONE = re.compile(r"(?<![\w+])\+\d[\d ().\-]{5,20}\d")
PHONE_NAMES = re.compile(r"phone|mobile|msisdn|whatsapp", re.IGNORECASE)
SECRET_KEY = re.compile(r"\bsk_[\w\-]{8,}")
SECRET_NAMES = re.compile(r"(password|passwd|secret|token|authorization|credential|cookie|api_?key)s?$", re.IGNORECASE)
ELLIPSIS = "…"


def without_addresses(text: str) -> str:
    """`ada@example.com` becomes `a…@example.com` and `+15550104477` `+…77`, wherever in the text they stand."""
    return PHONE.sub(lambda found: f"+{ELLIPSIS}{found[0][-2:]}", EMAIL.sub(rf"\1{ELLIPSIS}\3\4", text))


def shortened(value: Any) -> str:
    """The beginning of a token, to tell two apart; nothing of what is too short to be one."""
    return f"{value[:8]}{ELLIPSIS}" if isinstance(value, str) and len(value) >= 24 else ELLIPSIS


def masked(value: Any, *, addresses: bool, name: str = "") -> Any:
    """JSON without secrets and, where `addresses` are not to be seen, without e-mail addresses and phone numbers.

    `name` is what the value is called: a number is a phone's by its name alone.
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
        value = SECRET_KEY.sub(lambda found: f"{found[0][:11]}{ELLIPSIS}", value)
        return value if addresses else without_addresses(value)
    return value
