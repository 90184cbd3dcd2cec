"""The imitated networks: as strict as the networks, with faults on request."""

import copy
import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import jsonschema
import pytest

from postbacks.http import post
from postbacks.networks import NETWORKS
from postbacks.networks.interface.body_schema import MAX_ERRORS, BodySchema
from postbacks.networks.interface.call import Outcome, Request, Response, Verdict
from postbacks.networks.interface.facts import Facts
from postbacks.networks.interface.imitation import ImitationRequest, imitation_of
from postbacks.sandbox.control import FAULTS
from postbacks.sandbox.server import Sandbox, all_imitations
from tests import factories
from tests.postbacks.facts import PURCHASE, authorised, mapped, schema, vector

ACCOUNTS, PIXELS, TOKENS = factories.ACCOUNTS, factories.PIXELS, factories.TOKENS
EACH = pytest.mark.parametrize("kind", NETWORKS)
NOW = datetime(2025, 1, 3, 8, 0, tzinfo=UTC)


class Clock:
    """Unix seconds that a test moves by hand."""

    def __init__(self) -> None:
        self.now = NOW.timestamp()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[Sandbox]:
    with Sandbox(clock=clock) as running:
        yield running


def purchase(sandbox: Sandbox, kind: str, *, facts: Facts = PURCHASE, **changes: Any) -> Request:
    fields = {"pixel_id": PIXELS[kind], "credential": TOKENS[kind], "base_url": sandbox.url} | changes
    credential = {**ACCOUNTS[kind].stored_credential(), "token": fields["credential"]}
    target = NETWORKS[kind].target(**{**fields, "credential": credential})
    return NETWORKS[kind].build(authorised(kind, target), mapped(kind, facts))


def send(sandbox: Sandbox, kind: str, **changes: Any) -> Outcome:
    return NETWORKS[kind].classify(post(purchase(sandbox, kind, **changes)))


def send_body(sandbox: Sandbox, kind: str, body: Any, **headers: str) -> tuple[int | None, Any]:
    """(status, decoded answer) of an otherwise good request with another body, or with headers changed."""
    request = purchase(sandbox, kind)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    changed = {name.replace("_", "-"): value for name, value in headers.items()}
    response = post(replace(request, body=raw, headers=request.headers | changed))
    return response.status, json.loads(response.body)


def call(sandbox: Sandbox, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """One request to the sandbox's own endpoints."""
    connection = http.client.HTTPConnection(urlsplit(sandbox.url).netloc, timeout=5)
    connection.request(method, path, None if body is None else json.dumps(body))
    answer = connection.getresponse()
    raw = answer.read()
    connection.close()
    return answer.status, json.loads(raw) if answer.headers.get_content_type() == "application/json" else raw.decode()


def golden(kind: str) -> Any:
    return vector(kind, "purchase")


@EACH
@pytest.mark.parametrize("token", ["token", "rotated_token"])
def test_both_good_tokens_are_accepted_on_both_pixels(sandbox: Sandbox, kind: str, token: str):
    accounts = ACCOUNTS[kind]
    for pixel in (accounts.pixel, accounts.second_pixel):
        outcome = send(sandbox, kind, credential=getattr(accounts, token), pixel_id=pixel)
        assert outcome.verdict is Verdict.SUCCESS


def test_tiktok_answers_a_valid_event_with_code_0(sandbox: Sandbox):
    status, answer = send_body(sandbox, "tiktok", golden("tiktok"))
    assert re.fullmatch(r"\d{14}[0-9A-F]{20}", answer.pop("request_id"))
    assert (status, answer) == (200, {"code": 0, "message": "OK", "data": {}})


def test_reddit_answers_a_valid_event_with_200(sandbox: Sandbox):
    answer = {"data": {"message": "Successfully processed 1 conversion events."}}
    assert send_body(sandbox, "reddit", golden("reddit")) == (200, answer)


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"credential": ""}, ("40104", "Access token is empty", "token")),
        ({"credential": "0" * 40}, ("40105", "Access token is incorrect or has been revoked.", "token")),
        (
            {"credential": ACCOUNTS["tiktok"].foreign_token},
            (
                "40001",
                "No permission to operate pixel code: CSANDBOX0AFTERCLICK1. "
                "You must be an admin or operator of this advertiser account.",
                "pixel",
            ),
        ),
    ],
)
def test_tiktok_refuses_a_credential_under_http_200(sandbox: Sandbox, changes: Any, outcome: tuple[str, str, str]):
    judged = send(sandbox, "tiktok", **changes)
    assert (judged.code, judged.message, judged.access) == outcome
    assert judged.verdict is Verdict.CREDENTIAL
    assert [entry["status"] for entry in sandbox.received("tiktok")] == [200]


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"credential": ""}, ("401", "No bearer token provided", "token")),
        ({"credential": TOKENS["reddit"][:-1]}, ("401", "UNAUTHORIZED", "token")),
        (
            {"credential": ACCOUNTS["reddit"].foreign_token},
            ("403", "You're not authorized to post conversions to Pixel ID a2_sandbox01.", "pixel"),
        ),
    ],
)
def test_reddit_refuses_a_credential(sandbox: Sandbox, changes: Any, outcome: tuple[str, str, str]):
    judged = send(sandbox, "reddit", **changes)
    assert (judged.code, judged.message, judged.access) == outcome
    assert judged.verdict is Verdict.CREDENTIAL


