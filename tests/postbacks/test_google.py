"""Google Ads: the body of an event, the assertion for an access token, and the results that come later."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

import jsonschema
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from postbacks.networks import NETWORKS
from postbacks.networks.google import payload
from postbacks.networks.google.imitation import ACCOUNTS
from postbacks.networks.interface.call import AccessToken, Outcome, Target, Verdict
from postbacks.networks.interface.facts import Consent, Facts, Hashes
from tests.postbacks.facts import AT, LAUNCH, NOBODY, PURCHASE, answered, mapped, schema, vector

GOOGLE = NETWORKS["google"]
GMAIL = "223ebda6f6889b1494551ba902d9d381daf2f642bae055888e96343d53e9f9c4"
TAGGED = "f109a2a632fbcea5fc82049f50beed3d8621bf9034399f437fb622222acccdac"
PHONE = "fb4f73a6ec5fdb7077d564cdd22c3554b43ce49168550c3b12c547b78c517b30"
RETRY = timedelta(hours=6)


def target(**credential: str) -> Target:
    return GOOGLE.target(
        pixel_id=ACCOUNTS.pixel,
        credential={"token": ACCOUNTS.token, **credential},
        base_url="https://google.example/",
        token_url="https://token.example/token",
        object_ids=["1", "2"],
    )


def sent(facts: Facts, **credential: str) -> Any:
    body = json.loads(GOOGLE.build(target(**credential), mapped("google", facts)).body)
    jsonschema.validate(body, schema("google"))
    return body


def event(**facts: Any) -> Any:
    return sent(replace(LAUNCH, **facts), contacts="yes")["events"][0]


# The request -----------------------------------------------------------------------------------------


def test_an_event_is_posted_with_the_access_token() -> None:
    request = GOOGLE.build(target().with_access_token("ya29.token"), mapped("google", LAUNCH))
    assert (request.method, request.url) == ("POST", "https://google.example/v1/events:ingest")
    assert request.headers["Authorization"] == "Bearer ya29.token"
    assert "ya29.token" in request.secrets


def test_an_event_without_a_conversion_action_is_not_built() -> None:
    with pytest.raises(ValueError, match="no conversion action"):
        GOOGLE.build(target(), LAUNCH)


@pytest.mark.parametrize("parameter", ["gclid", "gbraid", "wbraid"])
def test_a_click_id_is_sent_unchanged_in_the_field_of_its_parameter(parameter: str) -> None:
    identifiers = event(click_id="CjwK_Ab-1", click_parameter=parameter)["adIdentifiers"]
    assert identifiers == {parameter: "CjwK_Ab-1"}


@pytest.mark.parametrize(
    ("facts", "matchable"),
    [
        ({"click_id": "a"}, True),
        ({"click_id": "a", "click_parameter": "wbraid"}, True),
        ({"click_id": "a", "click_parameter": "dclid"}, False),
        ({"email": "ada@example.com"}, False),
        ({}, False),
    ],
)
def test_only_a_click_id_that_google_ads_takes_is_a_match_key(facts: dict[str, str], matchable: bool) -> None:
    assert GOOGLE.has_match_key(replace(NOBODY, **facts)) is matchable


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (datetime(2025, 1, 3, 7, 31, 27, 999999, tzinfo=UTC), "2025-01-03T07:31:27.999Z"),
        (datetime.fromisoformat("2025-01-03T07:31:27.005+02:00"), "2025-01-03T05:31:27.005Z"),
    ],
)
def test_the_time_has_milliseconds_so_that_two_purchases_of_one_click_differ(at: datetime, text: str) -> None:
    assert event(event_at=at)["eventTimestamp"] == text


def test_a_time_without_an_offset_is_not_built() -> None:
    with pytest.raises(ValueError, match="no UTC offset"):
        event(event_at=AT.replace(tzinfo=None))


@pytest.mark.parametrize(
    ("event_id", "length"), [("1001", 4), ("a" * 64, 64), ("a" * 65, 64), ("1", 64), ("ada@example.com", 64)]
)
def test_a_transaction_id_has_2_to_64_characters_and_no_address(event_id: str, length: int) -> None:
    name = event(event_id=event_id)["transactionId"]
    assert (len(name), name == event_id) == (length, length < 64 or event_id == "a" * 64)


@pytest.mark.parametrize(
    ("facts", "value"),
    [
        (replace(PURCHASE, value=None, currency=None), (0, None)),
        (replace(PURCHASE, value=Decimal("9.99")), (9.99, "USD")),
        (replace(LAUNCH, value=None), (None, None)),
    ],
)
def test_a_purchase_that_states_no_value_is_sent_with_0(facts: Facts, value: tuple[Any, Any]) -> None:
    (purchase,) = sent(facts)["events"]
    assert (purchase.get("conversionValue"), purchase.get("currency")) == value


@pytest.mark.parametrize(
    ("address", "digest"),
    [
        ("cloudysanfrancisco@gmail.com", GMAIL),
        ("Cloudy.SanFrancisco+shopping@Gmail.com", GMAIL),
        ("User.Name+NYC@Example.com", TAGGED),
    ],
)
def test_an_email_is_hashed_by_googles_rule(address: str, digest: str) -> None:
    assert event(email=address)["userData"]["userIdentifiers"] == [{"emailAddress": digest}]


def test_a_phone_is_hashed_in_e164_and_a_hash_of_one_is_sent_as_it_is() -> None:
    assert event(phone="+18005550100")["userData"]["userIdentifiers"] == [{"phoneNumber": PHONE}]
    stated = event(hashes=Hashes(phone="1" * 64, email="2" * 64))["userData"]["userIdentifiers"]
    assert stated == [{"phoneNumber": "1" * 64}]


def test_at_most_ten_contacts_are_sent() -> None:
    emails = tuple(f"ada{number}@example.com" for number in range(12))
    assert len(event(more_emails=emails)["userData"]["userIdentifiers"]) == 10


@pytest.mark.parametrize("credential", [{}, {"contacts": ""}])
def test_contacts_are_sent_only_where_they_are_switched_on(credential: dict[str, str]) -> None:
    body = sent(PURCHASE, **credential)
    assert ("userData" in body["events"][0], "encoding" in body) == (False, False)


@pytest.mark.parametrize(
    ("facts", "consent", "contacts"),
    [
        ({}, None, True),
        ({"has_full_consent": True}, {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"}, True),
        (
            {"has_full_consent": True, "consent": Consent(ad_personalization=False)},
            {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_DENIED"},
            True,
        ),
        (
            {"has_full_consent": True, "consent": Consent(ad_user_data=False)},
            {"adUserData": "CONSENT_DENIED", "adPersonalization": "CONSENT_GRANTED"},
            False,
        ),
        ({"consent": Consent(ad_user_data=False)}, {"adUserData": "CONSENT_DENIED"}, False),
    ],
)
def test_consent_is_granted_with_full_consent_unless_the_event_denies_it(
    facts: dict[str, Any], consent: Any, contacts: bool
) -> None:
    stated = event(email="ada@example.com", **facts)
    assert (stated.get("consent"), "userData" in stated) == (consent, contacts)


def test_a_login_account_is_sent_without_dashes_and_only_if_there_is_one() -> None:
    (with_manager,) = sent(LAUNCH, login_account="555-666-7777")["destinations"]
    assert with_manager["loginAccount"] == {"accountType": "GOOGLE_ADS", "accountId": "5556667777"}
    assert "loginAccount" not in sent(LAUNCH)["destinations"][0]


def test_a_check_is_validated_only_for_the_conversion_actions_of_all_goals() -> None:
    body = json.loads(GOOGLE.check(target(), event_id="check-1", now=datetime.now(UTC)).body)
    jsonschema.validate(body, schema("google"))
    assert body["validateOnly"] is True
    assert [each["productDestinationId"] for each in body["destinations"]] == ["1", "2"]


def test_a_repeat_has_the_first_value_and_nothing_that_consent_allows_no_more() -> None:
    full = {"email": "ada@example.com", "user_agent": "Mozilla/5.0", "has_full_consent": True}
    first = sent(replace(PURCHASE, **full, value=Decimal("9.99")), contacts="yes")
    again = sent(replace(PURCHASE, **full, value=Decimal("0.99"), event_at=datetime.now(UTC)), contacts="yes")
    assert payload.repeated(first, again) == first
    anonymous = sent(replace(LAUNCH, trigger="purchase", value=Decimal("0.99")))
    repeated = payload.repeated(first, anonymous)
    assert repeated["events"][0] == {
        "eventTimestamp": "2025-01-03T07:31:27.123Z",
        "transactionId": PURCHASE.event_id,
        "eventSource": "WEB",
        "adIdentifiers": {"gclid": "E.C.P.CkYKA4-click"},
        "conversionValue": 9.99,
        "currency": "USD",
    }
    assert "encoding" not in repeated


@pytest.mark.parametrize(
    ("clicked_at", "moment"),
    [
        (datetime(2025, 1, 3, 1, 0, tzinfo=UTC), datetime(2025, 1, 3, 7, 5, tzinfo=UTC)),
        (None, None),
    ],
)
def test_an_event_waits_until_its_click_is_six_hours_and_five_minutes_old(clicked_at: Any, moment: Any) -> None:
    assert GOOGLE.not_before(replace(LAUNCH, clicked_at=clicked_at)) == moment


# The access token ------------------------------------------------------------------------------------


def part(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_an_access_token_is_requested_with_an_assertion_that_the_key_signs() -> None:
    request = GOOGLE.token_request(target(), now=AT)
    assert request is not None
    assert (request.method, request.url) == ("POST", "https://token.example/token")
    form = {name: value for name, (value,) in parse_qs(request.body.decode()).items()}
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert form["assertion"] in request.secrets  # an answer may repeat it
    header, claims, signature = form["assertion"].split(".")
    key = json.loads(ACCOUNTS.token)
    assert json.loads(part(header)) == {"alg": "RS256", "typ": "JWT", "kid": key["private_key_id"]}
    stated = json.loads(part(claims))
    assert (stated.pop("exp") - stated.pop("iat"), stated) == (
        3600,
        {
            "iss": key["client_email"],
            "scope": "https://www.googleapis.com/auth/datamanager",
            "aud": "https://oauth2.googleapis.com/token",
        },
    )
    private = load_pem_private_key(key["private_key"].encode(), password=None)
    assert isinstance(private, RSAPrivateKey)
    private.public_key().verify(part(signature), f"{header}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())


def test_no_repr_has_a_key_an_assertion_or_an_access_token() -> None:
    request = GOOGLE.token_request(target(), now=AT)
    assert request is not None
    answer = answered(200, {"access_token": "ya29.token", "expires_in": 3599})
    event = GOOGLE.build(target().with_access_token("ya29.token"), mapped("google", LAUNCH))
    texts = repr((target().with_access_token("ya29.token"), request, answer, GOOGLE.token_from(answer), event))
    for secret in ("ya29.token", *request.secrets):
        assert secret not in texts


@pytest.mark.parametrize("changed", [{"private_key": "no PEM"}, {"private_key": 1}, {"client_email": None}])
def test_a_key_that_cannot_sign_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="."):
        GOOGLE.token_request(target(token=json.dumps({**json.loads(ACCOUNTS.token), **changed})), now=AT)


@pytest.mark.parametrize("case", vector("google", "responses")["token_endpoint"], ids=lambda case: case["name"])
def test_an_answer_of_the_token_endpoint_is_a_token_or_a_refused_credential(case: Any) -> None:
    result = GOOGLE.token_from(answered(case["status"], case["body"]))
    if case["status"] == 200:
        assert result == AccessToken(case["body"]["access_token"], 3599)
    else:
        description = case["body"]["error_description"]
        assert result == Outcome(Verdict.CREDENTIAL, "invalid_grant", description, access="token")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (503, "<html></html>"),
        (429, {"error": "slow_down"}),
        (200, {}),
        (400, {"error": {"status": "INVALID_ARGUMENT"}}),
    ],
)
def test_any_other_answer_of_the_token_endpoint_is_tried_again(status: int, body: Any) -> None:
    result = GOOGLE.token_from(answered(status, body))
    assert isinstance(result, Outcome)
    assert result.verdict is Verdict.TRANSIENT


# Answers ---------------------------------------------------------------------------------------------


def known(name: str) -> Outcome:
    (case,) = [case for case in vector("google", "responses")["answers"] if case["name"] == name]
    return GOOGLE.classify(answered(case["status"], case["body"]))


def test_a_receipt_is_confirmed_half_an_hour_later() -> None:
    outcome = known("receipt")
    assert (outcome.request_id, outcome.confirm_after) == (
        "t-0f1e2d3c-0000-4000-8000-000000000001",
        timedelta(minutes=30),
    )


def test_a_request_that_is_only_validated_has_no_result_to_wait_for() -> None:
    assert known("validate_only_ok").confirm_after is None


@pytest.mark.parametrize("body", [{}, {"requestId": ""}, {"requestId": 5}, {"fieldWarnings": []}], ids=str)
def test_an_event_without_a_receipt_was_not_accepted(body: Any) -> None:
    response = answered(200, body)
    outcome = GOOGLE.classify_answer(response, target())
    assert (outcome.verdict, outcome.message) == (
        Verdict.TRANSIENT,
        "Google Ads did not return a receipt for the event.",
    )
    assert GOOGLE.classify_answer(response, replace(target(), is_test=True)).verdict is Verdict.SUCCESS
    assert GOOGLE.classify_check(response, target()).verdict is Verdict.SUCCESS


def test_a_receipt_with_a_member_that_is_new_is_a_receipt() -> None:
    outcome = GOOGLE.classify_answer(answered(200, {"requestId": "t-1", "eventResults": []}), target())
    assert (outcome.verdict, outcome.request_id) == (Verdict.SUCCESS, "t-1")


def test_a_warning_is_in_the_log_and_the_check_does_not_pass_as_clean() -> None:
    outcome = known("receipt_with_warning")
    message = "Received without events[0].custom_variables[0]: Custom variable is not enabled."
    assert (outcome.code, outcome.message) == ("WARNING_REASON_CUSTOM_VARIABLE_NOT_ENABLED", message)
    assert GOOGLE.explain(outcome, "1234567890", undecided="") == (
        "Google Ads accepted the test event for customer ID 1234567890 with a warning (“Received without "
        "events[0].custom_variables[0]: Custom variable is not enabled”)."
    )


def test_a_warning_without_a_reason_is_one() -> None:
    outcome = GOOGLE.classify(answered(200, {"fieldWarnings": [{"field": "events[0].currency"}]}))
    assert (outcome.code, "with a warning" in GOOGLE.explain(outcome, "1", undecided="")) == ("WARNING", True)


def test_an_error_names_its_field_and_the_address_that_helps() -> None:
    assert known("bad_hash").message == (
        "The HEX encoded value is malformed. (events.events[0].user_data.user_identifiers[0])"
    )
    assert known("bad_hash").code == "INVALID_HEX_ENCODING"
    assert known("event_source_missing").message == "REQUIRED_FIELD_MISSING (events.events[0].event_source)"
    assert known("api_not_enabled").message == (
        "Data Manager API has not been used in project 000000000000 before or it is disabled. Enable it at "
        "https://console.cloud.google.com/apis/api/datamanager.googleapis.com/overview?project=000000000000"
    )


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("token_expired", "Google Ads does not accept this service account key"),
        ("account_not_shared", "Google Ads refused the test event for customer ID 1234567890"),
        ("bad_hash", "Google Ads refused the test event for customer ID 1234567890"),
        ("internal", "Google Ads could not verify the credential now"),
        ("validate_only_ok", "Google Ads accepted the test event for customer ID 1234567890."),
    ],
)
def test_a_check_is_explained_by_what_was_refused(name: str, start: str) -> None:
    assert GOOGLE.explain(known(name), "1234567890", undecided="try again.").startswith(start)


# Results ---------------------------------------------------------------------------------------------


def result(status: str, *reasons: str, repeated: bool = False) -> Outcome:
    counts = [{"recordCount": "1", "reason": reason} for reason in reasons]
    entry = {"requestStatus": status, **({"errorInfo": {"errorCounts": counts}} if counts else {})}
    response = answered(200, {"requestStatusPerDestination": [entry]})
    return GOOGLE.classify_confirmation(response, repeated=repeated)


RESULTS = {
    "processing": (Verdict.TRANSIENT, None, False),
    "success": (Verdict.SUCCESS, None, False),
    "too_recent_click": (Verdict.PAYLOAD, RETRY, False),
    "click_not_found": (Verdict.PAYLOAD, None, True),
    "duplicate": (Verdict.SUCCESS, None, False),
    "consent": (Verdict.PAYLOAD, None, False),
    "other_account": (Verdict.PAYLOAD, None, False),
}


@pytest.mark.parametrize("case", vector("google", "responses")["diagnostics"], ids=lambda case: case["name"])
def test_a_known_result_is_final_or_sent_again(case: Any) -> None:
    outcome = GOOGLE.classify_confirmation(answered(case["status"], case["body"]))
    assert (outcome.verdict, outcome.resend_after, outcome.unmatched) == RESULTS[case["name"]]


@pytest.mark.parametrize(("repeated", "verdict"), [(True, Verdict.SUCCESS), (False, Verdict.PAYLOAD)])
def test_a_duplicate_click_is_this_event_only_if_it_was_sent_before(repeated: bool, verdict: Verdict) -> None:
    assert result("FAILED", "PROCESSING_ERROR_REASON_DUPLICATE_GCLID", repeated=repeated).verdict is verdict


@pytest.mark.parametrize(
    ("status", "reasons", "code", "message"),
    [
        ("FAILED", ["PROCESSING_ERROR_REASON_INVALID_GCLID"], "INVALID_GCLID", "The gclid is not valid."),
        ("FAILURE", [], None, "Google Ads did not count the event and gave no reason."),
        (
            "FAILED",
            ["PROCESSING_ERROR_REASON_SOMETHING_NEW"],
            "SOMETHING_NEW",
            "Google Ads did not count the event, for an unknown reason: SOMETHING_NEW.",
        ),
        ("PARTIAL_SUCCESS", ["PROCESSING_ERROR_REASON_EVENT_TOO_OLD"], "EVENT_TOO_OLD", None),
        (
            "FAILED",
            ["PROCESSING_ERROR_REASON_USER_ID_NOT_FOUND"],
            "USER_ID_NOT_FOUND",
            "Google Ads does not know a user with this email or phone number.",
        ),
    ],
)
def test_a_refusal_says_why(status: str, reasons: list[str], code: str | None, message: str | None) -> None:
    outcome = result(status, *reasons)
    assert (outcome.verdict, outcome.code, outcome.resend_after) == (Verdict.PAYLOAD, code, None)
    assert message is None or outcome.message == message


@pytest.mark.parametrize("reason", ["DESTINATION_TOO_RECENTLY_CREATED", "INTERNAL_ERROR"])
def test_an_event_that_was_not_processed_for_a_passing_reason_is_sent_again(reason: str) -> None:
    assert result("FAILED", f"PROCESSING_ERROR_REASON_{reason}").resend_after == RETRY


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": {"status": "INVALID_ARGUMENT", "message": "INVALID_REQUEST_ID"}}),
        (404, {"error": {"status": "NOT_FOUND", "message": "?"}}),
        (503, "<html></html>"),
        (200, {}),
        (200, {"requestStatusPerDestination": []}),
        (200, "OK"),
        (200, {"requestStatusPerDestination": {"requestStatus": "FAILED"}}),
        (200, {"requestStatusPerDestination": [{"requestStatus": {"FAILED": 1}}]}),
        (200, {"requestStatusPerDestination": [{"requestStatus": "PARTIAL_SUCCESS", "errorInfo": {"errorCounts": 5}}]}),
    ],
)
def test_a_query_without_a_result_refuses_no_event(status: int, body: Any) -> None:
    outcome = GOOGLE.classify_confirmation(answered(status, body))
    assert outcome.verdict is not Verdict.PAYLOAD
    assert outcome.verdict is not Verdict.SUCCESS


def test_a_result_is_requested_by_the_id_of_the_receipt() -> None:
    request = GOOGLE.confirm_request(target().with_access_token("ya29.token"), "t-1/2")
    url = "https://google.example/v1/requestStatus:retrieve?requestId=t-1%2F2"
    assert (request.method, request.url, request.body) == ("GET", url, b"")
