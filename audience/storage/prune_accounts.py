"""Prunes account data: sessions, sign-ins, invitations, address changes, tokens and, if configured, the audit log."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings

from audience.models.tokens import ANSWERS_KEPT
from audience.storage.prune_steps import StaleRows

# Of ended sessions in the account page's list.
LISTED_SESSION_RETENTION = timedelta(days=1)
# Longer than any lockout, to investigate attacks.
FAILED_SIGN_IN_RETENTION = timedelta(days=30)
SIGN_IN_RETENTION = timedelta(days=90)
# After it was accepted, revoked or expired.
INVITATION_RETENTION = timedelta(days=90)
ADDRESS_CHANGE_RETENTION = timedelta(days=30)
SIGN_IN_PACE_RETENTION = timedelta(days=1)
# After it was revoked or expired.
TOKEN_RETENTION = timedelta(days=90)

CONFIRMATION = "SELECT 1 FROM account_emailconfirmation link WHERE link.email_address_id = stale.id"
# Not before the token that it replaced, which refers to it.
ENDED_TOKEN = """
least(revoked_at, expires_at) < %s
AND NOT EXISTS (SELECT 1 FROM audience_apitoken earlier WHERE earlier.replaced_by_id = stale.id)
"""
ENDED = "NOT EXISTS (SELECT 1 FROM django_session session WHERE session.session_key = stale.session_key)"


def steps(now: datetime) -> Iterator[StaleRows]:
    """Yield one step per table."""
    yield _rows("ended sessions", "django_session", "expire_date < %s", [now])
    ended = f"last_seen_at < %s AND {ENDED}"
    yield _rows("listed sessions that ended", "usersessions_usersession", ended, [now - LISTED_SESSION_RETENTION])
    for table in ("axes_accessattempt", "axes_accessfailurelog"):
        yield _rows("failed sign-ins", table, "attempt_time < %s", [now - FAILED_SIGN_IN_RETENTION])
    yield _rows("sign-ins", "axes_accesslog", "attempt_time < %s", [now - SIGN_IN_RETENTION])
    closed = "least(accepted_at, revoked_at, expires_at) < %s"
    yield _rows("closed invitations", "audience_invitation", closed, [now - INVITATION_RETENTION])
    expired = [now - ADDRESS_CHANGE_RETENTION]
    yield _rows("expired address changes", "audience_addresschange", "expires_at < %s", expired)
    yield _rows("paces of sign-ins", "audience_signinpace", "last_at < %s", [now - SIGN_IN_PACE_RETENTION])
    yield _rows("answers to repeated requests", "audience_idempotentrequest", "created_at < %s", [now - ANSWERS_KEPT])
    yield _rows("ended tokens", "audience_apitoken", ENDED_TOKEN, [now - TOKEN_RETENTION])
    # Rows of an allauth page that is not served. They are not used for signing in.
    yield _rows("confirmations of addresses", "account_emailconfirmation", "created < %s", expired)
    yield _rows("unconfirmed addresses", "account_emailaddress", f"NOT verified AND NOT EXISTS ({CONFIRMATION})", [])
    if settings.AUDIT_LOG_KEPT_DAYS is not None:
        kept_from = now - timedelta(days=settings.AUDIT_LOG_KEPT_DAYS)
        yield _rows("entries of the audit log", "auditlog_logentry", "timestamp < %s", [kept_from])


def _rows(what: str, table: str, where: str, params: list[datetime]) -> StaleRows:
    return StaleRows(what, table, where, params, key=f"old rows of {table}")