@pytest.mark.parametrize(
    "agent", ["python-urllib3/2.8.0", "python-requests/2.32", "curl/8.5", "Go-http-client/1.1", ""]
)
def test_reddit_answers_429_to_the_user_agents_of_http_libraries(sandbox: Sandbox, agent: str):
    answer = {"error": {"code": 429, "message": "Your user agent was automatically ratelimited."}}
    assert send_body(sandbox, "reddit", golden("reddit"), User_Agent=agent) == (429, answer)


def changed(body: Any, path: str, value: Any) -> Any:
    """A copy of `body` with one dotted place set; ... removes it."""
    body = copy.deepcopy(body)
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place = body
    for step in way:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return body


@pytest.mark.parametrize(
    ("path", "value", "code", "message"),
    [
        ("event_source_id", 7, 40002, "Invalid value for event_source_id: not a valid string."),
        ("event_source_id", "", 40002, "Invalid value for event_source_id: not a valid string."),
        ("data.0.event_id", 7, 40002, "Invalid value for event_id: not a valid string."),
        ("data.0.event", ..., 40002, "Invalid value for event: not a valid string."),
        ("data.0.event_time", ..., 40002, "Invalid value for event_time: not a valid string."),
        ("data.0.event_time", "1735889487", 40002, "Invalid value for event_time: not a valid integer."),
        ("data.0.properties.value", "9.99", 40002, "Invalid value for properties.value: not a valid number."),
        ("data.0.properties.currency", "GOLD", 40002, "Invalid value for properties.currency: not a valid string."),
        ("data.0.properties.currency", "usd", 40002, "Invalid value for properties.currency: not a valid string."),
        ("data.0.limited_data_use", "true", 40002, "Invalid value for limited_data_use: not a valid boolean."),
        (
            "data.0.properties.contents.0.content_id",
            7,
            40002,
            "Invalid value for properties.contents.0.content_id: not a valid string.",
        ),
        ("data.0.user", [], 40002, "Invalid value for user: not a valid object."),
        ("data.0.user.email", "alice@example.com", 40062, "PII not hashed"),
        ("data.0.user.phone", "+15554441234", 40062, "PII not hashed"),
        ("data", [], 40061, "Invalid batch size"),
        ("data", [golden("tiktok")["data"][0]] * 1001, 40061, "Invalid batch size"),
        ("data.0.timestamp", "2025-01-03T07:31:27Z", 0, "OK"),
    ],
)
def test_tiktok_answers_an_invalid_body_with_a_code_under_http_200(
    sandbox: Sandbox, path: str, value: Any, code: int, message: str
):
    status, answer = send_body(sandbox, "tiktok", changed(golden("tiktok"), path, value))
    assert (status, answer["code"], answer["message"]) == (200, code, message)


NONE = "There were 1 invalid conversion events. None were processed."


@pytest.mark.parametrize(
    ("path", "value", "error"),
    [
        ("data.events.0.value_decimal", 1, {"message": 'JSON error "unknown field" on field "value_decimal"'}),
        ("data.events.0.test_id", "t", {"message": 'JSON error "unknown field" on field "test_id"'}),
        ("data.events.0.user.ip", "1.1.1.1", {"message": 'JSON error "unknown field" on field "ip"'}),
        ("data.events.0.action_source", ..., {"message": "missing action_source"}),
        ("data.events.0.event_at", ..., {"message": "missing event_at"}),
        ("data.events", [], {"message": "Bad Request"}),
        ("data.events", [golden("reddit")["data"]["events"][0]] * 1001, {"message": "Bad Request"}),
        (
            "data.events.0.action_source",
            "website",
            {
                "message": NONE,
                "fields": [
                    {
                        "field": "$.data.events[0].action_source",
                        "message": "action_source: invalid action_source: website",
                    }
                ],
            },
        ),
        (
            "data.events.0.user.uuid",
            "undefined",
            {
                "message": NONE,
                "fields": [
                    {
                        "field": "$.data.events[0].user.UUID",
                        "message": "user.UUID: invalid UUID: UUID must be RFC-4122 compliant",
                    }
                ],
            },
        ),
        (
            "data.events.0.event_at",
            1735889487,  # seconds
            {
                "message": NONE,
                "fields": [
                    {
                        "field": "$.data.events[0].event_at",
                        "message": "event_at: event_at timestamp must be less than 168h0m0s old",
                    }
                ],
            },
        ),
    ],
)
def test_reddit_answers_an_invalid_body_with_400_and_the_field(sandbox: Sandbox, path: str, value: Any, error: Any):
    body = changed(golden("reddit"), path, value)
    assert send_body(sandbox, "reddit", body) == (400, {"error": {"code": 400, **error}})


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("metadata.currency", "GOLD", "metadata.currency: invalid currency: GOLD"),
        ("metadata.value", "9.99", "metadata.value: invalid value: 9.99"),
        ("metadata.conversion_id", 7, "metadata.conversion_id: invalid conversion_id: 7"),
        (
            "user.data_processing_options",
            {"modes": ["ALL"]},
            "user.data_processing_options.modes.0: invalid 0: ALL",
        ),
    ],
)
def test_reddit_refuses_money_ids_and_data_use_of_another_form(
    sandbox: Sandbox, path: str, value: Any, field: str
) -> None:
    status, answer = send_body(sandbox, "reddit", changed(golden("reddit"), f"data.events.0.{path}", value))
    assert (status, answer["error"]["message"], [one["message"] for one in answer["error"]["fields"]]) == (
        400,
        NONE,
        [field],
    )


