"""Sign in with Steam: OpenID 2.0 without associations, for Steam's endpoint alone.

A general library would discover the endpoint from the claimed id, which is what attacks on such sites use: here both
are compared with Steam's. Specification: https://openid.net/specs/openid-authentication-2_0.html (sections 9 to 11);
Steam's page: https://partner.steamgames.com/doc/features/auth#website.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.http import QueryDict
from django.utils.module_loading import import_string

from audience.database import clock

NAMESPACE = "http://specs.openid.net/auth/2.0"
IDENTIFIER_SELECT = f"{NAMESPACE}/identifier_select"
PREFIX = "openid."
# Steam signs exactly these fields.
SIGNED = frozenset({"signed", "op_endpoint", "claimed_id", "identity", "return_to", "response_nonce", "assoc_handle"})
NONCE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)[!-~]{0,200}", re.ASCII)
# The age of an assertion; Steam's clock and ours may differ by as much in the other direction.
MAX_AGE = timedelta(minutes=5)
MAX_FIELD_LENGTH = 2048
# The ids of people in the public universe: 32 bits of account number above this one.
FIRST_ID = 76561197960265728
LAST_ID = FIRST_ID + 2**32 - 1

# Returns whether Steam confirms an assertion with these fields, None if Steam gave no answer.
Check = Callable[[Mapping[str, str]], bool | None]


class NotVerified(Exception):
    """The assertion is not one that Steam made for this sign-in. The message is a sentence for the visitor."""


class Canceled(NotVerified):
    """The visitor did not sign in."""


class SteamUnavailable(Exception):
    """Steam did not answer; the sign-in may be tried again."""


def sign_in_url(return_to: str) -> str:
    """Return the address at which the visitor signs in. The realm is the origin of `return_to`."""
    parts = urlsplit(return_to)
    fields = {
        "ns": NAMESPACE,
        "mode": "checkid_setup",
        "return_to": return_to,
        "realm": f"{parts.scheme}://{parts.netloc}",
        "identity": IDENTIFIER_SELECT,
        "claimed_id": IDENTIFIER_SELECT,
    }
    return f"{settings.STEAM_OPENID_URL}?{urlencode({PREFIX + name: value for name, value in fields.items()})}"


def verify(query: QueryDict, *, return_to: str) -> tuple[str, str]:
    """Return the SteamID64 of an assertion and the digest of its nonce, which may be used once.

    Everything that this side can compare is compared before Steam is called. Raises NotVerified and SteamUnavailable.
    """
    fields = _fields(query)
    if fields.get("mode") == "cancel":
        raise Canceled("The sign-in was canceled.")
    _require(fields.get("mode") == "id_res" and fields.get("ns") == NAMESPACE, "Steam did not confirm a sign-in.")
    _require(fields.get("op_endpoint") == settings.STEAM_OPENID_URL, "The answer does not come from Steam.")
    _require(fields.get("return_to") == return_to, "The answer belongs to another sign-in.")
    _require(set(fields.get("signed", "").split(",")) >= SIGNED, "The answer is not signed completely.")
    steam_id = _steam_id(fields)
    nonce = fields.get("response_nonce", "")
    _require(_is_fresh(nonce), "The sign-in took too long, or the answer was used before.")
    check: Check = import_string(settings.STEAM_CHECK_HOOK)
    confirmed = check({PREFIX + name: value for name, value in fields.items()})
    if confirmed is None:
        raise SteamUnavailable
    _require(confirmed, "Steam does not confirm this sign-in.")
    return steam_id, hashlib.sha256(nonce.encode()).hexdigest()


def _fields(query: QueryDict) -> dict[str, str]:
    """Return the fields without their prefix. Raises NotVerified for one that is stated twice, or is too long."""
    stated = {name: values for name, values in query.lists() if name.startswith(PREFIX)}
    is_plain = all(len(values) == 1 and len(str(values[0])) <= MAX_FIELD_LENGTH for values in stated.values())
    _require(is_plain, "The answer is not one of Steam.")
    return {name.removeprefix(PREFIX): str(values[0]) for name, values in stated.items()}


def _steam_id(fields: Mapping[str, str]) -> str:
    parts = urlsplit(settings.STEAM_OPENID_URL)
    claimed = fields.get("claimed_id", "")
    match = re.fullmatch(re.escape(f"{parts.scheme}://{parts.netloc}/openid/id/") + r"(\d{17})", claimed, re.ASCII)
    _require(match is not None and fields.get("identity") == claimed, "The answer names no Steam account.")
    number = match[1] if match else "0"
    _require(FIRST_ID <= int(number) <= LAST_ID, "The answer names no Steam account of a person.")
    return number


def _is_fresh(nonce: str) -> bool:
    match = NONCE.fullmatch(nonce)
    if match is None:
        return False
    try:
        made_at = datetime.strptime(match[1], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return False
    return abs(clock.now() - made_at) <= MAX_AGE


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise NotVerified(sentence)
