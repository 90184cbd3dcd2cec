"""X: the exact requests, how each answer is classified, and a postback from its form to the delivery log."""

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import jsonschema
import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from audience.models import Conversion, Game
from audience.privacy import erasure
from postbacks.configs import credentials, lifecycle, upkeep
from postbacks.configs.proposed_settings import ProposedSettings
from postbacks.configs.rules import SettingsRefused
from postbacks.delivery import replays, sending
from postbacks.http import post
from postbacks.models import CredentialCheck, Delivery, DeliveryAttempt, Flow, PostbackConfig
from postbacks.monitoring.health.evaluation import evaluate_configs
from postbacks.monitoring.health.types import Health
from postbacks.networks import NETWORKS
from postbacks.networks.interface.call import Response, Target, Verdict
from postbacks.networks.interface.facts import Facts, Hashes, Item
from postbacks.networks.x.imitation import ACCOUNTS, Behavior, imitation
from postbacks.outbox import fan_out
from postbacks.sandbox.server import Sandbox, all_imitations
from tests import factories, hub
from tests.postbacks.facts import AT, LAUNCH, NOBODY, PURCHASE, answered, mapped, schema, target, vector

X = NETWORKS["x"]
PIXEL = ACCOUNTS.pixel
LAUNCH_ID, PURCHASE_ID = ACCOUNTS.object_ids["game_launch"], ACCOUNTS.object_ids["purchase"]
SIGN_UP_ID = "sign1"
# X's documentation has these three; of the hash that it prints beside test@x.com, the address is another one.
EMAIL_SHA256 = "e586883b2b4faf78d48300a79e0e15138d664cdf796ffb86e533170a9893eda8"
PHONE_SHA256 = "1fa6b8d986d9b9cd01bf36951815158bbde9f520c0567c835dfe34783d0a4231"
PRINTED_SHA256 = "d360d510a224510f373931ce2d6215a799f5a9c1cef221b0149b6b6b50cced62"


def sent(facts: Facts, *, pixel_id: str = PIXEL) -> Any:
    body = json.loads(X.build(target(pixel_id), facts).body)
    jsonschema.validate(body, schema("x"))
    (conversion,) = body["conversions"]
    return conversion


def conversion_of(**facts: Any) -> Any:
    return sent(replace(mapped("x", LAUNCH), **facts))


def of_email(address: str | None, **facts: Any) -> Any:
    return conversion_of(email=address, **facts)["identifiers"][1:]


# The request ---------------------------------------------------------------------------------------


def test_a_request_is_posted_to_the_pixel_with_its_access_token() -> None:
    request = X.build(target(PIXEL), mapped("x", LAUNCH))
    assert (request.method, request.url) == ("POST", "https://network.example/12/measurement/conversions/afc01")
    assert request.headers == {
        "X-Pixel-Token": "a-token",
        "Content-Type": "application/json",
        "Accept": "application/json",
        "User-Agent": "Afterclick/0.2.0 (+conversion postbacks)",
    }


def test_a_pixel_id_cannot_change_the_path_of_x() -> None:
    request = X.build(target("a/../b?c"), mapped("x", LAUNCH))
    assert request.url == "https://network.example/12/measurement/conversions/a%2F..%2Fb%3Fc"


def test_a_goal_is_sent_as_its_vector_has_it() -> None:
    facts = replace(LAUNCH, trigger="sign_up", object_id=SIGN_UP_ID)
    assert json.loads(X.build(target(PIXEL), facts).body) == vector("x", "goal")
    jsonschema.validate(vector("x", "goal"), schema("x"))


def test_an_event_without_an_event_id_is_not_built() -> None:
    with pytest.raises(ValueError, match="no Event ID of X"):
        X.build(target(PIXEL), LAUNCH)
    with pytest.raises(ValueError, match="no Event ID of X"):
        X.check(target(PIXEL), event_id="c-1", now=AT)


@pytest.mark.parametrize(("entered", "expected"), [("ol288", "tw-afc01-ol288"), ("tw-afc01-ol288", "tw-afc01-ol288")])
def test_an_event_id_is_sent_with_the_pixel_in_it(entered: str, expected: str) -> None:
    assert conversion_of(object_id=entered)["event_id"] == expected


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2026, 11, 28, 10, tzinfo=UTC), "2026-11-28T10:00:00.000Z"),
        (datetime(2025, 1, 3, 7, 31, 27, 999_999, tzinfo=UTC), "2025-01-03T07:31:27.999Z"),
        (datetime.fromisoformat("2026-11-28T12:00:00.005+02:00"), "2026-11-28T10:00:00.005Z"),
    ],
)
def test_the_time_has_three_digits_of_milliseconds_and_is_in_utc(moment: datetime, expected: str) -> None:
    conversion = conversion_of(event_at=moment)
    assert conversion["conversion_time"] == expected
    assert "conversion_timestamp" not in conversion


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2025, 1, 3),  # noqa: DTZ001  (the case under test)
        datetime(1970, 1, 21, tzinfo=UTC),
    ],
)
def test_a_conversion_without_a_plausible_time_is_not_built(moment: datetime) -> None:
    with pytest.raises(ValueError, match="event_at"):
        conversion_of(event_at=moment)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("test-email@test.com", EMAIL_SHA256),
        (" Test-Email@TEST.com ", EMAIL_SHA256),
        ("test@twitter.com", PRINTED_SHA256),
        ("nobody", None),
        (None, None),
    ],
)
def test_an_email_is_hashed_trimmed_and_in_lower_case(address: str | None, expected: str | None) -> None:
    assert of_email(address) == ([{"hashed_email": expected}] if expected else [])


