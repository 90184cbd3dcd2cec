"""Meta: the exact requests, and how each answer is classified."""

import hashlib
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
from postbacks.networks.interface.facts import Address, DataUse, Facts, Hashes, Item, Name
from postbacks.networks.interface.network import USER_AGENT
from postbacks.networks.meta import answers
from postbacks.networks.meta.imitation import ACCOUNTS
from tests.postbacks.facts import AT, EVENT_ID, LAUNCH, NOBODY, answered, observed, schema, target, vector

META = NETWORKS["meta"]
DATASET = ACCOUNTS.pixel
EMAIL = "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"  # Meta's own example
PHONE = "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176"
MARY = "6915771be1c5aa0c886870b6951b03d7eafc121fea0e80a5ea83beb7c449f4ec"
FBCLID = "IwAR2F4-dbP0l7Mn1IawQQGCINEz7PYXQvwjNwB_qa2ofrHyiLjcbCRxTDMgk"
CLICKED_AT = AT - timedelta(hours=2)
BUILT = f"fb.1.1735882287123.{FBCLID}"


def sent(facts: Facts, *, test_code: str | None = None, **settings: str) -> Any:
    aim = target(DATASET, test_code=test_code)
    body = json.loads(META.build(replace(aim, credential={**aim.credential, **settings}), facts).body)
    jsonschema.validate(body, schema("meta"))
    return body


def event(**facts: Any) -> Any:
    return sent(replace(LAUNCH, **facts))["data"][0]


def user(**facts: Any) -> Any:
    """The match keys of an event, beside those of its click."""
    keys = event(**facts)["user_data"]
    del keys["fbc"]
    return keys


def test_a_request_is_posted_to_the_dataset_with_its_token_in_a_header_only():
    request = META.build(target(DATASET), LAUNCH)
    assert request.method == "POST"
    assert request.url == "https://network.example/v25.0/102030405060701/events"
    assert request.headers == {
        "Authorization": "Bearer a-token",
        "Content-Type": "application/json",
        "Accept": "application/json",
        "User-Agent": USER_AGENT,
    }
    assert b"a-token" not in request.body


def test_a_dataset_id_cannot_change_the_path():
    request = META.build(target("1/../2?x"), LAUNCH)
    assert request.url == "https://network.example/v25.0/1%2F..%2F2%3Fx/events"


@pytest.mark.parametrize("goal", vector("meta", "goals"))
def test_a_goal_is_sent_as_its_vector_has_it(goal: str):
    stated = vector("meta", "goals")[goal]
    facts = Facts(
        trigger=goal,
        sent_as=stated["sent_as"],
        event_id=EVENT_ID,
        event_at=AT,
        clicked_at=CLICKED_AT,
        click_id=f"{FBCLID}_aem_Sample",
        cookies={"_fbp": "fb.1.1735888000000.1098115397"},
        ip="203.0.113.7",
        user_agent="Mozilla/5.0 (click)",
    )
    if goal == "email_acquired":
        facts = replace(facts, email="John_Smith@gmail.com")
    if goal == "subscription_start":
        facts = replace(facts, value=Decimal("4.99"), currency="EUR")
    assert sent(facts) == stated["body"]


def test_the_event_time_is_in_seconds_and_the_time_of_the_click_in_milliseconds():
    body = event(click_id=FBCLID, clicked_at=CLICKED_AT)
    assert (body["event_time"], body["user_data"]["fbc"]) == (1735889487, BUILT)


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
        META.build(target(DATASET), replace(LAUNCH, event_at=at))


@pytest.mark.parametrize("name", ["", " ", "level\nup", "<b>", "ä", "x" * 51])
def test_an_event_with_a_name_that_meta_refuses_is_not_built(name: str):
    assert not META.accepts_event(name)
    with pytest.raises(ValueError, match="no event name for Meta"):
        META.build(target(DATASET), replace(LAUNCH, trigger=name))


def test_every_standard_event_is_accepted_by_the_schema():
    for name in META.standard_events:
        assert META.accepts_event(name)
        assert event(sent_as=name, value=Decimal(1), currency="USD")["event_name"] == name


