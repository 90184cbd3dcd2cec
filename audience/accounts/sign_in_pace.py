"""Throttles password attempts on one account across all IP addresses. Attempts are delayed; the account is not locked.

axes locks an IP address out of an account after ten wrong passwords. An attacker with many addresses is slowed down
here: after 20 attempts each further one is delayed, by up to 30 seconds. The owner is not affected: a browser that
signed in to the account before, or set its password by a mailed link, has its own counter, and passkeys have none.
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
# The counter restarts after this time without an attempt.
RESET_AFTER = "15 minutes"

# One statement, so that concurrent attempts are all counted. Returns no row while attempts are delayed.
COUNT_ATTEMPT = """
INSERT INTO audience_signinpace AS pace (account, attempts, last_at, free_at)
VALUES (%(account)s, 1, clock_timestamp(), clock_timestamp())
ON CONFLICT (account) DO UPDATE SET
  attempts = CASE WHEN pace.last_at < clock_timestamp() - %(reset_after)s::interval THEN 1 ELSE pace.attempts + 1 END,
  last_at = clock_timestamp(),
  free_at = clock_timestamp() + CASE
    WHEN pace.last_at < clock_timestamp() - %(reset_after)s::interval OR pace.attempts + 1 < %(free)s THEN interval '0'
    ELSE least(%(max_delay)s, power(2, least(pace.attempts + 1 - %(free)s, 10))) * interval '1 second' END
WHERE pace.free_at <= clock_timestamp()
RETURNING 0
"""
REMAINING_SECONDS = "SELECT extract(epoch FROM free_at - clock_timestamp()) FROM audience_signinpace WHERE account = %s"
UNDO_ATTEMPT = """
UPDATE audience_signinpace SET attempts = greatest(attempts - 1, 0), free_at = clock_timestamp() WHERE account = %s
"""


def count_attempt(request: HttpRequest, login: str) -> int:
    """Count an attempt on the typed address `login`; return the seconds to wait, 0 if the attempt may be made now."""
    account = _counter_key(request, login)
    limits: dict[str, str | int] = {"reset_after": RESET_AFTER, "free": FREE_ATTEMPTS, "max_delay": MAX_DELAY_SECONDS}
    with connection.cursor() as cursor:
        cursor.execute(COUNT_ATTEMPT, {"account": account, **limits})
        if cursor.fetchone():
            return 0
        cursor.execute(REMAINING_SECONDS, [account])
        row = cursor.fetchone()
        return max(1, math.ceil(row[0])) if row else 1


def undo_attempt(request: HttpRequest, login: str) -> None:
    """Undo the count of an attempt whose password was correct."""
    with connection.cursor() as cursor:
        cursor.execute(UNDO_ATTEMPT, [_counter_key(request, login)])


def remember_browser(response: HttpResponse, login: str, *, secure: bool) -> None:
    """Set the cookie that identifies this browser as one of the account's owner."""
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


def _counter_key(request: HttpRequest, login: str) -> str:
    """Return the key of the attempt's counter: the browser's if it has the account's cookie, else the account's."""
    account = _digest(login)
    try:
        known_account, browser = signing.loads(
            request.COOKIES.get(KNOWN_BROWSER, ""), salt=KNOWN_BROWSER, max_age=KNOWN_BROWSER_SECONDS
        )
    except (signing.BadSignature, ValueError, TypeError):
        return account
    return _digest(f"{account} {browser}") if known_account == account else account


def _digest(text: str) -> str:
    return hashlib.sha256(text.strip().lower().encode("utf-8", "surrogatepass")).hexdigest()
