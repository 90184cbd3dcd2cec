"""The actions of postbacks in the Django admin, each through the function of the Hub, after a confirmation."""

from datetime import timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib.admin.models import LogEntry as HistoryEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from audience.models import Erasure, FailedWork, Game
from audience.models.erasure import subject_hash
from postbacks.configs import credentials, hold, lifecycle
from postbacks.models import ConfigVersion, CredentialCheck, Delivery, PostbackConfig
from postbacks.networks.tiktok.imitation import ACCOUNTS as TIKTOK_ACCOUNTS
from postbacks.sandbox.server import Sandbox
from tests import factories, hub

pytestmark = pytest.mark.django_db
POSTBACKS = "/admin/postbacks/postbackconfig/"
NEW_TOKEN = TIKTOK_ACCOUNTS.rotated_token
# Action -> the fields of its confirmation page.
ACTIONS: dict[str, dict[str, str]] = {
    "enable": {},
    "disable": {},
    "put_on_hold": {"note": "Wrong campaign"},
    "release": {},
    "check_credential": {},
    "rotate": {"token": NEW_TOKEN},
    "roll_back": {},
}


@pytest.fixture
def root() -> Client:
    return hub.signed_in(hub.user("root", is_staff=True, is_superuser=True))


def asked(client: Client, action: str, *rows: PostbackConfig) -> str:
    """The confirmation page."""
    chosen = {"action": action, "_selected_action": [row.pk for row in rows]}
    return client.post(POSTBACKS, chosen).content.decode()


def acted(client: Client, action: str, *rows: PostbackConfig, **fields: str) -> Any:
    """The answer to the confirmed action."""
    chosen = {"action": action, "_selected_action": [row.pk for row in rows], "confirmed": "yes"}
    return client.post(POSTBACKS, {**chosen, **fields})


def messages(client: Client) -> list[str]:
    return [str(message) for message in client.get(POSTBACKS).context["messages"]]


def answer_checks() -> None:
    for check in CredentialCheck.objects.pending():
        credentials.run_check(check_id=str(check.pk))


def last_entry() -> Any:
    return LogEntry.objects.filter(content_type__model="postbackconfig").order_by("-pk")[0]


def test_a_confirmation_counts_what_is_not_sent_and_changes_nothing(config: PostbackConfig, root: Client) -> None:
    other = factories.config(config.game, pixel_id="D" * 20)
    factories.delivery(config)
    factories.delivery(config)
    page = asked(root, "disable", config, other)
    assert "Nothing is sent while a postback is disabled" in page
    assert f"{config}: 2 conversions are waiting; they will not be sent." in page
    assert f"{other}: no conversions are waiting or on hold." in page
    assert not PostbackConfig.objects.filter(enabled=False).exists()


def test_a_postback_is_disabled_and_enabled(config: PostbackConfig, root: Client) -> None:
    factories.delivery(config)
    acted(root, "disable", config)
    assert messages(root) == [
        f"{config}: The postback is disabled. 1 conversion is waiting; it will not be sent.",
    ]
    entry = last_entry()
    assert (entry.changes["enabled"], entry.actor.username) == (["True", "False"], "root")
    assert entry.additional_data == {"game": config.game_id}
    acted(root, "enable", config)
    assert messages(root) == [f"{config}: The postback is enabled."]
    versions = ConfigVersion.objects.filter(config=config).order_by("number")
    assert list(versions.values_list("change", "set_by__username")) == [("Disabled", "root"), ("Enabled", "root")]
    history = HistoryEntry.objects.order_by("pk").values_list("change_message", flat=True)
    assert list(history)[1] == "The postback is enabled."


def test_a_postback_is_put_on_hold_with_a_reason_and_released(config: PostbackConfig, root: Client) -> None:
    factories.delivery(config)
    assert "1 conversion waits now" in asked(root, "put_on_hold", config)
    acted(root, "put_on_hold", config, note="Wrong campaign")
    assert messages(root) == [f"{config}: The postback is on hold. 1 conversion waits until a user releases it."]
    config.refresh_from_db()
    assert (config.held_for, config.held_message) == ("user", "A user put this postback on hold: “Wrong campaign”.")
    assert Delivery.objects.get().state == "held"

    assert "without a check of the credential" in asked(root, "release", config)
    acted(root, "release", config)
    assert messages(root) == [f"{config}: The postback was released. 1 conversion is sent now."]
    config.refresh_from_db()
    assert (config.held_at, Delivery.objects.get().state) == (None, "waiting")
    assert (set(last_entry().changes), last_entry().actor.username) == ({"held_at"}, "root")


def test_a_check_has_a_page_with_its_result_and_ends_a_hold(
    sandbox: Sandbox, config: PostbackConfig, root: Client
) -> None:
    hold.hold(config=config, access="token", message="Revoked.")
    answer = acted(root, "check_credential", config)
    check = CredentialCheck.objects.get()
    assert (check.purpose, check.requested_by and check.requested_by.username) == ("release", "root")
    assert answer["Location"] == f"/admin/postbacks/credentialcheck/{check.pk}/change/"
    page = root.get(answer["Location"]).content.decode()
    assert "Reload this page" in page
    answer_checks()
    page = root.get(answer["Location"]).content.decode()
    assert "Accepted" in page
    assert "Reload this page" not in page
    config.refresh_from_db()
    assert config.held_at is None


