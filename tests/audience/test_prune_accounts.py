"""Pruning of sessions, sign-ins, invitations, links, tokens and the audit log."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from allauth.account.models import EmailAddress, EmailConfirmation
from allauth.usersessions.models import UserSession
from auditlog.models import LogEntry
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib.sessions.models import Session
from django.db.models import Model

from audience.accounts import addresses, tokens
from audience.models import (
    AddressChange,
    ApiToken,
    Game,
    IdempotentRequest,
    Invitation,
    Role,
    Scope,
    SignInPace,
)
from audience.storage import prune
from tests import hub

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 4, 8, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def pruned() -> dict[str, int]:
    found: dict[str, int] = {}
    with time_machine.travel(NOW, tick=False):
        for one in prune.prune():
            found[one.what] = found.get(one.what, 0) + one.rows
    return found


def test_ended_sessions_are_deleted_with_their_entries_in_the_list_of_the_owner(db: None) -> None:
    ada: Any = hub.user("ada")
    for key, ends in (("old", NOW - SECOND), ("new", NOW + SECOND), ("seen", NOW + SECOND)):
        Session.objects.create(session_key=key, session_data="", expire_date=ends)
    for key, seen in (
        ("old", timedelta(days=1, seconds=1)),
        ("gone", timedelta(days=2)),
        ("made-now", timedelta(0)),
        ("seen", timedelta(days=9)),
    ):
        UserSession.objects.create(user=ada, ip="192.0.2.1", session_key=key, last_seen_at=NOW - seen)
    assert pruned() == {"ended sessions": 1, "listed sessions that ended": 2}
    assert set(Session.objects.values_list("pk", flat=True)) == {"new", "seen"}
    assert set(UserSession.objects.values_list("session_key", flat=True)) == {"made-now", "seen"}


def test_failed_sign_ins_are_kept_30_days_and_sign_ins_90(db: None) -> None:
    kept: dict[type[Model], timedelta] = {
        AccessAttempt: timedelta(days=30),
        AccessFailureLog: timedelta(days=30),
        AccessLog: timedelta(days=90),
    }
    for model, age in kept.items():
        given = {"failures_since_start": 1} if model is AccessAttempt else {}
        for number, at in enumerate((NOW - age, NOW - age - SECOND)):
            row = model._default_manager.create(username=f"u{number}", ip_address="192.0.2.1", **given)
            model._default_manager.filter(pk=row.pk).update(attempt_time=at)
    assert pruned() == {"failed sign-ins": 2, "sign-ins": 1}
    assert [model._default_manager.get().attempt_time for model in kept] == [NOW - age for age in kept.values()]


def test_an_invitation_is_kept_90_days_after_it_was_accepted_revoked_or_expired(game: Game) -> None:
    old, recent = NOW - timedelta(days=90, seconds=1), NOW - timedelta(days=90)
    rows = {
        "waiting": {"expires_at": NOW + timedelta(days=1)},
        "expired-lately": {"expires_at": recent},
        "accepted-lately": {"expires_at": NOW, "accepted_at": recent},
        "expired": {"expires_at": old},
        "accepted": {"expires_at": NOW, "accepted_at": old},
        "revoked": {"expires_at": NOW, "revoked_at": old},
    }
    for number, (name, dates) in enumerate(rows.items()):
        Invitation.objects.create(game=game, email=f"{name}@x.example", digest=f"{number:064}", **dates)
    assert pruned() == {"closed invitations": 3}
    assert {row.email.split("@")[0] for row in Invitation.objects.all()} == {
        "waiting",
        "expired-lately",
        "accepted-lately",
    }


def test_a_token_is_kept_90_days_after_its_end_and_until_the_one_it_replaced_is_gone(game: Game) -> None:
    old, recent = NOW - timedelta(days=90, seconds=1), NOW - timedelta(days=90)
    ends: dict[str, dict[str, Any]] = {
        "live": {},
        "ends-later": {"expires_at": NOW + timedelta(days=1)},
        "expired-lately": {"expires_at": recent},
        "expired": {"expires_at": old},
        "revoked": {"revoked_at": old, "expires_at": NOW + timedelta(days=9)},
        "replaced-lately": {"expires_at": recent},
        "successor": {"revoked_at": old},
        "replaced": {"expires_at": old},
        "last": {"revoked_at": old},
    }
    for name, columns in ends.items():
        new = tokens.create_game_token(game=game, name=name, role=Role.VIEWER, scopes=[Scope.READ])
        ApiToken.objects.filter(pk=new.token.pk).update(**columns)
    for before, after in (("replaced-lately", "successor"), ("replaced", "last")):
        ApiToken.objects.filter(name=before).update(replaced_by=ApiToken.objects.get(name=after))
    assert pruned() == {"ended tokens": 3}
    kept = {"live", "ends-later", "expired-lately", "replaced-lately", "successor"}
    assert set(ApiToken.objects.values_list("name", flat=True)) == {*kept, "last"}
    assert pruned() == {"ended tokens": 1}
    assert set(ApiToken.objects.values_list("name", flat=True)) == kept


def test_answers_to_repeated_requests_are_kept_a_day(game: Game) -> None:
    token = tokens.create_game_token(game=game, name="CI", role=Role.VIEWER, scopes=[Scope.READ]).token
    for key, age in (("new", timedelta(hours=24)), ("old", timedelta(hours=24, seconds=1))):
        IdempotentRequest.objects.create(token=token, key=key, fingerprint="0" * 64, created_at=NOW - age)
    assert pruned() == {"answers to repeated requests": 1}
    assert IdempotentRequest.objects.get().key == "new"


def test_expired_links_and_counts_of_sign_ins_are_deleted(db: None) -> None:
    ada: Any = hub.user("ada")
    bob: Any = hub.user("bob")
    for user, expires in ((ada, NOW - timedelta(days=30, seconds=1)), (bob, NOW - timedelta(days=30))):
        addresses.request_change(user=user, email=f"{user.username}@new.example")
        AddressChange.objects.filter(user=user).update(expires_at=expires)
    for number, last in enumerate((NOW - timedelta(days=1), NOW - timedelta(days=1) - SECOND)):
        SignInPace.objects.create(account=f"{number:064}", attempts=1, last_at=last, free_at=last)
    assert pruned() == {"expired address changes": 1, "paces of sign-ins": 1}
    assert AddressChange.objects.get().user == bob
    assert SignInPace.objects.get().account == f"{0:064}"


def test_unconfirmed_addresses_are_deleted_and_others_are_kept(db: None) -> None:
    ada: Any = hub.user("ada")
    unconfirmed = EmailAddress.objects.create(user=ada, email="boss@x.example")
    link = EmailConfirmation.objects.create(email_address=unconfirmed, key="k")
    EmailConfirmation.objects.filter(pk=link.pk).update(created=NOW - timedelta(days=31))
    EmailAddress.objects.create(user=ada, email="ada@x.example", verified=True)
    assert pruned() == {"confirmations of addresses": 1, "unconfirmed addresses": 1}
    assert EmailAddress.objects.get().email == "ada@x.example"


@pytest.mark.parametrize(("days", "left"), [(None, 3), (365, 2), (30, 1)])
def test_the_audit_log_is_kept_for_ever_unless_a_time_is_set(game: Game, settings: Any, days: Any, left: int) -> None:
    settings.AUDIT_LOG_KEPT_DAYS = days
    LogEntry.objects.all().delete()
    for age in (timedelta(days=30), timedelta(days=365), timedelta(days=3_650)):
        entry = LogEntry.objects.log_create(game, force_log=True, action=1, changes={})
        LogEntry.objects.filter(pk=entry.pk).update(timestamp=NOW - age)
    assert pruned() == ({"entries of the audit log": 3 - left} if left < 3 else {})
    assert LogEntry.objects.count() == left