def test_reddit_accepts_an_event_until_it_is_168_hours_old(sandbox: Sandbox, clock: Clock):
    clock.now = (PURCHASE.event_at + timedelta(hours=168)).timestamp()
    assert send(sandbox, "reddit").verdict is Verdict.PAYLOAD
    clock.now -= 1
    assert send(sandbox, "reddit").verdict is Verdict.SUCCESS


def test_reddit_accepts_all_events_of_a_request_or_none(sandbox: Sandbox):
    body = golden("reddit")
    bad = changed(body["data"]["events"][0], "action_source", "website")
    body["data"]["events"].append(bad)
    status, answer = send_body(sandbox, "reddit", body)
    assert (status, answer["error"]["message"]) == (400, NONE)
    send(sandbox, "reddit")
    assert [entry["duplicate"] for entry in sandbox.received("reddit")] == [False, False]


@EACH
@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'"x"', b"null", b"\xff"])
def test_a_body_that_is_no_object_is_refused(sandbox: Sandbox, kind: str, raw: bytes):
    response = post(replace(purchase(sandbox, kind), body=raw))
    assert NETWORKS[kind].classify(response).verdict is Verdict.PAYLOAD


ODD = [
    None,
    "",
    "x",
    " ",
    0,
    -1,
    1.5,
    True,
    [],
    {},
    ["x"],
    {"x": 1},
    10**13,
    "a" * 65,
    "USD",
    "WEBSITE",
    "CUSTOM",
    "0" * 64,
]


def places(body: Any, path: tuple[Any, ...] = ()) -> Iterator[str]:
    """The dotted path of every value inside `body`."""
    for step, value in body.items() if isinstance(body, dict) else enumerate(body):
        yield ".".join(str(part) for part in (*path, step))
        if isinstance(value, dict | list):
            yield from places(value, (*path, step))


@EACH
def test_a_body_is_accepted_exactly_where_its_schema_allows_it(sandbox: Sandbox, kind: str):
    network, imitation, allowed = NETWORKS[kind], imitation_of(NETWORKS[kind]), jsonschema.Draft7Validator(schema(kind))
    request, body, disagreed = purchase(sandbox, kind), golden(kind), []
    headers = {name.lower(): value for name, value in request.headers.items()}
    accounts, target = imitation.accounts.by_credential(), request.url.removeprefix(sandbox.url)
    for path in places(body):
        for value in [*ODD, ...]:
            case = changed(body, path, value)
            if imitation.pixel(target, case) == PIXELS[kind]:
                call = ImitationRequest("POST", target, headers, json.dumps(case).encode(), accounts, NOW.timestamp())
                answer = imitation.answer(call)
                response = Response(answer.status, {}, answer.encoded()[1], 1)
                if (network.classify(response).verdict is Verdict.SUCCESS) != allowed.is_valid(case):
                    disagreed.append((path, value, answer.body))
    assert disagreed == []


@EACH
def test_a_request_is_listed_with_all_of_its_content_and_its_answer(sandbox: Sandbox, kind: str):
    request = purchase(sandbox, kind)
    response = post(request)
    status, listed = call(sandbox, "GET", f"/sandbox/requests?network={kind}")
    assert (status, len(listed)) == (200, 1)
    entry = listed[0]
    assert {name: entry["headers"][name] for name in request.headers} == request.headers
    assert {name: value for name, value in entry.items() if name != "headers"} == {
        "network": kind,
        "method": "POST",
        "path": urlsplit(request.url).path,
        "body": json.loads(request.body),
        "status": 200,
        "response": json.loads(response.body),
        "received_at": "2025-01-03T08:00:00.000+00:00",
        "test": False,
        "duplicate": False,
        "fault": None,
    }


@pytest.mark.parametrize("kind", [kind for kind, network in NETWORKS.items() if network.test_code_label])
def test_test_events_are_listed_separately(sandbox: Sandbox, kind: str):
    send(sandbox, kind)
    send(sandbox, kind, test_code="TEST12345")
    assert [entry["test"] for entry in call(sandbox, "GET", f"/sandbox/requests?network={kind}")[1]] == [False]
    assert [entry["test"] for entry in call(sandbox, "GET", f"/sandbox/requests?network={kind}&test=1")[1]] == [True]


@EACH
def test_a_check_without_a_test_code_is_a_real_event_unless_the_network_takes_tests_without_one(
    sandbox: Sandbox, kind: str
):
    network = NETWORKS[kind]
    target = network.target(
        pixel_id=PIXELS[kind],
        credential={"token": TOKENS[kind]},
        base_url=sandbox.url,
        object_ids=list(ACCOUNTS[kind].object_ids.values()),
    )
    check = network.check(authorised(kind, target), event_id="check-1", now=NOW)
    assert network.passed(network.classify_check(post(check), target))
    is_test = network.has_test_endpoint
    assert (len(sandbox.received(kind)), len(sandbox.received(kind, test=True))) == (int(not is_test), int(is_test))