@pytest.mark.parametrize("number", ["+11234567890", "+1 (123) 456-7890", "001 123 456 7890"])
def test_a_phone_number_is_hashed_with_plus_and_country_code(number: str) -> None:
    assert conversion_of(phone=number)["identifiers"][1:] == [{"hashed_phone_number": PHONE_SHA256}]


def test_hashes_of_the_sender_are_sent_as_they_are_and_not_that_of_the_canonical_email() -> None:
    hashes = Hashes(email="1" * 64, canonical_email="2" * 64, phone="3" * 64)
    assert conversion_of(hashes=hashes)["identifiers"][1:] == [
        {"hashed_email": "1" * 64},
        {"hashed_phone_number": "3" * 64},
    ]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (
            {"ip": "203.0.113.7", "user_agent": "Mozilla/5.0"},
            [{"twclid": "c-1"}, {"ip_address": "203.0.113.7", "user_agent": "Mozilla/5.0"}],
        ),
        ({"ip": "203.0.113.7"}, [{"twclid": "c-1", "ip_address": "203.0.113.7"}]),
        ({"user_agent": "Mozilla/5.0"}, [{"twclid": "c-1", "user_agent": "Mozilla/5.0"}]),
        ({"ip": "10.0.0.1", "user_agent": " "}, [{"twclid": "c-1"}]),
        (
            {"ip": "203.0.113.7", "email": "test-email@test.com"},
            [{"twclid": "c-1", "ip_address": "203.0.113.7"}, {"hashed_email": EMAIL_SHA256}],
        ),
        (
            {"click_id": None, "email": "test-email@test.com", "user_agent": "Mozilla/5.0"},
            [{"hashed_email": EMAIL_SHA256, "user_agent": "Mozilla/5.0"}],
        ),
    ],
)
def test_no_element_has_nothing_but_an_address_or_nothing_but_a_browser(facts: Any, expected: Any) -> None:
    assert conversion_of(**{"click_id": "c-1", **facts})["identifiers"] == expected


@pytest.mark.parametrize(
    ("facts", "has_key"),
    [
        ({"click_id": "c-1"}, True),
        ({"email": "test-email@test.com"}, True),
        ({"phone": "+11234567890"}, True),
        ({"hashes": Hashes(email="1" * 64)}, True),
        ({"cookies": {"_twclid": "23opevjt88psuo13lu8d020qkn"}}, True),
        ({"ip": "203.0.113.7", "user_agent": "Mozilla/5.0"}, False),
        ({"hashes": Hashes(canonical_email="1" * 64)}, False),
        ({"external_id": "player-1"}, False),
    ],
)
def test_x_needs_a_click_id_an_email_or_a_phone_number(facts: Any, has_key: bool) -> None:
    assert X.has_match_key(replace(NOBODY, **facts)) is has_key


@pytest.mark.parametrize(
    ("cookie", "expected"),
    [
        ("%7B%22pixelVersion%22%3A%220.0.1%22%2C%22twclid%22%3A%2223opevjt88psuo13%22%7D", "23opevjt88psuo13"),
        ('{"twclid":"23opevjt88psuo13"}', "23opevjt88psuo13"),
        ("23opevjt88psuo13", "23opevjt88psuo13"),
        ('{"timestamp":1}', None),
        ('{"twclid":{"a":1}}', None),
        ("%7Bnot JSON", None),
        ("not an id!", None),
    ],
)
def test_the_click_id_is_read_from_the_cookie_of_the_pixel_or_of_the_tag_manager(
    cookie: str, expected: str | None
) -> None:
    facts = replace(mapped("x", LAUNCH), click_id=None, email="test-email@test.com", cookies={"_twclid": cookie})
    assert sent(facts)["identifiers"][0].get("twclid") == expected
    assert sent(replace(facts, click_id="of-the-click"))["identifiers"][0] == {"twclid": "of-the-click"}


@pytest.mark.parametrize(
    ("value", "currency", "expected"),
    [
        (Decimal("9.99"), "usd", ("9.99", "USD")),
        (Decimal("20"), "USD", ("20.00", "USD")),
        (Decimal("1000.4"), "JPY", ("1000", "JPY")),
        (Decimal("1.2345"), "KWD", ("1.234", "KWD")),
        (Decimal(0), "EUR", ("0.00", "EUR")),
        (Decimal("1E+3"), "EUR", ("1000.00", "EUR")),
        (Decimal("9.99"), None, (None, None)),
        (Decimal("9.99"), "GEM", (None, None)),
        (Decimal("NaN"), "USD", (None, None)),
        (None, "USD", (None, None)),
    ],
)
def test_a_value_is_text_with_the_digits_of_its_currency_and_never_sent_without_it(
    value: Decimal | None, currency: str | None, expected: Any
) -> None:
    conversion = conversion_of(value=value, currency=currency)
    assert (conversion.get("value"), conversion.get("price_currency")) == expected


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ((Item(id="7", quantity=2), Item(name="Gem")), 3),
        ((Item(id="7", quantity=0),), None),
        ((Item(id=" ", quantity=4),), None),
        ((), None),
    ],
)
def test_the_number_of_items_counts_units_and_is_never_zero(items: Any, expected: int | None) -> None:
    assert conversion_of(items=items).get("number_items") == expected


