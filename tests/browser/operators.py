"""A row of each model that only the admin shows: accounts, sign-ins, lockouts, flow, and log entries."""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.utils import timezone

from audience.models import Game, GoalEvent, Membership
from postbacks.models import AlertChoice, Flow
from tests.browser.rows import LONG

BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"


def fill(game: Game, person: User) -> None:
    """Create the rows that `rows.fill` does not create, for `person`."""
    _account(person)
    _sign_ins()
    Group.objects.create(name="Operators").permissions.set(Permission.objects.all()[:5])
    AlertChoice.objects.create(game=game, user=person)
    GoalEvent.objects.get_or_create(game=game, name=LONG)
    Flow.objects.get_or_create(network="tiktok", pixel_id=LONG[:30])
    for row in (game, Membership.objects.order_by("-pk")[0]):
        _log_change(row, person)


def _account(person: User) -> None:
    EmailAddress.objects.create(user=person, email=person.email, verified=True, primary=True)
    Authenticator.objects.create(user=person, type="totp", data={"secret": "sealed"})
    agent = {"user_agent": BROWSER, "session_key": "0" * 32}
    UserSession.objects.get_or_create(user=person, ip="203.0.113.9", defaults=agent)


def _sign_ins() -> None:
    fields: dict[str, Any] = {"user_agent": BROWSER, "ip_address": "203.0.113.9", "username": LONG[:60]}
    fields |= {"http_accept": "text/html,application/xhtml+xml", "path_info": "/accounts/login/"}
    AccessAttempt.objects.create(**fields, get_data="", post_data=f"login={LONG}", failures_since_start=9)
    AccessFailureLog.objects.create(**fields, locked_out=True)
    AccessLog.objects.create(**fields, logout_time=timezone.now())


def _log_change(row: Any, person: User) -> None:
    kind = ContentType.objects.get_for_model(row)
    message = [{"changed": {"fields": ["Name", "Attribution window days"]}}]
    fields = {"object_id": str(row.pk), "object_repr": str(row)[:200], "action_flag": CHANGE, "change_message": message}
    LogEntry.objects.create(user=person, content_type=kind, **fields)