@EACH
def test_the_same_event_within_48_hours_is_marked_as_a_duplicate(sandbox: Sandbox, kind: str, clock: Clock):
    send(sandbox, kind)
    send(sandbox, kind, facts=replace(PURCHASE, event_id="another"))
    send(sandbox, kind, facts=replace(PURCHASE, trigger="game_launch"))
    clock.now += 48 * 3600 - 1
    send(sandbox, kind)
    clock.now += 1
    send(sandbox, kind)
    assert [entry["duplicate"] for entry in sandbox.received(kind)] == [False, False, False, True, False]


def test_an_event_repeated_after_a_refusal_is_not_a_duplicate(sandbox: Sandbox):
    sandbox.state.add_fault("tiktok", "unavailable", 1)
    send(sandbox, "tiktok")
    send(sandbox, "tiktok")
    assert [entry["duplicate"] for entry in sandbox.received("tiktok")] == [False, False]


@EACH
def test_requests_are_deleted_for_one_network_or_all(sandbox: Sandbox, kind: str):
    other = next(name for name in NETWORKS if name != kind)
    send(sandbox, kind)
    send(sandbox, other)
    assert call(sandbox, "DELETE", f"/sandbox/requests?network={kind}") == (204, "")
    assert [len(sandbox.received(name)) for name in (kind, other)] == [0, 1]
    send(sandbox, kind)
    assert [entry["duplicate"] for entry in sandbox.received(kind)] == [False]
    assert call(sandbox, "DELETE", "/sandbox/requests") == (204, "")
    assert call(sandbox, "GET", "/sandbox/requests") == (200, [])


FAULTED = {
    ("tiktok", "unauthorized"): (200, Verdict.CREDENTIAL, "40105", "token", None),
    ("tiktok", "forbidden"): (200, Verdict.CREDENTIAL, "40001", "pixel", None),
    ("tiktok", "bad_request"): (200, Verdict.PAYLOAD, "40002", None, None),
    ("tiktok", "rate_limited"): (200, Verdict.TRANSIENT, "40100", None, None),
    ("tiktok", "unavailable"): (503, Verdict.TRANSIENT, "50000", None, None),
    ("tiktok", "html_502"): (502, Verdict.TRANSIENT, None, None, None),
    ("tiktok", "timeout"): (None, Verdict.TRANSIENT, None, None, None),
    ("tiktok", "reset"): (None, Verdict.TRANSIENT, None, None, None),
    ("meta", "unauthorized"): (401, Verdict.CREDENTIAL, "190", "token", None),
    ("meta", "forbidden"): (400, Verdict.CREDENTIAL, "100/33", "pixel", None),
    ("meta", "bad_request"): (400, Verdict.PAYLOAD, "100/2804019", None, None),
    ("meta", "rate_limited"): (400, Verdict.TRANSIENT, "17", None, None),
    ("meta", "unavailable"): (500, Verdict.TRANSIENT, "1", None, None),
    ("meta", "html_502"): (502, Verdict.TRANSIENT, None, None, None),
    ("meta", "timeout"): (None, Verdict.TRANSIENT, None, None, None),
    ("meta", "reset"): (None, Verdict.TRANSIENT, None, None, None),
    ("reddit", "unauthorized"): (401, Verdict.CREDENTIAL, "401", "token", None),
    ("reddit", "forbidden"): (403, Verdict.CREDENTIAL, "403", "pixel", None),
    ("reddit", "bad_request"): (400, Verdict.PAYLOAD, "400", None, None),
    ("reddit", "rate_limited"): (429, Verdict.TRANSIENT, "429", None, 1.0),
    ("reddit", "unavailable"): (503, Verdict.TRANSIENT, "503", None, None),
    ("reddit", "html_502"): (502, Verdict.TRANSIENT, None, None, None),
    ("reddit", "timeout"): (None, Verdict.TRANSIENT, None, None, None),
    ("reddit", "reset"): (None, Verdict.TRANSIENT, None, None, None),
}


READ_AS = {
    "unauthorized": (Verdict.CREDENTIAL, "token", False),
    "forbidden": (Verdict.CREDENTIAL, "pixel", False),
    "bad_request": (Verdict.PAYLOAD, None, False),
    "rate_limited": (Verdict.TRANSIENT, None, True),
    "unavailable": (Verdict.TRANSIENT, None, False),
    "html_502": (Verdict.TRANSIENT, None, False),
    "timeout": (Verdict.TRANSIENT, None, False),
    "reset": (Verdict.TRANSIENT, None, False),
}


def _seconds(fault: str) -> float:
    """How long to wait for an answer: not long where none comes."""
    return 0.3 if fault == "timeout" else 10.0


@EACH
@pytest.mark.parametrize("fault", FAULTS)
def test_a_network_classifies_each_fault_of_its_imitation(sandbox: Sandbox, kind: str, fault: str):
    sandbox.state.add_fault(kind, fault, 1)
    outcome = NETWORKS[kind].classify(post(purchase(sandbox, kind), timeout=_seconds(fault)))
    assert (outcome.verdict, outcome.access, outcome.limited) == READ_AS[fault]


