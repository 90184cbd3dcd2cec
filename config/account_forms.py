"""Replacements for forms of allauth that use its EmailAddress table or accept a code twice."""

from typing import Any

from allauth.account.forms import ResetPasswordForm, ResetPasswordKeyForm
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm

from audience.accounts import addresses, second_factor
from audience.accounts.audit_log import set_actor


class NewPasswordLinkForm(ResetPasswordForm):  # type: ignore[misc]  # allauth ships no types
    """Requests the link, which is mailed to the address stored with the account."""

    def clean_email(self) -> str:
        self.users = [user for user in addresses.find_accounts(self.cleaned_data["email"]) if user.is_active]
        return addresses.normalize(self.cleaned_data["email"])


class NewPasswordForm(ResetPasswordKeyForm):  # type: ignore[misc]  # allauth ships no types
    """Sets the password after a mailed link; the audit log names the account as the actor."""

    def save(self) -> None:
        set_actor(self.user)
        super().save()


class SingleUseCode:
    """Mixin: a code of an authenticator app is accepted once over all processes."""

    def clean_code(self: Any) -> str:
        code: str = super().clean_code()  # type: ignore[misc]
        if not second_factor.use_code(self.authenticator, code):
            raise get_adapter().validation_error("incorrect_code")
        return code


class SignInCodeForm(SingleUseCode, AuthenticateForm):  # type: ignore[misc]  # allauth ships no types
    """The second step of signing in."""


class ReauthenticationCodeForm(SingleUseCode, ReauthenticateForm):  # type: ignore[misc]  # allauth ships no types
    """The code before a change of the account."""