def test_a_check_is_a_conversion_without_value_for_each_event_id() -> None:
    destination = replace(target(PIXEL), object_ids=(LAUNCH_ID, SIGN_UP_ID))
    body = json.loads(X.check(destination, event_id="c-1", now=AT).body)
    jsonschema.validate(body, schema("x"))
    assert [{**each, "identifiers": None} for each in body["conversions"]] == [
        {
            "conversion_time": "2025-01-03T07:31:27.123Z",
            "event_id": f"tw-afc01-{event}",
            "identifiers": None,
            "conversion_id": f"afterclick-check-c-1-{number}",
        }
        for number, event in enumerate((LAUNCH_ID, SIGN_UP_ID), 1)
    ]
    assert {name for each in body["conversions"] for part in each["identifiers"] for name in part} == {"hashed_email"}


# Answers -------------------------------------------------------------------------------------------


def test_the_answer_to_an_accepted_conversion_has_its_debug_id() -> None:
    outcome = X.classify(answered(200, {"data": {"conversions_processed": 1, "debug_id": "ff02"}}))
    assert (outcome.verdict, outcome.request_id, outcome.message) == (Verdict.SUCCESS, "ff02", "Processed")


@pytest.mark.parametrize(
    ("processed", "verdict"),
    [
        (1, Verdict.SUCCESS),
        (2, Verdict.SUCCESS),
        (0, Verdict.PAYLOAD),
        ("1", Verdict.TRANSIENT),
        (True, Verdict.TRANSIENT),
    ],
)
def test_a_2xx_counts_only_by_the_number_of_processed_conversions(processed: Any, verdict: Verdict) -> None:
    assert X.classify(answered(200, {"data": {"conversions_processed": processed}})).verdict is verdict


def test_a_check_passes_only_if_x_processed_a_conversion_for_each_event_id() -> None:
    aim = X.target(
        pixel_id=PIXEL, credential={"token": "t"}, base_url="https://x.example", object_ids=[LAUNCH_ID, SIGN_UP_ID]
    )
    some = X.classify_check(answered(200, {"data": {"conversions_processed": 1}}), aim)
    assert (some.verdict, some.message) == (Verdict.PAYLOAD, "X processed 1 of 2 conversions.")
    assert not X.passed(some)
    same = replace(aim, object_ids=(LAUNCH_ID, f"tw-{PIXEL}-{LAUNCH_ID}"))
    assert X.passed(X.classify_check(answered(200, {"data": {"conversions_processed": 1}}), same))
    assert len(json.loads(X.check(same, event_id="e", now=AT).body)["conversions"]) == 1
    assert X.passed(X.classify_check(answered(200, {"data": {"conversions_processed": 2}}), aim))


def test_all_errors_of_an_answer_are_read_and_quoted() -> None:
    errors = [
        {"code": "INVALID_PARAMETER", "message": "No user identifier", "parameter": ""},
        {"code": "NOT_FOUND", "message": "It is not of this account", "parameter": "event_id"},
    ]
    outcome = X.classify(answered(404, {"errors": errors}))
    assert (outcome.verdict, outcome.access, outcome.code) == (Verdict.CREDENTIAL, "pixel", "NOT_FOUND")
    assert outcome.message == "No user identifier It is not of this account (event_id)"


@pytest.mark.parametrize(
    ("code", "verdict", "access"),
    [
        ("UNAUTHORIZED_ACCESS", Verdict.CREDENTIAL, "token"),
        (89, Verdict.CREDENTIAL, "token"),
        (215, Verdict.CREDENTIAL, "token"),
        ("FORBIDDEN", Verdict.CREDENTIAL, "pixel"),
        (453, Verdict.CREDENTIAL, "pixel"),
        ("LOCK_ACQUISITION_TIMEOUT", Verdict.TRANSIENT, None),
        ("MISSING_PARAMETER", Verdict.PAYLOAD, None),
    ],
)
@pytest.mark.parametrize("status", [200, 400, 404, 503])
def test_a_known_code_decides_before_the_status(code: Any, verdict: Verdict, access: str | None, status: int) -> None:
    outcome = X.classify(answered(status, {"errors": [{"code": code, "message": "no"}]}))
    assert (outcome.verdict, outcome.access) == (verdict, access)


