"""Postbacks to Meta over real sockets, against its imitation and against every answer of its vectors."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audience.database.encryption import encrypt
from audience.models import Game, Person, Role
from audience.privacy import erasure
from postbacks.configs import credentials, lifecycle
from postbacks.configs.proposed_settings import ProposedSettings
from postbacks.delivery import claims, replays, sending
from postbacks.models import CredentialCheck, Delivery, DeliveryAttempt, Flow, PostbackConfig
from postbacks.monitoring.health.evaluation import evaluate_configs
from postbacks.networks.meta.imitation import ACCOUNTS
from postbacks.outbox import fan_out
from postbacks.preview import preview
from postbacks.sandbox.server import Sandbox
from tests import factories, hub
from tests.postbacks.canned import answering
from tests.postbacks.facts import answers

pytestmark = pytest.mark.django_db

FBCLID = "IwAR2F4-dbP0l7Mn1IawQQGCINEz7PYXQvwjNwB_qa2ofrHyiLjcbCRxTDMgk"
FBP = "fb.1.1735888000000.1098115397"
EMAIL = "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"
USER_1 = "c6c289e49e9c05b2145860387b73bcb18df43fb09a1e4a4a9713c76c88bb541b"  # SHA-256 of user-1
META = {"network": "meta", "pixel_id": ACCOUNTS.pixel, "credential": {"token": ACCOUNTS.token}}


@pytest.fixture
def config(game: Game) -> PostbackConfig:
    return factories.config(game, network="meta")


@pytest.fixture
def player(game: Game) -> Person:
    """A player who clicked an ad of Meta an hour ago."""
    row = factories.person(game, anonymous="anon-1", user="user-1", traits={"email": "John_Smith@gmail.com"})
    factories.touch(row, network="meta", click_id=FBCLID, cookies={"_fbp": FBP})
    return row


def bought(player: Person, **given: Any) -> Delivery:
    """The delivery of a purchase of the player, fanned out and due."""
    fields = {"touch": player.touches.get(), "user_id": "user-1", **given}
    conversion = factories.conversion(player, **fields)
    fan_out.fan_out_due()
    return conversion.deliveries.get()


def drain() -> None:
    """Everything that waits is due, and no pixel pauses."""
    Flow.objects.all().delete()
    Delivery.objects.filter(state="waiting").update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    sending.drain(network="meta", max_in_flight=1, seconds=5)


def events(sandbox: Sandbox, *, test: bool = False) -> list[Any]:
    """The events that the imitation received, also those that it refused."""
    return [request["body"]["data"][0] for request in sandbox.received("meta", test=test) if request["body"]]


def run_checks() -> None:
    for check in CredentialCheck.objects.pending():
        credentials.run_check(check_id=str(check.pk))


# Saving ---------------------------------------------------------------------------------------------


@pytest.fixture
def save(game: Game) -> Callable[..., CredentialCheck]:
    """Request a check of new settings and run it; the finished check."""

    def request(**given: Any) -> CredentialCheck:
        proposed = ProposedSettings(**{"triggers": ["purchase"], **META, **given})
        check = credentials.request_check(game=game, requested_by=None, proposed=proposed)
        credentials.run_check(check_id=str(check.pk))
        check.refresh_from_db()
        return check

    return request


def test_saving_reads_the_dataset_and_sends_no_event(sandbox: Sandbox, save: Any) -> None:
    check = save()
    assert (check.state, check.http_status) == ("passed", 200)
    (request,) = sandbox.received("meta")
    assert (request["method"], request["path"]) == ("GET", f"/v25.0/{ACCOUNTS.pixel}")
    config = PostbackConfig.objects.get()
    assert (config.network, config.pixel_id, config.credential) == ("meta", ACCOUNTS.pixel, {"token": ACCOUNTS.token})


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ({"credential": {"token": "wrong"}}, "190", "Meta Ads does not accept this access token"),
        ({"credential": {"token": ACCOUNTS.foreign_token}}, "100/33", "This access token has no access to dataset ID"),
        ({"pixel_id": ACCOUNTS.foreign_pixel}, "100/33", "This access token has no access to dataset ID"),
        ({"pixel_id": "999999999999999"}, "100/33", "This access token has no access to dataset ID"),
    ],
)
def test_a_wrong_token_and_a_wrong_dataset_are_refused(
    sandbox: Sandbox, save: Any, given: dict[str, Any], code: str, said: str
) -> None:
    check = save(**given)
    assert (check.state, check.provider_code) == ("refused", code)
    assert check.message.startswith(said)
    assert PostbackConfig.objects.count() == 0
    assert {request["status"] for request in sandbox.received("meta")} <= {400, 401}


@pytest.mark.parametrize("fault", ["unreadable", "no_permission"])
def test_a_token_that_may_not_read_the_dataset_is_proved_by_an_event_that_is_too_old(
    sandbox: Sandbox, save: Any, fault: str
) -> None:
    sandbox.state.add_fault("meta", fault, 1)
    check = save()
    assert (check.state, check.provider_code) == ("passed", "100/2804003")
    assert "refused a deliberately old event only for its age, so nothing was recorded" in check.message
    (old,) = events(sandbox)
    assert old["event_name"] == "PageView"
    assert timezone.now().timestamp() - old["event_time"] > timedelta(days=62).total_seconds()
    assert [request["status"] for request in sandbox.received("meta")] == [
        403 if fault == "no_permission" else 400,
        400,
    ]


def test_a_token_that_may_neither_read_the_dataset_nor_send_to_it_is_refused(sandbox: Sandbox, save: Any) -> None:
    sandbox.state.add_fault("meta", "no_permission", 2)
    assert (save().state, PostbackConfig.objects.count()) == ("refused", 0)


@pytest.mark.parametrize("fault", ["unavailable", "html_502", "rate_limited", "reset", "blocked", "not_ready"])
@pytest.mark.parametrize("is_second", [False, True])
def test_a_failed_connection_is_not_a_refusal(sandbox: Sandbox, save: Any, fault: str, is_second: bool) -> None:
    if is_second:
        sandbox.state.add_fault("meta", "unreadable", 1)
    sandbox.state.add_fault("meta", fault, 1)
    check = save()
    assert check.state == "unverified"
    assert check.message.startswith("Meta Ads could not verify the credential now")
    assert PostbackConfig.objects.count() == 0


def test_a_test_conversion_is_a_page_view_on_test_events_only(sandbox: Sandbox, config: PostbackConfig) -> None:
    check = credentials.request_test(config=config, test_code="TEST12345", trigger="purchase", requested_by=None)
    credentials.run_check(check_id=str(check.pk), encrypted_test_code=encrypt("TEST12345"))
    check.refresh_from_db()
    assert check.state == "passed"
    assert [event["event_name"] for event in events(sandbox, test=True)] == ["PageView"]
    assert events(sandbox) == []


def test_a_refused_test_conversion_asks_nothing_else(sandbox: Sandbox, config: PostbackConfig) -> None:
    sandbox.state.add_fault("meta", "forbidden", 1)
    check = credentials.request_test(config=config, test_code="TEST12345", trigger="purchase", requested_by=None)
    credentials.run_check(check_id=str(check.pk), encrypted_test_code=encrypt("TEST12345"))
    check.refresh_from_db()
    assert check.state == "refused"
    assert len(sandbox.received("meta", test=True)) == 1
    assert sandbox.received("meta") == []


def test_the_pages_say_what_a_check_and_a_test_conversion_send(config: PostbackConfig, marketer: Client) -> None:
    url = f"/g/{config.game.slug}/integrations/meta/"
    form = " ".join(marketer.get(f"{url}add/").content.decode().split())
    assert "The dataset is requested from Meta Ads before anything is saved, and no event is sent." in form
    assert '<option value="once">Do not send again</option>' in form
    page = " ".join(marketer.get(url).content.decode().split())
    assert "One page view is sent to Test Events of Meta Ads, whatever event you select" in page
    assert "It is not counted, neither by Meta Ads nor here." not in page


# Deliveries -----------------------------------------------------------------------------------------


def test_a_launch_and_a_purchase_are_delivered(sandbox: Sandbox, config: PostbackConfig, player: Person) -> None:
    launch = bought(player, trigger="game_launch", properties={})
    purchase = bought(player, properties={"value": 9.99, "currency": "USD", "transaction_id": "1001"})
    click = player.touches.get()
    drain()
    assert dict(Delivery.objects.values_list("trigger", "state")) == {
        "game_launch": "delivered",
        "purchase": "delivered",
    }
    by_name = {event["event_name"]: event for event in events(sandbox)}
    shared = {
        "action_source": "website",
        "event_source_url": "https://game.example/landing",
        "referrer_url": "https://ads.example/",
        "user_data": {
            "em": EMAIL,
            "external_id": USER_1,
            "client_ip_address": "203.0.113.7",
            "client_user_agent": "Mozilla/5.0 (click)",
            "fbc": f"fb.1.{int(click.clicked_at.timestamp() * 1000)}.{FBCLID}",
            "fbp": FBP,
        },
    }
    assert by_name == {
        "CompleteRegistration": {
            "event_name": "CompleteRegistration",
            "event_time": int(launch.event_at.timestamp()),
            "event_id": launch.event_id,
            **shared,
        },
        "Purchase": {
            "event_name": "Purchase",
            "event_time": int(purchase.event_at.timestamp()),
            "event_id": purchase.event_id,
            **shared,
            "custom_data": {"value": 9.99, "currency": "USD", "order_id": "1001"},
        },
    }
    assert {request["headers"]["Authorization"] for request in sandbox.received("meta")} == {f"Bearer {ACCOUNTS.token}"}
    assert all(row.request_id for row in DeliveryAttempt.objects.all())


EXPECTED = {
    "SUCCESS": ("delivered", "success", "healthy"),
    "PAYLOAD": ("failed", "failed", "degraded"),
    "CREDENTIAL": ("waiting", "failed", "credential_problem"),
    "TRANSIENT": ("waiting", "retried", "retrying"),
    "LIMITED": ("waiting", "retried", "rate_limited"),
}


@pytest.mark.long
@pytest.mark.parametrize("case", answers("meta"), ids=lambda case: case["name"])
def test_every_answer_ends_in_its_state_with_a_line_in_the_log_and_a_health(
    config: PostbackConfig, player: Person, settings: Any, case: dict[str, Any]
) -> None:
    row = bought(player)
    viewer = hub.member(config.game, Role.VIEWER)
    with answering(case["status"], case["body"]) as url:
        settings.NETWORK_URLS = {**settings.NETWORK_URLS, "meta": url}
        drain()
    row.refresh_from_db()
    config.refresh_from_db()
    attempt = row.attempts.get()
    health = evaluate_configs([config])[config.pk].health
    expected = EXPECTED["LIMITED" if case.get("limited") else case["verdict"]]
    assert (row.state, attempt.status, health.name.lower()) == expected
    assert attempt.http_status == case["status"]
    assert (config.suspected_at is not None) is (case["verdict"] == "CREDENTIAL")
    page = viewer.get(f"/g/{config.game.slug}/integrations/meta/").content.decode()
    assert re.findall(r'id="attempt-(\d+)"', page) == [str(attempt.pk)]


def test_an_event_older_than_seven_days_is_not_sent(sandbox: Sandbox, config: PostbackConfig, player: Person) -> None:
    row = bought(player, event_at=timezone.now() - timedelta(days=7, minutes=1))
    assert (row.state, row.reason) == ("skipped", "too_old")


def test_a_purchase_without_a_value_is_not_sent(config: PostbackConfig, player: Person) -> None:
    row = bought(player, properties={"value": 500, "currency": "GEM"})
    assert (row.state, row.reason) == ("skipped", "no_value")


@pytest.mark.parametrize(
    ("level", "outcome"),
    [("none", ("skipped", "consent")), ("anonymous", ("delivered", "")), ("full", ("delivered", ""))],
)
def test_consent_decides_what_meta_receives(
    sandbox: Sandbox, config: PostbackConfig, player: Person, level: str, outcome: tuple[str, str]
) -> None:
    row = bought(player, consent_level=level)
    drain()
    row.refresh_from_db()
    assert (row.state, row.reason) == outcome
    keys = [sorted(event["user_data"]) for event in events(sandbox)]
    full = ["client_ip_address", "client_user_agent", "em", "external_id", "fbc", "fbp"]
    assert keys == {"none": [], "anonymous": [["fbc"]], "full": [full]}[level]
    assert ["event_source_url" in event for event in events(sandbox)] == [level == "full"] * len(keys)


@pytest.mark.parametrize(("fault", "access"), [("unauthorized", "token"), ("no_permission", "pixel")])
def test_a_refused_credential_is_held_until_a_rotation_and_then_everything_is_sent(
    sandbox: Sandbox, config: PostbackConfig, player: Person, fault: str, access: str
) -> None:
    row = bought(player)
    sandbox.state.add_fault("meta", fault, 3)  # the delivery, the read of the dataset, the old event
    drain()
    run_checks()
    config.refresh_from_db()
    row.refresh_from_db()
    assert (row.state, config.held_at is not None, config.held_for) == ("held", True, access)
    sandbox.state.clear_faults()
    proposed = ProposedSettings.of(config, credential={"token": ACCOUNTS.rotated_token}, enabled=True)
    lifecycle.change(config=config, changed_by=None, proposed=proposed)
    run_checks()
    drain()
    row.refresh_from_db()
    config.refresh_from_db()
    assert (row.state, config.held_at, config.version) == ("delivered", None, 2)
    assert sandbox.received("meta")[-1]["headers"]["Authorization"] == f"Bearer {ACCOUNTS.rotated_token}"


def test_a_hold_ends_by_a_release_with_the_same_credential(
    sandbox: Sandbox, config: PostbackConfig, player: Person
) -> None:
    row = bought(player)
    sandbox.state.revoke("meta", ACCOUNTS.token, revoked=True)
    drain()
    run_checks()
    row.refresh_from_db()
    assert row.state == "held"
    sandbox.state.revoke("meta", ACCOUNTS.token, revoked=False)
    credentials.request_release(config=PostbackConfig.objects.get(), requested_by=None)
    run_checks()
    drain()
    row.refresh_from_db()
    assert row.state == "delivered"


def test_a_replay_is_sent_with_the_same_event_id_and_not_after_47_hours(
    sandbox: Sandbox, config: PostbackConfig, player: Person
) -> None:
    row = bought(player)
    sandbox.state.add_fault("meta", "bad_request", 1)
    drain()
    row.refresh_from_db()
    assert row.state == "failed"
    replays.send_again(row)
    drain()
    row.refresh_from_db()
    assert row.state == "delivered"
    assert [event["event_id"] for event in events(sandbox)] == [row.event_id] * 2
    Delivery.objects.update(state="failed", safe_until=timezone.now())
    with pytest.raises(replays.NotSendable, match="more than 47 hours ago"):
        replays.send_again(Delivery.objects.get())


def test_an_erasure_of_a_player_cancels_what_waits(sandbox: Sandbox, config: PostbackConfig, player: Person) -> None:
    row = bought(player)
    sandbox.state.add_fault("meta", "unavailable", 1)
    drain()
    erasure.request_erasure(game=config.game, namespace="user", subject="user-1", requested_by="a test")
    assert erasure.drain() == 1
    drain()
    row.refresh_from_db()
    assert (row.state, row.reason, row.attempts.get().payload) == ("cancelled", "erased", None)
    assert len(sandbox.received("meta")) == 1


def test_what_meta_quotes_of_a_player_is_removed_by_an_erasure(
    config: PostbackConfig, player: Person, settings: Any
) -> None:
    row = bought(player)
    quoted = {"code": 100, "message": f"Bad {FBP}", "error_user_msg": "See John_Smith@gmail.com", "fbtrace_id": "A1"}
    with answering(400, {"error": quoted}) as url:
        settings.NETWORK_URLS = {**settings.NETWORK_URLS, "meta": url}
        drain()
    attempt = row.attempts.get()
    assert attempt.message == f"Bad {FBP}. See John_Smith@gmail.com"
    erasure.request_erasure(game=config.game, namespace="user", subject="user-1", requested_by="a test")
    assert erasure.drain() == 1
    attempt.refresh_from_db()
    assert [part for part in (FBP, "John_Smith@gmail.com") if part in attempt.message] == []


# Settings of the postback ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "states", "calls"), [("", ("waiting", "delivered"), 2), ("once", ("failed", "failed"), 1)]
)
def test_a_call_without_an_answer_is_repeated_unless_the_postback_says_otherwise(
    sandbox: Sandbox, game: Game, player: Person, setting: str, states: tuple[str, str], calls: int
) -> None:
    config = factories.config(game, network="meta", credential={"token": ACCOUNTS.token, "unanswered": setting})
    row = bought(player)
    sandbox.state.add_fault("meta", "reset", 1)
    drain()
    row.refresh_from_db()
    assert (row.state, row.may_have_arrived) == (states[0], True)
    message = row.attempts.get().message
    assert ("It is not sent again because of a setting of the postback." in message) is bool(setting)
    drain()
    row.refresh_from_db()
    assert (row.state, len(events(sandbox))) == (states[1], calls)
    assert config.kind.repeats_unanswered(config.credential) is not bool(setting)


@pytest.mark.parametrize(("setting", "state"), [("", "delivered"), ("once", "failed")])
def test_the_event_of_a_killed_worker_is_repeated_unless_the_postback_says_otherwise(
    sandbox: Sandbox, game: Game, player: Person, setting: str, state: str
) -> None:
    factories.config(game, network="meta", credential={"token": ACCOUNTS.token, "unanswered": setting})
    row = bought(player)
    assert list(claims.claim(network="meta"))
    Delivery.objects.filter(pk=row.pk).update(leased_until=timezone.now() - timedelta(seconds=1))
    drain()
    row.refresh_from_db()
    assert (row.state, row.may_have_arrived) == (state, state == "failed")


def test_an_answer_is_repeated_with_either_setting(sandbox: Sandbox, game: Game, player: Person) -> None:
    factories.config(game, network="meta", credential={"token": ACCOUNTS.token, "unanswered": "once"})
    row = bought(player)
    sandbox.state.add_fault("meta", "unavailable", 1)
    drain()
    drain()
    row.refresh_from_db()
    assert row.state == "delivered"


def test_the_preview_has_the_settings_of_the_postback(sandbox: Sandbox, game: Game, player: Person) -> None:
    credential = {"token": ACCOUNTS.token, "action_source": "other", "external_id": "raw"}
    config = factories.config(game, network="meta", credential=credential)
    row = bought(player)
    assert row.conversion
    shown = preview.build_preview(row.conversion, config, addresses=True)
    drain()
    (request,) = sandbox.received("meta")
    assert shown.body == request["body"]
    assert (request["body"]["data"][0]["action_source"], request["body"]["data"][0]["user_data"]["external_id"]) == (
        "other",
        "user-1",
    )


def test_no_token_is_stored_logged_or_shown(
    sandbox: Sandbox, config: PostbackConfig, player: Person, marketer: Client, caplog: pytest.LogCaptureFixture
) -> None:
    row = bought(player)
    sandbox.state.add_fault("meta", "bad_request", 1)
    drain()
    attempt = row.attempts.get()
    url = f"/g/{config.game.slug}/integrations/meta/"
    pages = [url, f"{url}attempts/{attempt.pk}/", f"{url}{config.pk}/edit/"]
    shown = [marketer.get(page).content.decode() for page in pages]
    stored = json.dumps([attempt.payload, attempt.message, attempt.request_id])
    assert [text for text in (*shown, stored, caplog.text) if ACCOUNTS.token in text] == []
