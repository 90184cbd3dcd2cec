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
        help_text="At least 8 characters, and not one that others use too.",
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
            self.add_error("again", "This is not the same password.")
        elif password:
            try:
                password_validation.validate_password(password, get_user_model()(email=self.email))
            except ValidationError as weak:
                self.add_error("password", weak)
        return data


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HubRequest, token: str) -> HttpResponse:
    """Accept the invitation of this link, or show why it cannot be accepted."""
    found = members.find(token)
    if found is None or not found.is_open:
        return render(
            request, "hub/account/invitation_over.html", {"invitation": found}, status=404 if found is None else 410
        )
    if request.user.is_authenticated:
        return _as_member(request, found)
    if addresses.find_account(found.email):
        return redirect_to_login(request.path, reverse("account_login"))
    return _as_new(request, found)


def _as_member(request: HubRequest, found: Invitation) -> HttpResponse:
    context = {"invitation": found, "is_theirs": members.is_for(found, request.user)}
    if request.method != "POST" or not context["is_theirs"]:
        return render(request, "hub/account/invitation.html", context)
    try:
        members.accept(invitation=found, user=request.user)
    except members.MembersError as refusal:
        return _refused(request, refusal)
    messages.success(request, f"Welcome to {found.game}.")
    return redirect("overview", slug=found.game.slug)


def _as_new(request: HubRequest, found: Invitation) -> HttpResponse:
    form = PasswordForm(request.POST if request.method == "POST" else None, email=found.email)
    if not form.is_valid():
        return render(request, "hub/account/invitation_new.html", {"invitation": found, "form": form})
    try:
        user = members.accept_as_new(invitation=found, password=form.cleaned_data["password"])
    except members.MembersError as refusal:
        return _refused(request, refusal)
    messages.success(request, f"Welcome to {found.game}.")
    answer: HttpResponse = perform_login(
        request, user, email_verification="none", redirect_url=reverse("overview", kwargs={"slug": found.game.slug})
    )
    return answer


def _refused(request: HubRequest, refusal: members.MembersError) -> HttpResponse:
    messages.error(request, str(refusal))
    return redirect("games")
