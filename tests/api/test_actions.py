"""Every act that a page of the Hub or the admin offers, beside its operation of the management API.

An act that is added to a page fails here until it has an operation or a reason for having none.
"""

from typing import Any

from django.contrib import admin
from django.test import RequestFactory

from audience.hub.urls import account_urls
from audience.hub.urls import urlpatterns as audience_pages
from audience.models import Role
from postbacks.hub.urls import urlpatterns as postback_pages
from tests import hub
from tests.api.operations import routed

ROUTED = {one.name: one for one in routed()}

# {URL name of a page that takes POST: operations}
PAGES: dict[str, tuple[str, ...]] = {
    "game-new": ("games_create",),
    "rejection-replay": ("rejections_replay",),
    "person-erase": ("erasures_create",),
    "erase": ("erasures_create",),
    "suppression-lift": ("suppressions_destroy",),
    "key-new": ("keys_create",),
    "key-change": ("keys_partial_update",),
    "key-rename": ("keys_partial_update",),
    "key-rotate": ("keys_rotate",),
    "key-revoke": ("keys_revoke",),
    "token-new": ("tokens_create",),
    "token-rotate": ("tokens_rotate",),
    "token-revoke": ("tokens_revoke",),
    "member-invite": ("invitations_create",),
    "member-role": ("members_partial_update",),
    "member-remove": ("members_destroy",),
    "invitation-resend": ("invitations_resend",),
    "invitation-link": ("invitations_link",),
    "invitation-revoke": ("invitations_revoke",),
    "consent": ("consent_settings_partial_update",),
    "joins-settings": ("join_settings_partial_update",),
    "retention": ("retention_settings_partial_update",),
    "settings-general": ("games_partial_update",),
    "settings-reports": ("report_settings_partial_update",),
    "settings-rates": ("exchange_rates_update", "exchange_rates_partial_update"),
    "settings-attribution": ("attribution_settings_partial_update",),
    "ad-clicks": ("ad_click_settings_partial_update",),
    "set-aside-retry": ("health_retry",),
    "cost-upload": ("costs_create",),
    "cost-delete": ("costs_destroy",),
    "steam-upload": ("steam_numbers_create",),
    "steam-delete": ("steam_numbers_destroy",),
    "alert-choice": ("alert_choice_update",),
    "hook-add": ("alert_hooks_create",),
    "hook-change": ("alert_hooks_partial_update",),
    "hook-rotate": ("alert_hooks_rotate",),
    "hook-enable": ("alert_hooks_enable",),
    "hook-disable": ("alert_hooks_disable",),
    "hook-test": ("alert_hooks_send_test",),
    "hook-delete": ("alert_hooks_destroy",),
    "privacy-export": ("people_export",),
    "catalog-describe": ("catalog_event_update",),
    "catalog-forget": ("catalog_event_destroy",),
    "link-add": ("links_create",),
    "link-edit": ("links_partial_update",),
    "link-archive": ("links_archive",),
    "link-restore": ("links_restore",),
    "goal-add": ("goals_create",),
    "goal-edit": ("goals_partial_update",),
    "goal-delete": ("goals_destroy",),
    "postback-add": ("postbacks_create",),
    "postback-edit": ("postbacks_partial_update", "postbacks_rotate"),
    "postback-enable": ("postbacks_resume",),
    "postback-disable": ("postbacks_pause",),
    "postback-hold": ("postbacks_hold",),
    "postback-release": ("postbacks_release",),
    "postback-try-now": ("postbacks_try_now",),
    "postback-recheck": ("postbacks_check_credential",),
    "postback-roll-back": ("postbacks_roll_back",),
    "postback-delete": ("postbacks_destroy",),
    "request-preview": ("postbacks_preview_proposed",),
    "dry-run-new": ("postbacks_dry_run_proposed",),
    "dry-run": ("postbacks_dry_run_proposed",),
    "test-conversion": ("postbacks_send_test",),
    "replay-start": ("replays_create",),
    "replay-cancel": ("replays_cancel",),
    "delivery-send-again": ("deliveries_retry",),
    "delivery-try-now": ("deliveries_try_now",),
}
# {URL name: why there is no operation}
PAGES_WITHOUT = {
    "guide-key": "the guide creates a key with fixed values; keys_create creates any",
    "cost-columns": "a step of the upload: a program states its columns in costs_create",
    "goal-row": "fills the form of a postback and changes nothing",
    "account_time_zone": "how pages show times to an account; answers have UTC",
    "account_token_new": "a token must not create a token of its member",
    "account_token_rotate": "a token must not create a token of its member",
    "account_token_revoke": "sign-in data of an account is changed by the account only",
    "account_email": "sign-in data of an account is changed by the account only",
    "address-confirm": "opened by a mailed link",
    "invitation": "opened by a mailed link",
}
# Pages whose role is another than that of the operation, and why.
OTHER_ROLES = {
    "dry-run": "the operation takes settings of either kind",
}
# {admin action or "Model.add": operations}
ADMIN: dict[str, tuple[str, ...]] = {
    "ApiKey.add": ("keys_create",),
    "ApiKey.change": ("keys_partial_update",),
    "ApiKey.rotate": ("keys_rotate",),
    "ApiKey.revoke": ("keys_revoke",),
    "ApiToken.revoke": ("tokens_revoke",),
    "Batch.digest_again": ("health_retry",),
    "FailedWork.try_again": ("health_retry",),
    "Delivery.send_again": ("deliveries_retry",),
    "Erasure.try_again": ("erasures_retry",),
    "Person.erase": ("erasures_create",),
    "Game.add": ("games_create",),
    "Game.change": ("games_partial_update",),
    "Invitation.send_again": ("invitations_resend",),
    "Invitation.revoke": ("invitations_revoke",),
    "Membership.change_role": ("members_partial_update",),
    "Membership.remove": ("members_destroy",),
    "PostbackConfig.enable": ("postbacks_resume",),
    "PostbackConfig.disable": ("postbacks_pause",),
    "PostbackConfig.put_on_hold": ("postbacks_hold",),
    "PostbackConfig.release": ("postbacks_release",),
    "PostbackConfig.check_credential": ("postbacks_check_credential",),
    "PostbackConfig.rotate": ("postbacks_rotate",),
    "PostbackConfig.roll_back": ("postbacks_roll_back",),
}
INSTALLATION = "about the installation and not a game"
ADMIN_WITHOUT = {
    "Membership.add": "by the API, members are invited",
    "Membership.delete": "the same as the action that removes a member",
    **dict.fromkeys(
        ("User.add", "User.change", "User.delete", "Group.add", "Group.change", "Group.delete"), INSTALLATION
    ),
    **dict.fromkeys(("Authenticator.delete", "UserSession.delete", "AddressChange.delete"), INSTALLATION),
    **dict.fromkeys(("AccountSettings.delete", "SignInPace.delete"), INSTALLATION),
    **dict.fromkeys(
        ("AccessAttempt.change", "AccessAttempt.delete", "AccessAttempt.cleanup_expired_attempts"), INSTALLATION
    ),
    **dict.fromkeys(("AccessFailureLog.change", "AccessFailureLog.delete"), INSTALLATION),
    **dict.fromkeys(("AccessLog.change", "AccessLog.delete"), INSTALLATION),
}
# Pages without `methods`, which only read.
READING = {"account", "account_tokens", "games", "help", "help-source", "help-page", "llms", "imitations"}