# The click ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cookie", "expected"),
    [
        ("", BUILT),
        (f"fb.1.1735880000000.{FBCLID}", f"fb.1.1735880000000.{FBCLID}"),
        (f"fb.2.1735880000000.{FBCLID}", f"fb.2.1735880000000.{FBCLID}"),
        (f"fb.1.1735880000000.{FBCLID}.AQ", f"fb.1.1735880000000.{FBCLID}.AQ"),
        (f"fb.1.1735880000000.{FBCLID}.AQICAQIA", f"fb.1.1735880000000.{FBCLID}.AQICAQIA"),
        # Of an older click.
        ("fb.1.1735800000000.IwAR-another", BUILT),
        (f"fb.1.1735880000000.{FBCLID.lower()}", BUILT),
        (f"fb.1.1735880000000.{FBCLID}.toolong", BUILT),
        # Damaged.
        (f"fb.1.1735880000.{FBCLID}", BUILT),
        (FBCLID, BUILT),
        ("undefined", BUILT),
    ],
)
def test_fbc_is_the_cookie_of_the_click_else_made_of_its_fbclid(cookie: str, expected: str):
    assert event(click_id=FBCLID, clicked_at=CLICKED_AT, cookies={"_fbc": cookie})["user_data"]["fbc"] == expected


@pytest.mark.parametrize("fbclid", ["IwAR0%2BaB%3D", "MiXeD-CaSe_aem_XyZ", "a.b.c"])
def test_an_fbclid_is_never_decoded_and_keeps_its_case(fbclid: str):
    assert event(click_id=fbclid, clicked_at=CLICKED_AT)["user_data"]["fbc"] == f"fb.1.1735882287123.{fbclid}"


def test_a_click_without_an_fbclid_has_the_cookie_or_no_fbc():
    cookie = f"fb.1.1735880000000.{FBCLID}"
    assert event(click_id=None, cookies={"_fbc": cookie})["user_data"] == {"fbc": cookie}
    body = json.loads(META.build(target(DATASET), replace(NOBODY, cookies={"_fbc": "x"}, email="a@b.example")).body)
    assert list(body["data"][0]["user_data"]) == ["em"]


@pytest.mark.parametrize(
    ("cookie", "is_sent"),
    [
        ("fb.1.1735888000000.1098115397", True),
        ("fb.1.1735888000000.1098115397.AQ", True),
        ("fb.1.1735888000000.1098115397.AQICAQIA", True),
        ("fb.1.1735888000000.", False),
        ("fb.1.1735888.1098115397", False),
        ("1098115397", False),
        ("undefined", False),
    ],
)
def test_a_damaged_fbp_is_left_out(cookie: str, is_sent: bool):
    assert user(cookies={"_fbp": cookie}) == ({"fbp": cookie} if is_sent else {})


# Match keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"email": " John_Smith@gmail.com "}, {"em": EMAIL}),
        ({"hashes": Hashes(email=EMAIL)}, {"em": EMAIL}),
        ({"email": f"{EMAIL}.AQ"}, {"em": f"{EMAIL}.AQ"}),
        ({"email": f"{EMAIL}.AQICAQIA"}, {"em": f"{EMAIL}.AQICAQIA"}),
        ({"email": f"{EMAIL}.AQICAQI"}, {}),
        ({"email": "nobody"}, {}),
        ({"email": ""}, {}),
        ({"phone": "+1 (650) 555-1212"}, {"ph": PHONE}),
        ({"phone": "(650) 555-1212"}, {}),
        ({"phone": f"{PHONE}.AQ"}, {"ph": f"{PHONE}.AQ"}),
        # A hash with the plus sign in it, as other networks take it.
        ({"hashes": Hashes(phone="e" * 64)}, {}),
        ({"name": Name(first="Mary", last=" M-a'ry. ")}, {"fn": MARY, "ln": MARY}),
        (
            {"ip": "203.0.113.7", "user_agent": " Agent "},
            {"client_ip_address": "203.0.113.7", "client_user_agent": "Agent"},
        ),
        ({"ip": "10.0.0.1"}, {}),
        ({"ip": "::1"}, {}),
    ],
)
def test_a_match_key_is_sent_in_metas_form_or_not_at_all(facts: dict[str, Any], expected: dict[str, str]):
    assert user(**facts) == expected


