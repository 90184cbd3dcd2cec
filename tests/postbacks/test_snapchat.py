"""Snapchat: the exact requests, and how each answer is classified."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import jsonschema
import pytest

from postbacks.configs.forms import PostbackForm
from postbacks.networks import NETWORKS
from postbacks.networks.interface.call import Outcome, Response, Target, Verdict
from postbacks.networks.interface.facts import Address, AdvertisingId, DataUse, Facts, Hashes, Item, Name
from postbacks.networks.interface.matching import unusable_keys
from postbacks.networks.snapchat.imitation import ACCOUNTS
from postbacks.networks.snapchat.payload import CURRENCIES
from tests.postbacks.facts import AT, EVENT_ID, NOBODY, PURCHASE, answered, launch, observed, schema, vector

SNAPCHAT = NETWORKS["snapchat"]
PIXEL = ACCOUNTS.pixel
# The hashes of Snap's documentation.
PERSON = "542d240129883c019e106e3b1b2d3f3cb3537c43c425364de8e951d5a3083345"
NUMBER = "dc008fda46e2e64002cf2f82a4906236282d431c4f75e5b60bfe79fc48546383"
RAPHAEL = "e74bb89e718fe1e19c422a48382870399f8bf7ca8dfa008739e75b0be76627b7"
LAUNCH = launch("snapchat")


def target(pixel_id: str = PIXEL, *, token: str = "a-token", is_test: bool = False) -> Target:
    return SNAPCHAT.target(
        pixel_id=pixel_id, credential={"token": token}, base_url="https://network.example/", is_test=is_test
    )


def event(facts: Facts = LAUNCH, **changes: Any) -> Any:
    body = json.loads(SNAPCHAT.build(target(), replace(facts, **changes)).body)
    jsonschema.validate(body, schema("snapchat"))
    (sent,) = body["data"]
    return sent


def user(**facts: Any) -> Any:
    """The user data beside the address and the browser."""
    added = event(**facts)["user_data"]
    return {name: value for name, value in added.items() if not name.startswith(("client_", "sc_click"))}


def test_a_request_is_posted_to_the_pixel_with_the_token_as_a_parameter_and_no_other_credential():
    request = SNAPCHAT.build(target(), LAUNCH)
    assert (request.method, request.url) == (
        "POST",
        f"https://network.example/v3/{PIXEL}/events?access_token=a-token",
    )
    assert request.headers == {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "User-Agent": "Afterclick/0.2.0 (+conversion postbacks)",
    }


def test_a_token_and_a_pixel_are_encoded_and_cannot_change_the_address():
    request = SNAPCHAT.build(target("a/../b?c", token="a+b/c=&d#"), LAUNCH)
    assert request.url == "https://network.example/v3/a%2F..%2Fb%3Fc/events?access_token=a%2Bb%2Fc%3D%26d%23"
    assert set(request.secrets) == {"a+b/c=&d#", "a%2Bb%2Fc%3D%26d%23"}


def test_the_repr_of_a_target_and_a_request_has_no_token():
    aim = target(token="canary-token")
    assert "canary-token" not in f"{aim!r} {SNAPCHAT.build(aim, LAUNCH)!r}"


def test_a_test_event_goes_to_the_endpoint_that_records_nothing():
    request = SNAPCHAT.build(target(is_test=True), LAUNCH)
    assert request.url == f"https://network.example/v3/{PIXEL}/events/validate?access_token=a-token"
    assert request.body == SNAPCHAT.build(target(), LAUNCH).body


@pytest.mark.parametrize("trigger", sorted(set(SNAPCHAT.events) - {"purchase"}))
def test_each_event_with_a_usual_name_is_sent_as_its_vector(trigger: str):
    body = json.loads(SNAPCHAT.build(target(), replace(LAUNCH, trigger=trigger)).body)
    assert body == vector("snapchat", trigger)
    jsonschema.validate(body, schema("snapchat"))


@pytest.mark.parametrize(
    ("trigger", "sent_as", "expected"),
    [
        ("game_launch", "", "SIGN_UP"),
        ("game_launch", "APP_OPEN", "APP_OPEN"),
        ("progression", "LEVEL_COMPLETE", "LEVEL_COMPLETE"),
        ("boss_defeated", "CUSTOM_EVENT_3", "CUSTOM_EVENT_3"),
        ("SUBSCRIBE", "", "SUBSCRIBE"),
    ],
)
def test_an_event_is_sent_under_the_name_of_its_goal_else_its_usual_name(trigger: str, sent_as: str, expected: str):
    assert event(trigger=trigger, sent_as=sent_as)["event_name"] == expected


@pytest.mark.parametrize("name", ["", "level_up", "Purchase", "CUSTOM_EVENT_6", "ADD_TO_CART"])
def test_an_event_with_a_name_that_is_not_in_the_list_is_not_built(name: str):
    assert not SNAPCHAT.accepts_event(name)
    with pytest.raises(ValueError, match="no event name for Snapchat"):
        SNAPCHAT.build(target(), replace(LAUNCH, trigger=name))


def test_every_standard_event_is_accepted_by_the_schema():
    names = schema("snapchat")["definitions"]["event"]["properties"]["event_name"]["enum"]
    assert sorted(SNAPCHAT.standard_events) == sorted(names)
    for name in set(names) - {"PURCHASE"}:
        assert event(trigger="level_up", sent_as=name)["event_name"] == name


@pytest.mark.parametrize(
    ("at", "seconds"),
    [(AT, 1735889487), (datetime(2025, 1, 3, 7, 31, 27, 999_999, tzinfo=UTC), 1735889487)],
)
def test_event_time_is_whole_seconds(at: datetime, seconds: int):
    assert event(event_at=at)["event_time"] == seconds


@pytest.mark.parametrize(
    "at",
    [
        datetime(2025, 1, 3),  # noqa: DTZ001  (the case under test)
        datetime(1970, 1, 21, tzinfo=UTC),
    ],
)
def test_an_event_without_a_plausible_time_is_not_built(at: datetime):
    with pytest.raises(ValueError, match="event_at"):
        SNAPCHAT.build(target(), replace(LAUNCH, event_at=at))


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"email": " Person@Example.com "}, {"em": [PERSON]}),
        ({"email": "not an address"}, {}),
        ({"hashes": Hashes(email=PERSON)}, {"em": [PERSON]}),
        ({"hashes": Hashes(canonical_email=PERSON)}, {}),
        ({"phone": "+44 844 412 4653"}, {"ph": [NUMBER]}),
        ({"phone": "0044 844 412 4653"}, {"ph": [NUMBER]}),
        ({"phone": "0844 412 4653"}, {}),
        ({"hashes": Hashes(phone=NUMBER)}, {}),
        ({"name": Name(first=" Raphaël ")}, {"fn": [RAPHAEL]}),
        ({"name": Name(first="Raphae\u0308l")}, {"fn": [RAPHAEL]}),
        ({"address": Address(state="California")}, {}),
        ({"address": Address(postal_code="-")}, {}),
        ({"cookies": {"_scid": " s-1 ", "_ttp": "t"}}, {"sc_cookie1": "s-1"}),
        ({"advertising_id": AdvertisingId(idfa="AEBE52E7-03EE-455A-B3C4-E57283966239")}, {}),
    ],
    ids=str,
)
def test_user_data_is_hashed_by_the_rule_of_the_network_or_left_out(facts: dict[str, Any], expected: Any):
    assert user(**facts) == expected


def test_several_emails_and_phone_numbers_are_each_sent_once():
    added = user(
        email="person@example.com",
        more_emails=("PERSON@example.com", "b@example.com"),
        phone="+448444124653",
        more_phones=("0044 844 412 4653",),
    )
    assert added["em"] == [PERSON, "e8f39b3e1382367d6d41ab34dc270d4e7533f978c9e9a775dfe2185b2f96b96c"]
    assert added["ph"] == [NUMBER]


def test_the_values_of_the_click_are_sent_as_they_came():
    sent = event(click_id=" 0A1b-C2 ", ip="2001:DB8::1", user_agent="Agent")["user_data"]
    assert sent == {"client_ip_address": "2001:db8::1", "client_user_agent": "Agent", "sc_click_id": "0A1b-C2"}


def test_the_click_id_is_the_cookie_of_the_tag_where_the_click_has_none():
    assert event(click_id=None, cookies={"_scclid": "c-1"})["user_data"]["sc_click_id"] == "c-1"
    assert event(click_id="c-2", cookies={"_scclid": "c-1"})["user_data"]["sc_click_id"] == "c-2"


def test_the_cookie_of_the_click_alone_is_no_unusable_browser_cookie():
    facts = replace(NOBODY, cookies={"_scclid": "c-1"}, ip="10.0.0.1")
    body = json.loads(SNAPCHAT.build(target(), facts).body)
    assert unusable_keys(SNAPCHAT.match_keys, SNAPCHAT.cookies, facts, body) == ["connection"]


@pytest.mark.parametrize(
    ("value", "currency", "expected"),
    [
        (Decimal("9.990000001"), "usd", {"value": 9.99, "currency": "USD"}),
        (Decimal("0"), "USD", {"value": 0.0, "currency": "USD"}),
        (Decimal("1200"), "JPY", {"value": 1200.0, "currency": "JPY"}),
        (Decimal("9.99"), None, None),
        (Decimal("9.99"), "XPF", None),
        (Decimal("9.99"), "GEM", None),
        (None, "USD", None),
        (Decimal("NaN"), "USD", None),
    ],
)
def test_value_and_currency_are_sent_as_a_pair_in_a_currency_of_the_list_or_not_at_all(
    value: Decimal | None, currency: str | None, expected: Any
):
    assert event(value=value, currency=currency).get("custom_data") == expected


def test_the_list_of_currencies_is_that_of_other_programs():
    assert len(CURRENCIES) == 60
    assert {"USD", "EUR", "JPY", "XOF", "ALL"} < CURRENCIES
    assert SNAPCHAT.accepts_value(Decimal(1), "XOF")
    assert not SNAPCHAT.accepts_value(Decimal(1), "XPF")
    assert not SNAPCHAT.accepts_value(None, "USD")


def test_an_item_without_an_id_is_left_out_and_one_without_a_quantity_is_one():
    items = (Item(id="7", quantity=3, price=Decimal("-1")), Item(name="Gem"), Item(id="9"), Item(id="8", quantity=0))
    assert event(items=items)["custom_data"] == {
        "content_ids": ["7", "9", "8"],
        "contents": [{"id": "7", "quantity": 3}, {"id": "9"}, {"id": "8", "quantity": 0}],
        "num_items": 4,
    }


@pytest.mark.parametrize(
    ("use", "country", "state"),
    [
        (DataUse(limited=True), 0, 0),
        (DataUse(limited=True, country="US", region="US-CA"), 1, 1000),
        (DataUse(limited=True, country="US", region="US-CO"), 0, 0),
    ],
)
def test_limited_data_use_names_california_or_leaves_the_state_to_the_network(use: DataUse, country: int, state: int):
    sent = event(data_use=use)
    assert sent["data_processing_options"] == ["LDU"]
    assert (sent["data_processing_options_country"], sent["data_processing_options_state"]) == (country, state)


@pytest.mark.parametrize("use", [None, DataUse(limited=False, country="US", region="US-CA")])
def test_unlimited_data_use_is_not_mentioned(use: DataUse | None):
    assert not [name for name in event(data_use=use) if name.startswith("data_processing")]


@pytest.mark.parametrize(
    ("facts", "matchable"),
    [
        ({"click_id": "c-1"}, False),
        ({"click_id": "c-1", "cookies": {"_scid": "s"}, "external_id": "player-42"}, False),
        ({"ip": "203.0.113.7"}, False),
        ({"ip": "10.0.0.1", "user_agent": "Agent"}, False),
        ({"email": "nobody", "phone": "5554441234"}, False),
        ({"hashes": Hashes(phone=NUMBER)}, False),
        ({"ip": "203.0.113.7", "user_agent": "Agent"}, True),
        ({"email": "a@b.example"}, True),
        ({"hashes": Hashes(email=PERSON)}, True),
        ({"phone": "+15554441234"}, True),
    ],
    ids=str,
)
def test_a_click_id_alone_is_no_match_key(facts: dict[str, Any], matchable: bool):
    assert SNAPCHAT.has_match_key(replace(NOBODY, **facts)) is matchable


def check(trigger: str = "game_launch", *, is_test: bool) -> Any:
    request = SNAPCHAT.check(target(is_test=is_test), event_id=EVENT_ID, now=AT, trigger=trigger)
    assert request.url == f"https://network.example/v3/{PIXEL}/events/validate?access_token=a-token"
    body = json.loads(request.body)
    jsonschema.validate(body, schema("snapchat"))
    (sent,) = body["data"]
    return sent


def test_the_credential_check_is_a_page_view_that_is_not_recorded():
    assert check(is_test=False) == {
        "event_name": "PAGE_VIEW",
        "event_time": 1735889487,
        "action_source": "WEB",
        "event_source_url": "https://example.com/afterclick-check",
        "event_id": EVENT_ID,
        "user_data": {
            "em": ["fea7a1635fdfa5b15f4a911a4b887f086e497c7f72dcb58f323bf3a44eb03d15"],
            "client_ip_address": "203.0.113.7",
            "client_user_agent": "Afterclick/0.2.0 (+conversion postbacks)",
        },
    }


def test_a_test_conversion_has_the_name_of_its_event_and_a_purchase_its_value():
    assert check(is_test=True)["event_name"] == "SIGN_UP"
    purchase = check("purchase", is_test=True)
    assert (purchase["event_name"], purchase["custom_data"]) == ("PURCHASE", {"value": 1.0, "currency": "USD"})


MESSAGES = {
    "success_short": "VALID",
    "validate_ok": "VALID",
    "validate_invalid": "At least one of the events is invalid. Invalid event",
    "invalid_in_200": "At least one of the events is invalid. Invalid event",
    "milliseconds_offline": "Param data['event_time'] is an invalid Unix timestamp.",
    "unavailable": "upstream connect error",
}


@pytest.mark.parametrize("case", observed("snapchat"), ids=lambda case: case["name"])
def test_every_known_answer_is_classified_with_its_code_and_message(case: Any):
    assert SNAPCHAT.classify(answered(case["status"], case["body"])) == Outcome(
        verdict=Verdict[case["verdict"]],
        code="517" if case["name"] in ("validate_invalid", "invalid_in_200") else None,
        message=MESSAGES.get(case["name"]) or case["body"]["reason"],
        access=case.get("access"),
        limited=case.get("limited", False),
    )


@pytest.mark.parametrize(
    ("response", "verdict", "access"),
    [
        (answered(400, {"status": "INVALID", "reason": "unauthorized RESOURCES"}), Verdict.CREDENTIAL, "pixel"),
        (answered(200, {"status": "INVALID", "reason": "Unauthorized resources"}), Verdict.CREDENTIAL, "pixel"),
        (answered(200, {"status": "INVALID", "reason": "The access_token has expired"}), Verdict.CREDENTIAL, "token"),
        (answered(400, {"error_msgs": ["Invalid access token"]}), Verdict.CREDENTIAL, "token"),
        (answered(401, {"status": "INVALID", "reason": "Unauthorized"}), Verdict.CREDENTIAL, "token"),
        (answered(404, {"status": "INVALID", "reason": "Not found"}), Verdict.CREDENTIAL, "pixel"),
        (answered(413, ""), Verdict.PAYLOAD, None),
        (answered(422, {"status": "INVALID"}), Verdict.PAYLOAD, None),
        (answered(401, "<html>who</html>"), Verdict.TRANSIENT, None),
        (answered(400, "<html>no</html>"), Verdict.TRANSIENT, None),
        (answered(302, ""), Verdict.TRANSIENT, None),
        (answered(204, ""), Verdict.TRANSIENT, None),
        (answered(599, ""), Verdict.TRANSIENT, None),
        (answered(200, {}), Verdict.TRANSIENT, None),
        (answered(200, [1]), Verdict.TRANSIENT, None),
        (answered(200, {"status": None}), Verdict.TRANSIENT, None),
        (answered(200, {"status": "VALID", "reason": "The access token is fine"}), Verdict.SUCCESS, None),
        (answered(200, {"status": ["VALID"]}), Verdict.PAYLOAD, None),
        (
            answered(400, {"status": 7, "reason": 8, "errors": [9, {"errors": [1]}], "event_logs": 3}),
            Verdict.PAYLOAD,
            None,
        ),
        (answered(200, "[" * 100_000), Verdict.TRANSIENT, None),
        (Response(None, {}, b"", 10_000, "timeout"), Verdict.TRANSIENT, None),
    ],
)
def test_the_reason_decides_before_the_status(response: Response, verdict: Verdict, access: str | None):
    outcome = SNAPCHAT.classify(response)
    assert (outcome.verdict, outcome.access) == (verdict, access)
    assert outcome.message


def test_the_errors_of_an_event_are_part_of_the_message_each_once():
    errors = [
        {"event": 0, "errors": {"codes": ["517", "518"], "error_msgs": ["Invalid em", "Invalid ph"]}},
        {"event": 1, "errors": {"codes": [517], "error_msgs": ["Invalid em"]}},
    ]
    outcome = SNAPCHAT.classify(answered(400, {"status": "INVALID", "reason": "Refused.", "errors": errors}))
    assert (outcome.code, outcome.message) == ("517, 518", "Refused. Invalid em Invalid ph")


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (429, {"status": "INVALID", "reason": "Rate limit exceeded"}, 7.0),
        (400, {"status": "INVALID", "reason": "Too many requests"}, 7.0),
        (503, "upstream connect error", 7.0),
        (400, {"status": "INVALID", "reason": "Invalid event"}, None),
        (500, "", None),
    ],
)
def test_retry_after_is_read_where_the_network_may_ask_for_a_wait(status: int, body: Any, expected: float | None):
    assert SNAPCHAT.classify(answered(status, body, retry_after="7")).retry_after == expected


@pytest.mark.parametrize(
    ("status", "reason", "sentence"),
    [
        (
            401,
            "Invalid access token",
            "Snapchat Ads does not accept this access token (“Invalid access token”). Copy the complete access token "
            "again or generate a new one. Snapchat may refuse a new token for up to an hour, and accepts one only "
            "for the pixels of the organization that generated it.",
        ),
        (
            403,
            "Unauthorized resources",
            "This access token has no access to pixel ID X (“Unauthorized resources”). Check that the two belong "
            "together, or ask an admin of this pixel to generate the token.",
        ),
        (
            400,
            "At least one of the events is invalid.",
            "Snapchat Ads did not accept pixel ID X (“At least one of the events is invalid”). Copy it again from "
            "Events Manager.",
        ),
        (500, "Down.", "Snapchat Ads could not verify the credential now (“Down”): nothing was saved."),
    ],
)
def test_a_failed_check_is_explained_in_four_different_ways(status: int, reason: str, sentence: str):
    outcome = SNAPCHAT.classify(answered(status, {"status": "INVALID", "reason": reason}))
    assert SNAPCHAT.explain(outcome, "X", undecided="nothing was saved.") == sentence


def form(**changes: Any) -> PostbackForm:
    data = {"pixel_id": f" {PIXEL} ", "credential": f" {ACCOUNTS.token} ", "triggers": ["purchase"], "enabled": "on"}
    return PostbackForm(data | changes, network=SNAPCHAT)


def test_the_form_has_no_test_code_and_trims_pixel_and_token():
    filled = form()
    assert filled.is_valid(), filled.errors
    assert filled.cleaned_data == {
        "pixel_id": PIXEL,
        "credential": {"token": ACCOUNTS.token},
        "triggers": ["purchase"],
        "goals": [],
        "time_zone": "UTC",
        "enabled": True,
    }


@pytest.mark.parametrize("pixel", ["", "My pixel", PIXEL.upper(), PIXEL[:-1], f"{PIXEL}0", PIXEL.replace("-", "")])
def test_the_form_describes_the_form_of_a_pixel_id(pixel: str):
    said = (
        "This does not look like a Snapchat Ads pixel ID. It looks like 0a1b2c3d-4e5f-4a6b-8c7d-0e1f2a3b4c5d, in "
        "lowercase: see Ads Manager, Events Manager."
    )
    assert form(pixel_id=pixel).errors == {"pixel_id": [said if pixel else "This field is required."]}


def test_a_goal_with_a_name_that_is_not_in_the_list_is_refused_with_the_way_out():
    row = {"event": "boss_defeated", "sent_as": "", "custom": "", "path": "", "op": "", "value": ""}
    filled = form(**{f"goals-0-{name}": value for name, value in row.items()})
    assert not filled.is_valid()
    assert filled.rows.forms[0].problems == [
        "Snapchat Ads does not accept an event named “boss_defeated”. Select a name from Snapchat's "
        "list. For your own events, use Custom event 1 to 5."
    ]


def test_an_event_is_sent_until_it_is_seven_days_old():
    assert SNAPCHAT.max_age == timedelta(days=7)


def test_the_golden_purchase_has_every_field_of_the_notes_but_limited_data_use():
    described = SNAPCHAT.describe(json.loads(SNAPCHAT.build(target(), PURCHASE).body))
    noted = set(SNAPCHAT.field_notes.values()) - {note for _, _, note in described}
    assert noted == {note for name, note in SNAPCHAT.field_notes.items() if "data_processing" in name}