@pytest.mark.parametrize(
    ("status", "verdict", "access"),
    [
        (302, Verdict.TRANSIENT, None),
        (401, Verdict.CREDENTIAL, "token"),
        (403, Verdict.CREDENTIAL, "pixel"),
        (404, Verdict.CREDENTIAL, "pixel"),
        (408, Verdict.TRANSIENT, None),
        (413, Verdict.PAYLOAD, None),
        (423, Verdict.TRANSIENT, None),
        (429, Verdict.TRANSIENT, None),
        (500, Verdict.TRANSIENT, None),
    ],
)
@pytest.mark.parametrize("body", ["<html>no</html>", "", {"errors": []}, {"errors": "odd"}, {"errors": [{"code": []}]}])
def test_without_a_known_code_the_status_decides(status: int, verdict: Verdict, access: str | None, body: Any) -> None:
    outcome = X.classify(answered(status, body))
    assert (outcome.verdict, outcome.access, outcome.limited) == (verdict, access, status == 429)
    assert outcome.message


DATE = "Sat, 28 Nov 2026 10:00:00 GMT"
AT_DATE = 1_795_860_000


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x_account_rate_limit_reset": str(AT_DATE + 90), "x_rate_limit_reset": str(AT_DATE + 5)}, 90.0),
        ({"x_rate_limit_reset": str(AT_DATE + 5)}, 5.0),
        ({"x_account_rate_limit_reset": "soon", "x_rate_limit_reset": str(AT_DATE + 5)}, 5.0),
        ({"x_account_rate_limit_reset": str(AT_DATE - 1), "retry_after": "7"}, 7.0),
        ({"x_rate_limit_reset": str(AT_DATE * 9)}, 30 * 86_400.0),
        ({"retry_after": "7"}, 7.0),
        ({}, None),
    ],
)
def test_the_reset_of_the_account_says_how_long_to_wait(headers: dict[str, str], expected: float | None) -> None:
    for status in (429, 503):
        outcome = X.classify(answered(status, {"errors": [{"code": "TOO_MANY_REQUESTS"}]}, date=DATE, **headers))
        assert (outcome.limited, outcome.retry_after) == (True, expected)
    assert X.classify(answered(400, {}, date=DATE, **headers)).retry_after is None


# The imitation -------------------------------------------------------------------------------------


def call_of(sandbox: Sandbox, facts: Facts = PURCHASE, **changes: Any) -> Response:
    return post(X.build(destination(sandbox, **changes), mapped("x", facts)))


def destination(sandbox: Sandbox, *, token: str = ACCOUNTS.token, pixel_id: str = PIXEL, **given: Any) -> Target:
    return X.target(pixel_id=pixel_id, credential={"token": token}, base_url=sandbox.url, **given)


@pytest.mark.parametrize(
    ("change", "status", "errors"),
    [
        ({"event_id": "tw-afc02-purc1"}, 404, ["NOT_FOUND", "INVALID_PARAMETER"]),
        ({"event_id": "zzzzz"}, 404, ["NOT_FOUND", "INVALID_PARAMETER"]),
        ({"identifiers": [{"twclid": "c"}, {"ip_address": "203.0.113.7"}]}, 400, ["INVALID_PARAMETER"]),
        ({"identifiers": [{"ip_address": "203.0.113.7", "user_agent": "M"}]}, 200, None),
        ({"identifiers": [{"twclid": "c", "user_agent": "M"}]}, 200, None),
        ({"identifiers": []}, 400, ["INVALID_PARAMETER"]),
        ({"identifiers": [{"hashed_email": "ada@example.com"}]}, 400, ["INVALID_PARAMETER"]),
        ({"conversion_time": "2026-11-28T10:00:00Z"}, 400, ["INVALID_PARAMETER"]),
        ({"number_items": 0}, 400, ["INVALID_PARAMETER"]),
        ({"value": 9.99}, 200, None),
        ({"conversion_time": None}, 400, ["INVALID_PARAMETER"]),
    ],
)
def test_the_imitation_refuses_what_x_refuses(
    sandbox: Sandbox, change: dict[str, Any], status: int, errors: list[str] | None
) -> None:
    request = X.build(destination(sandbox), mapped("x", PURCHASE))
    body = json.loads(request.body)
    body["conversions"].append({**body["conversions"][0], **change})
    response = post(replace(request, body=json.dumps(body).encode()))
    answer = json.loads(response.body)
    assert response.status == status
    assert errors is None or [error["code"] for error in answer["errors"]] == errors
    assert errors or answer["data"]["conversions_processed"] == 2


def test_the_imitation_counts_a_conversion_id_once_for_each_event(sandbox: Sandbox) -> None:
    for facts in (PURCHASE, PURCHASE, replace(PURCHASE, trigger="game_launch")):
        assert call_of(sandbox, facts).status == 200
    assert [entry["duplicate"] for entry in sandbox.received("x")] == [False, True, False]


