"""The call by which Steam confirms an assertion of its sign-in (audience/claims/steam.py)."""

from collections.abc import Mapping
from urllib.parse import urlencode

import structlog
from django.conf import settings

from postbacks.http.exchange import post
from postbacks.networks.interface.call import Request

logger = structlog.get_logger(__name__)

TIMEOUT_SECONDS = 10.0
HEADERS = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/plain", "User-Agent": "Afterclick"}


def check_authentication(fields: Mapping[str, str]) -> bool | None:
    """Return whether Steam confirms the assertion; None if it did not answer as the protocol says.

    Openid 2.0, section 11.4.2: all fields are returned unchanged but the mode. The answer has lines of `name:value`.
    """
    body = urlencode({**fields, "openid.mode": "check_authentication"}).encode()
    answer = post(Request("POST", settings.STEAM_OPENID_URL, HEADERS, body), timeout=TIMEOUT_SECONDS)
    lines = dict(line.partition(":")[::2] for line in answer.body.decode(errors="replace").splitlines())
    if answer.status != 200 or lines.get("is_valid") not in ("true", "false"):
        logger.warning("steam_unavailable", status=answer.status, failure=answer.failure)
        return None
    return lines["is_valid"] == "true"
