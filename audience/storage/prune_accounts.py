"""Pruning of account data: sessions, records of sign-ins, invitations, links and, if configured, the audit log."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings

from audience.storage.prune_steps import StaleRows

# Sessions of the owner's list, after they ended.
LISTED_SESSIONS_KEPT = timedelta(days=1)
# Longer than any lock, to investigate attacks.
FAILED_SIGN_INS_KEPT = timedelta(days=30)
SIGN_INS_KEPT = timedelta(days=90)
# After it was accepted, revoked or expired.
INVITATIONS_KEPT = timedelta(days=90)
ADDRESS_CHANGES_KEPT = timedelta(days=30)
PACES_KEPT = timedelta(days=1)

CONFIRMING = "SELECT 1 FROM account_emailconfirmation link WHERE link.email_address_id = stale.id"
UNLISTED = "NOT EXISTS (SELECT 1 FROM django_session present WHERE present.session_key = stale.session_key)"


def steps(now: datetime) -> Iterator[StaleRows]:
    """Yield one step per table."""
    yield _rows("ended sessions", "django_session", "expire_date < %s", [now])
    listed = f"last_seen_at < %s AND {UNLISTED}"
    yield _rows("listed sessions that ended", "usersessions_usersession", listed, [now - LISTED_SESSIONS_KEPT])
    for table in ("axes_accessattempt", "axes_accessfailurelog"):
        yield _rows("failed sign-ins", table, "attempt_time < %s", [now - FAILED_SIGN_INS_KEPT])
    yield _rows("sign-ins", "axes_accesslog", "attempt_time < %s", [now - SIGN_INS_KEPT])
    over = "least(accepted_at, revoked_at, expires_at) < %s"
    yield _rows("closed invitations", "audience_invitation", over, [now - INVITATIONS_KEPT])
    yield _rows("expired address changes", "audience_addresschange", "expires_at < %s", [now - ADDRESS_CHANGES_KEPT])
    yield _rows("paces of sign-ins", "audience_signinpace", "last_at < %s", [now - PACES_KEPT])
    # Of an allauth page that is not served; not used for signing in.
    yield _rows("confirmations of addresses", "account_emailconfirmation", "created < %s", [now - ADDRESS_CHANGES_KEPT])
    yield _rows("unconfirmed addresses", "account_emailaddress", f"NOT verified AND NOT EXISTS ({CONFIRMING})", [])
    if settings.AUDIT_LOG_KEPT_DAYS is not None:
        kept_from = now - timedelta(days=settings.AUDIT_LOG_KEPT_DAYS)
        yield _rows("entries of the audit log", "auditlog_logentry", "timestamp < %s", [kept_from])


def _rows(what: str, table: str, where: str, params: list[datetime]) -> StaleRows:
    return StaleRows(what, table, where, params, key=f"old rows of {table}")
