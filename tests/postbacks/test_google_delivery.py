"""Google Ads over real sockets: saving, the wait for the click, receipts, results, repeats."""

import csv
import html
import io
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from audience.models import Conversion, Game
from consent.decisions import record_decision
from consent.models import Level
from postbacks import erasure, http
from postbacks.configs import credentials, lifecycle
from postbacks.delivery import claims, confirming, failed_deliveries, replays, sending
from postbacks.http import access_tokens
from postbacks.hub.overview import delivery_totals
from postbacks.models import CredentialCheck, Delivery, DeliveryAttempt, PostbackConfig
from postbacks.monitoring.alerts import digests
from postbacks.monitoring.health.evaluation import evaluate_configs
from postbacks.networks.google.imitation import ACCOUNTS, UNKNOWN_ACTION, access_token
from postbacks.networks.interface.call import AccessToken
from postbacks.outbox import fan_out
from postbacks.reporting import audit
from postbacks.reporting.campaigns import refresh
from postbacks.sandbox.server import Sandbox
from tests import factories
from tests.postbacks.facts import vector

pytestmark = pytest.mark.django_db
LAUNCH_ACTION, PURCHASE_ACTION = ACCOUNTS.object_ids["game_launch"], ACCOUNTS.object_ids["purchase"]


@pytest.fixture(autouse=True)
def no_access_tokens() -> Iterator[None]:
    """Tokens of earlier tests are forgotten."""
    access_tokens.forget()
    cache.clear()
    yield
    access_tokens.forget()


@pytest.fixture
def config(game: Game) -> PostbackConfig:
    row = factories.config(game, network="google")
    row.versions.create(number=1, pixel_id=row.pixel_id, triggers=row.triggers, goals=row.goals, enabled=True)
    return row


@pytest.fixture
def url(game: Game) -> str:
    return f"/g/{game.slug}/integrations/google/"


def posted(**changed: Any) -> dict[str, Any]:
    """What a browser posts of the form."""
    return {
        "pixel_id": "123-456-7890",
        "credential": ACCOUNTS.token,
        "triggers": ["game_launch", "purchase"],
        "object_id_game_launch": LAUNCH_ACTION,
        "object_id_purchase": PURCHASE_ACTION,
        "enabled": "on",
        **changed,
    }


def saved(marketer: Client, url: str, **changed: Any) -> CredentialCheck:
    response = marketer.post(f"{url}add/", posted(**changed))
    assert response.status_code == 302, response.content.decode()
    check = CredentialCheck.objects.get()
    credentials.run_check(check_id=str(check.pk))
    check.refresh_from_db()
    return check


def ingested(sandbox: Sandbox, *, test: bool = False) -> list[Any]:
    """The bodies of the requests with events."""
    received = sandbox.received("google", test=test)
    return [request["body"] for request in received if request["path"] == "/v1/events:ingest"]


def converted(game: Game, *, hours: float = 7, trigger: str = "purchase", **changed: Any) -> Conversion:
    """A conversion of a player who clicked an ad so many hours ago."""
    player = factories.person(game, anonymous="anon-1", traits={"email": "ada@example.com"})
    clicked_at = timezone.now() - timedelta(hours=hours)
    click = factories.touch(player, network="google", click_id="Cjw-1", parameter="gclid", clicked_at=clicked_at)
    fields = {"trigger": trigger, "anonymous_id": "anon-1", **changed}
    return factories.conversion(player, touch=click, **fields)


def send(seconds: float = 5) -> Delivery:
    fan_out.fan_out_due()
    sending.drain(network="google", max_in_flight=1, seconds=seconds)
    return Delivery.objects.get()


def prime(config: PostbackConfig) -> None:
    """Let an access token be known, so that the next fault meets an event."""
    access_tokens.store(
        access_tokens.key_of("google", config.target()),
        AccessToken(access_token(ACCOUNTS.token), 3600),
    )


def accepted(game: Game, sandbox: Sandbox, config: PostbackConfig, *, result: str = "") -> Delivery:
    """A delivery with a receipt, whose result will be this one ('' for a good end)."""
    prime(config)
    if result:
        sandbox.state.add_fault("google", f"later_{result.lower()}", 1)
    converted(game)
    row = send()
    assert (row.state, row.confirmation) == ("delivered", "awaited")
    return row


