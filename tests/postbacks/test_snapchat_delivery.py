"""Snapchat over real sockets, against its imitation: saving, sending, holding, and what its server may do otherwise."""

import json
import logging
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from audience.models import Conversion, Game
from audience.privacy import erasure
from postbacks.configs import credentials, lifecycle
from postbacks.configs.proposed_settings import ProposedSettings
from postbacks.delivery import replays, sending
from postbacks.http import post
from postbacks.models import CredentialCheck, Delivery, DeliveryAttempt, PostbackConfig
from postbacks.monitoring.health.evaluation import evaluate_configs
from postbacks.monitoring.health.types import Health
from postbacks.networks import NETWORKS
from postbacks.networks.interface.call import Outcome, Request, Verdict
from postbacks.networks.interface.facts import Facts
from postbacks.networks.snapchat.imitation import ACCOUNTS, Rules, imitation
from postbacks.outbox import fan_out
from postbacks.reporting import audit
from postbacks.sandbox.server import Sandbox, all_imitations
from tests import factories
from tests.postbacks.facts import PURCHASE

SNAPCHAT = NETWORKS["snapchat"]
EMAIL_HASH = "ff8d9819fc0e12bf0d24892e45987e249a28dce836a85cad60e28eaaa8c6d976"  # of alice@example.com
PATH = f"/v3/{ACCOUNTS.pixel}/events"

pytestmark = pytest.mark.django_db


@pytest.fixture
def config() -> PostbackConfig:
    row = factories.config(factories.game(), network="snapchat")
    row.versions.get_or_create(number=row.version, defaults={"triggers": row.triggers, "enabled": True})
    return row


def bought(config: PostbackConfig, *, traits: dict[str, Any] | None = None, **given: Any) -> Conversion:
    """A purchase, or another event, of a player who clicked an ad."""
    player = factories.person(config.game, user="player-42", traits={"email": "alice@example.com"} | (traits or {}))
    click = factories.touch(player, network="snapchat", click_id="0A1b-click", cookies={"_scid": "scid-1"})
    return factories.conversion(player, touch=click, **given)


def send(config: PostbackConfig, **given: Any) -> Delivery:
    conversion = bought(config, **given)
    fan_out.fan_out_due()
    drain()
    return Delivery.objects.get(conversion=conversion)


def drain() -> None:
    sending.drain(network="snapchat", max_in_flight=1, seconds=5)


def answer_checks() -> None:
    """What the worker does with the checks that were requested."""
    for check in CredentialCheck.objects.pending():
        credentials.run_check(check_id=str(check.pk))


# Saving --------------------------------------------------------------------------------------------


@pytest.fixture
def save(game: Game, marketer: Client) -> Callable[..., CredentialCheck]:
    """Post the form and run the check; the finished check."""

    def post_form(**given: Any) -> CredentialCheck:
        fields = {
            "pixel_id": ACCOUNTS.pixel,
            "credential": ACCOUNTS.token,
            "triggers": ["game_launch", "purchase"],
            "enabled": "on",
        }
        answer = marketer.post(f"/g/{game.slug}/integrations/snapchat/add/", fields | given)
        assert answer.status_code == 302
        answer_checks()
        return CredentialCheck.objects.get()

    return post_form


def test_a_good_token_is_saved_after_a_test_that_records_nothing(sandbox: Sandbox, save: Any) -> None:
    check = save()
    assert (check.state, check.http_status) == ("passed", 200)
    config = PostbackConfig.objects.get()
    assert (config.network, config.pixel_id, config.credential) == (
        "snapchat",
        ACCOUNTS.pixel,
        {"token": ACCOUNTS.token},
    )
    (request,) = sandbox.received("snapchat", test=True)
    assert (request["path"], request["body"]["data"][0]["event_name"]) == (f"{PATH}/validate", "PAGE_VIEW")
    assert request["response"] == {"status": "VALID", "test_event": True}
    assert sandbox.received("snapchat") == []


