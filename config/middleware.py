"""What every answer or every signed-in request takes, beyond what the libraries' middleware does."""

from collections.abc import Callable
from datetime import timedelta

from allauth.usersessions.models import UserSession
from auditlog.middleware import AuditlogMiddleware
from django.contrib import messages
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from audience import second_factor
from audience.intake.caller import caller_ip
from config.accounts import LISTED

Respond = Callable[[HttpRequest], HttpResponse]

# Everything the pages do not use; passkeys are the one thing they do. Not bluetooth: Chromium on Linux does not know
# the name, and says so in the console of every page.
NOT_USED = ("camera", "microphone", "geolocation", "payment", "usb", "serial", "midi", "display-capture")
PERMISSIONS_POLICY = ", ".join(
    [f"{name}=()" for name in NOT_USED] + ["publickey-credentials-get=(self)", "publickey-credentials-create=(self)"]
)
# How exact "last seen" of a session is: one write in this time, and not one with every refresh of a page.
SEEN_EVERY = timedelta(minutes=5)


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
    """Keep "last seen" and the address of a signed-in browser, for its owner's list of sessions."""

    def __init__(self, get_response: Respond) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        key = request.session.session_key
        if key and LISTED in request.session and cache.add(f"seen:{key}", True, SEEN_EVERY.total_seconds()):
            seen = {"last_seen_at": timezone.now(), "ip": caller_ip(request)}
            UserSession.objects.filter(session_key=key).update(**{name: value for name, value in seen.items() if value})
        return self.get_response(request)


class AdminSecondFactorMiddleware:
    """Where admins must have a second factor, the Django admin asks for one as the Hub does."""

    def __init__(self, get_response: Respond) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *view: object) -> HttpResponse | None:
        match = request.resolver_match
        inside = match is not None and match.app_name == "admin" and match.url_name not in {"login", "logout"}
        if inside and request.user.is_staff and second_factor.is_missing(request.user):
            messages.warning(request, second_factor.ASKING)
            return redirect("mfa_index")
        return None