@pytest.mark.parametrize(("kind", "fault"), FAULTED)
def test_a_fault_answers_the_given_number_of_requests(sandbox: Sandbox, kind: str, fault: str):
    order = {"network": kind, "fault": fault, "times": 2}
    assert call(sandbox, "POST", "/sandbox/faults", order) == (200, order)
    assert call(sandbox, "GET", "/sandbox/faults") == (200, {kind: [fault, fault]})
    for _ in range(2):
        response = post(purchase(sandbox, kind), timeout=_seconds(fault))
        outcome = NETWORKS[kind].classify(response)
        shown = (response.status, outcome.verdict, outcome.code, outcome.access, outcome.retry_after)
        assert shown == FAULTED[kind, fault]
        assert response.failure == (fault if fault in ("timeout", "reset") else None)
    assert send(sandbox, kind).verdict is Verdict.SUCCESS
    assert [entry["fault"] for entry in sandbox.received(kind)] == [fault, fault, None]
    assert [entry["status"] for entry in sandbox.received(kind)] == [FAULTED[kind, fault][0]] * 2 + [200]


@pytest.mark.parametrize(
    ("kind", "fault", "expected"),
    [
        ("tiktok", "refused_as_200", (200, Verdict.PAYLOAD, "20001", None)),
        ("tiktok", "rate_limited_a_day", (429, Verdict.TRANSIENT, "40100", 86_400.0)),
        ("reddit", "refused_as_200", (200, Verdict.PAYLOAD, "400", None)),
        ("reddit", "rate_limited_a_day", (429, Verdict.TRANSIENT, "429", 86_400.0)),
        ("meta", "unreadable", (400, Verdict.CREDENTIAL, "100/33", None)),
        ("meta", "too_old", (400, Verdict.PAYLOAD, "100/2804003", None)),
        ("meta", "token_as_500", (500, Verdict.CREDENTIAL, "190", None)),
        ("meta", "no_permission", (403, Verdict.CREDENTIAL, "200", None)),
        ("meta", "blocked", (400, Verdict.TRANSIENT, "368", 3600.0)),
        ("meta", "not_ready", (400, Verdict.TRANSIENT, "21009", None)),
    ],
)
def test_an_imitation_has_faults_of_its_own(sandbox: Sandbox, kind: str, fault: str, expected: tuple[Any, ...]):
    order = {"network": kind, "fault": fault, "times": 1}
    assert call(sandbox, "POST", "/sandbox/faults", order) == (200, order)
    response = post(purchase(sandbox, kind))
    outcome = NETWORKS[kind].classify(response)
    assert (response.status, outcome.verdict, outcome.code, outcome.retry_after) == expected


def test_a_fault_concerns_only_its_network_and_can_be_cleared(sandbox: Sandbox):
    call(sandbox, "POST", "/sandbox/faults", {"network": "tiktok", "fault": "unavailable", "times": 9})
    assert send(sandbox, "reddit").verdict is Verdict.SUCCESS
    assert call(sandbox, "DELETE", "/sandbox/faults") == (204, "")
    assert send(sandbox, "tiktok").verdict is Verdict.SUCCESS


def test_a_forbidden_fault_names_the_pixel_of_the_request_where_the_network_does(sandbox: Sandbox):
    for kind in ("tiktok", "reddit"):
        sandbox.state.add_fault(kind, "forbidden", 1)
        assert PIXELS[kind] in send(sandbox, kind).message


def test_a_held_connection_does_not_delay_the_shutdown(clock: Clock):
    with Sandbox(clock=clock) as sandbox:
        sandbox.state.add_fault("tiktok", "timeout", 1)
        post(purchase(sandbox, "tiktok"), timeout=0.2)
        started = time.monotonic()
    assert time.monotonic() - started < 5


def test_a_held_connection_is_closed_without_an_answer(clock: Clock):
    with Sandbox(clock=clock, hold=0.2) as sandbox:
        sandbox.state.add_fault("tiktok", "timeout", 1)
        response = post(purchase(sandbox, "tiktok"), timeout=5)
    assert (response.status, response.failure) == (None, "reset")


@EACH
def test_a_revoked_token_is_refused_until_it_is_restored(sandbox: Sandbox, kind: str):
    order = {"network": kind, "credential": TOKENS[kind]}
    assert call(sandbox, "POST", "/sandbox/tokens/revoke", order) == (200, {"network": kind, "revoked": True})
    assert send(sandbox, kind).access == "token"
    assert send(sandbox, kind, credential=ACCOUNTS[kind].rotated_token).verdict is Verdict.SUCCESS
    assert call(sandbox, "POST", "/sandbox/tokens/restore", order) == (200, {"network": kind, "revoked": False})
    assert send(sandbox, kind).verdict is Verdict.SUCCESS


def test_latency_is_set_per_network(sandbox: Sandbox):
    assert call(sandbox, "POST", "/sandbox/latency", {"network": "tiktok", "ms": 500}) == (
        200,
        {"network": "tiktok", "ms": 500},
    )
    assert post(purchase(sandbox, "tiktok")).latency_ms >= 500
    assert post(purchase(sandbox, "reddit")).latency_ms < 500