NO_RIGHT = "This access token has no access to pixel ID"


@pytest.mark.parametrize(
    ("given", "state", "sentence"),
    [
        ({"credential": "wrong-token"}, "refused", "does not accept this access token (“Invalid access token”)"),
        ({"pixel_id": ACCOUNTS.pixel[:-1] + "f"}, "refused", NO_RIGHT),
        ({"pixel_id": ACCOUNTS.foreign_pixel}, "refused", NO_RIGHT),
        ({"credential": ACCOUNTS.foreign_token}, "refused", NO_RIGHT),
    ],
    ids=["wrong token", "unknown pixel", "pixel of another", "token of another"],
)
def test_a_token_or_pixel_that_is_refused_is_not_saved(
    sandbox: Sandbox, save: Any, given: dict[str, str], state: str, sentence: str
) -> None:
    check = save(**given)
    assert (check.state, sentence in check.message) == (state, True), check.message
    assert PostbackConfig.objects.count() == 0


@pytest.mark.parametrize("fault", ["unavailable", "html_502", "rate_limited", "reset"])
def test_what_could_not_be_verified_is_not_saved_and_not_called_wrong(sandbox: Sandbox, save: Any, fault: str) -> None:
    sandbox.state.add_fault("snapchat", fault, 1)
    check = save()
    assert check.state == "unverified"
    assert "could not verify" in check.message
    assert PostbackConfig.objects.count() == 0


def test_a_test_conversion_needs_no_code_and_is_counted_nowhere(sandbox: Sandbox, config: PostbackConfig) -> None:
    credentials.request_test(config=config, trigger="purchase", requested_by=None)
    answer_checks()
    assert CredentialCheck.objects.get().state == "passed"
    (request,) = sandbox.received("snapchat", test=True)
    assert request["body"]["data"][0]["event_name"] == "PURCHASE"
    assert (sandbox.received("snapchat"), Delivery.objects.count()) == ([], 0)


# Sending -------------------------------------------------------------------------------------------


def test_a_launch_is_delivered(sandbox: Sandbox, config: PostbackConfig) -> None:
    row = send(config, trigger="game_launch", properties={})
    assert (row.state, row.attempts.get().message) == ("delivered", "Events have been processed successfully.")
    (request,) = sandbox.received("snapchat")
    assert request["path"] == PATH
    assert request["body"] == {
        "data": [
            {
                "event_name": "SIGN_UP",
                "event_time": int(row.event_at.timestamp()),
                "action_source": "WEB",
                "event_source_url": "https://game.example/landing",
                "event_id": row.event_id,
                "user_data": {
                    "em": [EMAIL_HASH],
                    "external_id": ["c3214538d133c9d934db63a435cddcae80ec8b6f073babcc7c3a02a17791be79"],
                    "client_ip_address": "203.0.113.7",
                    "client_user_agent": "Mozilla/5.0 (click)",
                    "sc_click_id": "0A1b-click",
                    "sc_cookie1": "scid-1",
                },
            }
        ]
    }
    assert row.attempts.get().payload == request["body"]


def test_a_purchase_is_delivered_with_what_was_paid(sandbox: Sandbox, config: PostbackConfig) -> None:
    properties = {"value": 9.99, "currency": "USD", "order_id": "1001", "item_id": "gem", "quantity": 2, "price": 4.5}
    row = send(config, properties=properties)
    assert row.state == "delivered"
    (request,) = sandbox.received("snapchat")
    (sent,) = request["body"]["data"]
    assert (sent["event_name"], sent["event_id"]) == ("PURCHASE", row.event_id)
    assert sent["custom_data"] == {
        "value": 9.99,
        "currency": "USD",
        "order_id": "1001",
        "content_ids": ["gem"],
        "contents": [{"id": "gem", "quantity": 2, "item_price": 4.5}],
        "num_items": 2,
    }
    assert evaluate_configs([config])[config.pk].health == Health.HEALTHY


