"""The settings of Django, allauth and axes for signing in."""

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
    # An address is confirmed before an account gets it (audience/accounts/addresses.py), not afterward.
    "ACCOUNT_EMAIL_VERIFICATION": "none",
    "ACCOUNT_EMAIL_SUBJECT_PREFIX": "[Afterclick] ",
    # Mail the owner when the password or a second factor changes.
    "ACCOUNT_EMAIL_NOTIFICATIONS": True,
    # No mail to addresses without an account.
    "ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS": False,
    "ACCOUNT_REAUTHENTICATION_REQUIRED": True,
    "ACCOUNT_LOGOUT_REDIRECT_URL": "account_login",
    # Failed passwords are counted by axes, in the database. `login_failed` limits codes of an authenticator app, which
    # follow a correct password.
    "ACCOUNT_RATE_LIMITS": {
        "login": "60/m/ip",
        "login_failed": "10/15m/key",
        "reset_password": "20/m/ip,5/m/key",
        "change_email": "5/h/user",
    },
    "MFA_ADAPTER": "config.accounts.EncryptedSecondFactorAdapter",
    "MFA_FORMS": {
        "authenticate": "config.account_forms.SignInCodeForm",
        "reauthenticate": "config.account_forms.ReauthenticationCodeForm",
    },
    "MFA_SUPPORTED_TYPES": ["totp", "webauthn", "recovery_codes"],
    "MFA_PASSKEY_LOGIN_ENABLED": True,
    "MFA_TOTP_ISSUER": "Afterclick",
    # Safe because `User.email` is always confirmed (audience/accounts/addresses.py).
    "MFA_ALLOW_UNVERIFIED_EMAIL": True,
    "AXES_FAILURE_LIMIT": 10,
    "AXES_COOLOFF_TIME": timedelta(minutes=15),
    "AXES_LOCKOUT_PARAMETERS": [["username", "ip_address"]],
    "AXES_USERNAME_FORM_FIELD": "login",
    "AXES_USERNAME_CALLABLE": "config.accounts.login_name",
    "AXES_CLIENT_IP_CALLABLE": "config.accounts.failure_address",
    # Not stored with a failure: `next` may be an invitation's link.
    "AXES_SENSITIVE_PARAMETERS": ["username", "ip_address", "login", "next", "csrfmiddlewaretoken"],
    "AXES_RESET_ON_SUCCESS": True,
    "AXES_LOCKOUT_TEMPLATE": "account/locked.html",
    "AXES_VERBOSE": False,
}