@pytest.mark.parametrize(
    ("behavior", "token", "event", "access"),
    [
        (Behavior(), "wrong", "zzzzz", "token"),
        (Behavior(checks_token_first=False), "wrong", "zzzzz", "pixel"),
        (Behavior(checks_token_first=False), "wrong", PURCHASE_ID, "token"),
        (Behavior(numbers_token_errors=True), "wrong", PURCHASE_ID, "token"),
        (Behavior(), ACCOUNTS.foreign_token, PURCHASE_ID, "pixel"),
        (Behavior(answers_404_to_a_foreign_pixel=False), ACCOUNTS.foreign_token, PURCHASE_ID, "pixel"),
        (Behavior(checks_token_first=False), ACCOUNTS.token, PURCHASE_ID, None),
    ],
)
def test_the_sender_relies_on_nothing_that_is_not_known_of_requests_with_a_token(
    behavior: Behavior, token: str, event: str, access: str | None
) -> None:
    with Sandbox(imitations={**all_imitations(), "x": imitation(behavior)}) as running:
        facts = replace(PURCHASE, object_id=event)
        outcome = X.classify(post(X.build(destination(running, token=token), facts)))
    assert outcome.access == access
    assert (outcome.verdict is Verdict.SUCCESS) == (access is None)


@pytest.mark.parametrize(
    ("fault", "status", "verdict", "access"),
    [
        ("none_processed", 200, Verdict.PAYLOAD, None),
        ("event_deleted", 404, Verdict.CREDENTIAL, "pixel"),
        ("expired_token", 401, Verdict.CREDENTIAL, "token"),
        ("rate_limited_a_day", 429, Verdict.TRANSIENT, None),
    ],
)
def test_the_imitation_of_x_has_faults_of_its_own(
    sandbox: Sandbox, fault: str, status: int, verdict: Verdict, access: str | None
) -> None:
    sandbox.state.add_fault("x", fault, 1)
    response = call_of(sandbox)
    outcome = X.classify(response)
    assert (response.status, outcome.verdict, outcome.access) == (status, verdict, access)
    if fault == "rate_limited_a_day":
        assert outcome.retry_after is not None
        assert 86_390 <= outcome.retry_after <= 86_400


# Saving --------------------------------------------------------------------------------------------


def settings_of(**given: Any) -> ProposedSettings:
    goals = [
        {"event": "game_launch", "sent_as": "", "once": False, "condition": None, "object_id": LAUNCH_ID},
        {"event": "sign_up", "sent_as": "", "once": False, "condition": None, "object_id": f"tw-{PIXEL}-{SIGN_UP_ID}"},
    ]
    fields = {"network": "x", "pixel_id": PIXEL, "triggers": [], "goals": goals}
    return ProposedSettings(**{**fields, "credential": {"token": ACCOUNTS.token}, **given})


def goal_with(object_id: str, event: str = "purchase") -> dict[str, Any]:
    return {"event": event, "sent_as": "", "once": False, "condition": None, "object_id": object_id}


def save(game: Game, **given: Any) -> CredentialCheck:
    check = credentials.request_check(game=game, requested_by=None, proposed=settings_of(**given))
    credentials.run_check(check_id=str(check.pk))
    check.refresh_from_db()
    return check


@pytest.mark.django_db
def test_a_good_credential_is_saved_after_one_conversion_for_each_event_id(sandbox: Sandbox, game: Game) -> None:
    check = save(game)
    assert (check.state, check.http_status) == ("passed", 200)
    assert check.message == (
        "X Ads accepted a conversion for each Event ID of pixel ID afc01. They appear once in Events Manager and are "
        "not attributed to an ad."
    )
    assert PostbackConfig.objects.get().credential == {"token": ACCOUNTS.token}
    (request,) = sandbox.received("x")
    conversions = request["body"]["conversions"]
    assert [each["event_id"] for each in conversions] == [f"tw-{PIXEL}-{LAUNCH_ID}", f"tw-{PIXEL}-{SIGN_UP_ID}"]
    assert [each["conversion_id"] for each in conversions] == [f"afterclick-check-{check.pk}-{n}" for n in (1, 2)]
    assert [name for each in conversions for name in each if "value" in name] == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"credential": {"token": "wrong-token"}},
            "X Ads does not accept this pixel access token (“This request is not properly authenticated”). Copy the "
            "complete pixel access token again or generate a new one.",
        ),
        (
            {"pixel_id": ACCOUNTS.foreign_pixel, "goals": [goal_with(PURCHASE_ID)]},
            "X Ads does not accept pixel ID oth09 with this token and these Event IDs (“User 1 does not have access to "
            "account 18ce0afterc of pixel oth09”). Check that the token and each event belong to this pixel.",
        ),
        (
            {"credential": {"token": ACCOUNTS.foreign_token}},
            "X Ads does not accept pixel ID afc01 with this token and these Event IDs (“User 1 does not have access to "
            "account 18ce0afterc of pixel afc01”). Check that the token and each event belong to this pixel.",
        ),
        (
            {"goals": [goal_with(PURCHASE_ID), goal_with("zzzzz", "sign_up")]},
            "X Ads does not accept pixel ID afc01 with this token and these Event IDs (“event_id tw-afc01-zzzzz is not "
            "of this account event_id tw-afc01-zzzzz is no single event tag”). Check that the token and each event "
            "belong to this pixel.",
        ),
    ],
    ids=["wrong token", "wrong pixel", "no right", "unknown event"],
)
def test_a_refusal_of_x_is_explained_and_nothing_is_saved(
    sandbox: Sandbox, game: Game, given: dict[str, Any], said: str
) -> None:
    check = save(game, **given)
    assert (check.state, check.message) == ("refused", said)
    assert PostbackConfig.objects.count() == 0


