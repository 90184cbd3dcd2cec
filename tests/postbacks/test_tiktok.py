"""TikTok: the exact requests, and how each answer is classified."""

import json
import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from postbacks.configs.forms import PostbackForm
from postbacks.networks import NETWORKS
from postbacks.networks.interface.call import Outcome, Response, Verdict
from postbacks.networks.interface.facts import Facts, Hashes, Item
from postbacks.networks.interface.network import USER_AGENT, VERSION
from tests.postbacks.facts import (
    AT,
    EVENT_ID,
    LAUNCH,
    NOBODY,
    answered,
    observed,
    schema,
    target,
)

TIKTOK = NETWORKS["tiktok"]
PIXEL = "CSANDBOX0AFTERCLICK1"
HASH = "f8c10bf8fbb8b731dae087640bebe0565c806f2abd4c26b0b3da6266630beaaa"


def sent(facts: Facts, *, test_code: str | None = None) -> Any:
    body = json.loads(TIKTOK.build(target(PIXEL, test_code=test_code), facts).body)
    jsonschema.validate(body, schema("tiktok"))
    return body


def user(**facts: Any) -> Any:
    return sent(replace(NOBODY, **facts))["data"][0].get("user", {})


def properties(**facts: Any) -> Any:
    return sent(replace(LAUNCH, **facts))["data"][0].get("properties", {})


def test_a_request_is_posted_to_event_track_with_a_trailing_slash_and_our_user_agent():
    request = TIKTOK.build(target(PIXEL), LAUNCH)
    assert (request.method, request.url) == ("POST", "https://network.example/open_api/v1.3/event/track/")
    assert request.headers == {
        "Access-Token": "a-token",
        "Content-Type": "application/json",
        "Accept": "application/json",
        "User-Agent": "Afterclick/0.2.0 (+conversion postbacks)",
    }


def test_the_user_agent_has_the_version_of_the_project():
    pyproject = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert pyproject["project"]["version"] == VERSION


def test_the_repr_of_targets_and_requests_has_no_secret():
    request = TIKTOK.build(target(PIXEL, test_code="TEST12345"), LAUNCH)
    shown = f"{target(PIXEL, test_code='TEST12345')!r} {request!r}".replace(request.body.decode(), "")
    assert "a-token" not in shown
    assert "TEST12345" not in shown.replace(repr(request.body), "")


def test_the_event_id_is_text_even_when_it_was_a_number():
    assert sent(replace(LAUNCH, event_id=17))["data"][0]["event_id"] == "17"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("at", "seconds"),
    [
        (AT, 1735889487),
        (AT.astimezone(tz=None), 1735889487),
        (datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC), 1_000_000_000),
    ],
)
def test_event_time_is_whole_seconds(at: datetime, seconds: int):
    assert sent(replace(LAUNCH, event_at=at))["data"][0]["event_time"] == seconds


@pytest.mark.parametrize(
    "at",
    [
        datetime(2025, 1, 3),  # noqa: DTZ001  (the case under test)
        datetime(1970, 1, 21, 2, 11, 29, tzinfo=UTC),  # milliseconds read as seconds once too often
        datetime(2300, 1, 1, tzinfo=UTC),
    ],
)
def test_an_event_without_a_plausible_time_is_not_built(at: datetime):
    with pytest.raises(ValueError, match="event_at"):
        TIKTOK.build(target(PIXEL), replace(LAUNCH, event_at=at))


@pytest.mark.parametrize("name", ["", " ", "level\nup", "<b>", "ä", "x" * 51])
def test_an_event_with_a_name_that_the_network_refuses_is_not_built(name: str):
    assert not TIKTOK.accepts_event(name)
    with pytest.raises(ValueError, match="no event name for TikTok"):
        TIKTOK.build(target(PIXEL), replace(LAUNCH, trigger=name))


@pytest.mark.parametrize(
    ("trigger", "sent_as", "expected"),
    [
        ("game_launch", "", "CompleteRegistration"),
        ("purchase", "", "Purchase"),
        ("purchase", "CompletePayment", "CompletePayment"),
        ("level_up", "", "level_up"),
        ("level_up", "Subscribe", "Subscribe"),
        ("level_up", "Level 10", "Level 10"),
    ],
)
def test_an_event_is_sent_under_the_name_of_its_goal_else_its_usual_name(trigger: str, sent_as: str, expected: str):
    assert sent(replace(LAUNCH, trigger=trigger, sent_as=sent_as))["data"][0]["event"] == expected


def test_every_standard_event_is_accepted_by_the_schema():
    for name in TIKTOK.standard_events:
        assert TIKTOK.accepts_event(name)
        assert sent(replace(LAUNCH, trigger="level_up", sent_as=name))["data"][0]["event"] == name