def test_a_network_with_a_quota_refuses_the_calls_beyond_it_until_the_second_is_over(clock: Clock):
    imitations = all_imitations()
    imitations["tiktok"] = replace(imitations["tiktok"], quota=2)
    with Sandbox(clock=clock, imitations=imitations) as sandbox:
        assert [send(sandbox, "tiktok").code for _ in range(3)] == ["0", "0", "40100"]
        assert send(sandbox, "reddit").verdict is Verdict.SUCCESS
        clock.now += 1
        assert send(sandbox, "tiktok").code == "0"


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("/sandbox/faults", [], "The body must be a JSON object."),
        (
            "/sandbox/faults",
            {"network": "nowhere", "fault": "reset"},
            f"network must be one of {', '.join(NETWORKS)}, not 'nowhere'.",
        ),
        (
            "/sandbox/faults",
            {"network": "tiktok", "fault": "gremlins"},
            "fault must be one of unauthorized, forbidden, bad_request, rate_limited, unavailable, html_502, "
            "timeout, reset, refused_as_200, rate_limited_a_day, not 'gremlins'.",
        ),
        (
            "/sandbox/faults",
            {"network": "tiktok", "fault": "reset", "times": 0},
            "times must be a whole number from 1 to 100000, not 0.",
        ),
        (
            "/sandbox/latency",
            {"network": "tiktok"},
            "ms must be a whole number from 0 to 60000, not None.",
        ),
        (
            "/sandbox/tokens/revoke",
            {"network": "tiktok", "credential": "x"},
            "credential must be one of the tokens of tiktok; see GET /.",
        ),
    ],
)
def test_an_invalid_control_request_is_refused_and_changes_nothing(
    sandbox: Sandbox, path: str, body: Any, sentence: str
):
    assert call(sandbox, "POST", path, body) == (400, {"error": sentence})
    assert call(sandbox, "GET", "/sandbox/faults") == (200, {})
    assert send(sandbox, "tiktok").verdict is Verdict.SUCCESS


def test_an_unknown_network_is_not_listed(sandbox: Sandbox):
    sentence = f"network must be one of {', '.join(NETWORKS)}, not 'nowhere'."
    assert call(sandbox, "GET", "/sandbox/requests?network=nowhere") == (400, {"error": sentence})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/sandbox/health", 200),
        ("GET", "/sandbox/nothing", 404),
        ("GET", "//[", 404),
        ("PUT", "/sandbox/faults", 405),
        ("GET", "/open_api/v1.3/event/track/", 405),
        ("POST", "/open_api/v1.3/event/track", 404),
        ("GET", "/api/v3/pixels/a2_sandbox01/conversion_events", 405),
        ("POST", "/api/v3/pixels/conversion_events", 404),
        ("POST", "/v25.0/events", 404),
    ],
)
def test_unknown_paths_are_404_and_wrong_methods_405(sandbox: Sandbox, method: str, path: str, status: int):
    assert call(sandbox, method, path)[0] == status


def test_the_help_page_lists_endpoints_faults_and_credentials(sandbox: Sandbox):
    status, page = call(sandbox, "GET", "/")
    assert status == 200
    words = ["/sandbox/requests", "/sandbox/tokens/revoke", *FAULTS, *TOKENS.values(), *PIXELS.values()]
    assert [word for word in words if word not in page] == []


def test_the_tokens_have_the_networks_real_formats():
    assert all(re.fullmatch(r"[0-9a-f]{40}", token) for token in ACCOUNTS["tiktok"].by_credential())
    assert all(re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]{300,}", token) for token in ACCOUNTS["reddit"].by_credential())
    assert all(len(token) > 700 for token in ACCOUNTS["reddit"].by_credential())


@EACH
def test_the_pixels_have_the_networks_real_format_and_a_foreign_token_reaches_none_of_ours(kind: str):
    accounts = ACCOUNTS[kind]
    pixels = (accounts.pixel, accounts.second_pixel, accounts.foreign_pixel)
    assert [pixel for pixel in pixels if not re.fullmatch(NETWORKS[kind].pixel_pattern, pixel)] == []
    assert accounts.by_credential()[accounts.foreign_token] == {accounts.foreign_pixel}


def test_a_body_without_a_content_length_is_refused(sandbox: Sandbox):
    connection = http.client.HTTPConnection(urlsplit(sandbox.url).netloc, timeout=5)
    connection.request("POST", "/open_api/v1.3/event/track/", iter([b"x"]), {"Transfer-Encoding": "chunked"})
    assert connection.getresponse().status == 413
    connection.close()


def test_a_content_length_that_is_no_number_is_refused() -> None:
    with Sandbox() as sandbox:
        host, port = sandbox.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as caller:
            caller.sendall("POST /open_api/v1.3/event/track/ HTTP/1.1\r\nContent-Length: ²\r\n\r\n".encode("latin-1"))
            assert caller.recv(100).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("kind", ["tiktok", "reddit"])