@pytest.mark.parametrize(("currency", "outcome"), [("XPF", ("skipped", "no_value")), ("XOF", ("delivered", ""))])
def test_a_purchase_in_a_currency_that_the_network_does_not_know_is_not_sent(
    sandbox: Sandbox, config: PostbackConfig, currency: str, outcome: tuple[str, str]
) -> None:
    row = send(config, properties={"value": 900, "currency": currency})
    assert (row.state, row.reason) == outcome


def test_an_event_of_another_kind_is_sent_without_a_value_in_such_a_currency(
    sandbox: Sandbox, config: PostbackConfig
) -> None:
    row = send(config, trigger="game_launch", properties={"value": 900, "currency": "XPF"})
    assert row.state == "delivered"
    assert "custom_data" not in sandbox.received("snapchat")[0]["body"]["data"][0]


def test_the_same_event_after_an_unknown_outcome_is_a_duplicate_to_the_network(
    sandbox: Sandbox, config: PostbackConfig
) -> None:
    row = send(config)
    Delivery.objects.update(state="waiting", finished_at=None, next_attempt_at=timezone.now())
    drain()
    assert [entry["duplicate"] for entry in sandbox.received("snapchat")] == [False, True]
    assert DeliveryAttempt.objects.filter(delivery=row, status="success").count() == 2


# Consent and erasure -------------------------------------------------------------------------------


def test_full_consent_sends_everything(sandbox: Sandbox, config: PostbackConfig) -> None:
    assert send(config, consent_level="full").state == "delivered"
    assert sandbox.received("snapchat")[0]["body"]["data"][0]["user_data"]["em"] == [EMAIL_HASH]


@pytest.mark.parametrize(("level", "reason"), [("none", "consent"), ("anonymous", "no_match_key")])
def test_less_consent_sends_nothing_and_says_why(
    sandbox: Sandbox, game: Game, marketer: Client, level: str, reason: str
) -> None:
    row = send(factories.config(game, network="snapchat"), consent_level=level)
    assert (row.state, row.reason) == ("skipped", reason)
    assert sandbox.received("snapchat") == []
    page = marketer.get(f"/g/{game.slug}/conversions/{row.conversion_id}/").content.decode()
    assert ("Snapchat does not accept events with only a click ID." in page) is (level == "anonymous")


def test_an_erasure_while_the_delivery_waits_cancels_it(sandbox: Sandbox, config: PostbackConfig) -> None:
    sandbox.state.add_fault("snapchat", "unavailable", 1)
    row = send(config)
    assert (row.state, row.attempts.count()) == ("waiting", 1)
    erasure.request_erasure(game=config.game, namespace="user", subject="player-42", requested_by="a test")
    erasure.drain()
    Delivery.objects.update(next_attempt_at=timezone.now())
    drain()
    row.refresh_from_db()
    assert (row.state, row.reason, row.conversion) == ("cancelled", "erased", None)
    assert row.attempts.get().payload is None
    assert len(sandbox.received("snapchat")) == 1
    assert audit.run(days=0).violations == []


# Hold, rotation, replay ----------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["unauthorized", "unauthorized_as_400", "forbidden", "forbidden_as_401"])
def test_a_refused_credential_holds_what_waits_until_it_is_accepted_again(
    sandbox: Sandbox, config: PostbackConfig, fault: str
) -> None:
    sandbox.state.add_fault("snapchat", fault, 2)
    row = send(config)
    assert row.state == "waiting"
    answer_checks()
    row.refresh_from_db()
    config.refresh_from_db()
    assert (row.state, config.held_for) == ("held", "token" if fault.startswith("unauthorized") else "pixel")
    assert evaluate_configs([config])[config.pk].health == Health.ON_HOLD

    credentials.request_release(config=config, requested_by=None)
    answer_checks()
    drain()
    row.refresh_from_db()
    assert (row.state, row.attempts.count()) == ("delivered", 2)