@pytest.mark.parametrize(
    ("email", "expected"),
    [
        # Dots, signs and +tags stay: not Reddit's rule.
        (" Al.ice$+Apple@Example.Com ", HASH),
        (HASH, None),
        ("alice@example.com", "ff8d9819fc0e12bf0d24892e45987e249a28dce836a85cad60e28eaaa8c6d976"),
        ("not an address", None),
        ("@example.com", None),
        ("  ", None),
        (None, None),
    ],
)
def test_an_email_is_trimmed_lower_cased_and_hashed(email: str | None, expected: str | None):
    assert user(email=email).get("email") == expected


@pytest.mark.parametrize("phone", ["+15554441234", "+1 (555) 444-1234", "001 555 444 1234"])
def test_a_phone_is_hashed_as_plus_and_digits(phone: str):
    assert user(phone=phone)["phone"] == "e5b124c58580eb16bd959b8d0cac12b12c952e2ceae0203d416cff94f10b994a"


@pytest.mark.parametrize("phone", ["5554441234", "15554441234", "07911123456", "+0123456789", "+123", "call me"])
def test_a_phone_without_a_country_is_left_out(phone: str):
    assert user(phone=phone) == {}


def test_what_the_sender_hashed_is_not_hashed_twice():
    hashes = Hashes(email=HASH, phone=HASH)
    assert user(hashes=hashes, external_id=HASH) == {"email": HASH, "phone": HASH, "external_id": HASH}


def test_click_id_cookie_ip_address_and_user_agent_are_not_hashed():
    facts = {"ttclid": "click", "ttp": "cookie", "ip": "2001:db8::1", "user_agent": "Agent", "locale": "de"}
    body = sent(
        replace(LAUNCH, click_id="click", cookies={"_ttp": "cookie"}, ip="2001:DB8::1", user_agent="Agent", locale="de")
    )
    assert body["data"][0]["user"] == facts


def test_an_invalid_ip_address_is_left_out():
    assert user(ip="unknown") == {}


@pytest.mark.parametrize(
    ("value", "currency", "expected"),
    [
        (Decimal("9.99"), "USD", {"value": 9.99, "currency": "USD"}),
        (Decimal(9.99), "eur", {"value": 9.99, "currency": "EUR"}),
        (Decimal("0"), "USD", {"value": 0.0, "currency": "USD"}),
        (Decimal("1234567.891"), "JPY", {"value": 1234567.891, "currency": "JPY"}),
        (Decimal("9.99"), None, {}),
        (Decimal("9.99"), "", {}),
        (Decimal("9.99"), "dollars", {}),
        (None, "USD", {}),
        (Decimal("NaN"), "USD", {}),
        (Decimal("1e400"), "USD", {}),
    ],
)
def test_value_and_currency_are_sent_as_a_pair_or_not_at_all(
    value: Decimal | None, currency: str | None, expected: Any
):
    assert properties(value=value, currency=currency) == expected


def test_a_value_has_no_binary_rounding_error():
    request = TIKTOK.build(target(PIXEL), replace(LAUNCH, value=Decimal("9.990000001"), currency="USD"))
    assert b'"value":9.99,' in request.body


def test_a_content_id_is_always_text():
    item = Item(id=7, price=Decimal("-1"), quantity=-2)  # type: ignore[arg-type]
    assert properties(items=(item,))["contents"] == [{"content_id": "7"}]


def test_the_test_code_is_sent_beside_the_data():
    assert sent(LAUNCH, test_code="TEST12345")["test_event_code"] == "TEST12345"
    assert "test_event_code" not in sent(LAUNCH)


@pytest.mark.parametrize(("test_code", "event"), [(None, "Pageview"), ("TEST12345", "CompleteRegistration")])
def test_the_credential_check_sends_a_page_view_unless_it_has_a_test_code(test_code: str | None, event: str):
    request = TIKTOK.check(target(PIXEL, test_code=test_code), event_id=EVENT_ID, now=AT)
    body = json.loads(request.body)
    jsonschema.validate(body, schema("tiktok"))
    assert body.get("test_event_code") == test_code
    assert body["data"] == [
        {
            "event": event,
            "event_time": 1735889487,
            "event_id": EVENT_ID,
            "user": {
                "external_id": "3731ab3009d1408b3cb57c0d18c27054fb7722c527cac3ad63623c0cfb53a131",
                "user_agent": USER_AGENT,
            },
        }
    ]


@pytest.mark.parametrize(
    ("facts", "matchable"),
    [
        ({"click_id": "E.C.P.x"}, True),
        ({"email": "a@b.example"}, True),
        ({"phone": "+15554441234"}, True),
        ({"click_id": " "}, False),
        ({"email": "nobody"}, False),
        ({"phone": "5554441234"}, False),
        ({"external_id": "player-42", "ip": "203.0.113.7", "user_agent": "Agent"}, False),
    ],
)
def test_a_match_key_is_a_click_an_email_or_a_phone(facts: dict[str, str], matchable: bool):
    assert TIKTOK.has_match_key(replace(NOBODY, **facts)) is matchable