def pages() -> dict[str, Any]:
    """{URL name: view} of the pages that take POST."""
    found = {}
    for pattern in [*account_urls, *audience_pages, *postback_pages]:
        methods = getattr(pattern.callback, "methods", None)
        if "POST" in (methods or ()) or (methods is None and pattern.name not in READING):
            found[str(pattern.name)] = pattern.callback
    return found


def admin_acts() -> set[str]:
    request = RequestFactory().get("/")
    request.user = hub.user("root", is_superuser=True, is_staff=True)  # type: ignore[attr-defined]
    found = set()
    for model, model_admin in admin.site._registry.items():
        names = [getattr(action, "__name__", action) for action in model_admin.actions or ()]
        for act in ("add", "change", "delete"):
            names += [act] if getattr(model_admin, f"has_{act}_permission")(request) else []
        found |= {f"{model.__name__}.{name}" for name in names}
    return found


def test_every_act_of_a_page_has_an_operation_or_a_reason_for_having_none() -> None:
    assert set(pages()) == {*PAGES, *PAGES_WITHOUT}
    assert not set(PAGES) & set(PAGES_WITHOUT)


def test_every_act_of_the_admin_has_an_operation_or_a_reason_for_having_none(db: None) -> None:
    assert admin_acts() == {*ADMIN, *ADMIN_WITHOUT}


def test_every_operation_of_the_table_exists() -> None:
    named = {name for names in (*PAGES.values(), *ADMIN.values()) for name in names}
    assert named - set(ROUTED) == set()


def test_every_change_by_the_api_is_offered_by_a_page_or_the_admin() -> None:
    named = {name for names in (*PAGES.values(), *ADMIN.values()) for name in names}
    changes = {one.name for one in ROUTED.values() if one.method != "GET"}
    assert changes - named == {"consent_update", "validate_create"}  # pages show consent, and validate nothing


def test_an_operation_requires_the_role_of_its_page() -> None:
    views = pages()
    roles = {
        name: (getattr(views[name], "role", None), ROUTED[operation].operation.role)
        for name, operations in PAGES.items()
        for operation in operations
    }
    different = {name: found for name, found in roles.items() if found[0] != found[1]}
    assert set(different) <= {*OTHER_ROLES, "game-new"}, different
    assert different["game-new"] == (None, None) if "game-new" in different else True
    assert all(isinstance(role, Role) for name, (role, _) in roles.items() if name != "game-new")
