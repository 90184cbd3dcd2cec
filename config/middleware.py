"""Middleware for response headers, audit log, sessions, time zones and required second factors."""

from collections.abc import Callable
from datetime import timedelta

from allauth.usersessions.models import UserSession
from auditlog.middleware import AuditlogMiddleware
from django.conf import settings
from django.contrib import messages
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.deprecation import MiddlewareMixin
from django_htmx.http import HttpResponseClientRedirect

from audience.accounts import second_factor
from audience.accounts.time_zone import zone_of
from audience.intake.requests.caller import caller_ip
from audience.models.keys import sha256_hex
from config.accounts import SESSION_IS_LISTED

# Bluetooth is not listed: Chromium on Linux does not support its directive and logs a warning on every page.
DISABLED = ("camera", "microphone", "geolocation", "payment", "usb", "serial", "midi", "display-capture")
PERMISSIONS_POLICY = ", ".join(
    [f"{name}=()" for name in DISABLED] + ["publickey-credentials-get=(self)", "publickey-credentials-create=(self)"]
)
# The time between two writes of when a session was last seen.
LAST_SEEN_INTERVAL = timedelta(minutes=5)

# Pages for users without the required second factor: setting one up, reauthentication, signing out, and public pages.
PAGES_WITHOUT_SECOND_FACTOR = {
    *("mfa_index", "mfa_activate_totp", "mfa_list_webauthn", "mfa_add_webauthn", "mfa_authenticate"),
    *("mfa_view_recovery_codes", "mfa_generate_recovery_codes", "mfa_download_recovery_codes"),
    *("account_reauthenticate", "mfa_reauthenticate", "mfa_reauthenticate_webauthn"),
    *("account_login", "mfa_login_webauthn", "account_logout", "logout", "login"),
    *("livez", "readyz", "metrics"),
}


class PermissionsPolicyMiddleware(MiddlewareMixin):
    """Sets Permissions-Policy to disable browser features that the pages do not use."""

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        response.headers.setdefault("Permissions-Policy", PERMISSIONS_POLICY)
        return response


class CallerAuditlogMiddleware(AuditlogMiddleware):  # type: ignore[misc]  # auditlog ships no types
    """Logs the client's address by TRUSTED_PROXIES; auditlog's own middleware accepts any X-Forwarded-For.

    The port is not logged: auditlog reads it from X-Forwarded-Port, and a number that no column holds was a 500.
    """

    @staticmethod
    def _get_remote_addr(request: HttpRequest) -> str | None:
        return caller_ip(request) or None

    @staticmethod
    def _get_remote_port(request: HttpRequest) -> int | None:
        return None


class SessionSeenMiddleware(MiddlewareMixin):
    """Updates time and address of a signed-in session for its owner's list of sessions.

    The cache holds a hash of the session key only, since the key itself would be enough to sign in.
    """

    def process_request(self, request: HttpRequest) -> None:
        key = request.session.session_key
        if (
            key
            and SESSION_IS_LISTED in request.session
            and cache.add(f"seen:{sha256_hex(key)}", True, LAST_SEEN_INTERVAL.total_seconds())
        ):
            row = {"last_seen_at": timezone.now(), "ip": caller_ip(request)}
            UserSession.objects.filter(session_key=key).update(**{name: value for name, value in row.items() if value})


class TimeZoneMiddleware:
    """Shows the pages of an account in its user's time zone, and ends the time zone of each page after it.

    The pages of a game have that of audience/hub/toolkit/access.py, all others UTC.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with timezone.override(None):
            return self.get_response(request)

    def process_view(self, request: HttpRequest, *view: object) -> None:
        if request.path.startswith("/accounts/") and request.user.is_authenticated:
            timezone.activate(zone_of(request.user))


class AdminSecondFactorMiddleware(MiddlewareMixin):
    """If admins must have a second factor, a superuser without one can only set one up.

    Other staff without one cannot open the Django admin or create games. The Hub's views check a game's admins.
    """

    def process_view(self, request: HttpRequest, *view: object) -> HttpResponse | None:
        is_required = settings.REQUIRE_MFA_FOR_ADMINS and _needs_second_factor(request)
        return _redirect_to_setup(request) if is_required and second_factor.is_missing(request.user) else None


def _needs_second_factor(request: HttpRequest) -> bool:
    """Whether this page requires a second factor of its user."""
    match, user = request.resolver_match, request.user
    if match is None or match.url_name in PAGES_WITHOUT_SECOND_FACTOR:
        return False
    return user.is_superuser or (user.is_staff and (match.app_name == "admin" or match.url_name == "game-new"))


def _redirect_to_setup(request: HttpRequest) -> HttpResponse:
    if request.path.startswith("/api/"):
        return JsonResponse({"detail": second_factor.SETUP_REQUIRED}, status=403)
    if request.headers.get("HX-Request"):
        return HttpResponseClientRedirect(reverse("mfa_index"))
    messages.warning(request, second_factor.SETUP_REQUIRED)
    return redirect("mfa_index")
