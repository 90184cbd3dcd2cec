"""The mails about a change of address: a link to the new address, a notice to the old one."""

from django.conf import settings
from django.urls import reverse

from audience.accounts.addresses import RequestedChange
from audience.accounts.mail import send_mail


def send_link(requested: RequestedChange) -> bool:
    """Mail the link to the new address; if another account has that address, a notice without the link.

    Like the other functions here, returns False if the mail was not sent.
    """
    template = "address_taken" if requested.taken else "address_confirm"
    return send_mail(
        requested.change.email, "Confirm your address", template, change=requested.change, link=link(requested)
    )


def notify_requested(requested: RequestedChange, address: str) -> bool:
    """Notify the present address that a change was requested."""
    return send_mail(address, "A new address was asked for", "address_asked", change=requested.change)


def notify_changed(*, before: str, after: str) -> bool:
    """Notify the previous address that the account has a new one."""
    return send_mail(before, "Your address was changed", "address_changed", before=before, after=after)


def link(requested: RequestedChange) -> str:
    """Return the URL that confirms the change, under PUBLIC_URL whatever the request's Host header is."""
    return str(settings.PUBLIC_URL) + reverse("address-confirm", kwargs={"token": requested.token})