def query(row: Delivery, *, after: timedelta = timedelta(minutes=31)) -> Delivery:
    """Query the result as if the receipt were so old."""
    Delivery.objects.update(finished_at=timezone.now() - after, confirm_after=timezone.now())
    confirming.confirm_due()
    return Delivery.objects.get(pk=row.pk)


# Saving ----------------------------------------------------------------------------------------------


def test_a_postback_is_saved_after_google_has_validated_all_conversion_actions(
    sandbox: Sandbox, marketer: Client, url: str
) -> None:
    assert saved(marketer, url).state == "passed"
    config = PostbackConfig.objects.get()
    assert (config.pixel_id, config.credential["token"]) == (ACCOUNTS.pixel, ACCOUNTS.token.strip())
    (body,) = ingested(sandbox, test=True)
    assert [each["productDestinationId"] for each in body["destinations"]] == [LAUNCH_ACTION, PURCHASE_ACTION]
    assert ingested(sandbox) == []


def test_a_postback_that_google_accepts_with_a_warning_is_saved_and_the_page_has_the_warning(
    sandbox: Sandbox, marketer: Client, url: str
) -> None:
    saved(marketer, url)
    config = PostbackConfig.objects.get()
    sandbox.state.add_fault("google", "accepted_with_warning", 1)
    marketer.post(f"{url}{config.pk}/edit/", posted(object_id_purchase="777"))
    (check,) = CredentialCheck.objects.pending()
    credentials.run_check(check_id=str(check.pk))
    page = marketer.get(f"{url}checks/{check.pk}/", follow=True).content.decode()
    assert (
        "Google Ads accepted the test event for customer ID 1234567890 with a warning (“Received without "
        "events[0].custom_variables[0]: Custom variable is not enabled”). The postback for 1234567890 was saved."
    ) in html.unescape(page)


@pytest.mark.parametrize(
    ("changed", "fault", "state", "message"),
    [
        ({"credential": ACCOUNTS.foreign_token}, "", "refused", "The caller does not have permission"),
        ({"pixel_id": ACCOUNTS.foreign_pixel}, "", "refused", "The caller does not have permission"),
        ({"object_id_purchase": UNKNOWN_ACTION}, "", "refused", "Conversion action ID is not valid."),
        ({}, "key_deleted", "refused", "Invalid JWT Signature"),
        ({}, "unavailable", "unverified", "The service is currently unavailable"),
        ({}, "html_502", "unverified", "502 Bad Gateway"),
    ],
    ids=["another account's key", "wrong account", "wrong action", "deleted key", "unavailable", "a proxy's page"],
)
def test_a_postback_is_not_saved_unless_google_accepts_it(
    sandbox: Sandbox, marketer: Client, url: str, changed: dict[str, str], fault: str, state: str, message: str
) -> None:
    if fault:
        sandbox.state.add_fault("google", fault, 1)
    check = saved(marketer, url, **changed)
    assert (check.state, message in check.message) == (state, True), check.message
    assert PostbackConfig.objects.count() == 0


def test_a_service_account_without_the_api_is_told_where_to_enable_it(
    sandbox: Sandbox, game: Game, config: PostbackConfig
) -> None:
    prime(config)
    sandbox.state.add_fault("google", "api_disabled", 1)
    converted(game)
    row = send()
    attempt = row.attempts.get()
    assert (row.state, attempt.verdict, attempt.provider_code) == ("waiting", "credential", "SERVICE_DISABLED")
    assert "https://console.cloud.google.com/apis/api/datamanager.googleapis.com" in attempt.message


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"credential": "{}"}, "credential"),
        ({"credential": json.dumps({"client_email": "a@b.example"})}, "credential"),
        ({"pixel_id": "12345"}, "pixel_id"),
        ({"object_id_purchase": ""}, "object_id_purchase"),
        ({"credential_login_account": "12"}, "credential_login_account"),
        ({"credential_contacts": "perhaps"}, "credential_contacts"),
    ],
)
def test_the_form_names_what_is_wrong(marketer: Client, url: str, changed: dict[str, str], field: str) -> None:
    response = marketer.post(f"{url}add/", posted(**changed))
    assert list(response.context["form"].errors) == [field]
    assert CredentialCheck.objects.count() == 0


