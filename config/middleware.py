"""What every answer or every signed-in request takes, beyond what the libraries' middleware does."""

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
from django_htmx.http import HttpResponseClientRedirect

from audience.accounts import second_factor
from audience.intake.requests.caller import caller_ip
from audience.models.keys import sha256_hex
from config.accounts import SESSION_IS_LISTED

Respond = Callable[[HttpRequest], HttpResponse]

# Everything the pages do not use; passkeys are the one thing they do. Not bluetooth: Chromium on Linux does not know
# the name, and says so in the console of every page.
NOT_USED = ("camera", "microphone", "geolocation", "payment", "usb", "serial", "midi", "display-capture")
PERMISSIONS_POLICY = ", ".join(
    [f"{name}=()" for name in NOT_USED] + ["publickey-credentials-get=(self)", "publickey-credentials-create=(self)"]
)
# How exact "last seen" of a session is: one write in this time, and not one with every refresh of a page.
SEEN_EVERY = timedelta(minutes=5)

# What somebody may open who has yet to set up a second factor: that, the questions before it, signing out; and what
# answers anybody.
SETTING_UP = {
    *("mfa_index", "mfa_activate_totp", "mfa_list_webauthn", "mfa_add_webauthn", "mfa_authenticate"),
    *("mfa_view_recovery_codes", "mfa_generate_recovery_codes", "mfa_download_recovery_codes"),
    *("account_reauthenticate", "mfa_reauthenticate", "mfa_reauthenticate_webauthn"),
    *("account_login", "mfa_login_webauthn", "account_logout", "logout", "login"),
    *("livez", "readyz", "metrics"),
}


class PermissionsPolicyMiddleware:
    """Tell the browser which of its powers the pages do without, whatever script may run in them."""

    def __init__(self, get_response: Respond) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Permissions-Policy", PERMISSIONS_POLICY)
        return response


class CallerAuditlogMiddleware(AuditlogMiddleware):  # type: ignore[misc]  # auditlog ships no types
    """The original believes any X-Forwarded-For; an audit entry names who called, as TRUSTED_PROXIES tells."""

    @staticmethod
    def _get_remote_addr(request: HttpRequest) -> str | None:
        return caller_ip(request) or None


class SessionSeenMiddleware:
    """Keep "last seen" and the address of a signed-in browser, for its owner's list of sessions.

    Of the session's key only a digest goes into the cache: whoever reads it there could sign in with the key.
    """

    def __init__(self, get_response: Respond) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        key = request.session.session_key
        if (
            key
            and SESSION_IS_LISTED in request.session
            and cache.add(f"seen:{sha256_hex(key)}", True, SEEN_EVERY.total_seconds())
        ):
            seen = {"last_seen_at": timezone.now(), "ip": caller_ip(request)}
            UserSession.objects.filter(session_key=key).update(**{name: value for name, value in seen.items() if value})
        return self.get_response(request)


class AdminSecondFactorMiddleware:
    """Where admins must have a second factor, a superuser without one sets one up, and can do nothing else.

    Other staff are kept out of the Django admin and of making games; the Hub keeps a game's admins out of the game.
    """

    def __init__(self, get_response: Respond) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *view: object) -> HttpResponse | None:
        if not settings.REQUIRE_MFA_FOR_ADMINS or not _is_kept_out(request):
            return None
        if second_factor.is_missing(request.user):
            return _to_second_factor(request)
        return None


def _is_kept_out(request: HttpRequest) -> bool:
    """Whether this page asks its reader for a second factor."""
    match, user = request.resolver_match, request.user
    if match is None or match.url_name in SETTING_UP:
        return False
    return user.is_superuser or (user.is_staff and (match.app_name == "admin" or match.url_name == "game-new"))


def _to_second_factor(request: HttpRequest) -> HttpResponse:
    if request.path.startswith("/api/"):
        return JsonResponse({"detail": second_factor.SETUP_REQUIRED}, status=403)
    if request.headers.get("HX-Request"):
        return HttpResponseClientRedirect(reverse("mfa_index"))
    messages.warning(request, second_factor.SETUP_REQUIRED)
    return redirect("mfa_index")
