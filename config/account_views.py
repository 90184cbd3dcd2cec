"""Account views that replace or wrap those of allauth."""

from allauth.account import views as account
from allauth.account.utils import url_str_to_user_pk
from allauth.mfa.models import Authenticator
from allauth.mfa.totp import views as totp
from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from audience.accounts import second_factor, sign_in_pace


def signup_closed(request: HttpRequest) -> HttpResponse:
    """Show that accounts are created by invitation only, for every method."""
    return render(request, "account/signup_closed.html")


def new_password(request: HttpRequest, uidb36: str, key: str) -> HttpResponse:
    """Set the password after a mailed link, and exempt this browser from the throttle of the account's sign-ins."""
    answer: HttpResponse = account.password_reset_from_key(request, uidb36=uidb36, key=key)
    is_set = answer.headers.get("Location") == reverse("account_reset_password_from_key_done")
    owner = User.objects.filter(pk=url_str_to_user_pk(uidb36)).first() if is_set else None
    if owner and owner.email:
        sign_in_pace.remember_browser(answer, owner.email, secure=settings.SESSION_COOKIE_SECURE)
    return answer


def activate_totp(request: HttpRequest) -> HttpResponse:
    """Set up an authenticator app; the code entered here cannot be used again to sign in."""
    had_one = _app_of(request) is not None
    answer: HttpResponse = totp.activate_totp(request)
    made = None if had_one or request.method != "POST" else _app_of(request)
    if made:
        second_factor.use_code(made, request.POST.get("code", ""))
    return answer


def _app_of(request: HttpRequest) -> Authenticator | None:
    if not request.user.is_authenticated:
        return None
    found: Authenticator | None = Authenticator.objects.filter(
        user_id=request.user.pk, type=Authenticator.Type.TOTP
    ).first()
    return found
