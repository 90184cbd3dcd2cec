"""Account pages where allauth's own does too much or too little."""

from allauth.mfa.models import Authenticator
from allauth.mfa.totp import views as totp
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from audience import second_factor


def signup_closed(request: HttpRequest) -> HttpResponse:
    """Says that nobody signs up by themselves, whatever was sent."""
    return render(request, "account/signup_closed.html")


def activate_totp(request: HttpRequest) -> HttpResponse:
    """Set up an authenticator app; the code that did it does not sign in a moment later."""
    had_one = _app_of(request) is not None
    answer: HttpResponse = totp.activate_totp(request)
    made = None if had_one or request.method != "POST" else _app_of(request)
    if made:
        second_factor.spend(made, request.POST.get("code", ""))
    return answer


def _app_of(request: HttpRequest) -> Authenticator | None:
    if not request.user.is_authenticated:
        return None
    found: Authenticator | None = Authenticator.objects.filter(
        user_id=request.user.pk, type=Authenticator.Type.TOTP
    ).first()
    return found
