"""Which values of a message are ids of a player, and which of them are the same id. Used by all dialects."""

import re
import unicodedata
from typing import Any

MAX_PLACEHOLDER_LENGTH = 64
# Values, in lower case, that clients send when they have no id. Identifying players by them would merge all players.
# Most are from the list of PostHog (https://posthog.com/docs/getting-started/identify-users).
PLACEHOLDER_IDS = frozenset(
    {
        "0",
        "-1",
        "00000000-0000-0000-0000-000000000000",
        # The ANDROID_ID of every device with a certain defect of Android 2.2, and of its emulators.
        "9774d56d682e549c",
        "null",
        "(null)",
        "<null>",
        "undefined",
        "none",
        "(none)",
        "nil",
        "<nil>",
        "nan",
        "unknown",
        "n/a",
        "not set",
        "(not set)",
        "true",
        "false",
        "{}",
        "[]",
        "[object object]",
        "anonymous",
        "guest",
        "not_authenticated",
        "id",
        "email",
        "distinct_id",
        "distinctid",
    }
)
# The name of an id in a template: userId, user_id, USER-ID, player.uid, email.
NAME = (
    r"([a-z][a-z0-9]*[._ -])*(user|player|account|device|anonymous|visitor|customer|client|member|external|distinct)?"
    r"(id|uid|uuid|guid|email|user|username|player)"
)
# Zeros and hyphens alone (https://support.twilio.com/hc/en-us/articles/43720564918427), and templates that were not
# filled in: {{anything}} ${userId} {userId} #{user_id} %s %1$s %@ <user_id> %%USER_ID%% __USER_ID__. Not a UUID in
# braces, as Windows writes it, and not a nickname in braces.
PLACEHOLDER = re.compile(
    rf"\{{?[0-]+\}}?|[$#]?\{{ ?{NAME} ?\}}|\{{\{{[\w.$ |-]*\}}\}}|%(\d\$)?[sdi@]|<{NAME}>|%%{NAME}%%|__{NAME}__",
    re.ASCII | re.IGNORECASE,
)
PLACEHOLDER_STARTS = frozenset("0-{$#%<_\"'`")
QUOTES = "\"'`"
# The texts stored for JSON values that are never an id, by type: of a false value and of a true one.
NON_ID_TEXTS: dict[type, tuple[str, str]] = {bool: ("false", "true"), dict: ("{}", "{}"), list: ("[]", "[]")}
# Replaces characters that PostgreSQL cannot store (audience/intake/requests/body.py).
REPLACEMENT = "\ufffd"
# A float of this size may have lost digits: orjson decodes integers of more than 64 bits as floats, and some clients
# write large ids as 7.656119796028793e+16.
FIRST_INEXACT = 2.0**53
UUID_FORM = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


class LostDigits(Exception):
    """A number has more digits than a float stores: the body has to be decoded again (body.decode, `keep_digits`)."""


def read_id(value: Any) -> str:
    """A JSON value as an id; '' for null. Booleans, objects and arrays become placeholders.

    A number becomes its digits: 7001, 7001.0 and "7001" are one id. Raises LostDigits.
    """
    if isinstance(value, str):
        return clean(value)
    if value is None:
        return ""
    if texts := NON_ID_TEXTS.get(type(value)):
        return texts[value is True]
    if isinstance(value, float):
        if abs(value) >= FIRST_INEXACT:
            raise LostDigits
        value = int(value) if value.is_integer() else value
    return str(value)


def read_usable_id(value: Any, *, max_length: int) -> str:
    """A JSON value as an id; '' for null, a placeholder, and what is too long or cannot be stored unchanged."""
    try:
        text = read_id(value)
    except LostDigits:
        return ""
    return text if len(text) <= max_length and is_storable(text) and not is_placeholder(text) else ""


def clean(text: str) -> str:
    """The text without invisible characters (categories Cc and Cf) and outer spaces.

    '' for a text that consists of replacement characters.
    """
    if not text.isprintable():
        text = "".join(c for c in text if unicodedata.category(c) not in {"Cc", "Cf"})
    text = text.strip()
    return text if text.strip(f"{REPLACEMENT} ") else ""


def is_storable(value: str) -> bool:
    """Whether no character of it was replaced, since two ids could become one by that."""
    return REPLACEMENT not in value


def length(value: str) -> int:
    """The number of characters of the id or of its canonical form, whichever is longer: both are in indexes."""
    return len(value) if value.isascii() else max(len(value), len(canonical(value)))


def is_placeholder(value: str) -> bool:
    """Whether clients send this text in place of an id. '' is not a placeholder."""
    if not value or len(value) > MAX_PLACEHOLDER_LENGTH:
        return False
    if value.lower() in PLACEHOLDER_IDS:
        return True
    if value[0] not in PLACEHOLDER_STARTS:
        return False
    bare = value.strip(QUOTES)
    return bare.lower() in PLACEHOLDER_IDS or not bare or PLACEHOLDER.fullmatch(bare) is not None


def canonical(value: str) -> str:
    """The form in which ids are compared: UUIDs in lower case, other texts in Unicode's form NFC.

    The SQL function audience_canonical_id returns the same.
    """
    if not value.isascii():
        return unicodedata.normalize("NFC", value)
    return value.lower() if len(value) == 36 and not value.islower() and UUID_FORM.fullmatch(value) else value