@pytest.mark.django_db
@pytest.mark.parametrize("fault", ["unavailable", "rate_limited", "html_502", "reset"])
def test_while_x_cannot_be_asked_nothing_is_saved(sandbox: Sandbox, game: Game, fault: str) -> None:
    sandbox.state.add_fault("x", fault, 1)
    check = save(game)
    assert check.state == "unverified"
    assert check.message.startswith("X Ads could not verify the credential now (“")
    assert PostbackConfig.objects.count() == 0


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("goals", "sentence"),
    [
        ([goal_with("")], "Enter the Event ID of at least one event."),
        ([goal_with("tw-other-ol288")], "The Event ID tw-other-ol288 belongs to another pixel than afc01."),
        (
            [goal_with("OL288")],
            "Goal 1: Enter the Event ID. It looks like ol288 or tw-o8z6j-ol288 and is shown in Events Manager next "
            "to the event.",
        ),
    ],
)
def test_an_event_id_that_cannot_be_right_is_refused_before_x_is_asked(
    sandbox: Sandbox, game: Game, goals: list[dict[str, Any]], sentence: str
) -> None:
    with pytest.raises(SettingsRefused) as refused:
        save(game, goals=goals)
    assert str(refused.value) == sentence
    assert sandbox.received("x") == []


@pytest.mark.django_db
def test_a_marketer_adds_x_on_the_form_and_leaves_an_event_unmapped(
    sandbox: Sandbox, game: Game, marketer: Client
) -> None:
    url = f"/g/{game.slug}/integrations/x/"
    page = hub.normalized_html(marketer.get(f"{url}add/").content.decode())
    assert "X has no test mode. The check sends one conversion for each Event ID" in page
    assert "Without it, these events are not sent and are listed as not mapped." in page
    assert 'name="test_code"' not in page
    marketer.post(
        f"{url}add/",
        {
            "pixel_id": PIXEL,
            "credential": ACCOUNTS.token,
            "triggers": ["game_launch", "purchase"],
            "object_id_game_launch": "",
            "object_id_purchase": PURCHASE_ID,
            "enabled": "on",
        },
    )
    credentials.run_check(check_id=str(CredentialCheck.objects.get().pk))
    config = PostbackConfig.objects.get()
    assert (config.triggers, config.goals) == (["game_launch"], [goal_with(PURCHASE_ID)])
    page = hub.normalized_html(marketer.get(url).content.decode())
    assert "Game Launch, not mapped" in page
    assert f"Purchase, to {PURCHASE_ID}<" in page
    assert "Send a test conversion" not in page


@pytest.mark.django_db
def test_no_daily_check_adds_conversions_to_events_manager(sandbox: Sandbox, game: Game) -> None:
    save(game)
    with time_machine.travel(timezone.now() + timedelta(days=3)):
        upkeep.check_daily()
    assert CredentialCheck.objects.count() == 1


# Sending -------------------------------------------------------------------------------------------


@pytest.fixture
def config(game: Game) -> PostbackConfig:
    return factories.config(game, network="x")


def bought(game: Game, **given: Any) -> Conversion:
    """A purchase of a player with a click on X, a mail address and a browser; fanned out."""
    of_click = {name: given.pop(name) for name in ("click_id", "cookies") if name in given}
    player = factories.person(game, anonymous="anon-1", user="user-1", traits={"email": "test-email@test.com"})
    click = factories.touch(player, network="x", **{"click_id": "c-1", **of_click})
    conversion = factories.conversion(player, touch=click, **given)
    fan_out.fan_out_due()
    return conversion


def drain(*, later: timedelta = timedelta(0)) -> None:
    """Send what is due, with no pause of the pixel, as if `later` had passed."""
    Flow.objects.all().delete()
    with time_machine.travel(timezone.now() + later):
        sending.drain(network="x", max_in_flight=1, seconds=5)


def answer_checks() -> None:
    for check in CredentialCheck.objects.pending():
        credentials.run_check(check_id=str(check.pk))


def row_of(conversion: Conversion) -> Delivery:
    return conversion.deliveries.get()


@pytest.mark.django_db
def test_a_launch_and_a_purchase_are_delivered_with_their_event_ids(sandbox: Sandbox, config: PostbackConfig) -> None:
    at = timezone.now().replace(microsecond=123_000) - timedelta(minutes=1)
    purchase = bought(config.game, event_at=at)
    drain()
    launch = factories.conversion(
        purchase.person, touch=purchase.touch, trigger="game_launch", properties={}, event_at=at
    )
    fan_out.fan_out_due()
    drain()
    common = {"conversion_time": f"{at:%Y-%m-%dT%H:%M:%S}.123Z"}
    identifiers = [
        {"twclid": "c-1"},
        {"hashed_email": EMAIL_SHA256},
        {"ip_address": "203.0.113.7", "user_agent": "Mozilla/5.0 (click)"},
    ]
    assert [request["body"]["conversions"] for request in sandbox.received("x")] == [
        [
            {
                **common,
                "event_id": f"tw-{PIXEL}-{PURCHASE_ID}",
                "identifiers": identifiers,
                "conversion_id": row_of(purchase).event_id,
                "value": "9.99",
                "price_currency": "USD",
            }
        ],
        [
            {
                **common,
                "event_id": f"tw-{PIXEL}-{LAUNCH_ID}",
                "identifiers": identifiers,
                "conversion_id": row_of(launch).event_id,
            }
        ],
    ]
    assert [row_of(conversion).state for conversion in (purchase, launch)] == ["delivered", "delivered"]
    attempt = DeliveryAttempt.objects.first()
    assert attempt is not None
    assert (attempt.message, attempt.request_id) == ("Processed", "6f1f4d2e-0000-4000-8000-000000000001")