def test_several_emails_and_phone_numbers_are_lists():
    keys = user(
        email="John_Smith@gmail.com",
        more_emails=("john_smith@gmail.com", "b@c.example"),
        phone="+16505551212",
        more_phones=("+15554441234",),
    )
    assert keys == {
        "em": [EMAIL, "89c45d83f9de44474c742b151c3597558d84f97c9f632a063febaab38a91a5fc"],
        "ph": [PHONE, "5e0e5aa7d521589a79e6de0d18a65fa43456cb4cda554fb69667691a34f3e2c0"],
    }


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (
            Address(city="St. Anne-on-Sea 2", state="Zürich", postal_code="8001 ZH-1", country="CH"),
            {"ct": sha("stanneonsea"), "st": sha("zürich"), "zp": sha("8001zh1"), "country": sha("ch")},
        ),
        (
            Address(state="CA", postal_code="94035 1234", country="US"),
            {"st": sha("ca"), "zp": sha("94035"), "country": sha("us")},
        ),
        (Address(state="California", country="US"), {"country": sha("us")}),
        (Address(postal_code="94035-1234"), {"zp": sha("94035")}),
        (Address(postal_code="94035-1234X"), {"zp": sha("940351234x")}),
    ],
)
def test_an_address_is_hashed_part_by_part(address: Address, expected: dict[str, str]):
    assert user(address=address) == expected


@pytest.mark.parametrize(
    ("setting", "expected"), [("", sha("player-42a")), ("raw", "Player -42A"), ("not-needed", sha("player-42a"))]
)
def test_an_external_id_is_hashed_without_spaces_in_lower_case_unless_the_postback_says_otherwise(
    setting: str, expected: str
):
    body = sent(replace(LAUNCH, external_id=" Player -42A "), external_id=setting)
    assert body["data"][0]["user_data"]["external_id"] == expected


@pytest.mark.parametrize(
    ("facts", "is_enough"),
    [
        ({"click_id": FBCLID}, True),
        ({"cookies": {"_fbp": "fb.1.1735888000000.1098115397"}}, True),
        ({"email": "a@b.example"}, True),
        ({"phone": "+15554441234"}, True),
        ({"external_id": "player-42"}, True),
        ({"ip": "203.0.113.7", "user_agent": "Agent"}, True),
        ({"ip": "203.0.113.7"}, False),
        ({"user_agent": "Agent"}, False),
        ({"click_id": " ", "email": "nobody", "cookies": {"_fbp": "x"}}, False),
        ({"name": Name(first="Mary"), "address": Address(city="York", country="GB"), "user_agent": "Agent"}, False),
    ],
)
def test_what_meta_accepts_as_a_match_key_is_enough_and_nothing_else(facts: dict[str, Any], is_enough: bool):
    known = replace(NOBODY, **facts)
    assert META.has_match_key(known) is is_enough
    body = json.loads(META.build(target(DATASET), known).body)
    assert jsonschema.Draft7Validator(schema("meta")).is_valid(body) is is_enough


# Money, items, data use -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "currency", "expected"),
    [
        (Decimal("9.99"), "usd", {"value": 9.99, "currency": "USD"}),
        (Decimal("0"), "USD", {"value": 0.0, "currency": "USD"}),
        (Decimal("9.99"), None, None),
        (Decimal("9.99"), "£££", None),
        (None, "USD", None),
    ],
)
def test_value_and_currency_are_sent_as_a_pair_or_not_at_all(
    value: Decimal | None, currency: str | None, expected: Any
):
    assert event(value=value, currency=currency).get("custom_data") == expected


def test_an_item_without_an_id_is_left_out_since_meta_would_refuse_the_event():
    items = (Item(id="7", quantity=3, price=Decimal("2")), Item(name="Gem"), Item(id="9", price=Decimal("-1")))
    assert event(items=items)["custom_data"] == {
        "content_type": "product",
        "content_ids": ["7", "9"],
        "contents": [{"id": "7", "quantity": 3, "item_price": 2.0}, {"id": "9"}],
        "num_items": 4,
    }


@pytest.mark.parametrize("url", ["mygame://start", "/landing", "", "https://"])
def test_only_a_web_address_is_an_event_source_url(url: str):
    assert "event_source_url" not in event(page_url=url)


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        (None, None),
        (DataUse(limited=False), None),
        (DataUse(limited=True), (["LDU"], 0, 0)),
        (DataUse(limited=True, country="US"), (["LDU"], 1, 0)),
        (DataUse(limited=True, country="US", region="US-CA"), (["LDU"], 1, 1000)),
        (DataUse(limited=True, region="US-RI"), (["LDU"], 1, 1013)),
        (DataUse(limited=True, country="US", region="US-NY"), (["LDU"], 1, 0)),
        (DataUse(limited=True, country="DE", region="DE-NE"), (["LDU"], 0, 0)),
    ],
)
def test_limited_data_use_has_metas_numbers_of_country_and_state(use: DataUse | None, expected: Any):
    body = event(data_use=use)
    names = ("data_processing_options", "data_processing_options_country", "data_processing_options_state")
    assert tuple(body.get(name) for name in names) == (expected or (None, None, None))


