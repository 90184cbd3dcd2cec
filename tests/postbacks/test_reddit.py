"""Reddit: the exact requests, and how each answer is classified."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import jsonschema
import pytest

from postbacks.configs.forms import PostbackForm
from postbacks.networks import NETWORKS
from postbacks.networks.interface.call import Outcome, Response, Verdict
from postbacks.networks.interface.facts import Facts, Item
from postbacks.networks.interface.network import USER_AGENT
from postbacks.networks.reddit.imitation import ACCOUNTS as REDDIT_ACCOUNTS
from postbacks.networks.reddit.payload import TYPES
from tests.postbacks.facts import (
    AT,
    EVENT_ID,
    LAUNCH,
    NOBODY,
    answered,
    observed,
    schema,
    target,
    vector,
)

REDDIT = NETWORKS["reddit"]
PIXEL = "a2_sandbox01"
HASH = "ff8d9819fc0e12bf0d24892e45987e249a28dce836a85cad60e28eaaa8c6d976"


def sent(facts: Facts, *, test_code: str | None = None) -> Any:
    body = json.loads(REDDIT.build(target(PIXEL, test_code=test_code), facts).body)
    jsonschema.validate(body, schema("reddit"))
    return body


def event(**facts: Any) -> Any:
    return sent(replace(LAUNCH, **facts))["data"]["events"][0]


def test_a_request_is_posted_to_the_pixel_with_a_bearer_token_and_our_user_agent():
    request = REDDIT.build(target(PIXEL), LAUNCH)
    assert request.method == "POST"
    assert request.url == "https://network.example/api/v3/pixels/a2_sandbox01/conversion_events"
    assert request.headers == {
        "Authorization": "Bearer a-token",
        "Content-Type": "application/json",
        "Accept": "application/json",
        "User-Agent": "Afterclick/0.2.0 (+conversion postbacks)",
    }


def test_a_pixel_id_cannot_change_the_path():
    request = REDDIT.build(target("a2_x/../y?z"), LAUNCH)
    assert request.url == "https://network.example/api/v3/pixels/a2_x%2F..%2Fy%3Fz/conversion_events"


def test_a_token_of_800_characters_is_sent_whole():
    request = REDDIT.build(replace(target(PIXEL), credential={"token": REDDIT_ACCOUNTS.token}), LAUNCH)
    assert len(REDDIT_ACCOUNTS.token) > 700
    assert request.headers["Authorization"] == f"Bearer {REDDIT_ACCOUNTS.token}"


def test_event_at_is_whole_milliseconds_without_a_rounding_error():
    at = datetime(2025, 1, 3, 7, 31, 27, 999_999, tzinfo=UTC)
    assert event(event_at=at)["event_at"] == 1735889487999


@pytest.mark.parametrize(
    "at",
    [
        datetime(2025, 1, 3),  # noqa: DTZ001  (the case under test)
        datetime(1970, 1, 21, tzinfo=UTC),
        datetime(2300, 1, 1, tzinfo=UTC),
    ],
)
def test_an_event_without_a_plausible_time_is_not_built(at: datetime):
    with pytest.raises(ValueError, match="event_at"):
        REDDIT.build(target(PIXEL), replace(LAUNCH, event_at=at))


@pytest.mark.parametrize("name", ["", " ", "level\nup", "<b>", "ä", "x" * 65])
def test_an_event_with_a_name_that_the_network_refuses_is_not_built(name: str):
    assert not REDDIT.accepts_event(name)
    with pytest.raises(ValueError, match="no event name for Reddit"):
        REDDIT.build(target(PIXEL), replace(LAUNCH, trigger=name))


@pytest.mark.parametrize(
    ("trigger", "sent_as", "expected"),
    [
        ("game_launch", "", {"tracking_type": "CUSTOM", "custom_event_name": "game_launch"}),
        ("game_launch", "SIGN_UP", {"tracking_type": "SIGN_UP"}),
        ("purchase", "", {"tracking_type": "PURCHASE"}),
        ("purchase", "big_purchase", {"tracking_type": "CUSTOM", "custom_event_name": "big_purchase"}),
        ("level_up", "", {"tracking_type": "CUSTOM", "custom_event_name": "level_up"}),
        ("level_up", "x" * 64, {"tracking_type": "CUSTOM", "custom_event_name": "x" * 64}),
    ],
)
def test_an_event_is_sent_under_the_name_of_its_goal_else_its_usual_name(
    trigger: str, sent_as: str, expected: dict[str, str]
):
    assert event(trigger=trigger, sent_as=sent_as)["type"] == expected


def test_every_standard_event_is_accepted_by_the_schema():
    for name in REDDIT.standard_events:
        assert REDDIT.accepts_event(name)
        assert event(trigger="level_up", sent_as=name)["type"] == {"tracking_type": name}


@pytest.mark.parametrize(
    ("email", "expected"),
    [
        ("Al.ice$+Apple@Example.Com", HASH),
        (" alice@example.com ", HASH),
        (HASH, None),
        ("+tag@example.com", None),
        ("...@example.com", None),
        ("alice", None),
        ("alice@", None),
        (None, None),
    ],
)
def test_an_email_is_reduced_to_letters_and_digits_and_hashed(email: str | None, expected: str | None):
    assert event(email=email).get("user", {}).get("email") == expected


@pytest.mark.parametrize("phone", ["+15554441234", "+1 (555) 444-1234", "001 555 444 1234"])
def test_a_phone_is_hashed_as_plus_and_digits(phone: str):
    expected = "e5b124c58580eb16bd959b8d0cac12b12c952e2ceae0203d416cff94f10b994a"
    assert event(phone=phone)["user"] == {"phone_number": expected}


@pytest.mark.parametrize(
    ("cookie", "kept"),
    [
        ("6ff3ff0b-5de3-4be7-9b2c-ec8a9c8f5a33", True),
        ("1735888000000.6FF3FF0B-5de3-4be7-9b2c-ec8a9c8f5a33", True),
        ("6ff3ff0b5de34be79b2cec8a9c8f5a33", False),
        (".6ff3ff0b-5de3-4be7-9b2c-ec8a9c8f5a33", False),
        ("6ff3ff0b-5de3-4be7-9b2c-ec8a9c8f5a33.1", False),
        ("undefined", False),
        ("", False),
    ],
)
def test_a_uuid_of_another_form_is_dropped_because_it_would_reject_the_request(cookie: str, kept: bool):
    assert event(cookies={"_rdt_uuid": cookie}).get("user", {}) == ({"uuid": cookie} if kept else {})


@pytest.mark.parametrize(
    ("value", "currency", "expected"),
    [
        (Decimal("9.99"), "usd", {"value": 9.99, "currency": "USD"}),
        (Decimal("0"), "USD", {"value": 0.0, "currency": "USD"}),
        (Decimal("9.99"), None, {}),
        (Decimal("9.99"), "US", {}),
        (Decimal("9.99"), "£££", {}),
        (None, "USD", {}),
        (Decimal("-Infinity"), "USD", {}),
    ],
)
def test_value_and_currency_are_sent_as_a_pair_or_not_at_all(
    value: Decimal | None, currency: str | None, expected: Any
):
    assert event(value=value, currency=currency)["metadata"] == {"conversion_id": EVENT_ID, **expected}


def test_item_count_counts_units_and_a_line_without_quantity_is_one():
    items = (Item(id="7", quantity=3), Item(name="Gem", quantity=None), Item(id="9", quantity=0))
    assert event(items=items)["metadata"] == {
        "conversion_id": EVENT_ID,
        "item_count": 4,
        "products": [{"id": "7", "quantity": 3}, {"name": "Gem"}, {"id": "9", "quantity": 0}],
    }


def test_a_product_never_carries_a_negative_price_or_quantity():
    item = Item(id="7", price=Decimal("-1"), quantity=-1)
    assert event(items=(item,))["metadata"]["products"] == [{"id": "7"}]


@pytest.mark.parametrize("url", ["mygame://start", "/landing", "", "https://"])
def test_only_a_web_address_is_an_event_source_url(url: str):
    assert "event_source_url" not in event(page_url=url)


def test_custom_event_names_fit_in_64_characters():
    names = [kind["custom_event_name"] for kind in TYPES.values() if "custom_event_name" in kind]
    assert names == ["game_launch"]
    assert all(len(name) <= 64 for name in names)


def test_the_test_id_is_sent_beside_the_events_and_never_inside_one():
    body = sent(LAUNCH, test_code="t2_abc")
    assert body == {"data": {"test_id": "t2_abc", **vector("reddit", "game_launch")["data"]}}


@pytest.mark.parametrize(
    ("test_code", "kind"),
    [
        (None, {"tracking_type": "PAGE_VISIT"}),
        ("t2_abc", {"tracking_type": "CUSTOM", "custom_event_name": "game_launch"}),
    ],
)
def test_the_credential_check_sends_a_page_view_unless_it_has_a_test_code(test_code: str | None, kind: dict[str, str]):
    body = json.loads(REDDIT.check(target(PIXEL, test_code=test_code), event_id=EVENT_ID, now=AT).body)
    jsonschema.validate(body, schema("reddit"))
    assert body["data"].get("test_id") == test_code
    assert body["data"]["events"] == [
        {
            "event_at": 1735889487123,
            "action_source": "WEBSITE",
            "type": kind,
            "user": {
                "external_id": "3731ab3009d1408b3cb57c0d18c27054fb7722c527cac3ad63623c0cfb53a131",
                "user_agent": USER_AGENT,
            },
            "metadata": {"conversion_id": EVENT_ID},
        }
    ]


@pytest.mark.parametrize(
    ("facts", "matchable"),
    [
        ({"click_id": "click"}, True),
        ({"email": "a@b.example"}, True),
        ({"click_id": "", "email": "nobody"}, False),
        ({"phone": "+15554441234", "external_id": "player-42", "ip": "203.0.113.7"}, False),
    ],
)
def test_a_match_key_is_a_click_or_an_email(facts: dict[str, str], matchable: bool):
    assert REDDIT.has_match_key(replace(NOBODY, **facts)) is matchable


ACCESS = {
    "no_token": "token",
    "bad_token": "token",
    "bad_token_v2_object": "token",
    "bad_token_v2_text": "token",
    "wrong_pixel": "pixel",
    "missing_scope": "pixel",
    "unauthorized_as_200": "token",
}
MESSAGES = {
    "invalid_event_fields": "There were 1 invalid conversion events. None were processed. "
    "user.UUID: invalid UUID: UUID must be RFC-4122 compliant",
    "invalid_action_source": "There were 1 invalid conversion events. None were processed. "
    "action_source: invalid action_source: website",
    "too_old": "There were 1 invalid conversion events. None were processed. "
    "event_at: event_at timestamp must be less than 168h0m0s old",
    "bad_token_v2_object": "This server could not verify that you are authorized to access the document you requested.",
    "bad_token_v2_text": "Authorization Required",
    "v2_type_error_403": "JSON error unexpected type number on field events event_metadata value",
    "v2_invalid_event": "There were 1 invalid conversion events. None were processed. "
    "event_at timestamp must be less than 168h0m0s old",
    "ok": "Successfully processed 1 conversion events.",
    "v2_ok": "Successfully processed 1 conversion events.",
    "none_processed": "Successfully processed 0 conversion events.",
}
MESSAGES |= {
    "unauthorized_as_200": MESSAGES["bad_token_v2_object"],
    "type_error_as_200": MESSAGES["v2_type_error_403"],
    "invalid_events_as_200": MESSAGES["v2_invalid_event"],
}


@pytest.mark.parametrize("case", observed("reddit"), ids=lambda case: case["name"])
def test_every_observed_answer_is_classified_with_its_code_and_message(case: Any):
    error = case["body"].get("error", {}) if isinstance(case["body"], dict) else {}
    code = error.get("code", error.get("reason"))
    assert REDDIT.classify(answered(case["status"], case["body"])) == Outcome(
        verdict=Verdict[case["verdict"]],
        code=None if code is None else str(code),
        message=MESSAGES.get(case["name"]) or error["message"],
        access=ACCESS.get(case["name"]),  # type: ignore[arg-type]
        limited=case.get("limited", False),
    )


@pytest.mark.parametrize(
    ("response", "verdict", "access"),
    [
        (answered(400, "Bad Request"), Verdict.PAYLOAD, None),
        (answered(404, "<html><title>Not found</title></html>"), Verdict.PAYLOAD, None),
        (answered(413, ""), Verdict.PAYLOAD, None),
        (answered(401, "<html>who</html>"), Verdict.CREDENTIAL, "token"),
        (answered(403, "<html>no</html>"), Verdict.CREDENTIAL, "pixel"),
        (answered(408, ""), Verdict.TRANSIENT, None),
        (answered(429, ""), Verdict.TRANSIENT, None),
        (answered(502, "<html>"), Verdict.TRANSIENT, None),
        (answered(599, ""), Verdict.TRANSIENT, None),
        (answered(302, ""), Verdict.TRANSIENT, None),
        (answered(204, ""), Verdict.TRANSIENT, None),
        (answered(200, {"data": {}}), Verdict.SUCCESS, None),
        (answered(200, {"data": {"message": "Successfully processed 10 conversion events."}}), Verdict.SUCCESS, None),
        (answered(200, {"data": {"invalid_events": [{"error_message": "no"}]}}), Verdict.PAYLOAD, None),
        (answered(200, {"error": None, "invalid_events": [], "data": {}}), Verdict.SUCCESS, None),
        (answered(200, {"error": "UNAUTHORIZED"}), Verdict.CREDENTIAL, "token"),
        (answered(200, {"error": {"code": 403, "message": "Not yours."}}), Verdict.CREDENTIAL, "pixel"),
        (answered(200, {"error": {"code": 503, "message": "Busy."}}), Verdict.TRANSIENT, None),
        (answered(200, {}), Verdict.TRANSIENT, None),
        (answered(200, [1]), Verdict.TRANSIENT, None),
        (answered(200, "<html>maintenance</html>"), Verdict.TRANSIENT, None),
        (answered(400, {"error": ["odd"], "fields": 3}), Verdict.PAYLOAD, None),
        (answered(400, {"error": {"code": 400, "message": 7, "fields": ["x", {"message": 8}]}}), Verdict.PAYLOAD, None),
        (Response(None, {}, b"", 10_000, "timeout"), Verdict.TRANSIENT, None),
    ],
)
def test_the_status_decides_the_verdict_unless_the_body_contradicts_it(
    response: Response, verdict: Verdict, access: str | None
):
    outcome = REDDIT.classify(response)
    assert (outcome.verdict, outcome.access) == (verdict, access)
    assert outcome.message


@pytest.mark.parametrize(
    ("status", "header", "expected"), [(429, "1", 1.0), (503, "30", 30.0), (400, "1", None), (429, "", None)]
)
def test_retry_after_is_read_for_429_and_503(status: int, header: str, expected: float | None):
    assert REDDIT.classify(answered(status, {}, retry_after=header)).retry_after == expected


def test_an_error_in_a_200_keeps_reddits_words_and_its_wait():
    body = {"error": {"code": 429, "message": "Too many requests/events within timeframe."}}
    outcome = REDDIT.classify(answered(200, body, retry_after="90"))
    assert (outcome.verdict, outcome.limited, outcome.retry_after) == (Verdict.TRANSIENT, True, 90.0)
    assert (outcome.code, outcome.message) == ("429", "Too many requests/events within timeframe.")
    assert REDDIT.classify(answered(200, {"error": "Nothing was stored."})).message == "Nothing was stored."


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"code": 400, "message": "There were 1 invalid conversion events. None were processed."}},
        {"data": {"message": "Successfully processed 0 conversion events."}},
        "Please sign in to use this network",
    ],
)
def test_a_check_does_not_pass_on_a_200_that_accepts_nothing(body: Any):
    assert not REDDIT.passed(REDDIT.classify(answered(200, body)))


@pytest.mark.parametrize(
    ("status", "message", "start"),
    [
        (401, "UNAUTHORIZED", "Reddit Ads does not accept this conversion access token (“UNAUTHORIZED”). Copy the"),
        (403, "Not yours.", "This conversion access token has no access to pixel ID a2_x (“Not yours”). Check that"),
        (404, "Not Found", "Reddit Ads did not accept pixel ID a2_x (“Not Found”). Copy it again from Events Manager"),
        (500, "Down.", "Reddit Ads could not verify the credential now (“Down”): nothing was saved."),
    ],
)
def test_a_failed_check_is_explained_in_four_different_ways(status: int, message: str, start: str):
    outcome = REDDIT.classify(answered(status, {"error": {"code": status, "message": message}}))
    assert REDDIT.explain(outcome, "a2_x", undecided="nothing was saved.").startswith(start)


@pytest.mark.parametrize("pixel", ["a2_sandbox01", " t2_old9 "])
def test_the_form_accepts_both_forms_of_pixel_id_trimmed(pixel: str):
    form = PostbackForm(
        {"pixel_id": pixel, "credential": REDDIT_ACCOUNTS.token, "triggers": ["game_launch", "purchase"]},
        network=REDDIT,
    )
    assert form.is_valid()
    assert form.cleaned_data == {
        "pixel_id": pixel.strip(),
        "credential": {"token": REDDIT_ACCOUNTS.token},
        "triggers": ["game_launch", "purchase"],
        "goals": [],
        "time_zone": "UTC",
        "enabled": False,
        "test_code": "",
    }


@pytest.mark.parametrize("pixel", ["sandbox01", "a3_x", "a2_", "a2_x y", "A2_x"])
def test_the_form_describes_the_form_of_a_pixel_id(pixel: str):
    form = PostbackForm({"pixel_id": pixel, "credential": "x", "triggers": ["purchase"]}, network=REDDIT)
    assert form.errors == {
        "pixel_id": [
            "This does not look like a Reddit Ads pixel ID. "
            "It looks like a2_xxxxxxxx and is shown in Ads Manager, Events Manager, next to your pixel."
        ]
    }


def test_an_event_is_sent_until_it_is_168_hours_old():
    assert REDDIT.max_age == timedelta(hours=168)