@pytest.mark.django_db
def test_a_goal_without_an_event_id_is_not_mapped_which_the_pages_say(
    sandbox: Sandbox, game: Game, marketer: Client
) -> None:
    factories.config(game, network="x", triggers=["game_launch"], goals=[goal_with("")])
    conversion = bought(game)
    drain()
    row = row_of(conversion)
    conversion.refresh_from_db()
    assert (row.state, row.reason, conversion.reason) == ("skipped", "not_mapped", "not_mapped")
    assert sandbox.received("x") == []
    page = hub.normalized_html(marketer.get(f"/g/{game.slug}/conversions/{conversion.pk}/").content.decode())
    assert "The goal has no event ID of the network" in page
    assert "Event not mapped" in marketer.get(f"/g/{game.slug}/conversions/").content.decode()
    preview = marketer.get(f"/g/{game.slug}/integrations/x/preview/?conversion={conversion.pk}").content.decode()
    assert "The goal has no event ID of the network." in preview


@pytest.mark.django_db
@pytest.mark.parametrize("stated", [{"limited_data_use": True}, {"gpc": True}])
def test_x_has_no_mode_for_limited_data_use_and_gets_nothing(
    sandbox: Sandbox, config: PostbackConfig, stated: dict[str, Any]
) -> None:
    conversion = bought(config.game, properties={"value": 9.99, "currency": "USD", **stated})
    drain()
    assert (row_of(conversion).state, row_of(conversion).reason) == ("skipped", "limited_use")
    assert sandbox.received("x") == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("level", "identifiers"),
    [
        (
            "full",
            [
                {"twclid": "c-1"},
                {"hashed_email": EMAIL_SHA256},
                {"ip_address": "203.0.113.7", "user_agent": "Mozilla/5.0 (click)"},
            ],
        ),
        ("anonymous", [{"twclid": "c-1"}]),
        ("none", None),
    ],
)
def test_x_receives_what_consent_allows(sandbox: Sandbox, config: PostbackConfig, level: str, identifiers: Any) -> None:
    row = row_of(bought(config.game, consent_level=level))
    drain()
    row.refresh_from_db()
    if identifiers is None:
        assert (row.state, row.reason, sandbox.received("x")) == ("skipped", "consent", [])
    else:
        (request,) = sandbox.received("x")
        (conversion,) = request["body"]["conversions"]
        assert (row.state, conversion["identifiers"]) == ("delivered", identifiers)
        assert (conversion["value"], conversion["price_currency"]) == ("9.99", "USD")


@pytest.mark.django_db
def test_with_anonymous_consent_and_no_click_id_there_is_no_match_key(config: PostbackConfig) -> None:
    row = row_of(bought(config.game, consent_level="anonymous", click_id="", cookies={"_twclid": "23opevjt88ps"}))
    assert (row.state, row.reason) == ("skipped", "no_match_key")


@pytest.mark.django_db
def test_an_erasure_while_a_conversion_waits_cancels_it(sandbox: Sandbox, config: PostbackConfig) -> None:
    sandbox.state.add_fault("x", "unavailable", 1)
    row = row_of(bought(config.game))
    drain()
    erasure.request_erasure(game=config.game, namespace="user", subject="user-1", requested_by="a test")
    assert erasure.drain() == 1
    drain(later=timedelta(minutes=5))
    row.refresh_from_db()
    assert (row.state, row.reason, row.conversion_id) == ("cancelled", "erased", None)
    assert len(sandbox.received("x")) == 1
    assert DeliveryAttempt.objects.get().payload is None


def hold_by(sandbox: Sandbox, fault: str, config: PostbackConfig) -> None:
    """Let X refuse the next call and the check that follows."""
    sandbox.state.add_fault("x", fault, 2)
    drain()
    answer_checks()
    config.refresh_from_db()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fault", "access"),
    [("unauthorized", "token"), ("expired_token", "token"), ("forbidden", "pixel"), ("event_deleted", "pixel")],
)
def test_a_refused_credential_holds_the_postback_and_a_rotation_releases_it(
    sandbox: Sandbox, config: PostbackConfig, fault: str, access: str
) -> None:
    row = row_of(bought(config.game))
    hold_by(sandbox, fault, config)
    row.refresh_from_db()
    assert (row.state, config.held_at is not None, config.held_for) == ("held", True, access)
    assert evaluate_configs([config])[config.pk].health == Health.ON_HOLD
    check = lifecycle.change(
        config=config,
        changed_by=None,
        proposed=ProposedSettings.of(config, credential={"token": ACCOUNTS.rotated_token}),
    )
    assert check is not None
    answer_checks()
    drain()
    row.refresh_from_db()
    config.refresh_from_db()
    assert (row.state, config.held_at, config.credential) == ("delivered", None, {"token": ACCOUNTS.rotated_token})
    assert evaluate_configs([config])[config.pk].health == Health.HEALTHY
    tokens = [request["headers"]["X-Pixel-Token"] for request in sandbox.received("x")]
    assert tokens == [ACCOUNTS.token, ACCOUNTS.token, ACCOUNTS.rotated_token, ACCOUNTS.rotated_token]