@pytest.mark.parametrize(
    ("setting", "expected"),
    [("", "website"), ("system_generated", "system_generated"), ("app", "website"), ("nonsense", "website")],
)
def test_the_action_source_is_website_unless_the_postback_says_otherwise(setting: str, expected: str):
    assert sent(LAUNCH, action_source=setting)["data"][0]["action_source"] == expected


def test_the_test_code_is_sent_beside_the_data():
    assert sent(LAUNCH, test_code="TEST12345")["test_event_code"] == "TEST12345"
    assert "test_event_code" not in sent(LAUNCH)


# Checks ---------------------------------------------------------------------------------------------


def test_a_check_reads_the_dataset_and_sends_no_event():
    request = META.check(target(DATASET), event_id=EVENT_ID, now=AT)
    assert (request.method, request.url, request.body) == (
        "GET",
        "https://network.example/v25.0/102030405060701?fields=id,name",
        b"",
    )


@pytest.mark.parametrize("trigger", ["game_launch", "purchase"])
def test_a_check_with_a_test_code_is_a_page_view_and_never_a_purchase(trigger: str):
    request = META.check(target(DATASET, test_code="TEST12345"), event_id=EVENT_ID, now=AT, trigger=trigger)
    body = json.loads(request.body)
    jsonschema.validate(body, schema("meta"))
    assert body == {
        "data": [
            {
                "event_name": "PageView",
                "event_time": 1735889487,
                "event_id": EVENT_ID,
                "action_source": "website",
                "user_data": {"external_id": sha("afterclick-check"), "client_user_agent": USER_AGENT},
            }
        ],
        "test_event_code": "TEST12345",
    }


@pytest.mark.parametrize(
    ("code", "subcode", "is_asked_again"), [(100, 33, True), (200, None, True), (190, None, False), (1, None, False)]
)
def test_only_a_dataset_that_may_not_be_read_is_asked_about_again(code: int, subcode: int | None, is_asked_again: bool):
    outcome = answers.classify_check(answered(400, {"error": {"code": code, "error_subcode": subcode}}))
    assert (META.second_check(outcome) is not None) is is_asked_again


def test_the_second_check_is_a_page_view_older_than_meta_accepts_of_any_source():
    builder = META.second_check(Outcome(Verdict.CREDENTIAL, "100/33", "", access="pixel"))
    assert builder
    (old,) = json.loads(builder(target(DATASET), event_id=EVENT_ID, now=AT).body)["data"]
    assert (old["event_name"], AT.timestamp() // 1 - old["event_time"]) == ("PageView", 63 * 24 * 60 * 60)


def test_a_dataset_that_can_be_read_is_a_success_of_a_check_and_of_no_event():
    response = answered(200, {"id": DATASET, "name": "Afterclick"})
    assert META.passed(answers.classify_check(response))
    assert META.classify(response).verdict is Verdict.TRANSIENT
    assert not META.passed(answers.classify_check(answered(200, {"id": DATASET, "error": {"code": 190}})))
    assert not META.passed(answers.classify_check(answered(502, {"id": DATASET})))


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (
            200,
            {"id": DATASET, "name": "x"},
            "Meta Ads accepted the access token for dataset ID 1. No event was sent.",
        ),
        (
            400,
            {"error": {"code": 100, "error_subcode": 2804003, "message": "Invalid parameter"}},
            "Meta Ads accepted the access token, which may not read dataset ID 1, and refused a deliberately old event "
            "only for its age, so nothing was recorded. Whether Meta Ads accepts new events is known after the first "
            "one.",
        ),
        (200, {"events_received": 1}, "Meta Ads accepted the test event for dataset ID 1."),
        (
            400,
            {"error": {"code": 190, "message": "Bad token."}},
            "Meta Ads does not accept this access token (“Bad token”). Copy the complete access token again or "
            "generate a new one.",
        ),
        (
            400,
            {"error": {"code": 100, "error_subcode": 33, "message": "No object."}},
            "This access token has no access to dataset ID 1 (“No object”). Check that the two belong together, or "
            "ask an admin of this pixel to generate the token.",
        ),
        (
            500,
            {"error": {"code": 1, "message": "Oops"}},
            "Meta Ads could not verify the credential now (“Oops”): try again.",
        ),
    ],
)
def test_the_result_of_a_check_says_what_it_proves(status: int, body: Any, sentence: str):
    outcome = answers.classify_check(answered(status, body))
    assert META.explain(outcome, "1", undecided="try again.") == sentence