def test_a_rotation_releases_what_is_held_and_sends_it_with_the_new_token(
    sandbox: Sandbox, config: PostbackConfig
) -> None:
    sandbox.state.revoke("snapchat", ACCOUNTS.token, revoked=True)
    row = send(config)
    answer_checks()
    config.refresh_from_db()
    assert config.held_at is not None
    lifecycle.change(
        config=config,
        changed_by=None,
        proposed=ProposedSettings.of(config, credential={"token": ACCOUNTS.rotated_token}, enabled=True),
    )
    answer_checks()
    drain()
    row.refresh_from_db()
    config.refresh_from_db()
    assert (row.state, config.held_at, config.credential) == ("delivered", None, {"token": ACCOUNTS.rotated_token})


@pytest.mark.parametrize(("days", "state"), [(6, "delivered"), (8, "failed")])
def test_a_failed_event_is_replayed_inside_the_seven_days(
    sandbox: Sandbox, config: PostbackConfig, days: int, state: str
) -> None:
    at = timezone.now() - timedelta(days=days)
    row = factories.delivery(
        config,
        conversion=bought(config, event_at=at, fanned_out_at=at),
        state="failed",
        verdict="payload",
        attempts_made=1,
        attempts_counted=1,
        next_attempt_at=None,
        finished_at=timezone.now(),
        first_attempt_at=timezone.now(),
        safe_until=timezone.now() + timedelta(hours=47),
    )
    factories.attempt(row, status="failed", verdict="payload")
    if state == "failed":
        with pytest.raises(replays.ReplayRefused):
            replays.start(config=config, failed_from=None, failed_until=None, verdict="", requested_by=None)
    else:
        replays.start(config=config, failed_from=None, failed_until=None, verdict="", requested_by=None)
        replays.advance()
        drain()
    row.refresh_from_db()
    assert row.state == state
    assert [entry["body"]["data"][0]["event_id"] for entry in sandbox.received("snapchat")] == (
        [row.event_id] if state == "delivered" else []
    )


# The token -----------------------------------------------------------------------------------------


