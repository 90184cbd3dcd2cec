"""How fast passwords of one account may be tried, from all addresses together: later tries wait, none is shut out.

Ten wrong passwords from one address lock that address out (axes). Somebody with many addresses is slowed down here:
after 20 tries each further one waits, 30 seconds in the end. The owner is not slowed down with them: a browser that
signed in to the account before, or set its password by a mailed link, has tries of its own, and a passkey needs none.
"""

import hashlib
import math
import secrets

from django.core import signing
from django.db import connection
from django.http import HttpRequest, HttpResponse

KNOWN_BROWSER = "known_browser"
KNOWN_BROWSER_SECONDS = 180 * 86_400
FREE_ATTEMPTS = 20
MAX_DELAY_SECONDS = 30
# Without a try for so long the count begins anew.
RESET_AFTER = "15 minutes"

# One statement, so that a hundred tries at one moment count as a hundred. No row: it is not yet time.
COUNT_ATTEMPT = """
INSERT INTO audience_signinpace AS pace (account, attempts, last_at, free_at)
VALUES (%(account)s, 1, clock_timestamp(), clock_timestamp())
ON CONFLICT (account) DO UPDATE SET
  attempts = CASE WHEN pace.last_at < clock_timestamp() - %(forgotten)s::interval THEN 1 ELSE pace.attempts + 1 END,
  last_at = clock_timestamp(),
  free_at = clock_timestamp() + CASE
    WHEN pace.last_at < clock_timestamp() - %(forgotten)s::interval OR pace.attempts + 1 < %(free)s THEN interval '0'
    ELSE least(%(most)s, power(2, least(pace.attempts + 1 - %(free)s, 10))) * interval '1 second' END
WHERE pace.free_at <= clock_timestamp()
RETURNING 0
"""
SECONDS_LEFT = "SELECT extract(epoch FROM free_at - clock_timestamp()) FROM audience_signinpace WHERE account = %s"
UNCOUNT_ATTEMPT = """
UPDATE audience_signinpace SET attempts = greatest(attempts - 1, 0), free_at = clock_timestamp() WHERE account = %s
"""


def count_attempt(request: HttpRequest, login: str) -> int:
    """Count a try at `login`, the address that was typed; the whole seconds to wait, 0 when it may be made now."""
    account = _counted_by(request, login)
    limits: dict[str, str | int] = {"forgotten": RESET_AFTER, "free": FREE_ATTEMPTS, "most": MAX_DELAY_SECONDS}
    with connection.cursor() as cursor:
        cursor.execute(COUNT_ATTEMPT, {"account": account, **limits})
        if cursor.fetchone():
            return 0
        cursor.execute(SECONDS_LEFT, [account])
        row = cursor.fetchone()
        return max(1, math.ceil(row[0])) if row else 1


def uncount_attempt(request: HttpRequest, login: str) -> None:
    """The try was right: it does not count."""
    with connection.cursor() as cursor:
        cursor.execute(UNCOUNT_ATTEMPT, [_counted_by(request, login)])


def remember_browser(response: HttpResponse, login: str, *, secure: bool) -> None:
    """Let this browser be known as one of the account's owner."""
    value = signing.dumps([_digest(login), secrets.token_urlsafe(12)], salt=KNOWN_BROWSER)
    response.set_cookie(
        KNOWN_BROWSER,
        value,
        max_age=KNOWN_BROWSER_SECONDS,
        path="/accounts/",
        secure=secure,
        httponly=True,
        samesite="Lax",
    )


def _counted_by(request: HttpRequest, login: str) -> str:
    """What the tries are counted by: the account, or this browser where it is known there."""
    account = _digest(login)
    try:
        known, number = signing.loads(
            request.COOKIES.get(KNOWN_BROWSER, ""), salt=KNOWN_BROWSER, max_age=KNOWN_BROWSER_SECONDS
        )
    except (signing.BadSignature, ValueError, TypeError):
        return account
    return _digest(f"{account} {number}") if known == account else account


def _digest(text: str) -> str:
    return hashlib.sha256(text.strip().lower().encode("utf-8", "surrogatepass")).hexdigest()