# Answers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", observed("meta"), ids=lambda case: case["name"])
def test_every_observed_answer_is_classified_with_its_code_and_trace_id(case: Any):
    outcome = META.classify(answered(case["status"], case["body"]))
    body = case["body"] if isinstance(case["body"], dict) else {}
    error = body.get("error", {})
    code = "/".join(str(error[name]) for name in ("code", "error_subcode") if name in error) or None
    assert (outcome.verdict, outcome.access) == (Verdict[case["verdict"]], case.get("access"))
    assert (outcome.code, outcome.limited) == (code, case.get("limited", False))
    assert outcome.request_id == (error or body).get("fbtrace_id")


PAYLOAD_CODES = [
    (100, sub) for sub in (2804003, 2804004, 2804001, 2804007, 2804008, 2804009, 2804016, 2804017, 2804019)
]
PAYLOAD_CODES += [(100, sub) for sub in (2804023, 2804043, 2804048, 2804050, None)] + [(105, None)]
TOKEN_CODES = [(190, sub) for sub in (None, 458, 459, 460, 463, 464, 467, 492)] + [(102, None)]
PIXEL_CODES = [
    (100, 33),
    (100, 34),
    (100, 38),
    (803, None),
    (3, None),
    (10, None),
    (200, None),
    (294, None),
    (299, None),
]
LIMITED_CODES = [(4, None), (17, None), (32, None), (613, None), (80000, None), (80004, 2446079), (80014, None)]
TRANSIENT_CODES = [(1, None), (2, None), (341, None), (5000, None), (21009, None)]


@pytest.mark.parametrize("status", [200, 400, 401, 403, 500])
@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        *((numbers, (Verdict.PAYLOAD, None, False)) for numbers in PAYLOAD_CODES),
        *((numbers, (Verdict.CREDENTIAL, "token", False)) for numbers in TOKEN_CODES),
        *((numbers, (Verdict.CREDENTIAL, "pixel", False)) for numbers in [*PIXEL_CODES, (2655, None)]),
        *((numbers, (Verdict.TRANSIENT, None, True)) for numbers in [*LIMITED_CODES, (368, None)]),
        *((numbers, (Verdict.TRANSIENT, None, False)) for numbers in TRANSIENT_CODES),
    ],
)
def test_the_code_decides_whatever_the_status(status: int, numbers: tuple[int, int | None], expected: Any):
    error = {"code": numbers[0], "error_subcode": numbers[1], "message": "Said", "is_transient": False}
    outcome = META.classify(answered(status, {"error": error}))
    assert (outcome.verdict, outcome.access, outcome.limited) == expected


@pytest.mark.parametrize(
    ("response", "verdict"),
    [
        (answered(400, {"error": {"code": 999999}}), Verdict.PAYLOAD),
        (answered(500, {"error": {"code": 999999}}), Verdict.TRANSIENT),
        (answered(429, {"error": {"code": 999999}}), Verdict.TRANSIENT),
        (answered(200, {"error": {"code": 999999}}), Verdict.TRANSIENT),
        (answered(400, {"error": {"code": 190, "is_transient": True}}), Verdict.TRANSIENT),
        (answered(400, {"error": {"code": "190"}}), Verdict.CREDENTIAL),
        (answered(400, {"error": {"code": True}}), Verdict.TRANSIENT),
        (answered(400, {"error": "text"}), Verdict.TRANSIENT),
        (answered(200, {"events_received": 1, "error": "text"}), Verdict.TRANSIENT),
        (answered(200, {"events_received": True}), Verdict.TRANSIENT),
        (answered(200, {"events_received": "1"}), Verdict.TRANSIENT),
        (answered(400, {"events_received": 1}), Verdict.TRANSIENT),
        (answered(302, ""), Verdict.TRANSIENT),
        (answered(200, "[1]"), Verdict.TRANSIENT),
        (answered(404, "<html>not here</html>"), Verdict.TRANSIENT),
        (Response(None, {}, b"", 10_000, "timeout"), Verdict.TRANSIENT),
    ],
)
def test_an_answer_without_a_known_code_is_classified_by_what_else_it_has(response: Response, verdict: Verdict):
    assert META.classify(response).verdict is verdict


