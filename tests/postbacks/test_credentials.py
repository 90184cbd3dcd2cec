"""Saving a postback: the network checks the credential first, and neither token nor test code is stored elsewhere."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib.auth import get_user_model
from django.db import connection
from django.utils import timezone

from audience.database.encryption import decrypt, encrypt
from audience.models import Game
from postbacks.configs import credential_checks, credentials, lifecycle, upkeep
from postbacks.configs.proposed_settings import ProposedSettings
from postbacks.http import network_calls
from postbacks.models import CredentialCheck, PostbackConfig, Purpose
from postbacks.networks import NETWORKS
from postbacks.networks.reddit.imitation import ACCOUNTS as REDDIT_ACCOUNTS
from postbacks.networks.tiktok.imitation import ACCOUNTS as TIKTOK_ACCOUNTS
from postbacks.outbox.goals import trigger_settings
from postbacks.sandbox.server import Sandbox
from tests import factories

pytestmark = pytest.mark.django_db

BOTH = ["game_launch", "purchase"]
TIKTOK = {"network": "tiktok", "pixel_id": TIKTOK_ACCOUNTS.pixel, "credential": {"token": TIKTOK_ACCOUNTS.token}}
REDDIT = {"network": "reddit", "pixel_id": REDDIT_ACCOUNTS.pixel, "credential": {"token": REDDIT_ACCOUNTS.token}}


@pytest.fixture
def marketer() -> Any:
    return get_user_model().objects.create_user("marketer", "m@example.com")


@pytest.fixture
def ask(game: Game, marketer: Any) -> Callable[..., CredentialCheck]:
    """Request a check and run it as the task does; the finished check."""

    def request(**given: Any) -> CredentialCheck:
        test_code = given.pop("test_code", "")
        check = credentials.request_check(
            game=game, requested_by=marketer, proposed=ProposedSettings(**{"triggers": BOTH, **TIKTOK, **given})
        )
        credentials.run_check(check_id=str(check.pk), encrypted_test_code=encrypt(test_code) if test_code else "")
        check.refresh_from_db()
        return check

    return request


def stored_credential(table: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT credential FROM {table}")
        return [row[0] for row in cursor.fetchall()]


@pytest.mark.parametrize("kind", NETWORKS)
def test_an_accepted_check_creates_the_config(sandbox: Sandbox, ask: Any, game: Game, marketer: Any, kind: str) -> None:
    accounts = factories.ACCOUNTS[kind]
    credential, chosen = accounts.stored_credential(), trigger_settings(accounts.object_ids)
    check = ask(network=kind, pixel_id=accounts.pixel, credential=credential, **chosen, enabled=False)
    assert (check.state, check.http_status, check.finished_at is not None) == ("passed", 200, True)
    config = PostbackConfig.objects.get()
    assert (config.game, config.network, config.pixel_id) == (game, kind, accounts.pixel)
    assert {"triggers": config.triggers, "goals": config.goals} == chosen
    assert (config.enabled, config.version) == (False, 1)
    assert (config.credential, config.created_by) == (credential, marketer)
    assert (timezone.now() - config.validated_at).total_seconds() < 5
    assert stored_credential("postbacks_credentialcheck") == [""]


def test_without_a_test_code_a_harmless_event_is_sent(sandbox: Sandbox, ask: Any) -> None:
    ask()
    assert [r["body"]["data"][0]["event"] for r in sandbox.received("tiktok")] == ["Pageview"]
    assert sandbox.received("tiktok", test=True) == []


def test_a_test_code_goes_to_the_networks_test_view(sandbox: Sandbox, ask: Any) -> None:
    ask(test_code="TEST12345")
    (request,) = sandbox.received("tiktok", test=True)
    assert request["body"]["test_event_code"] == "TEST12345"
    assert sandbox.received("tiktok") == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"credential": {"token": "wrong-token"}}, "Access token is incorrect or has been revoked"),
        ({"credential": {"token": TIKTOK_ACCOUNTS.foreign_token}}, "No permission to operate pixel code"),
        ({**REDDIT, "credential": {"token": "wrong-token"}}, "UNAUTHORIZED"),
        ({**REDDIT, "pixel_id": "a2_nobodys"}, "You're not authorized to post conversions to Pixel ID a2_nobodys"),
    ],
)
def test_a_refusal_shows_the_networks_message_and_stores_no_config(
    sandbox: Sandbox, ask: Any, given: dict[str, str], said: str
) -> None:
    check = ask(**given)
    assert check.state == "refused"
    assert said in check.message
    assert PostbackConfig.objects.count() == 0
    assert stored_credential("postbacks_credentialcheck") == [""]


@pytest.mark.parametrize("fault", ["unavailable", "html_502", "rate_limited", "reset"])
def test_a_failed_connection_is_not_a_refusal(sandbox: Sandbox, ask: Any, fault: str) -> None:
    sandbox.state.add_fault("tiktok", fault, 1)
    check = ask()
    assert check.state == "unverified"
    assert "could not verify" in check.message
    assert PostbackConfig.objects.count() == 0
    assert stored_credential("postbacks_credentialcheck") == [""]


def test_a_test_code_that_the_network_repeats_is_not_stored(sandbox: Sandbox, game: Game, marketer: Any) -> None:
    """A short one too, which http.post leaves in the answer."""
    check = credentials.request_check(
        game=game, requested_by=marketer, proposed=ProposedSettings(triggers=BOTH, **{**REDDIT, "pixel_id": "a2_T77"})
    )
    credentials.run_check(check_id=str(check.pk), encrypted_test_code=encrypt("T77"))
    check.refresh_from_db()
    assert check.state == "refused"
    assert "Pixel ID a2_[hidden]" in check.message


def test_a_task_delivered_twice_makes_one_call(sandbox: Sandbox, ask: Any) -> None:
    check = ask()
    credentials.run_check(check_id=str(check.pk))
    assert len(sandbox.received("tiktok")) == 1
    assert PostbackConfig.objects.count() == 1


def test_running_a_deleted_check_does_nothing(sandbox: Sandbox) -> None:
    credentials.run_check(check_id="8d3c1e0a-0000-4000-8000-000000000000")
    assert sandbox.received("tiktok") == []


def test_the_pending_check_is_unreadable_in_the_database(game: Game) -> None:
    credentials.request_check(
        game=game, requested_by=None, proposed=ProposedSettings(triggers=BOTH, test_code="TEST12345", **TIKTOK)
    )
    (stored,) = stored_credential("postbacks_credentialcheck")
    assert stored.startswith("gAAAA")
    assert TIKTOK_ACCOUNTS.token not in stored
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(c)::text FROM postbacks_credentialcheck c")
        assert "TEST12345" not in cursor.fetchone()[0]


def test_the_task_carries_the_test_code_encrypted(
    game: Game, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(
        credential_checks.current_app, "send_task", lambda *args, **options: sent.append((args, options))
    )
    with django_capture_on_commit_callbacks(execute=True):
        check = credentials.request_check(
            game=game, requested_by=None, proposed=ProposedSettings(triggers=BOTH, test_code="TEST12345", **TIKTOK)
        )
    (((name,), options),) = sent
    assert name == "postbacks.tasks.check_credentials"
    assert options["args"][0] == str(check.pk)
    assert decrypt(options["args"][1]) == "TEST12345"
    assert "TEST12345" not in str(sent)
    assert TIKTOK_ACCOUNTS.token not in str(sent)
    assert options["retry"] is False


def test_an_unavailable_broker_does_not_fail_the_page(
    game: Game, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise credential_checks.OperationalError("connection refused")

    monkeypatch.setattr(credential_checks.current_app, "send_task", away)
    with django_capture_on_commit_callbacks(execute=True):
        check = credentials.request_check(
            game=game, requested_by=None, proposed=ProposedSettings(triggers=BOTH, **TIKTOK)
        )
    assert check.state == "pending"


def test_the_sweep_runs_a_check_whose_task_was_lost(sandbox: Sandbox, game: Game) -> None:
    fresh = credentials.request_check(game=game, requested_by=None, proposed=ProposedSettings(triggers=BOTH, **TIKTOK))
    upkeep.run_lost_checks()
    fresh.refresh_from_db()
    assert fresh.state == "pending"
    CredentialCheck.objects.update(created_at=timezone.now() - timedelta(seconds=16))
    upkeep.run_lost_checks()
    fresh.refresh_from_db()
    assert fresh.state == "passed"
    assert PostbackConfig.objects.count() == 1


def test_the_sweep_gives_up_after_five_minutes(sandbox: Sandbox, game: Game) -> None:
    check = credentials.request_check(game=game, requested_by=None, proposed=ProposedSettings(triggers=BOTH, **TIKTOK))
    CredentialCheck.objects.update(created_at=timezone.now() - timedelta(minutes=5, seconds=1))
    upkeep.run_lost_checks()
    check.refresh_from_db()
    assert (check.state, check.message) == (
        "unverified",
        "The credential could not be verified in time: nothing was saved. Try again in a minute.",
    )
    assert sandbox.received("tiktok") == []
    assert stored_credential("postbacks_credentialcheck") == [""]


def test_a_check_of_a_stored_credential_that_no_key_decrypts_says_so(game: Game, settings: Any) -> None:
    config = factories.config(game)
    settings.CREDENTIAL_KEYS = ["A" * 43 + "="]
    check = credential_checks.create(config=PostbackConfig.objects.get(pk=config.pk), purpose=Purpose.DAILY)
    credentials.run_check(check_id=str(check.pk))
    check.refresh_from_db()
    assert (check.state, check.message) == ("unverified", "The stored credential cannot be read. Enter it again.")


def test_an_answer_after_the_sweep_gave_up_changes_nothing(
    sandbox: Sandbox, game: Game, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = credentials.request_check(game=game, requested_by=None, proposed=ProposedSettings(triggers=BOTH, **TIKTOK))
    post = network_calls.post

    def slow(request: Any, **given: Any) -> Any:
        CredentialCheck.objects.update(created_at=timezone.now() - timedelta(minutes=6))
        upkeep.run_lost_checks()
        return post(request, **given)

    monkeypatch.setattr(network_calls, "post", slow)
    credentials.run_check(check_id=str(check.pk))
    check.refresh_from_db()
    assert check.state == "unverified"
    assert PostbackConfig.objects.count() == 0


def test_of_two_checks_for_one_pixel_the_second_is_refused(sandbox: Sandbox, game: Game) -> None:
    first, second = (
        credentials.request_check(game=game, requested_by=None, proposed=ProposedSettings(triggers=BOTH, **TIKTOK))
        for _ in range(2)
    )
    for check in (first, second):
        credentials.run_check(check_id=str(check.pk))
        check.refresh_from_db()
    assert (first.state, second.state) == ("passed", "refused")
    assert second.message == "This game already has a postback for this pixel. Edit that postback."
    assert PostbackConfig.objects.count() == 1


def test_a_config_deleted_meanwhile_stays_deleted(sandbox: Sandbox, game: Game) -> None:
    config = factories.config(game)
    check = lifecycle.change(
        config=config,
        changed_by=None,
        proposed=ProposedSettings.of(
            config, triggers=BOTH, enabled=True, credential={"token": TIKTOK_ACCOUNTS.rotated_token}
        ),
    )
    assert check is not None
    lifecycle.delete(config=config)
    credentials.run_check(check_id=str(check.pk))
    check.refresh_from_db()
    config.refresh_from_db()
    assert (check.state, check.message) == (
        "refused",
        "This postback was deleted by someone else, so nothing was saved.",
    )
    assert (config.credential, config.deleted_at is not None) == ({}, True)


def test_a_rotation_is_in_the_audit_log_under_its_user_and_shows_no_token(
    sandbox: Sandbox, game: Game, marketer: Any
) -> None:
    config = factories.config(game)
    check = lifecycle.change(
        config=config,
        changed_by=marketer,
        proposed=ProposedSettings.of(
            config, triggers=BOTH, enabled=True, credential={"token": TIKTOK_ACCOUNTS.rotated_token}
        ),
    )
    assert check is not None
    credentials.run_check(check_id=str(check.pk))
    entry = LogEntry.objects.get_for_object(config).filter(action=LogEntry.Action.UPDATE).get()
    assert entry.actor == marketer
    assert entry.changes["credential"] == ["•••• set", "•••• set"]
    assert entry.changes["version"] == ["1", "2"]
    everything = str(list(LogEntry.objects.values()))
    assert TIKTOK_ACCOUNTS.token not in everything
    assert TIKTOK_ACCOUNTS.rotated_token not in everything
    for token in (TIKTOK_ACCOUNTS.token, TIKTOK_ACCOUNTS.rotated_token):
        assert token[20:] not in everything


def asked_with_a_code(game: Game) -> CredentialCheck:
    return credentials.request_check(
        game=game, requested_by=None, proposed=ProposedSettings(triggers=BOTH, test_code="TEST12345", **TIKTOK)
    )


def assert_refused_unsent(check: CredentialCheck, sandbox: Sandbox) -> None:
    check.refresh_from_db()
    assert (check.state, check.http_status) == ("unverified", None)
    assert check.message == "The test code was lost and nothing was sent. Try again."
    assert sandbox.received("tiktok") == sandbox.received("tiktok", test=True) == []
    assert PostbackConfig.objects.count() == 0
    assert stored_credential("postbacks_credentialcheck") == [""]


def test_a_check_that_lost_its_test_code_sends_no_live_event_and_saves_nothing(sandbox: Sandbox, game: Game) -> None:
    check = asked_with_a_code(game)
    CredentialCheck.objects.update(created_at=timezone.now() - timedelta(seconds=16))
    upkeep.run_lost_checks()
    assert_refused_unsent(check, sandbox)


def test_a_change_that_lost_its_test_code_leaves_the_postback_as_it_was(sandbox: Sandbox, game: Game) -> None:
    config = factories.config(game)
    check = lifecycle.change(
        config=config,
        changed_by=None,
        proposed=ProposedSettings.of(config, triggers=["purchase"], enabled=False, test_code="TEST12345"),
    )
    assert check is not None
    credentials.run_check(check_id=str(check.pk))
    check.refresh_from_db()
    assert check.message == "The test code was lost and nothing was sent. Try again."
    before = (config.triggers, config.enabled, config.version)
    config.refresh_from_db()
    assert (config.triggers, config.enabled, config.version) == before
    assert sandbox.received("tiktok") == []


def test_a_test_code_that_no_key_decrypts_counts_as_lost(sandbox: Sandbox, game: Game) -> None:
    check = asked_with_a_code(game)
    credentials.run_check(check_id=str(check.pk), encrypted_test_code="gAAAAAencrypted-under-a-key-removed-since")
    assert_refused_unsent(check, sandbox)


def test_the_first_of_two_tasks_decides_whether_the_code_is_there(sandbox: Sandbox, game: Game) -> None:
    with_code, without = str(asked_with_a_code(game).pk), str(asked_with_a_code(game).pk)
    credentials.run_check(check_id=without)
    credentials.run_check(check_id=without, encrypted_test_code=encrypt("TEST12345"))
    assert sandbox.received("tiktok", test=True) == []
    credentials.run_check(check_id=with_code, encrypted_test_code=encrypt("TEST12345"))
    credentials.run_check(check_id=with_code)
    assert len(sandbox.received("tiktok", test=True)) == 1
    assert sandbox.received("tiktok") == []
    states = dict(CredentialCheck.objects.values_list("pk", "state"))
    assert {str(pk): state for pk, state in states.items()} == {with_code: "passed", without: "unverified"}


def test_a_check_whose_worker_was_killed_before_its_call_is_closed_without_one(
    sandbox: Sandbox, game: Game, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = asked_with_a_code(game)

    def killed(*_: Any, **given: Any) -> Any:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(network_calls, "post", killed)
        with pytest.raises(SystemExit):
            credentials.run_check(check_id=str(check.pk), encrypted_test_code=encrypt("TEST12345"))
    for age in (timedelta(seconds=16), timedelta(minutes=5, seconds=1)):
        CredentialCheck.objects.update(created_at=timezone.now() - age)
        upkeep.run_lost_checks()
        credentials.run_check(check_id=str(check.pk), encrypted_test_code=encrypt("TEST12345"))
    check.refresh_from_db()
    assert (check.state, check.message) == (
        "unverified",
        "The credential could not be verified in time: nothing was saved. Try again in a minute.",
    )
    assert sandbox.received("tiktok") == sandbox.received("tiktok", test=True) == []
    assert PostbackConfig.objects.count() == 0


@pytest.mark.parametrize("purpose", ["daily", "suspicion", "release"])
def test_a_lost_check_of_a_stored_credential_is_run_by_the_sweep(sandbox: Sandbox, game: Game, purpose: str) -> None:
    check = credential_checks.create(config=factories.config(game), purpose=Purpose(purpose))
    assert check.has_test_code is False
    CredentialCheck.objects.update(created_at=timezone.now() - timedelta(seconds=16))
    upkeep.run_lost_checks()
    check.refresh_from_db()
    assert check.state == "passed"
    assert [request["body"]["data"][0]["event"] for request in sandbox.received("tiktok")] == ["Pageview"]