@pytest.mark.django_db
def test_after_a_hold_for_a_wrong_event_id_the_corrected_one_is_sent(sandbox: Sandbox, game: Game) -> None:
    config = factories.config(game, network="x", triggers=[], goals=[goal_with("gone1")])
    row = row_of(bought(game))
    drain()
    answer_checks()
    row.refresh_from_db()
    config.refresh_from_db()
    assert (row.state, row.object_id, config.held_for) == ("held", "gone1", "pixel")
    proposed = ProposedSettings.of(config, goals=[goal_with(PURCHASE_ID)])
    assert lifecycle.change(config=config, changed_by=None, proposed=proposed) is not None
    answer_checks()
    drain()
    row.refresh_from_db()
    assert row.state == "delivered"
    events = [request["body"]["conversions"][0]["event_id"] for request in sandbox.received("x")]
    assert events == [
        f"tw-{PIXEL}-gone1",
        f"tw-{PIXEL}-gone1",
        f"tw-{PIXEL}-{PURCHASE_ID}",
        f"tw-{PIXEL}-{PURCHASE_ID}",
    ]


@pytest.mark.django_db
def test_a_hold_is_released_by_a_check_that_x_accepts_again(sandbox: Sandbox, config: PostbackConfig) -> None:
    row = row_of(bought(config.game))
    hold_by(sandbox, "unauthorized", config)
    credentials.request_release(config=config, requested_by=None)
    answer_checks()
    drain()
    row.refresh_from_db()
    assert row.state == "delivered"


@pytest.mark.django_db
@pytest.mark.parametrize(("hours", "sent_again"), [(46, True), (48, False)])
def test_a_failed_conversion_is_replayed_under_its_id_while_x_would_count_it_once(
    sandbox: Sandbox, config: PostbackConfig, hours: int, sent_again: bool
) -> None:
    sandbox.state.add_fault("x", "bad_request", 1)
    row = row_of(bought(config.game))
    drain()
    row.refresh_from_db()
    assert (row.state, row.verdict) == ("failed", "payload")
    Delivery.objects.update(
        first_attempt_at=timezone.now() - timedelta(hours=hours),
        safe_until=timezone.now() + timedelta(hours=47 - hours),
    )
    row.refresh_from_db()
    if not sent_again:
        with pytest.raises(replays.NotSendable, match="the network would count the event twice"):
            replays.send_again(row)
        return
    replays.send_again(row)
    drain()
    row.refresh_from_db()
    assert row.state == "delivered"
    ids = [request["body"]["conversions"][0]["conversion_id"] for request in sandbox.received("x")]
    assert ids == [row.event_id, row.event_id]


@pytest.mark.django_db
def test_a_rate_limit_pauses_the_pixel_until_the_reset_of_the_account(sandbox: Sandbox, config: PostbackConfig) -> None:
    sandbox.state.add_fault("x", "rate_limited_a_day", 1)
    row = row_of(bought(config.game))
    started = time.time()
    drain()
    row.refresh_from_db()
    assert row.state == "waiting"
    assert row.asked_until is not None
    assert 86_390 <= row.asked_until.timestamp() - started <= 86_410


@pytest.mark.django_db
@pytest.mark.parametrize(("days", "state"), [(29, "waiting"), (31, "skipped")])
def test_an_event_is_sent_to_x_until_it_is_30_days_old(config: PostbackConfig, days: int, state: str) -> None:
    at = timezone.now() - timedelta(days=days)
    player = factories.person(config.game)
    click = factories.touch(player, network="x", clicked_at=at - timedelta(hours=1))
    conversion = factories.conversion(player, touch=click, event_at=at)
    fan_out.fan_out_due()
    row = row_of(conversion)
    assert (row.state, row.reason) == (state, "too_old" if state == "skipped" else "")


@pytest.mark.django_db
def test_the_token_of_x_is_nowhere_but_in_its_header(
    sandbox: Sandbox, config: PostbackConfig, marketer: Client, caplog: pytest.LogCaptureFixture
) -> None:
    conversion = bought(config.game)
    drain()
    (request,) = sandbox.received("x")
    assert request["headers"].pop("X-Pixel-Token") == ACCOUNTS.token
    url = f"/g/{config.game.slug}/integrations/x/"
    attempt = DeliveryAttempt.objects.get()
    pages = [url, f"{url}attempts/{attempt.pk}/", f"/g/{config.game.slug}/conversions/{conversion.pk}/"]
    shown = [marketer.get(page).content.decode() for page in pages]
    for text in (json.dumps(request), caplog.text, json.dumps(attempt.payload), *shown):
        assert ACCOUNTS.token not in text
