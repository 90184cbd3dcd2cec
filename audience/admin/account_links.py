"""Links to set the password or change the address of an account, for installations without a mail server.

For superusers only: anyone with such a link controls the account and every game it administers.
"""

from typing import Any

from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from auditlog.models import LogEntry
from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.cache import never_cache

from audience.accounts import addresses, mail
from audience.models import AddressChange


class NewAddressForm(forms.Form):
    """The new email address of an account."""

    email = forms.EmailField(label="New email address", max_length=254)


def password_url(user: User) -> str:
    """Return the URL, under PUBLIC_URL, that sets the account's password once without the old one."""
    path = reverse(
        "account_reset_password_from_key",
        kwargs={"uidb36": user_pk_to_url_str(user), "key": default_token_generator.make_token(user)},
    )
    return str(settings.PUBLIC_URL) + path


@never_cache
def password_link(request: HttpRequest, pk: int) -> HttpResponse:
    """Create a link that sets the password, and show it once."""
    account = _account(request, pk)
    link = ""
    if request.method == "POST":
        link = password_url(account)
        _record(account, "password reset link")
    about = (
        "Anyone who opens this link can set a new password for the account and sign in with it. The link works once."
    )
    return _page(request, account, title="Password reset link", about=about, button="Create link", link=link)


@never_cache
def address_link(request: HttpRequest, pk: int) -> HttpResponse:
    """Request a change of address, mail the link to the new address and show it once."""
    account = _account(request, pk)
    change = AddressChange.objects.filter(user=account).first()
    form = NewAddressForm(request.POST or None, initial={"email": change.email if change else ""})
    link = ""
    if request.method == "POST" and form.is_valid():
        try:
            requested = addresses.request_change(user=account, email=form.cleaned_data["email"])
        except addresses.AddressError as refusal:
            form.add_error("email", str(refusal))
        else:
            link = _send_link(form, requested, account)
    about = (
        "The account keeps its current email address until someone who is signed in to it opens the link. The link "
        "is sent to the new address, and a notice to the current one."
    )
    context = {"form": form, "change": change}
    return _page(
        request, account, title="Change of email address", about=about, button="Create link", link=link, **context
    )


def _send_link(form: NewAddressForm, requested: addresses.RequestedChange, account: User) -> str:
    """Mail and return the link; for an address of another account, add a form error and return ''."""
    if requested.taken:
        addresses.cancel(user=account)
        form.add_error("email", f"Another account signs in with {requested.change.email}.")
        return ""
    mail.send_address_link(requested)
    mail.notify_change_requested(requested, account.email)
    return requested.link


def _account(request: HttpRequest, pk: int) -> User:
    if not getattr(request.user, "is_superuser", False):
        raise PermissionDenied("Only a superuser can create a link into an account.")
    return get_object_or_404(User, pk=pk)


def _record(account: User, label: str) -> None:
    LogEntry.objects.log_create(
        account, force_log=True, action=LogEntry.Action.UPDATE, changes={label: ["None", "made"]}
    )


def _page(request: HttpRequest, account: User, **context: Any) -> HttpResponse:
    context |= {"opts": User._meta, "account": account, "has_mail_server": mail.has_mail_server()}
    return TemplateResponse(request, "admin/account_link.html", {**admin.site.each_context(request), **context})