@pytest.mark.parametrize("case", observed("tiktok"), ids=lambda case: case["name"])
def test_every_observed_answer_is_classified_with_its_code_and_message(case: Any):
    outcome = TIKTOK.classify(answered(case["status"], case["body"]))
    body = case["body"] if isinstance(case["body"], dict) else {"message": "502 Bad Gateway"}
    assert outcome == Outcome(
        verdict=Verdict[case["verdict"]],
        code=str(body["code"]) if "code" in body else None,
        message=body["message"],
        request_id=body.get("request_id"),
        access=case.get("access"),
        limited=case.get("limited", False),
    )


PAYLOAD_CODES = [40000, 40002, 40006, 40007, 40051, 40061, 40062, 40063, 41001, 41002, 40133, 40900, 49999]
TOKEN_CODES = [40101, 40102, 40104, 40105, 40106, 40118, 40131]
PIXEL_CODES = [40001, 40003, 40300, 40301, 40302]
TRANSIENT_CODES = [40100, 40132, 40016, 61000, 40202, 50000, 50002, 51000, 51012, 52001, 53999, 60001, 59999, 70000]


@pytest.mark.parametrize("status", [200, 400, 401])
@pytest.mark.parametrize(
    ("code", "verdict", "access"),
    [
        *((code, Verdict.PAYLOAD, None) for code in PAYLOAD_CODES),
        *((code, Verdict.CREDENTIAL, "token") for code in TOKEN_CODES),
        *((code, Verdict.CREDENTIAL, "pixel") for code in PIXEL_CODES),
        *((code, Verdict.TRANSIENT, None) for code in TRANSIENT_CODES),
    ],
)
def test_the_code_decides_the_verdict_whatever_the_status(status: int, code: int, verdict: Verdict, access: str | None):
    outcome = TIKTOK.classify(answered(status, {"code": code, "message": "Said"}))
    assert (outcome.verdict, outcome.access, outcome.code, outcome.message) == (verdict, access, str(code), "Said")


@pytest.mark.parametrize(
    ("response", "verdict"),
    [
        (answered(500, {"code": 40105, "message": "x"}), Verdict.TRANSIENT),
        (answered(429, {"code": 40002, "message": "x"}), Verdict.TRANSIENT),
        (answered(408, ""), Verdict.TRANSIENT),
        (answered(401, "<html>who are you</html>"), Verdict.TRANSIENT),
        (answered(401, {"message": "no code"}), Verdict.TRANSIENT),
        (answered(403, {"message": "no code"}), Verdict.TRANSIENT),
        (answered(404, "<html>not here</html>"), Verdict.TRANSIENT),
        (answered(404, {"message": "no code"}), Verdict.PAYLOAD),
        (answered(200, "<html>welcome</html>"), Verdict.TRANSIENT),
        (answered(200, ""), Verdict.TRANSIENT),
        (answered(200, "[]"), Verdict.TRANSIENT),
        (answered(200, {"code": True}), Verdict.TRANSIENT),
        (answered(200, {"code": "0", "message": "OK"}), Verdict.SUCCESS),
        (answered(302, ""), Verdict.TRANSIENT),
        (answered(400, {"code": 0, "message": "OK"}), Verdict.TRANSIENT),
        (answered(200, "[" * 100_000), Verdict.TRANSIENT),
    ],
)
def test_an_answer_without_a_usable_code_is_classified_by_its_status(response: Response, verdict: Verdict):
    assert TIKTOK.classify(response).verdict is verdict


@pytest.mark.parametrize(
    ("failure", "message", "may_have_arrived"),
    [
        ("timeout", "No answer within 10 s", True),
        ("reset", "The connection was closed before an answer arrived", True),
        ("refused", "The connection was refused", False),
        ("dns", "The network's address could not be resolved", False),
        ("tls", "No secure connection could be made", False),
        ("network", "The network could not be reached", False),
    ],
)
def test_a_call_without_an_answer_is_transient_with_its_reason(failure: str, message: str, may_have_arrived: bool):
    outcome = TIKTOK.classify(Response(None, {}, b"", 10_000, failure))
    assert outcome == Outcome(Verdict.TRANSIENT, None, message, unknown=may_have_arrived)