def test_a_test_conversion_is_validated_and_not_recorded(
    sandbox: Sandbox, config: PostbackConfig, marketer: Client, url: str
) -> None:
    marketer.post(f"{url}test/", {"config": str(config.pk), "trigger": "purchase"})
    check = CredentialCheck.objects.get()
    credentials.run_check(check_id=str(check.pk))
    check.refresh_from_db()
    assert check.message == "Google Ads accepted the test event for customer ID 1234567890."
    assert check.state == "passed"
    assert (len(ingested(sandbox, test=True)), ingested(sandbox)) == (1, [])


# Sending ---------------------------------------------------------------------------------------------


def test_a_purchase_five_minutes_after_the_click_leaves_six_hours_later_and_ends_confirmed(
    sandbox: Sandbox, game: Game, config: PostbackConfig
) -> None:
    purchased_at = timezone.now()
    converted(game, hours=5 / 60, event_at=purchased_at)
    row = send()
    assert (row.state, row.attempts_made, ingested(sandbox)) == ("waiting", 0, [])
    with time_machine.travel(purchased_at + timedelta(hours=6) - timedelta(seconds=5), tick=True):
        sending.drain(network="google", max_in_flight=1, seconds=1)
        assert ingested(sandbox) == []
    with time_machine.travel(purchased_at + timedelta(hours=6, seconds=1), tick=True):
        sending.drain(network="google", max_in_flight=1, seconds=5)
        row.refresh_from_db()
        assert (row.state, row.confirmation) == ("delivered", "awaited")
    with time_machine.travel(purchased_at + timedelta(hours=6, minutes=29), tick=True):
        confirming.confirm_due()
        row.refresh_from_db()
        assert row.confirmation == "awaited"
    with time_machine.travel(purchased_at + timedelta(hours=6, minutes=31), tick=True):
        confirming.confirm_due()
    row.refresh_from_db()
    assert (row.state, row.confirmation, row.confirm_after) == ("delivered", "confirmed", None)
    assert [each["transactionId"] for body in ingested(sandbox) for each in body["events"]] == [row.event_id]
    assert audit.run(days=0).violations == []


