"""How people sign in, as Django, allauth and axes read it from the settings."""

from datetime import timedelta
from typing import Any

SETTINGS: dict[str, Any] = {
    "AUTHENTICATION_BACKENDS": [
        "axes.backends.AxesStandaloneBackend",
        "config.accounts.AddressBackend",
    ],
    "AUTH_PASSWORD_VALIDATORS": [
        {"NAME": f"django.contrib.auth.password_validation.{name}"}
        for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
    ],
    "LOGIN_URL": "account_login",
    "LOGIN_REDIRECT_URL": "/",
    "ACCOUNT_LOGIN_METHODS": {"email"},
    "ACCOUNT_SIGNUP_FIELDS": ["email*", "password1*"],
    "ACCOUNT_ADAPTER": "config.accounts.InvitedOnlyAdapter",
    "ACCOUNT_FORMS": {
        "reset_password": "config.account_forms.NewPasswordLinkForm",
        "reset_password_from_key": "config.account_forms.NewPasswordForm",
    },
    # An address is confirmed before an account gets it (audience/accounts/addresses.py), not afterwards.
    "ACCOUNT_EMAIL_VERIFICATION": "none",
    "ACCOUNT_EMAIL_SUBJECT_PREFIX": "[Afterclick] ",
    # A changed password, a passkey added or removed: the owner of the account hears of it by mail.
    "ACCOUNT_EMAIL_NOTIFICATIONS": True,
    # A stranger's mailbox is not to be told that it has no account here.
    "ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS": False,
    "ACCOUNT_REAUTHENTICATION_REQUIRED": True,
    "ACCOUNT_LOGOUT_REDIRECT_URL": "account_login",
    # Passwords are axes' to count (they survive a restart and show in the admin); `login_failed` are the codes of an
    # authenticator app, which only somebody who knows the password is asked for.
    "ACCOUNT_RATE_LIMITS": {
        "login": "60/m/ip",
        "login_failed": "10/15m/key",
        "reset_password": "20/m/ip,5/m/key",
        "change_email": "5/h/user",
    },
    "MFA_ADAPTER": "config.accounts.SealedSecondFactorAdapter",
    "MFA_FORMS": {
        "authenticate": "config.account_forms.CodeForm",
        "reauthenticate": "config.account_forms.CodeAgainForm",
    },
    "MFA_SUPPORTED_TYPES": ["totp", "webauthn", "recovery_codes"],
    "MFA_PASSKEY_LOGIN_ENABLED": True,
    "MFA_TOTP_ISSUER": "Afterclick",
    # Accounts are made by an invitation or an admin, never by whoever types a stranger's address.
    "MFA_ALLOW_UNVERIFIED_EMAIL": True,
    "AXES_FAILURE_LIMIT": 10,
    "AXES_COOLOFF_TIME": timedelta(minutes=15),
    "AXES_LOCKOUT_PARAMETERS": [["username", "ip_address"]],
    "AXES_USERNAME_FORM_FIELD": "login",
    "AXES_USERNAME_CALLABLE": "config.accounts.login_name",
    "AXES_CLIENT_IP_CALLABLE": "config.accounts.failure_address",
    # Not written down with a failure: `next` may be an invitation's link.
    "AXES_SENSITIVE_PARAMETERS": ["username", "ip_address", "login", "next", "csrfmiddlewaretoken"],
    "AXES_RESET_ON_SUCCESS": True,
    "AXES_LOCKOUT_TEMPLATE": "account/locked.html",
    "AXES_VERBOSE": False,
}