def test_the_texts_of_an_error_and_the_field_that_it_names_are_shown():
    error: dict[str, Any] = {
        "code": 100,
        "error_subcode": 2804003,
        "message": "Invalid parameter",
        "error_user_title": "Event Timestamp Too Old",
        "error_user_msg": "The timestamp is too far in the past.",
        "error_data": '{"blame_field_specs":[["data",0,"event_time"]]}',
    }
    said = "Invalid parameter. Event Timestamp Too Old. The timestamp is too far in the past. Field: data.0.event_time"
    assert META.classify(answered(400, {"error": error})).message == said
    error["error_data"] = {"blame_field_specs": [["data", 0, "event_time"]]}
    assert META.classify(answered(400, {"error": error})).message == said


@pytest.mark.parametrize("data", ["{", 7, [], {"blame_field_specs": 7}, {"blame_field_specs": [7]}])
def test_an_unreadable_field_is_no_error(data: Any):
    assert META.classify(answered(400, {"error": {"code": 100, "message": "No", "error_data": data}})).message == "No"


def test_warnings_of_a_success_and_of_the_version_are_shown():
    body = {"events_received": 1, "messages": ["No client_user_agent.", 7]}
    assert META.classify(answered(200, body)).message == "No client_user_agent"
    outcome = META.classify(answered(200, {"events_received": 1}, x_ad_api_version_warning="v25.0 was upgraded"))
    assert outcome.message == "Events received: 1. API version: v25.0 was upgraded"


@pytest.mark.parametrize(
    ("status", "code", "header", "expected"),
    [
        (429, 999999, "7", 7.0),
        (503, 2, "7", 7.0),
        (400, 17, "7", 7.0),
        (400, 17, "", None),
        (400, 368, "", 3600.0),
        (400, 368, "7200", 7200.0),
        (500, 1, "7", None),
        (400, 190, "7", None),
    ],
)
def test_retry_after_is_read_for_throttles_and_a_block_waits_for_an_hour(
    status: int, code: int, header: str, expected: float | None
):
    assert META.classify(answered(status, {"error": {"code": code}}, retry_after=header)).retry_after == expected


# The form -------------------------------------------------------------------------------------------


def form(**changes: Any) -> PostbackForm:
    return PostbackForm(
        {"pixel_id": f" {DATASET} ", "credential": "EAAB", "triggers": ["purchase"], **changes}, network=META
    )


def test_the_form_stores_settings_only_where_they_are_not_the_default():
    plain = form(credential_action_source="", credential_unanswered="", credential_external_id="")
    assert plain.is_valid(), plain.errors
    assert {name: value for name, value in plain.cleaned_data["credential"].items() if value} == {"token": "EAAB"}
    chosen = form(credential_action_source="other", credential_unanswered="once", credential_external_id="raw")
    assert chosen.is_valid(), chosen.errors
    assert chosen.cleaned_data["credential"] == {
        "token": "EAAB",
        "action_source": "other",
        "unanswered": "once",
        "external_id": "raw",
    }


def test_the_form_refuses_a_setting_that_is_no_choice():
    assert form(credential_action_source="app").errors == {"credential_action_source": ["Select one of the choices."]}


@pytest.mark.parametrize("dataset", ["1234567", "1" * 21, "12345678a", "act_123456789"])
def test_the_form_describes_the_form_of_a_dataset_id(dataset: str):
    assert form(pixel_id=dataset).errors == {
        "pixel_id": [
            "This does not look like a Meta Ads dataset ID. About 15 digits, shown in Events Manager next to your "
            "dataset (the pixel ID is the same number)."
        ]
    }


def test_an_event_is_sent_until_it_is_seven_days_old():
    assert META.max_age == timedelta(days=7)


def test_the_match_keys_have_a_hundred_points():
    assert sum(key.weight for key in META.match_keys) == 100
