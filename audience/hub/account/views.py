"""The account page: sign-in, sessions and games; and changing the email address."""

from allauth.account.decorators import reauthentication_required
from allauth.core import ratelimit
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from audience.accounts import addresses, mail, second_factor, time_zone
from audience.hub.toolkit.access import HubRequest
from audience.models import AddressChange, ApiToken, Membership

NO_MAIL_SERVER = (
    "This installation has no mail server. An administrator of this installation can copy the link for you."
)


class AddressForm(forms.Form):
    """The address to sign in with."""

    email = forms.EmailField(
        label="New email address",
        max_length=254,
        help_text="A confirmation link is sent to this address.",
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )


@never_cache
@require_safe
@login_required
def account(request: HubRequest) -> HttpResponse:
    authenticators = list(Authenticator.objects.filter(user=request.user))
    codes = next((row for row in authenticators if row.type == Authenticator.Type.RECOVERY_CODES), None)
    context = {
        "change": AddressChange.objects.filter(user=request.user).first(),
        "totp": any(row.type == Authenticator.Type.TOTP for row in authenticators),
        "passkeys": sum(row.type == Authenticator.Type.WEBAUTHN for row in authenticators),
        "unused_codes": len(codes.wrap().get_unused_codes()) if codes else None,
        "sessions": len(UserSession.objects.purge_and_list(request.user)),
        "memberships": Membership.objects.filter(user=request.user).select_related("game").order_by("game__name"),
        "time_zone": time_zone.chosen_by(request.user).replace("_", " "),
        "tokens": ApiToken.objects.live().filter(user=request.user).count(),
        "is_missing": second_factor.is_missing_for_admin(request.user),
    }
    return render(request, "account/overview.html", context)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def address(request: HubRequest) -> HttpResponse:
    """Show the present address, a form, and the open change."""
    if request.method == "POST":
        response: HttpResponse = _change(request)
        return response
    return _page(request, AddressForm())


@reauthentication_required  # type: ignore[untyped-decorator]  # allauth ships no types
def _change(request: HubRequest) -> HttpResponse:
    if "cancel" in request.POST:
        addresses.cancel(user=request.user)
        messages.success(request, f"You still sign in with {request.user.email}.")
        return redirect("account_email")
    form = AddressForm(request.POST)
    if not form.is_valid():
        return _page(request, form)
    rate_limited: HttpResponse | None = ratelimit.consume_or_429(request, action="change_email", user=request.user)
    if rate_limited:
        return rate_limited
    try:
        requested = addresses.request_change(user=request.user, email=form.cleaned_data["email"])
    except addresses.AddressError as error:
        form.add_error("email", str(error))
        return _page(request, form)
    return _send(request, requested)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def address_confirm(request: HubRequest, token: str) -> HttpResponse:
    """Show the page of the mailed link. The address is changed by POST only, since mail scanners follow links."""
    change = addresses.find_open_change(token, request.user)
    refusal = ""
    if request.method == "POST" and change:
        try:
            previous = addresses.confirm(token=token, user=request.user)
        except addresses.AddressError as error:
            refusal = str(error)
        else:
            mail.notify_changed(before=previous, after=request.user.email)
            messages.success(request, f"You sign in with {request.user.email} now.")
            return redirect("account")
    status = 200 if change and not refusal else 410
    return render(request, "account/address_confirm.html", {"change": change, "refusal": refusal}, status=status)


def _page(request: HubRequest, form: AddressForm) -> HttpResponse:
    change = AddressChange.objects.filter(user=request.user).first()
    context = {"form": form, "change": change, "has_mail_server": mail.has_mail_server()}
    return render(request, "account/address.html", context)


def _send(request: HubRequest, requested: addresses.RequestedChange) -> HttpResponse:
    """Mail the link, and a notice to the present address. The response does not reveal whether another account has the
    address.
    """
    is_sent = mail.send_address_link(requested)
    mail.notify_change_requested(requested, request.user.email)
    if not mail.has_mail_server():
        messages.warning(request, NO_MAIL_SERVER)
    elif is_sent:
        messages.success(request, f"A confirmation link was sent to {requested.change.email}. It works for 3 days.")
    else:
        messages.error(
            request, f"The mail server did not accept the email to {requested.change.email}. Try again later."
        )
    return redirect("account_email")
