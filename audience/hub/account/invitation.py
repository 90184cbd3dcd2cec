"""The page of an invitation's link: new users choose a password, existing ones join."""

from typing import Any

from allauth.account.utils import perform_login
from django import forms
from django.contrib import messages
from django.contrib.auth import get_user_model, password_validation
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from audience.accounts import addresses, members
from audience.hub.toolkit.access import HubRequest
from audience.models import Invitation


class PasswordForm(forms.Form):
    """The password of a new account."""

    password = forms.CharField(
        strip=False,
        max_length=128,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="At least 8 characters, and not a common password.",
    )
    again = forms.CharField(
        label="Password again",
        strip=False,
        max_length=128,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, *args: Any, email: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.email = email

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        password, again = data.get("password"), data.get("again")
        if password and again and password != again:
            self.add_error("again", "The passwords do not match.")
        elif password:
            try:
                password_validation.validate_password(password, get_user_model()(email=self.email))
            except ValidationError as error:
                self.add_error("password", error)
        return data


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def accept_invitation(request: HubRequest, token: str) -> HttpResponse:
    """Accept the invitation of this link, or show why it cannot be accepted."""
    invitation = members.find(token)
    if invitation is None or not invitation.is_open:
        context, status = {"invitation": invitation}, 404 if invitation is None else 410
        return render(request, "hub/account/invitation_over.html", context, status=status)
    if request.user.is_authenticated:
        return _accept_as_user(request, invitation)
    if addresses.find_account(invitation.email):
        return redirect_to_login(request.path, reverse("account_login"))
    return _accept_as_new(request, invitation)


def _accept_as_user(request: HubRequest, invitation: Invitation) -> HttpResponse:
    is_for_user = members.is_for(invitation, request.user)
    if request.method != "POST" or not is_for_user:
        context = {"invitation": invitation, "is_for_user": is_for_user}
        return render(request, "hub/account/invitation.html", context)
    try:
        members.accept(invitation=invitation, user=request.user)
    except members.MembersError as error:
        return _redirect_with_error(request, error)
    messages.success(request, f"Welcome to {invitation.game}.")
    return redirect("overview", slug=invitation.game.slug)


def _accept_as_new(request: HubRequest, invitation: Invitation) -> HttpResponse:
    form = PasswordForm(request.POST if request.method == "POST" else None, email=invitation.email)
    if not form.is_valid():
        return render(request, "hub/account/invitation_new.html", {"invitation": invitation, "form": form})
    try:
        user = members.accept_as_new(invitation=invitation, password=form.cleaned_data["password"])
    except members.MembersError as error:
        return _redirect_with_error(request, error)
    messages.success(request, f"Welcome to {invitation.game}.")
    overview = reverse("overview", kwargs={"slug": invitation.game.slug})
    response: HttpResponse = perform_login(request, user, email_verification="none", redirect_url=overview)
    return response


def _redirect_with_error(request: HubRequest, error: members.MembersError) -> HttpResponse:
    messages.error(request, str(error))
    return redirect("games")