def everything_stored() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE tablename ~ '^(postbacks|audience|auditlog)_'")
        texts = []
        for (name,) in cursor.fetchall():
            cursor.execute(f'SELECT string_agg(row::text, chr(10)) FROM "{name}" row')
            texts.append(str(cursor.fetchone()[0]))
    return "\n".join(texts)


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "fault",
    ["", "unauthorized", "forbidden", "bad_request", "rate_limited", "unavailable", "html_502", "timeout", "reset"],
)
def test_the_token_in_the_url_is_in_no_log_row_or_page(
    sandbox: Sandbox,
    game: Game,
    marketer: Client,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(sending, "TIMEOUT_SECONDS", 0.5 if fault == "timeout" else 10.0)
    config = factories.config(game, network="snapchat")
    if fault:
        sandbox.state.add_fault("snapchat", fault, 1)
    row = send(config)
    answer_checks()
    assert row.attempts.count() == 1

    url = f"/g/{game.slug}/integrations/snapchat/"
    pages = [url, f"{url}attempts/{row.attempts.get().pk}/", f"{url}preview/", f"{url}{config.pk}/edit/"]
    pages += [f"/g/{game.slug}/conversions/{row.conversion_id}/", f"/g/{game.slug}/integrations/"]
    shown = [marketer.get(page, follow=True).content.decode() for page in pages]
    logged = caplog.text + "".join(capsys.readouterr())
    assert "delivery_attempted" in logged
    received = json.dumps([*sandbox.received("snapchat"), *sandbox.received("snapchat", test=True)])
    for text in (logged, everything_stored(), received, *shown):
        assert ACCOUNTS.token not in text
        assert "access_token=" not in text


def test_a_call_that_gets_no_connection_names_no_token(
    settings: Any, config: PostbackConfig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings.NETWORK_URLS = {**settings.NETWORK_URLS, "snapchat": "http://127.0.0.1:9"}
    attempt = send(config).attempts.get()
    assert (attempt.verdict, attempt.status, attempt.message) == ("transient", "retried", "The connection was refused")
    for text in (caplog.text, everything_stored()):
        assert ACCOUNTS.token not in text
        assert "access_token=" not in text


@contextmanager
def malformed_answers() -> Iterator[str]:
    """Run a server whose answers have a line among the headers that is none; yield its URL."""

    class Answer(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            length = 0
            while line := self.rfile.readline().strip():
                if line.lower().startswith(b"content-length:"):
                    length = int(line.partition(b":")[2])
            self.rfile.read(length)
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 18\r\nno header\r\n\r\n" + b'{"status":"VALID"}')

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def test_an_answer_with_malformed_headers_logs_no_token(
    settings: Any, config: PostbackConfig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with malformed_answers() as url:
        settings.NETWORK_URLS = {**settings.NETWORK_URLS, "snapchat": url}
        row = send(config)
    assert row.attempts.count() == 1
    assert "delivery_attempted" in caplog.text
    assert ACCOUNTS.token not in caplog.text
    assert "access_token=" not in caplog.text


def test_a_token_that_the_network_repeats_is_masked_in_either_spelling(sandbox: Sandbox) -> None:
    token, spelled = "canary+token/with=signs", "canary%2Btoken%2Fwith%3Dsigns"
    request = request_to(sandbox, token=token)
    answer = post(replace(request, url=f"{sandbox.url}/{token}/{spelled}"))
    sentence = "POST /[hidden]/[hidden] is not an endpoint; see GET /"
    assert (answer.status, json.loads(answer.body)) == (404, {"error": sentence})


# What is not certain of the server -----------------------------------------------------------------


@pytest.fixture
def running(settings: Any) -> Iterator[Callable[[Rules], Sandbox]]:
    """Start the sandbox with an imitation that follows other rules."""
    started: list[Sandbox] = []

    def start(rules: Rules) -> Sandbox:
        sandbox = Sandbox(imitations={**all_imitations(), "snapchat": imitation(rules)})
        started.append(sandbox.start())
        settings.NETWORK_URLS = dict.fromkeys(NETWORKS, sandbox.url)
        return sandbox

    yield start
    for sandbox in started:
        sandbox.stop()


@pytest.mark.parametrize("status", [400, 200])
def test_a_refused_event_fails_whatever_status_it_has(running: Any, config: PostbackConfig, status: int) -> None:
    sandbox = running(Rules(refused_status=status, max_age_days=1))
    row = send(config, event_at=timezone.now() - timedelta(days=2))
    assert (row.state, row.verdict) == ("failed", "payload")
    attempt = row.attempts.get()
    assert (attempt.http_status, attempt.provider_code) == (status, "517")
    assert attempt.message == "event_time is out of range Invalid value for event_time"
    assert len(sandbox.received("snapchat")) == 1


@pytest.mark.parametrize(
    ("rules", "token", "pixel", "access"),
    [
        (Rules(), "wrong-token", ACCOUNTS.pixel, "token"),
        (Rules(bad_token_status=400), "wrong-token", ACCOUNTS.pixel, "token"),
        (Rules(), "", ACCOUNTS.pixel, "token"),
        (Rules(), ACCOUNTS.token, ACCOUNTS.foreign_pixel, "pixel"),
        (Rules(foreign_pixel_status=401), ACCOUNTS.token, ACCOUNTS.foreign_pixel, "pixel"),
        (Rules(foreign_pixel_status=200), ACCOUNTS.token, ACCOUNTS.foreign_pixel, "pixel"),
    ],
)
def test_a_refused_token_and_a_foreign_pixel_are_told_apart_whatever_status_they_have(
    running: Any, rules: Rules, token: str, pixel: str, access: str
) -> None:
    assert outcome_of(running(rules), token=token, pixel=pixel).access == access


@pytest.mark.parametrize(
    ("days", "limit", "verdict"),
    [(6, 7, Verdict.SUCCESS), (8, 7, Verdict.PAYLOAD), (8, 37, Verdict.SUCCESS), (38, 37, Verdict.PAYLOAD)],
)
def test_the_age_that_the_server_accepts_can_be_switched(running: Any, days: int, limit: int, verdict: Verdict) -> None:
    facts = replace(PURCHASE, event_at=timezone.now() - timedelta(days=days))
    assert outcome_of(running(Rules(max_age_days=limit)), facts=facts).verdict is verdict


def test_an_event_of_the_future_is_refused(running: Any) -> None:
    facts = replace(PURCHASE, event_at=timezone.now() + timedelta(hours=1))
    outcome = outcome_of(running(Rules()), facts=facts)
    assert (outcome.verdict, outcome.message) == (
        Verdict.PAYLOAD,
        "event_time is out of range Invalid value for event_time",
    )


def test_the_server_counts_an_event_once_by_its_id_with_or_without_its_name(running: Any) -> None:
    for by_name in (True, False):
        sandbox = running(Rules(deduplicates_by_name=by_name))
        for trigger in ("purchase", "game_launch", "purchase"):
            outcome_of(sandbox, facts=replace(PURCHASE, trigger=trigger, event_at=timezone.now()))
        duplicates = [entry["duplicate"] for entry in sandbox.received("snapchat")]
        assert duplicates == [False, not by_name, True]


def request_to(sandbox: Sandbox, *, facts: Facts | None = None, token: str = "", pixel: str = "") -> Request:
    target = SNAPCHAT.target(
        pixel_id=pixel or ACCOUNTS.pixel, credential={"token": token}, base_url=sandbox.url, is_test=False
    )
    return SNAPCHAT.build(target, facts or replace(PURCHASE, event_at=timezone.now()))


def outcome_of(
    sandbox: Sandbox, *, facts: Facts | None = None, token: str = ACCOUNTS.token, pixel: str = ""
) -> Outcome:
    return SNAPCHAT.classify(post(request_to(sandbox, facts=facts, token=token, pixel=pixel)))


def answer_to(sandbox: Sandbox, path: str = "", **changes: Any) -> tuple[int | None, Any]:
    """(status, answer) to the purchase with fields of its event changed; `...` removes one."""
    request = request_to(sandbox, token=ACCOUNTS.token)
    body = json.loads(request.body)
    event = body["data"][0]
    for name, value in changes.items():
        holder = event
        *outer, last = name.split("__")
        for step in outer:
            holder = holder[step]
        holder[last] = value
        if value is ...:
            del holder[last]
    parts = urlsplit(request.url)
    url = f"{parts.scheme}://{parts.netloc}{parts.path}{path}?{parts.query}"
    response = post(replace(request, url=url, body=json.dumps(body).encode()))
    return response.status, json.loads(response.body)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"custom_data__value": ...}, "Missing value or currency on a PURCHASE event"),
        ({"custom_data": ...}, "Missing value or currency on a PURCHASE event"),
        ({"user_data": {"sc_click_id": "c-1"}}, "Insufficient PII"),
        ({"user_data": {"client_ip_address": "203.0.113.7"}}, "Insufficient PII"),
        ({"user_data": ...}, "Insufficient PII"),
        ({"user_data__em": ["alice@example.com"]}, "At least one of the events is invalid."),
        ({"event_name": "LEVEL_UP"}, "At least one of the events is invalid."),
        ({"custom_data__currency": "XPF"}, "At least one of the events is invalid."),
    ],
    ids=str,
)
def test_the_imitation_refuses_what_the_network_refuses(sandbox: Sandbox, changes: dict[str, Any], reason: str) -> None:
    status, answer = answer_to(sandbox, **changes)
    assert (status, answer["status"]) == (400, "INVALID")
    assert answer["reason"].startswith(reason)
    assert answer["errors"][0]["errors"]["codes"] == ["517"]
    status, answer = answer_to(sandbox, "/validate", **changes)
    assert (status, answer["status"], answer["test_event"]) == (400, "INVALID", True)
    assert answer["event_logs"][0]["errors"]["codes"] == ["517"]


