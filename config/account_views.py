"""Account views that replace or extend those of allauth."""

from typing import Any

from allauth.account.views import PasswordResetFromKeyView
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.views import ActivateTOTPView
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from audience.accounts import second_factor, sign_in_pace


def signup_closed(request: HttpRequest) -> HttpResponse:
    """Show that accounts are created by invitation only, for every method."""
    return render(request, "account/signup_closed.html")


class NewPasswordView(PasswordResetFromKeyView):  # type: ignore[misc]  # allauth ships no types
    """Sets the password after a mailed link, and exempts this browser from the throttle of the account's sign-ins."""

    def form_valid(self, form: Any) -> HttpResponse:
        response: HttpResponse = super().form_valid(form)
        if email := self.reset_user.email:
            sign_in_pace.remember_browser(response, email, secure=settings.SESSION_COOKIE_SECURE)
        return response


class ActivateAppView(ActivateTOTPView):  # type: ignore[misc]  # allauth ships no types
    """Sets up an authenticator app; the code entered here cannot be used again to sign in."""

    def form_valid(self, form: Any) -> HttpResponse:
        response: HttpResponse = super().form_valid(form)
        app = Authenticator.objects.get(user_id=self.request.user.pk, type=Authenticator.Type.TOTP)
        second_factor.use_code(app, form.cleaned_data["code"])
        return response