@pytest.mark.parametrize(("trigger", "action"), [("game_launch", LAUNCH_ACTION), ("purchase", PURCHASE_ACTION)])
def test_a_conversion_is_sent_to_the_action_of_its_goal_in_the_form_of_the_vector(
    sandbox: Sandbox, game: Game, config: PostbackConfig, trigger: str, action: str
) -> None:
    conversion = converted(
        game, trigger=trigger, properties={} if trigger == "game_launch" else {"value": 9.99, "currency": "USD"}
    )
    row = send()
    (body,) = ingested(sandbox)
    golden = vector("google", trigger)
    (event,), (expected,) = body["events"], golden["events"]
    assert event.pop("consent") == {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"}
    expected.pop("userData", None)
    golden.pop("encoding", None)
    moment = f"{conversion.event_at:%Y-%m-%dT%H:%M:%S}.{conversion.event_at.microsecond // 1000:03d}Z"
    identifiers = {"gclid": "Cjw-1", "landingPageDeviceInfo": {"userAgent": "Mozilla/5.0 (click)"}}
    expected |= {"eventTimestamp": moment, "transactionId": row.event_id, "adIdentifiers": identifiers}
    assert body == golden
    assert body["destinations"][0]["productDestinationId"] == action
    assert row.attempts.get().payload == ingested(sandbox)[0]


def test_a_further_goal_has_a_conversion_action_of_its_own(
    sandbox: Sandbox, game: Game, config: PostbackConfig
) -> None:
    goal = {"event": "level_up", "sent_as": "", "once": False, "condition": None, "object_id": "555"}
    PostbackConfig.objects.update(goals=[goal])
    converted(game, trigger="level_up", properties={})
    send()
    (body,) = ingested(sandbox)
    assert body["destinations"][0]["productDestinationId"] == "555"
    assert "conversionValue" not in body["events"][0]


@pytest.mark.parametrize(
    ("properties", "outcome"),
    [
        ({}, ("delivered", "")),
        ({"value": 0, "currency": "USD"}, ("delivered", "")),
        ({"value": 9.99}, ("skipped", "no_value")),
        ({"value": "a lot", "currency": "USD"}, ("skipped", "no_value")),
    ],
    ids=str,
)
def test_an_amount_that_cannot_be_read_is_not_replaced_by_the_default_of_the_action(
    sandbox: Sandbox, game: Game, config: PostbackConfig, properties: dict[str, Any], outcome: tuple[str, str]
) -> None:
    converted(game, properties=properties)
    row = send()
    assert (row.state, row.reason) == outcome
    assert [body["events"][0]["conversionValue"] for body in ingested(sandbox)] == [0] * (outcome[0] == "delivered")


def test_a_click_of_display_and_video_has_no_id_that_google_ads_takes(game: Game, config: PostbackConfig) -> None:
    player = factories.person(game)
    click = factories.touch(player, network="google", click_id="CID", parameter="dclid")
    factories.conversion(player, touch=click)
    fan_out.fan_out_due()
    assert Delivery.objects.values_list("state", "reason").get() == ("skipped", "no_match_key")


@pytest.mark.parametrize(
    ("level", "consent", "contacts"),
    [
        (Level.FULL, {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"}, 1),
        (Level.ANONYMOUS, None, 0),
    ],
)
def test_consent_decides_what_is_sent(
    sandbox: Sandbox, game: Game, config: PostbackConfig, level: Level, consent: Any, contacts: int
) -> None:
    config.credential = {**config.credential, "contacts": "yes"}
    config.save()
    decide(game, level)
    converted(game)
    send()
    (event,) = ingested(sandbox)[0]["events"]
    assert event.get("consent") == consent
    assert len(event.get("userData", {}).get("userIdentifiers", [])) == contacts
    assert ("landingPageDeviceInfo" in event["adIdentifiers"]) is bool(contacts)


def decide(game: Game, level: Level, *, ago: timedelta = timedelta(days=1)) -> None:
    decided_at = timezone.now() - ago
    record_decision(game_id=game.pk, anonymous_id="anon-1", level=level, source="test", decided_at=decided_at)


def test_without_consent_nothing_is_sent(sandbox: Sandbox, game: Game, config: PostbackConfig) -> None:
    decide(game, Level.NONE)
    converted(game)
    row = send()
    assert (row.state, row.reason, ingested(sandbox)) == ("skipped", "consent", [])


def test_a_conversion_of_a_player_who_is_erased_while_it_waits_is_not_sent(
    sandbox: Sandbox, game: Game, config: PostbackConfig
) -> None:
    conversion = converted(game, hours=1)
    assert send().state == "waiting"
    erasure.erase_deliveries([conversion.person_id])
    with time_machine.travel(timezone.now() + timedelta(hours=6), tick=True):
        sending.drain(network="google", max_in_flight=1, seconds=1)
    row = Delivery.objects.get()
    assert (row.state, row.reason, ingested(sandbox)) == ("cancelled", "erased", [])


def test_a_refused_access_token_is_replaced_once(sandbox: Sandbox, game: Game, config: PostbackConfig) -> None:
    prime(config)
    sandbox.state.add_fault("google", "unauthorized", 1)
    converted(game)
    row = send()
    assert (row.state, row.attempts.count()) == ("delivered", 1)
    paths = [request["path"] for request in sandbox.received("google")]
    assert paths == ["/v1/events:ingest", "/token", "/v1/events:ingest"]


def test_a_token_is_shared_with_other_processes_and_stored_encrypted(sandbox: Sandbox, config: PostbackConfig) -> None:
    key = access_tokens.key_of("google", config.target())
    prime(config)
    access_tokens.forget()  # what another process has not
    assert access_tokens.usable(key) == access_token(ACCOUNTS.token)
    assert access_token(ACCOUNTS.token) not in str(cache.get(f"access-token:{key}"))
    assert access_tokens.usable(key, refused=access_token(ACCOUNTS.token)) == ""


def test_a_revoked_key_holds_the_postback_and_a_rotation_sends_what_is_held(
    sandbox: Sandbox, game: Game, config: PostbackConfig, marketer: Client, url: str
) -> None:
    sandbox.state.revoke("google", ACCOUNTS.token, revoked=True)
    converted(game)
    assert send().state == "waiting"
    for check in CredentialCheck.objects.pending():
        credentials.run_check(check_id=str(check.pk))
    row = Delivery.objects.get()
    assert (row.state, PostbackConfig.objects.get().held_for) == ("held", "token")
    marketer.post(f"{url}{config.pk}/edit/", posted(pixel_id=config.pixel_id, credential=ACCOUNTS.rotated_token))
    for check in CredentialCheck.objects.pending():
        credentials.run_check(check_id=str(check.pk))
    sending.drain(network="google", max_in_flight=1, seconds=5)
    row.refresh_from_db()
    assert (row.state, row.confirmation) == ("delivered", "awaited")


def rotate(marketer: Client, url: str, config: PostbackConfig, key: str) -> None:
    marketer.post(f"{url}{config.pk}/edit/", posted(pixel_id=config.pixel_id, credential=key))
    run_checks()


def run_checks() -> None:
    for check in CredentialCheck.objects.pending():
        credentials.run_check(check_id=str(check.pk))


def bearers(sandbox: Sandbox) -> list[tuple[str, str]]:
    """Path and access token of each request that is no test."""
    received = [call for call in sandbox.received("google") if call["path"] != "/token"]
    return [(call["path"], call["headers"]["Authorization"].removeprefix("Bearer ")) for call in received]


@pytest.mark.parametrize("rolled_back", [False, True])
def test_what_waits_for_its_click_leaves_with_the_key_of_that_time_and_is_confirmed_with_it(
    sandbox: Sandbox, game: Game, config: PostbackConfig, marketer: Client, url: str, rolled_back: bool
) -> None:
    converted(game, hours=1)
    assert send().state == "waiting"
    rotate(marketer, url, config, ACCOUNTS.rotated_token)
    if rolled_back:
        lifecycle.roll_back(config=PostbackConfig.objects.get(), requested_by=None)
        run_checks()
    moment, access = timezone.now(), access_token(ACCOUNTS.token if rolled_back else ACCOUNTS.rotated_token)
    with time_machine.travel(moment + timedelta(hours=5, minutes=6), tick=True):
        sending.drain(network="google", max_in_flight=1, seconds=5)
    with time_machine.travel(moment + timedelta(hours=5, minutes=40), tick=True):
        confirming.confirm_due()
    row = Delivery.objects.get()
    assert (row.state, row.confirmation) == ("delivered", "confirmed")
    assert bearers(sandbox) == [("/v1/events:ingest", access), ("/v1/requestStatus:retrieve", access)]


def test_a_key_that_is_rotated_between_receipt_and_result_queries_the_result(
    sandbox: Sandbox, game: Game, config: PostbackConfig, marketer: Client, url: str
) -> None:
    row = accepted(game, sandbox, config)
    rotate(marketer, url, config, ACCOUNTS.rotated_token)
    sandbox.state.revoke("google", ACCOUNTS.token, revoked=True)
    assert query(row).confirmation == "confirmed"
    assert bearers(sandbox)[-1] == ("/v1/requestStatus:retrieve", access_token(ACCOUNTS.rotated_token))


# Results ---------------------------------------------------------------------------------------------

ENDINGS = [
    ("", "delivered", "confirmed", ""),
    ("DUPLICATE_TRANSACTION_ID", "delivered", "confirmed", ""),
    ("DUPLICATE_GCLID", "failed", "refused", "Google Ads has another conversion of this click at this time"),
    ("CLICK_NOT_FOUND", "failed", "unmatched", "Google Ads does not know a click with this ID."),
    ("DENIED_CONSENT", "failed", "refused", "The player denied consent."),
    (
        "PROCESSING_ERROR_OPERATING_ACCOUNT_MISMATCH_FOR_AD_IDENTIFIER",
        "failed",
        "refused",
        "The click belongs to another account. Check the customer ID.",
    ),
    ("TOO_RECENT_CLICK", "waiting", "again", "The click is too recent for Google Ads."),
    ("INTERNAL_ERROR", "waiting", "again", "Google Ads had an internal error."),
    ("PROCESSING", "delivered", "awaited", ""),
]


@pytest.mark.parametrize(("result", "state", "confirmation", "message"), ENDINGS)
def test_a_result_is_in_the_state_and_the_log(
    sandbox: Sandbox,
    game: Game,
    config: PostbackConfig,
    marketer: Client,
    url: str,
    result: str,
    state: str,
    confirmation: str,
    message: str,
) -> None:
    row = query(accepted(game, sandbox, config, result=result))
    assert (row.state, row.confirmation) == (state, confirmation)
    assert row.attempts.count() == (2 if message else 1)
    assert (message in row.attempts.latest("number").message) if message else True
    assert message in marketer.get(url).content.decode()
    assert audit.run(days=0).violations == []


def test_what_is_still_processed_after_a_day_stays_accepted_and_is_shown_as_unconfirmed(
    sandbox: Sandbox, game: Game, config: PostbackConfig, marketer: Client
) -> None:
    row = query(accepted(game, sandbox, config, result="PROCESSING"), after=timedelta(hours=23))
    assert (row.state, row.confirmation) == ("delivered", "awaited")
    row = query(row, after=timedelta(hours=24))
    assert (row.state, row.confirmation) == ("delivered", "unknown")
    page = marketer.get(f"/g/{game.slug}/conversions/{row.conversion_id}/").content.decode()
    assert "Accepted, unconfirmed" in page


def test_a_duplicate_click_of_an_event_whose_first_call_had_no_answer_is_confirmed(
    sandbox: Sandbox, game: Game, config: PostbackConfig
) -> None:
    prime(config)
    sandbox.state.add_fault("google", "reset", 1)
    sandbox.state.add_fault("google", "later_duplicate_gclid", 1)
    converted(game)
    assert send().state == "waiting"
    Delivery.objects.update(next_attempt_at=timezone.now())
    row = query(send())
    assert (row.state, row.confirmation) == ("delivered", "confirmed")


# Sending again ---------------------------------------------------------------------------------------


def refused_for_now(game: Game, sandbox: Sandbox, config: PostbackConfig) -> Delivery:
    row = query(accepted(game, sandbox, config, result="TOO_RECENT_CLICK"))
    assert row.next_attempt_at is not None
    assert timedelta(hours=5, minutes=59) < row.next_attempt_at - timezone.now() <= timedelta(hours=6)
    return row


def drain_later(hours: float = 6.1) -> Delivery:
    with time_machine.travel(timezone.now() + timedelta(hours=hours), tick=True):
        sending.drain(network="google", max_in_flight=1, seconds=5)
    return Delivery.objects.get()


def test_a_click_that_was_too_recent_is_sent_again_with_the_same_body(
    sandbox: Sandbox, game: Game, config: PostbackConfig
) -> None:
    refused_for_now(game, sandbox, config)
    Conversion.objects.update(value="0.99", event_at=timezone.now())
    row = drain_later()
    first, second = ingested(sandbox)
    assert first == second
    assert (row.state, row.confirmation) == ("delivered", "awaited")
    row = query(row)
    assert (row.state, row.confirmation) == ("delivered", "confirmed")
    statuses = list(row.attempts.order_by("number").values_list("number", "status"))
    assert statuses == [(1, "success"), (2, "retried"), (3, "success")]
    assert audit.run(days=0).violations == []


def test_after_three_days_it_is_refused(sandbox: Sandbox, game: Game, config: PostbackConfig) -> None:
    row = accepted(game, sandbox, config, result="TOO_RECENT_CLICK")
    DeliveryAttempt.objects.update(finished_at=timezone.now() - timedelta(days=2, hours=19))
    row = query(row)
    assert (row.state, row.confirmation) == ("failed", "refused")


def test_the_result_of_an_erased_player_is_not_queried(sandbox: Sandbox, game: Game, config: PostbackConfig) -> None:
    row = accepted(game, sandbox, config, result="TOO_RECENT_CLICK")
    assert row.conversion is not None
    erasure.erase_deliveries([row.conversion.person_id])
    Conversion.objects.all().delete()
    row = query(row)
    assert (row.state, row.confirmation, row.confirm_after) == ("delivered", "unknown", None)
    assert [request["path"] for request in sandbox.received("google")] == ["/v1/events:ingest"]
    assert audit.run(days=0).violations == []


def test_the_result_is_queried_again_after_a_worker_was_killed_during_the_query(
    sandbox: Sandbox, game: Game, config: PostbackConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = accepted(game, sandbox, config)
    moment = timezone.now()

    def kill(*_: Any, **__: Any) -> Any:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(http, "call", kill)
        with pytest.raises(SystemExit):
            query(row)
    row.refresh_from_db()
    assert (row.state, row.confirmation) == ("delivered", "awaited")
    with time_machine.travel(moment + timedelta(minutes=4), tick=True):
        confirming.confirm_due()
    row.refresh_from_db()
    assert row.confirmation == "awaited"  # reserved for the killed worker
    with time_machine.travel(moment + timedelta(minutes=6), tick=True):
        confirming.confirm_due()
    row.refresh_from_db()
    assert (row.state, row.confirmation, row.attempts.count()) == ("delivered", "confirmed", 1)


def test_it_is_not_sent_again_after_an_erasure(sandbox: Sandbox, game: Game, config: PostbackConfig) -> None:
    row = refused_for_now(game, sandbox, config)
    assert row.conversion is not None
    erasure.erase_deliveries([row.conversion.person_id])
    row = drain_later()
    assert (row.state, row.reason, len(ingested(sandbox))) == ("cancelled", "erased", 1)
    assert list(row.attempts.exclude(payload=None)) == []
    assert audit.run(days=0).violations == []


def test_it_is_not_sent_again_after_a_withdrawal_of_consent(
    sandbox: Sandbox, game: Game, config: PostbackConfig, marketer: Client
) -> None:
    row = refused_for_now(game, sandbox, config)
    assert exported(game, marketer) == [("waiting", "again")]
    assert row.confirmation_label == "To be sent again"
    decide(game, Level.NONE, ago=timedelta())
    row = drain_later()
    assert (row.state, row.reason, len(ingested(sandbox))) == ("skipped", "consent", 1)
    assert exported(game, marketer) == [("skipped", "refused")]
    assert row.confirmation_label == "Refused later"
    assert audit.run(days=0).violations == []


def test_a_repeat_has_nothing_that_consent_allows_no_more(sandbox: Sandbox, game: Game, config: PostbackConfig) -> None:
    refused_for_now(game, sandbox, config)
    decide(game, Level.ANONYMOUS, ago=timedelta())
    drain_later()
    first, second = ingested(sandbox)
    assert second["events"][0]["adIdentifiers"] == {"gclid": "Cjw-1"}
    assert "consent" in first["events"][0]
    assert "consent" not in second["events"][0]
    assert second["events"][0]["conversionValue"] == first["events"][0]["conversionValue"]


def test_the_body_is_stored_before_the_call_so_that_a_killed_worker_does_not_change_it(
    sandbox: Sandbox, game: Game, config: PostbackConfig
) -> None:
    converted(game)
    fan_out.fan_out_due()
    (claim,) = claims.claim(network="google")
    stored = DeliveryAttempt.objects.get().payload
    Conversion.objects.update(value="0.99")
    Delivery.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    row = send()
    assert claim.body == stored
    assert (row.state, ingested(sandbox)) == ("delivered", [stored])


def test_a_replay_inside_its_window_repeats_the_first_body(
    sandbox: Sandbox, game: Game, config: PostbackConfig
) -> None:
    row = query(accepted(game, sandbox, config, result="DENIED_CONSENT"))
    Conversion.objects.update(value="0.99")
    replays.send_again(row)
    row = send()
    first, second = ingested(sandbox)
    assert first == second
    assert (row.state, row.confirmation) == ("delivered", "awaited")


def test_a_replay_leaves_out_unmatched_clicks_whose_result_is_final(game: Game, config: PostbackConfig) -> None:
    for confirmation in ("unmatched", "unmatched", "refused"):
        fields = {"confirmation": confirmation, "finished_at": timezone.now(), "next_attempt_at": None}
        row = factories.delivery(config, state="failed", attempts_made=1, verdict="payload", **fields)
        factories.attempt(row, payload={})
    assert [offer.counts.total for offer in failed_deliveries.offers([config])] == [1]
    replay = replays.start(config=config, failed_from=None, failed_until=None, verdict="", requested_by=None)
    replays.advance()
    assert (replay.total, Delivery.objects.get(state="waiting").confirmation) == (1, "refused")


# Figures ---------------------------------------------------------------------------------------------


def exported(game: Game, marketer: Client) -> list[tuple[str, str]]:
    """State and confirmation of each line of the CSV."""
    response = marketer.get(f"/g/{game.slug}/conversions/export/")
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    return sorted((row["state"], row["confirmation"]) for row in csv.DictReader(io.StringIO(text)))


def many(game: Game, config: PostbackConfig) -> None:
    """Deliveries of each confirmation."""
    for state, confirmation in (
        *[("delivered", "confirmed")] * 3,
        *[("delivered", "awaited")] * 2,
        ("delivered", "unknown"),
        ("failed", "unmatched"),
    ):
        fields = {"confirmation": confirmation, "finished_at": timezone.now(), "next_attempt_at": None}
        row = factories.delivery(config, state=state, attempts_made=1, verdict="success", **fields)
        factories.attempt(row, payload={})


def test_the_funnel_shows_accepted_and_confirmed_apart(game: Game, config: PostbackConfig, marketer: Client) -> None:
    many(game, config)
    page = marketer.get(f"/g/{game.slug}/conversions/").content.decode()
    assert '<span id="count-confirmed">3</span>' in page
    assert '<span id="count-accepted">3</span>' in page
    assert '<span id="count-unmatched">1</span>' in page
    for key, count in (("confirmed", 3), ("accepted", 3), ("delivered", 6), ("unmatched", 1)):
        listed = marketer.get(f"/g/{game.slug}/conversions/?only={key}")
        assert len(listed.context["rows"]) == count


def test_health_shows_accepted_and_confirmed_apart_and_counts_an_unmatched_click_as_no_failure(
    game: Game, config: PostbackConfig
) -> None:
    many(game, config)
    factories.delivery(config, not_before=timezone.now() + timedelta(hours=6))
    status = evaluate_configs([config])[config.pk]
    assert (status.health, status.figures) == (
        "healthy",
        "6 of 7 sends accepted. 3 confirmed, 3 not confirmed yet. 1 unmatched: Google Ads does not know the click. "
        "1 conversion is too recent for Google Ads and will be sent later.",
    )


def test_an_unmatched_click_does_not_lower_the_success_rate_of_the_overview(game: Game, config: PostbackConfig) -> None:
    many(game, config)
    refresh.refresh()
    now = timezone.now()
    rows = delivery_totals.by_network(game, [], since=now - timedelta(days=1), until=now)
    (row,) = [row for row in rows if row.network.kind == "google"]
    assert (row.accepted, row.failed, row.unmatched, row.rate) == (6, 1, 1, "100%")


def test_the_cause_of_failures_is_not_that_of_unmatched_clicks(game: Game, config: PostbackConfig) -> None:
    many(game, config)
    for confirmation, message in (*[("unmatched", "No such click.")] * 5, ("refused", "The player denied consent.")):
        fields = {"confirmation": confirmation, "finished_at": timezone.now(), "next_attempt_at": None}
        row = factories.delivery(config, state="failed", attempts_made=2, verdict="payload", **fields)
        factories.attempt(row, payload={})
        factories.attempt(row, number=2, status="failed", verdict="payload", message=message, ago=timedelta())
    status = evaluate_configs([config])[config.pk]
    assert (status.health, status.cause) == ("degraded", "Google Ads responded: “The player denied consent”.")


def test_later_refusals_open_the_health_of_failures(game: Game, config: PostbackConfig) -> None:
    many(game, config)
    row = Delivery.objects.filter(confirmation="awaited").first()
    assert row is not None
    Delivery.objects.filter(pk=row.pk).update(state="failed", confirmation="refused", verdict="payload")
    factories.attempt(row, status="failed", verdict="payload", message="The player denied consent.", ago=timedelta())
    status = evaluate_configs([config])[config.pk]
    assert status.health == "degraded"
    assert "The player denied consent" in status.cause


def test_the_csv_has_the_confirmation_of_each_delivery(game: Game, config: PostbackConfig, marketer: Client) -> None:
    many(game, config)
    found = exported(game, marketer)
    assert found.count(("delivered", "confirmed")) == 3
    assert found.count(("failed", "unmatched")) == 1


def test_the_audit_counts_accepted_and_confirmed(game: Game, config: PostbackConfig) -> None:
    many(game, config)
    report = audit.run(days=0)
    assert report.violations == []
    (row,) = [row.as_json() for row in report.rows]
    assert (row["delivered"], row["accepted"], row["confirmed"], row["failed"]) == (6, 3, 3, 1)
    assert "accepted 3, confirmed 3" in report.text()


def test_the_digest_says_how_many_are_confirmed(game: Game, config: PostbackConfig) -> None:
    many(game, config)
    day = Delivery.objects.latest("event_at").event_at.date()
    numbers = digests.read(game=game, day=day)["google"]
    assert (numbers.delivered, numbers.confirmed, numbers.unconfirmed) == (6, 3, 3)
    assert "6 delivered (3 confirmed), 1 failed (1 unmatched)." in digests.text(game=game, day=day)