@pytest.mark.parametrize(
    "changes",
    [
        {"user_data": {"client_ip_address": "203.0.113.7", "client_user_agent": "Agent"}},
        {"user_data__em": EMAIL_HASH},
        {"custom_data__value": "9.99"},
        {"event_source_url": ...},
        {"event_id": ...},
        {"integration": "partner"},
    ],
    ids=str,
)
def test_the_imitation_takes_what_the_network_takes(sandbox: Sandbox, changes: dict[str, Any]) -> None:
    answer = {"status": "VALID", "reason": "Events have been processed successfully."}
    assert answer_to(sandbox, **changes) == (200, answer)


def test_milliseconds_are_taken_for_the_web_and_refused_for_offline_events(sandbox: Sandbox) -> None:
    milliseconds = int(timezone.now().timestamp() * 1000)
    assert answer_to(sandbox, event_time=milliseconds)[0] == 200
    assert answer_to(sandbox, event_time=milliseconds, action_source="OFFLINE") == (
        400,
        {"status": "INVALID", "error_msgs": ["Param data['event_time'] is an invalid Unix timestamp."]},
    )


def test_only_a_test_needs_the_page_of_the_event(sandbox: Sandbox) -> None:
    status, answer = answer_to(sandbox, "/validate", event_source_url=...)
    assert (status, answer["event_logs"][0]["errors"]["error_msgs"]) == (400, ["Missing event_source_url"])
    assert answer_to(sandbox, "/validate") == (200, {"status": "VALID", "test_event": True})