def test_a_credential_is_rotated_after_its_check_and_rolled_back(
    sandbox: Sandbox, config: PostbackConfig, root: Client
) -> None:
    page = asked(root, "rotate", config)
    assert TIKTOK_ACCOUNTS.token not in page
    assert "Leave blank to keep the stored one." in page
    name = config.kind.credential_fields[0].form_name
    answer = acted(root, "rotate", config, **{name: NEW_TOKEN})
    assert answer["Location"].startswith("/admin/postbacks/credentialcheck/")
    config.refresh_from_db()
    assert config.credential["token"] == TIKTOK_ACCOUNTS.token
    answer_checks()
    config.refresh_from_db()
    assert config.credential["token"] == NEW_TOKEN
    assert last_entry().actor.username == "root"
    written = str([*HistoryEntry.objects.values(), *LogEntry.objects.values(), *CredentialCheck.objects.values()])
    assert (NEW_TOKEN in written, NEW_TOKEN in root.get(answer["Location"]).content.decode()) == (False, False)

    acted(root, "roll_back", config)
    answer_checks()
    config.refresh_from_db()
    assert config.credential["token"] == TIKTOK_ACCOUNTS.token


def test_an_invalid_credential_is_not_checked_and_not_shown(config: PostbackConfig, root: Client) -> None:
    name = config.kind.credential_fields[0].form_name
    page = acted(root, "rotate", config, **{name: "with a space"}).content.decode()
    assert "Nothing was done. Correct the fields below." in page
    assert "with a space" not in page
    acted(root, "rotate", config, **{name: ""})
    assert messages(root) == [f"{config}: Nothing was entered, so the credential is unchanged."]
    other = factories.config(config.game, pixel_id="D" * 20)
    acted(root, "rotate", config, other, **{name: NEW_TOKEN})
    assert messages(root) == ["Select one row."]
    assert not CredentialCheck.objects.exists()


def test_what_the_service_refuses_is_a_message(config: PostbackConfig, root: Client) -> None:
    acted(root, "release", config)
    acted(root, "roll_back", config)
    assert messages(root) == [
        f"{config}: This postback is not on hold.",
        f"{config}: The previous credential is no longer stored. Enter the credential to use.",
    ]
    lifecycle.delete(config=config)
    name = config.kind.credential_fields[0].form_name
    for action, fields in ACTIONS.items():
        acted(root, action, config, **({name: NEW_TOKEN} if action == "rotate" else fields))
        said = messages(root)
        assert len(said) == 1, action
        assert "was deleted" in said[0] or "cannot be read" in said[0], action
    assert not CredentialCheck.objects.exists()


def test_a_row_that_is_gone_is_a_message(config: PostbackConfig, root: Client) -> None:
    acted(root, "rotate", PostbackConfig())
    assert messages(root) == ["The selected rows no longer exist, or the filter no longer matches them."]


def test_the_view_permission_allows_no_action(config: PostbackConfig) -> None:
    person: Any = hub.user("operator", is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename="view_postbackconfig"))
    client = hub.signed_in(person)
    before = PostbackConfig.objects.values().get()
    for action, fields in ACTIONS.items():
        acted(client, action, config, **fields)
    assert (PostbackConfig.objects.values().get(), CredentialCheck.objects.exists()) == (before, False)
    assert "Put on hold" not in client.get(f"{POSTBACKS}{config.pk}/change/").content.decode()


def test_the_page_of_a_postback_has_every_action(config: PostbackConfig, root: Client) -> None:
    page = root.get(f"{POSTBACKS}{config.pk}/change/").content.decode()
    assert [action for action in ACTIONS if f'name="action" value="{action}"' not in page] == []


def test_a_failed_erasure_is_tried_again(game: Game, root: Client) -> None:
    failed, waiting = (
        Erasure.objects.create(game=game, namespace="user", subject_hash=subject_hash(game.pk, name))
        for name in ("ada", "bob")
    )
    now = timezone.now()
    work = FailedWork.objects.create(
        game=game, queue="erasure", row=str(failed.pk), attempts=8, set_aside_at=now, next_attempt_at=now
    )
    url = "/admin/audience/erasure/"
    chosen = {"action": "try_again", "_selected_action": [failed.pk, waiting.pk]}
    assert "Only erasures that failed are tried again" in root.post(url, chosen).content.decode()
    answer = root.post(url, {**chosen, "confirmed": "yes"}, follow=True)
    assert [str(message) for message in answer.context["messages"]] == ["Queued again: 1."]
    work.refresh_from_db()
    assert (work.attempts, work.set_aside_at) == (0, None)
    assert work.next_attempt_at - now < timedelta(minutes=1)
    entry = LogEntry.objects.get(changes__has_key="set-aside work")
    assert (entry.changes, entry.actor.username) == ({"set-aside work": ["1", "tried again"]}, "root")
