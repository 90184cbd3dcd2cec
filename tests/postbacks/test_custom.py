"""A postback to a custom URL, from saving to delivery, over sockets to its imitation."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from audience.models import Conversion, Game
from consent.decisions import record_decision
from consent.models import Level
from postbacks import erasure
from postbacks.configs import credentials, lifecycle, upkeep
from postbacks.configs.proposed_settings import ProposedSettings
from postbacks.configs.rules import SettingsRefused
from postbacks.delivery import replays, sending
from postbacks.models import CredentialCheck, Delivery, DeliveryAttempt, Flow, PostbackConfig
from postbacks.monitoring.health.evaluation import evaluate_configs
from postbacks.networks.custom.answers import REDIRECT
from postbacks.networks.custom.imitation import ACCOUNTS, PATH
from postbacks.outbox import fan_out
from postbacks.reporting import audit
from postbacks.sandbox.server import Sandbox
from tests import factories

pytestmark = pytest.mark.django_db
BOTH = ["game_launch", "purchase"]


@pytest.fixture
def config(game: Game) -> PostbackConfig:
    row = factories.config(game, network="custom")
    row.versions.create(
        number=1, triggers=BOTH, enabled=True, click_parameters=row.click_parameters, set_at=row.created_at
    )
    return row


def saved(game: Game, *, test_code: str = "", config: PostbackConfig | None = None, **parts: str) -> CredentialCheck:
    """Ask for a check as the form does, and run it as the worker does."""
    proposed = ProposedSettings(
        network="custom",
        pixel_id=parts.pop("pixel_id", ACCOUNTS.pixel),
        triggers=BOTH,
        credential={**ACCOUNTS.credential, **parts},
        test_code=test_code,
    )
    check = credentials.request_check(game=game, proposed=proposed, requested_by=None, config=config)
    credentials.run_check(check_id=str(check.pk))
    check.refresh_from_db()
    return check


def bought(config: PostbackConfig, *, parameter: str = "irclickid", network: str = "other", **given: Any) -> Conversion:
    player = factories.person(config.game, anonymous="anon-1", user="user-1", traits={"email": "ada@example.com"})
    click = factories.touch(player, network=network, parameter=parameter, click_id="click-1")
    properties = {"value": 9.99, "currency": "USD", "transaction_id": "order-1"}
    return factories.conversion(player, touch=click, **{"properties": properties, **given})


def sent() -> None:
    fan_out.fan_out_due()
    sending.drain(network="custom", max_in_flight=1)


def delivery() -> Delivery:
    return Delivery.objects.get(config__network="custom")


# Saving --------------------------------------------------------------------------------------------


def test_a_url_that_answers_is_saved_with_its_click_parameters(sandbox: Sandbox, game: Game) -> None:
    check = saved(game, click_parameters="IrClickId, my_click")
    assert (check.state, check.message) == ("passed", "The server accepted the test event of partner-1.")
    config = PostbackConfig.objects.get()
    assert config.click_parameters == ["irclickid", "my_click"]
    assert config.versions.get().click_parameters == ["irclickid", "my_click"]
    (request,) = sandbox.received("custom")
    assert (request["path"], request["body"]["event"]) == (PATH, "afterclick-check")
    assert request["headers"]["Authorization"] == f"Bearer {ACCOUNTS.token}"


@pytest.mark.parametrize(
    ("parts", "fault", "state", "sentence"),
    [
        ({"token": "wrong"}, "", "refused", "The server denied access (“Unknown token”)"),
        ({"token": ACCOUNTS.foreign_token}, "", "refused", "The server denied access (“No access"),
        ({"pixel_id": "somebody"}, "", "refused", "The server denied access (“No access to account"),
        ({}, "bad_request", "refused", "The server refused the test event (“Unknown click ID”). Check the URL,"),
        ({}, "unavailable", "unverified", "The server could not verify the request now (“Try again later”): nothing"),
        (
            {},
            "redirect",
            "unverified",
            "The server could not verify the request now (“The server responded with a redirect",
        ),
        ({"success_path": "status=ok"}, "refused_as_200", "refused", "The server refused the test event"),
        ({"success_path": "status=ok"}, "page_as_200", "unverified", "The server could not verify the request now"),
    ],
)
def test_nothing_is_saved_unless_the_server_accepts_the_test_event(
    sandbox: Sandbox, game: Game, parts: dict[str, str], fault: str, state: str, sentence: str
) -> None:
    if fault:
        sandbox.state.add_fault("custom", fault, 1)
    check = saved(game, **parts)
    assert check.state == state
    assert check.message.startswith(sentence)
    assert PostbackConfig.objects.count() == 0


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://partner.example/x", "it must start with https://"),
        ("https://127.0.0.1/x", "this address is not on the public internet"),
        ("https://10.0.0.7/x?c={click_id}", "this address is not on the public internet"),
        ("https://user:pass@partner.example/", "it must not contain a user name or password"),
        ("https://localhost/x", "this address is not on the public internet"),
    ],
)
def test_only_public_https_addresses_are_taken(game: Game, url: str, reason: str) -> None:
    with pytest.raises(SettingsRefused, match=f"^This address cannot be called: {reason}"):
        saved(game, url=url)
    assert CredentialCheck.objects.count() == 0


def test_a_host_inside_the_network_is_called_if_the_operator_allows_it(
    settings: Any, sandbox: Sandbox, game: Game
) -> None:
    """Its own address, and not that of CUSTOM_API_URL."""
    settings.NETWORK_URLS = {**settings.NETWORK_URLS, "custom": "https://{host}"}
    settings.POSTBACK_PRIVATE_HOSTS = frozenset({"127.0.0.1"})
    assert saved(game, url=f"{sandbox.url}{PATH}").state == "passed"
    settings.POSTBACK_PRIVATE_HOSTS = frozenset()
    row = PostbackConfig.objects.get()
    bought(row)
    sent()
    row.refresh_from_db()
    attempt = DeliveryAttempt.objects.get()
    assert attempt.message.startswith("Not sent: this address is not on the public internet.")
    assert (attempt.verdict, row.suspected_at is not None, delivery().state) == ("credential", True, "waiting")
    assert len(sandbox.received("custom")) == 1, "only the check"


def test_a_secret_that_the_server_repeats_is_not_stored(settings: Any, sandbox: Sandbox, game: Game) -> None:
    settings.NETWORK_URLS = {**settings.NETWORK_URLS, "custom": "https://{host}"}
    settings.POSTBACK_PRIVATE_HOSTS = frozenset({"127.0.0.1"})
    sandbox.state.add_fault("custom", "forbidden", 1)
    secret = "canary-secret-5521"
    check = saved(game, url=f"{sandbox.url}{PATH}", body='{"account": "{secret}"}', token=secret)
    assert "canary" not in check.message
    assert "[hidden]" in check.message


# Delivery ------------------------------------------------------------------------------------------


def test_a_purchase_is_delivered_as_the_template_says(sandbox: Sandbox, config: PostbackConfig) -> None:
    conversion = bought(config)
    sent()
    row = delivery()
    assert (row.state, row.attempts_made) == ("delivered", 1)
    (request,) = sandbox.received("custom")
    assert request["body"] == {
        "account": "partner-1",
        "event": "purchase",
        "click_id": "click-1",
        "event_id": row.event_id,
        "time": int(conversion.event_at.timestamp()),
        "value": 9.99,
        "currency": "USD",
        "order_id": "order-1",
        "player": {
            "id": "user-1",
            "email": "b5fc85e55755f9e0d030a10ab4429b6b2944855f9a0d60077fe832becbc41d72",
            "ip": "203.0.113.7",
        },
    }
    attempt = row.attempts.get()
    assert (attempt.status, attempt.http_status, attempt.message) == ("success", 200, "Recorded")
    assert attempt.payload == {
        "method": "POST",
        "url": "https://partner.example/conversions",
        "body": request["body"],
    }


def test_a_launch_is_delivered_without_the_fields_that_it_lacks(sandbox: Sandbox, config: PostbackConfig) -> None:
    bought(config, trigger="game_launch", properties={})
    sent()
    (request,) = sandbox.received("custom")
    assert (delivery().state, request["body"]["event"]) == ("delivered", "game_launch")
    assert [name for name in ("value", "currency", "order_id", "test") if name in request["body"]] == []


def test_a_get_request_is_logged_with_its_query(sandbox: Sandbox, config: PostbackConfig) -> None:
    url = "https://trc.taboola.com/s2s-action?click-id={click_id}&name={event}&key={secret}&x={user_id}"
    parts = {"method": "GET", "url": url, "click_parameters": "irclickid", "token": ACCOUNTS.token}
    PostbackConfig.objects.update(credential=parts)
    conversion = bought(config)
    conversion.person.identities.all().delete()
    sent()
    attempt = delivery().attempts.get()
    assert attempt.payload == {
        "method": "GET",
        "url": "https://trc.taboola.com/s2s-action",
        "query": {"click-id": "click-1", "name": "purchase", "key": "********"},
    }
    (request,) = sandbox.received("custom")
    assert (request["method"], request["path"]) == ("GET", "/custom/trc.taboola.com/s2s-action")


def test_a_goal_sends_its_own_name(sandbox: Sandbox, config: PostbackConfig) -> None:
    goal = {"event": "level_up", "sent_as": "21", "once": False, "condition": None}
    PostbackConfig.objects.update(goals=[goal])
    bought(config, trigger="level_up", properties={})
    sent()
    assert [request["body"]["event"] for request in sandbox.received("custom")] == ["21"]


@pytest.mark.parametrize(
    ("fault", "state", "status", "line", "health"),
    [
        ("bad_request", "failed", "failed", (400, "Unknown click ID"), "degraded"),
        ("rate_limited", "waiting", "retried", (429, "Too many requests"), "rate_limited"),
        ("unavailable", "waiting", "retried", (503, "Try again later"), "retrying"),
        ("redirect", "waiting", "retried", (302, REDIRECT), "retrying"),
        ("unauthorized", "waiting", "failed", (401, "Unknown token"), "credential_problem"),
        ("forbidden", "waiting", "failed", (403, "No access to account partner-1"), "credential_problem"),
    ],
)
def test_an_answer_ends_in_its_state_with_a_line_in_the_log_and_a_health(
    sandbox: Sandbox,
    config: PostbackConfig,
    fault: str,
    state: str,
    status: str,
    line: tuple[int, str],
    health: str,
) -> None:
    bought(config)
    sandbox.state.add_fault("custom", fault, 1)
    sent()
    attempt = DeliveryAttempt.objects.get()
    assert (delivery().state, attempt.status) == (state, status)
    assert (attempt.http_status, attempt.provider_code, attempt.message) == (line[0], str(line[0]), line[1])
    found = evaluate_configs([config])[config.pk]
    assert found.health.value == health


@pytest.mark.parametrize(("fault", "state"), [("refused_as_200", "failed"), ("page_as_200", "waiting")])
def test_what_counts_as_success_is_read_from_the_answer(
    sandbox: Sandbox, config: PostbackConfig, fault: str, state: str
) -> None:
    PostbackConfig.objects.update(credential={**ACCOUNTS.credential, "success_path": "status=ok"})
    bought(config)
    sandbox.state.add_fault("custom", fault, 1)
    sent()
    assert delivery().state == state


def test_a_postback_of_another_game_with_the_same_name_has_its_own_pauses(
    sandbox: Sandbox, config: PostbackConfig
) -> None:
    other = factories.config(factories.game(), network="custom")
    sandbox.state.add_fault("custom", "rate_limited", 1)
    bought(config)
    sent()
    bought(other)
    sent()
    assert sorted(Flow.objects.values_list("pixel_id", flat=True)) == sorted([str(config.pk), str(other.pk)])
    assert set(Delivery.objects.values_list("config", "state")) == {(config.pk, "waiting"), (other.pk, "delivered")}


# Credentials ---------------------------------------------------------------------------------------


def test_a_refused_secret_holds_the_postback_and_a_rotation_releases_it(
    sandbox: Sandbox, config: PostbackConfig
) -> None:
    bought(config)
    sandbox.state.revoke("custom", ACCOUNTS.token, revoked=True)
    sent()
    for check in CredentialCheck.objects.pending():
        credentials.run_check(check_id=str(check.pk))
    config.refresh_from_db()
    assert (config.held_for, delivery().state) == ("token", "held")
    proposed = ProposedSettings.of(config, credential={"token": ACCOUNTS.rotated_token})
    assert lifecycle.change(config=config, changed_by=None, proposed=proposed) is not None
    credentials.run_check(check_id=str(CredentialCheck.objects.pending().get().pk))
    config.refresh_from_db()
    assert (config.held_at, config.credential["token"]) == (None, ACCOUNTS.rotated_token)
    assert config.click_parameters == ["irclickid"]
    sending.drain(network="custom", max_in_flight=1)
    assert delivery().state == "delivered"


def test_a_hold_ends_by_a_release_with_the_same_secret(sandbox: Sandbox, config: PostbackConfig) -> None:
    bought(config)
    for revoked in (True, False):
        sandbox.state.revoke("custom", ACCOUNTS.token, revoked=revoked)
        if revoked:
            sent()
        else:
            assert delivery().state == "held"
            credentials.request_release(config=PostbackConfig.objects.get(), requested_by=None)
        for check in CredentialCheck.objects.pending():
            credentials.run_check(check_id=str(check.pk))
    sending.drain(network="custom", max_in_flight=1)
    assert delivery().state == "delivered"


def test_no_synthetic_event_is_sent_every_day(sandbox: Sandbox, config: PostbackConfig) -> None:
    long_ago = timezone.now() - timedelta(days=3)
    factories.config(factories.game(), validated_at=long_ago)
    PostbackConfig.objects.update(validated_at=long_ago)
    upkeep.check_daily()
    assert list(CredentialCheck.objects.values_list("network", "purpose")) == [("tiktok", "daily")]


def test_a_replay_sends_a_refused_event_again_under_its_id(sandbox: Sandbox, config: PostbackConfig) -> None:
    bought(config)
    sandbox.state.add_fault("custom", "bad_request", 1)
    sent()
    replays.start(config=config, requested_by=None, failed_from=None, failed_until=None, verdict="")
    replays.advance()
    sending.drain(network="custom", max_in_flight=1)
    assert delivery().state == "delivered"
    assert {request["body"]["event_id"] for request in sandbox.received("custom")} == {delivery().event_id}


def test_a_refused_event_is_not_sent_again_after_47_hours(sandbox: Sandbox, config: PostbackConfig) -> None:
    bought(config)
    sandbox.state.add_fault("custom", "bad_request", 1)
    sent()
    Delivery.objects.update(safe_until=timezone.now())
    with pytest.raises(replays.NotSendable, match="more than 47 hours ago"):
        replays.send_again(delivery())
    assert (delivery().state, len(sandbox.received("custom"))) == ("failed", 1)


# Consent and erasure -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "fields"),
    [
        (Level.NONE, None),
        (Level.ANONYMOUS, {"account", "event", "click_id", "event_id", "time", "value", "currency"}),
        (
            Level.FULL,
            {"account", "event", "click_id", "event_id", "time", "value", "currency", "order_id", "player"},
        ),
    ],
)
def test_consent_decides_which_macros_have_a_value(
    sandbox: Sandbox, config: PostbackConfig, level: Level, fields: set[str] | None
) -> None:
    conversion = bought(config, anonymous_id="anon-1", consent_level=level.value)
    assert conversion.consent_level == level.value
    sent()
    bodies = [set(request["body"]) for request in sandbox.received("custom")]
    assert bodies == ([fields] if fields else [])
    assert (delivery().state, delivery().reason) == (("delivered", "") if fields else ("skipped", "consent"))


def test_a_delivery_of_an_erased_player_is_not_sent(sandbox: Sandbox, config: PostbackConfig) -> None:
    conversion = bought(config)
    fan_out.fan_out_due()
    erasure.erase_deliveries([conversion.person_id])
    sending.drain(network="custom", max_in_flight=1)
    assert (delivery().state, sandbox.received("custom")) == ("cancelled", [])


def test_a_withdrawal_before_the_call_stops_it(sandbox: Sandbox, config: PostbackConfig) -> None:
    bought(config, anonymous_id="anon-1")
    fan_out.fan_out_due()
    record_decision(
        game_id=config.game_id, anonymous_id="anon-1", level=Level.NONE, source="game", decided_at=timezone.now()
    )
    sending.drain(network="custom", max_in_flight=1)
    assert (delivery().state, delivery().reason, sandbox.received("custom")) == ("skipped", "consent", [])


def test_the_audit_balances(sandbox: Sandbox, config: PostbackConfig) -> None:
    bought(config)
    sent()
    report = audit.run(game=config.game)
    assert report.violations == []
    assert [(row.network, row.eligible) for row in report.rows] == [("custom", 1)]