@pytest.mark.parametrize(("takes_rest", "status", "duplicate"), [(False, 400, False), (True, 200, True)])
def test_of_a_batch_with_an_invalid_event_the_rest_is_taken_only_by_a_rule(
    running: Any, takes_rest: bool, status: int, duplicate: bool
) -> None:
    sandbox = running(Rules(takes_rest_of_batch=takes_rest))
    request = request_to(sandbox, token=ACCOUNTS.token)
    body = json.loads(request.body)
    body["data"].append({**body["data"][0], "event_name": "LEVEL_UP"})
    assert post(replace(request, body=json.dumps(body).encode())).status == status
    post(request)
    assert [entry["duplicate"] for entry in sandbox.received("snapchat")] == [False, duplicate]


@pytest.mark.parametrize("takes_any", [False, True])
def test_whether_the_server_takes_a_currency_that_is_not_in_the_list_can_be_switched(
    running: Any, takes_any: bool
) -> None:
    sandbox = running(Rules(takes_any_currency=takes_any))
    assert answer_to(sandbox, custom_data__currency="XPF")[0] == (200 if takes_any else 400)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v3/events", 404),
        ("POST", f"{PATH}/other", 404),
        ("GET", PATH, 405),
    ],
)
def test_unknown_paths_are_404_and_wrong_methods_405(sandbox: Sandbox, method: str, path: str, status: int) -> None:
    request = replace(request_to(sandbox, token=ACCOUNTS.token), method=method, url=f"{sandbox.url}{path}")
    assert post(request).status == status


def test_more_calls_in_a_second_than_the_quota_are_refused() -> None:
    imitations = {**all_imitations(), "snapchat": replace(imitation(), quota=1)}
    now = timezone.now().timestamp()
    with Sandbox(imitations=imitations, clock=lambda: now) as sandbox:
        outcomes = [outcome_of(sandbox) for _ in range(2)]
    assert [outcome.verdict for outcome in outcomes] == [Verdict.SUCCESS, Verdict.TRANSIENT]
    assert (outcomes[1].limited, outcomes[1].message) == (True, "Rate limit exceeded")
