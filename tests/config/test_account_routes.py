"""The exact list of URLs under /accounts/, so that a new version of a library adds none."""

from django.test import Client

from tests.browser import pages

SERVED = {
    "": "account",
    "2fa/": "mfa_index",
    "2fa/authenticate/": "mfa_authenticate",
    "2fa/reauthenticate/": "mfa_reauthenticate",
    "2fa/recovery-codes/": "mfa_view_recovery_codes",
    "2fa/recovery-codes/download/": "mfa_download_recovery_codes",
    "2fa/recovery-codes/generate/": "mfa_generate_recovery_codes",
    "2fa/totp/activate/": "mfa_activate_totp",
    "2fa/totp/deactivate/": "mfa_deactivate_totp",
    "2fa/webauthn/": "mfa_list_webauthn",
    "2fa/webauthn/add/": "mfa_add_webauthn",
    "2fa/webauthn/keys/<int:pk>/edit/": "mfa_edit_webauthn",
    "2fa/webauthn/keys/<int:pk>/remove/": "mfa_remove_webauthn",
    "2fa/webauthn/login/": "mfa_login_webauthn",
    "2fa/webauthn/reauthenticate/": "mfa_reauthenticate_webauthn",
    "email/": "account_email",
    "email/<str:token>/": "address-confirm",
    "inactive/": "account_inactive",
    "invitations/<str:token>/": "invitation",
    "login/": "account_login",
    "logout/": "account_logout",
    "password/change/": "account_change_password",
    "password/reset/": "account_reset_password",
    "password/reset/done/": "account_reset_password_done",
    "password/reset/key/done/": "account_reset_password_from_key_done",
    "^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$": "account_reset_password_from_key",
    "password/set/": "account_set_password",
    "reauthenticate/": "account_reauthenticate",
    "sessions/": "usersessions_list",
    "signup/": "account_signup",
    "time-zone/": "account_time_zone",
    "tokens/": "account_tokens",
    "tokens/<int:pk>/revoke/": "account_token_revoke",
    "tokens/<int:pk>/rotate/": "account_token_rotate",
    "tokens/new/": "account_token_new",
}


def test_only_the_listed_account_pages_are_served() -> None:
    found = {route.removeprefix("accounts/"): entry.name for route, entry in pages.patterns() if "accounts/" in route}
    assert found == SERVED


def test_no_page_of_allauth_is_served_elsewhere() -> None:
    assert [
        route
        for route, entry in pages.patterns()
        if entry.callback.__module__.startswith("allauth") and not route.startswith("accounts/")
    ] == []


def test_what_allauth_would_serve_is_not_found(db: None) -> None:
    for path in ("confirm-email/", "confirm-email/x/", "login/code/", "login/code/confirm/", "3rdparty/", "2fa/trust/"):
        assert Client().get(f"/accounts/{path}").status_code == 404, path