def test_of_a_body_that_is_all_wrong_only_the_first_problems_are_read(kind: str):
    wrong = [{}] * (MAX_ERRORS + 1)
    body = {"event_source": "web", "event_source_id": "X", "data": wrong if kind == "tiktok" else {"events": wrong}}
    problems = BodySchema(NETWORKS[kind].folder / "schema.json").problems(body)
    entries = {step for problem in problems for step in problem.path if isinstance(step, int)}
    assert 0 < len(entries) < MAX_ERRORS


def test_one_line_per_request_is_logged_without_any_token():
    lines: list[str] = []
    with Sandbox(log=lines.append) as sandbox:
        facts = replace(PURCHASE, event_at=datetime.now(UTC))
        send(sandbox, "reddit", facts=facts)
        send(sandbox, "tiktok", facts=facts, test_code="TEST12345")
        send(sandbox, "tiktok", credential="wrong")
    path = "/open_api/v1.3/event/track/"
    assert [re.sub(r"\d+ ms$", "N ms", line) for line in lines] == [
        "sandbox reddit POST /api/v3/pixels/a2_sandbox01/conversion_events 200 N ms",
        f"sandbox tiktok POST {path} 200 code=0 test N ms",
        f"sandbox tiktok POST {path} 200 code=40105 N ms",
    ]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def command(port: int) -> subprocess.Popen[str]:
    # The database named here does not exist: the command must not miss it.
    environment = os.environ | {"DATABASE_URL": "postgres://nobody:nothing@127.0.0.1:9/none"}
    root = Path(__file__).parents[2]
    arguments = [sys.executable, "manage.py", "sandbox", "--port", str(port)]
    return subprocess.Popen(arguments, cwd=root, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.mark.long
def test_the_command_serves_without_a_database_until_sigterm():
    port = free_port()
    with command(port) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == f"sandbox networks on http://127.0.0.1:{port} (GET / lists the controls)\n"
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/sandbox/health")
        assert json.loads(connection.getresponse().read()) == {"status": "ok"}
        connection.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0


@pytest.mark.long
def test_the_command_reports_a_port_that_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with command(port) as process:
            _, said = process.communicate(timeout=20)
    assert process.returncode == 1
    assert said == f"CommandError: Cannot listen on 127.0.0.1:{port}: Address already in use.\n"


@EACH
def test_every_body_that_a_network_builds_is_accepted_by_its_imitation(sandbox: Sandbox, kind: str):
    """Any part of a conversion may be missing: what is left is still a body that is taken, if it may be sent at all."""
    network, sent = NETWORKS[kind], 0
    fields = ["click_id", "cookies", "email", "phone", "external_id", "ip", "user_agent", "value", "currency"]
    chance = random.Random(4)
    for number in range(60):
        gone = {field: {} if field == "cookies" else None for field in fields if chance.random() < 0.5}
        facts = replace(PURCHASE, event_id=str(number), **gone)
        is_valued = facts.value is not None and facts.currency is not None
        if network.has_match_key(facts) and (is_valued or network.events["purchase"] not in network.value_events):
            sent += 1
            assert send(sandbox, kind, facts=facts).verdict is Verdict.SUCCESS
    assert sent > 5


def test_the_query_of_a_request_is_in_neither_the_list_nor_the_log() -> None:
    lines: list[str] = []
    with Sandbox(log=lines.append) as sandbox:
        request = purchase(sandbox, "tiktok")
        assert post(replace(request, url=f"{request.url}?access_token=canary")).status == 200
        listed = sandbox.received("tiktok")
    assert [entry["path"] for entry in listed] == ["/open_api/v1.3/event/track/"]
    assert "canary" not in json.dumps(listed) + "".join(lines)
    assert len(lines) == 1


def test_an_incomplete_body_is_not_recorded_as_a_request() -> None:
    with Sandbox() as sandbox:
        host, port = sandbox.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as caller:
            caller.sendall(b"POST /open_api/v1.3/event/track/ HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{")
            caller.shutdown(socket.SHUT_WR)
            assert caller.recv(1000) == b""
        assert sandbox.received("tiktok") == []


def summary(sandbox: Sandbox, kind: str) -> dict[str, Any]:
    counts: dict[str, Any] = call(sandbox, "GET", "/sandbox/summary")[1][kind]
    return counts


NOTHING_YET = {
    "requests": 0,
    "tests": 0,
    "by_status": {},
    "by_code": {},
    "by_fault": {},
    "accepted_as_new": 0,
    "duplicates": 0,
    "distinct_ids": 0,
    "ids_accepted_twice": 0,
    "peak_per_second": 0,
    "first_received_at": None,
    "last_received_at": None,
}


def test_the_summary_counts_answers_events_and_duplicates_per_network(sandbox: Sandbox, clock: Clock):
    send(sandbox, "tiktok")
    send(sandbox, "tiktok", test_code="TEST12345")
    clock.now += 2
    send(sandbox, "tiktok", credential="wrong")
    sandbox.state.add_fault("tiktok", "reset", 1)
    send(sandbox, "tiktok")
    send(sandbox, "tiktok")
    send(sandbox, "tiktok", facts=replace(PURCHASE, event_id="another"))
    assert summary(sandbox, "tiktok") == {
        "requests": 6,
        "tests": 1,
        "by_status": {"200": 5, "none": 1},
        "by_code": {"0": 4, "40105": 1},
        "by_fault": {"reset": 1},
        "accepted_as_new": 2,
        "duplicates": 1,
        "distinct_ids": 2,
        "ids_accepted_twice": 0,
        "peak_per_second": 4,
        "first_received_at": "2025-01-03T08:00:00.000+00:00",
        "last_received_at": "2025-01-03T08:00:02.000+00:00",
    }
    assert summary(sandbox, "reddit") == NOTHING_YET


@EACH
def test_the_summary_counts_an_event_that_was_accepted_twice(sandbox: Sandbox, kind: str, clock: Clock):
    send(sandbox, kind)
    send(sandbox, kind, facts=replace(PURCHASE, trigger="game_launch"))
    clock.now += 48 * 3600
    send(sandbox, kind, facts=replace(PURCHASE, event_at=datetime.fromtimestamp(clock.now, UTC)))
    counts = summary(sandbox, kind)
    # Once under another name, which the network takes for another event, and once after it had forgotten the first.
    assert (counts["accepted_as_new"], counts["distinct_ids"], counts["ids_accepted_twice"]) == (3, 1, 2)


def test_the_busiest_second_may_start_within_a_second(sandbox: Sandbox, clock: Clock):
    for moment in (0.0, 0.6, 0.9, 1.1, 1.5, 1.65):
        clock.now = NOW.timestamp() + moment
        send(sandbox, "reddit")
    assert summary(sandbox, "reddit")["peak_per_second"] == 4


@EACH
def test_deleting_the_requests_resets_the_summary(sandbox: Sandbox, kind: str):
    other = next(name for name in NETWORKS if name != kind)
    send(sandbox, kind)
    send(sandbox, other)
    assert call(sandbox, "DELETE", f"/sandbox/requests?network={kind}") == (204, "")
    assert summary(sandbox, kind) == NOTHING_YET
    assert summary(sandbox, other)["requests"] == 1


def test_the_time_of_receipt_is_before_the_latency(clock: Clock):
    with Sandbox() as sandbox:
        call(sandbox, "POST", "/sandbox/latency", {"network": "reddit", "ms": 300})
        started = time.time()
        send(sandbox, "reddit", facts=replace(PURCHASE, event_at=datetime.now(UTC)))
    (entry,) = sandbox.received("reddit")
    assert datetime.fromisoformat(entry["received_at"]).timestamp() - started < 0.25


def test_a_malformed_request_line_is_400_and_incomplete_headers_are_not_a_request() -> None:
    with Sandbox() as sandbox:
        host, port = sandbox.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as caller:
            caller.sendall(b"what is this\r\n\r\n")
            assert caller.recv(100).startswith(b"HTTP/1.1 400 ")
        with socket.create_connection((host, int(port))) as caller:
            caller.sendall(b"POST /open_api/v1.3/event/track/ HTTP/1.1\r\nHost: x\r\nAccess-To")
            caller.shutdown(socket.SHUT_WR)
            assert caller.recv(100) == b""
        assert sandbox.received("tiktok") == []


def test_expect_100_continue_is_answered_and_connection_close_is_followed() -> None:
    with Sandbox() as sandbox:
        host, port = sandbox.url.removeprefix("http://").split(":")
        head = b"POST /sandbox/faults HTTP/1.1\r\nHost: x\r\nexpect: 100-Continue\r\nConnection: close\r\n"
        with socket.create_connection((host, int(port))) as caller:
            caller.sendall(head + b"Content-Length: 2\r\n\r\n")
            assert caller.recv(100).startswith(b"HTTP/1.1 100 ")
            caller.sendall(b"[]")
            answer = b"".join(iter(lambda: caller.recv(1000), b""))
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert answer.endswith(b'{"error": "The body must be a JSON object."}')


# Steam --------------------------------------------------------------------------------------------------------------


def steam(sandbox: Sandbox, path: str, **query: str) -> tuple[int, str, str]:
    """Return the status, the Location and the body of the imitation of Steam."""
    host = urlsplit(sandbox.url)
    connection = http.client.HTTPConnection(host.hostname or "", host.port, timeout=10)
    try:
        connection.request("GET", f"/openid/{path}?{urlencode(query)}")
        answer = connection.getresponse()
        return answer.status, answer.headers.get("Location", ""), answer.read().decode()
    finally:
        connection.close()


def test_each_sign_in_page_of_steam_offers_another_new_player(sandbox: Sandbox) -> None:
    site = "http://g.example/"
    fields = {"openid.mode": "checkid_setup", "openid.realm": site, "openid.return_to": site}
    accounts = []
    for _ in range(2):
        page = steam(sandbox, "login", **fields)[2]
        found = re.search(r'account=(\d+)[^>]*">Sign in as a new player<', page)
        assert found is not None, page
        accounts.append(found[1])
        assert f"%2Fopenid%2Fid%2F{found[1]}&" in steam(sandbox, "approve", account=found[1], return_to=site)[1]
    assert accounts[0] != accounts[1]


@pytest.mark.parametrize("account", ["", "1", "7656119800000000x", "76561198000000001 ", "76561202255233024"])
def test_an_account_that_is_none_of_steam_is_not_confirmed(sandbox: Sandbox, account: str) -> None:
    assert steam(sandbox, "approve", account=account, return_to="http://g.example/")[:2] == (400, "")