@pytest.mark.parametrize(
    ("status", "code", "header", "expected"),
    [
        (429, 40100, "7", 7.0),
        (200, 40100, "7", 7.0),
        (503, 50000, "Fri, 03 Jan 2025 07:32:27 GMT", 60.0),
        (503, 50000, "Fri, 03 Jan 2025 07:30:27 GMT", 0.0),
        (429, 40100, "86400", 86_400.0),
        (429, 40100, "999999999", 2_592_000.0),
        (429, 40100, "soon", None),
        (429, 40100, "-5", None),
        (200, 40105, "7", None),
        (500, 50000, "7", None),
    ],
)
def test_retry_after_is_read_for_429_and_503(status: int, code: int, header: str, expected: float | None):
    response = answered(status, {"code": code}, retry_after=header, date="Fri, 03 Jan 2025 07:31:27 GMT")
    assert TIKTOK.classify(response).retry_after == expected


def test_a_very_long_message_is_shortened():
    assert len(TIKTOK.classify(answered(200, {"code": 40002, "message": "é" * 9000})).message) == 500


def test_a_partial_success_of_one_event_is_a_refusal_of_it_and_does_not_prove_a_credential():
    outcome = TIKTOK.classify(answered(200, {"code": 20001, "message": "Partial success"}))
    assert (outcome.verdict, outcome.code, outcome.message) == (Verdict.PAYLOAD, "20001", "Partial success")
    assert TIKTOK.passed(outcome) is False
    assert TIKTOK.passed(TIKTOK.classify(answered(200, {"code": 0, "message": "OK"}))) is True


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (
            {"code": 40105, "message": "Access token is incorrect or has been revoked."},
            "TikTok Ads does not accept this access token (“Access token is incorrect or has been revoked”). Copy "
            "the complete access token again or generate a new one.",
        ),
        (
            {"code": 40001, "message": "No permission to operate pixel code: X."},
            "This access token has no access to pixel code X (“No permission to operate pixel code: X”). Check that "
            "the two belong together, or ask an admin of this pixel to generate the token.",
        ),
        (
            {"code": 40002, "message": "Invalid value for event_source_id: not a valid string."},
            "TikTok Ads did not accept pixel code X (“Invalid value for event_source_id: not a valid string”). Copy "
            "it again from Events Manager, and check the Test event code if you entered one.",
        ),
        (
            {"code": 50000, "message": "System error"},
            "TikTok Ads could not verify the credential now (“System error”): nothing was saved.",
        ),
        ({"code": 0, "message": "OK"}, "TikTok Ads accepted the test event for pixel code X."),
    ],
)
def test_a_failed_check_is_explained_in_four_different_ways(body: Any, sentence: str):
    assert TIKTOK.explain(TIKTOK.classify(answered(200, body)), "X", undecided="nothing was saved.") == sentence


def form(*, editing: bool = False, **changes: Any) -> Any:
    data = {"pixel_id": f" {PIXEL} ", "credential": " Bearer abc123 ", "triggers": ["purchase"], "enabled": "on"}
    return PostbackForm(data | changes, editing=editing, network=TIKTOK)


def test_the_form_trims_pixel_and_credential():
    filled = form(test_code=" TEST12345 ")
    assert filled.is_valid()
    assert filled.cleaned_data == {
        "pixel_id": PIXEL,
        "credential": {"token": "abc123"},
        "triggers": ["purchase"],
        "goals": [],
        "time_zone": "UTC",
        "enabled": True,
        "test_code": "TEST12345",
    }


def test_the_form_has_the_labels_of_the_network():
    labels = {name: str(field.label) for name, field in form().fields.items()}
    assert labels == {
        "pixel_id": "Pixel code",
        "credential": "Access token",
        "triggers": "Trigger events",
        "server_only": "Only from a server key",
        "goals": "More goals",
        "time_zone": "Time zone of the ad account",
        "enabled": "Enabled",
        "test_code": "Test event code",
    }


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("triggers", [], "Select at least one trigger event."),
        (
            "pixel_id",
            "My pixel",
            "This does not look like a TikTok Ads pixel code. About 20 letters and digits, "
            "shown in Events Manager next to the pixel's name. The name itself does not work.",
        ),
        ("credential", "", "This field is required."),
        (
            "credential",
            "abc def",
            "This access token contains a space, a line break or another character that is not valid in a token. "
            "Copy it again.",
        ),
        ("credential", "x" * 4097, "This token is longer than 4096 characters."),
    ],
)
def test_the_form_refuses_with_one_sentence(field: str, value: Any, error: str):
    assert form(**{field: value}).errors == {field: [error]}


def test_a_blank_credential_keeps_the_stored_one_when_editing():
    assert form(credential="", editing=True).is_valid()


def test_the_form_never_renders_a_credential_and_never_cuts_one():
    html = str(form(credential="s3cret-token")["credential"])
    assert "s3cret-token" not in html
    assert "maxlength" not in html
    assert 'type="password"' in html
    assert 'autocomplete="off"' in html


def test_an_event_is_sent_until_it_is_28_days_old():
    assert TIKTOK.max_age == timedelta(days=28)
