"""The templates of a custom URL: macros, encoding, what is refused, and what an answer means."""

import json
from dataclasses import replace
from typing import Any

import pytest

from postbacks.networks import NETWORKS
from postbacks.networks.custom import macros, templates
from postbacks.networks.custom.answers import REDIRECT, Rules, SuccessPath, parse_statuses
from postbacks.networks.custom.imitation import ACCOUNTS
from postbacks.networks.custom.presets import PRESETS
from postbacks.networks.interface.call import Request, Response, Target, Verdict
from postbacks.networks.interface.facts import Facts, Hashes
from tests.postbacks.facts import AT, EVENT_ID, LAUNCH, NOBODY, PURCHASE, answered

CUSTOM = NETWORKS["custom"]
SECRET = "s3cret:canary&token"
# A value that would be a parameter, a member, a header or a path of its own if it were not encoded.
HOSTILE = 'a&b=c"}, {"d":\r\nX: y/../e?f#g é{click_id}'
URL = "https://partner.example/pb"


def target(**parts: str) -> Target:
    credential = {"method": "GET", "url": URL, "click_parameters": "irclickid", **parts}
    return CUSTOM.target(pixel_id="impact", credential=credential, base_url=CUSTOM.default_url)


def built(facts: Facts = PURCHASE, **parts: str) -> Request:
    return CUSTOM.build(target(**parts), facts)


def query(template: str, facts: Facts = PURCHASE, **parts: str) -> str:
    return built(facts, url=f"{URL}?{template}", **parts).url.removeprefix(URL)


def body(template: str, facts: Facts = PURCHASE, **parts: str) -> Any:
    fields = {"method": "POST", "body_format": "json", "body": template, **parts}
    return json.loads(built(facts, **fields).body)


def test_every_macro_has_its_value_in_a_query() -> None:
    facts = replace(PURCHASE, clicked_at=AT)
    names = sorted(macros.MACROS)
    filled = query("&".join(f"{name}={{{name}}}" for name in names), facts, token=SECRET)
    assert filled == (
        "?click_id=E.C.P.CkYKA4-click&click_timestamp=1735889487&country=US&currency=USD"
        "&email_sha256=f8c10bf8fbb8b731dae087640bebe0565c806f2abd4c26b0b3da6266630beaaa"
        "&event=purchase&event_id=0f9fd3ca-6c1c-4b0e-9f8f-3f0b5c6f1f11&ip=203.0.113.7&order_id=1001"
        "&page_url=https%3A%2F%2Fgame.example%2Flanding%3Frdt_cid%3Dx"
        "&phone_sha256=e5b124c58580eb16bd959b8d0cac12b12c952e2ceae0203d416cff94f10b994a&postback=impact"
        "&secret=s3cret%3Acanary%26token&secret_base64=czNjcmV0OmNhbmFyeSZ0b2tlbg%3D%3D"
        "&time=2025-01-03T07%3A31%3A27Z&timestamp=1735889487&timestamp_ms=1735889487123&trigger=purchase"
        "&user_agent=Mozilla%2F5.0%20%28click%29&user_id=player-42"
        "&user_id_sha256=c3214538d133c9d934db63a435cddcae80ec8b6f073babcc7c3a02a17791be79&value=9.99"
    )


@pytest.mark.parametrize("template", ["x={click_id}", "{click_id}"])
def test_a_value_of_a_query_adds_no_parameter(template: str) -> None:
    filled = query(template, replace(PURCHASE, click_id=HOSTILE))
    encoded = "a%26b%3Dc%22%7D%2C%20%7B%22d%22%3A%0D%0AX%3A%20y%2F..%2Fe%3Ff%23g%20%C3%A9%7Bclick_id%7D"
    assert filled == "?" + template.replace("{click_id}", encoded)


def test_a_value_of_a_form_adds_no_field() -> None:
    request = built(
        replace(PURCHASE, click_id="a&b=c d"),
        method="POST",
        body_format="form",
        body="click={click_id}&amount={value}&note=as is",
    )
    assert request.body == b"click=a%26b%3Dc%20d&amount=9.99&note=as is"
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.shown == {
        "method": "POST",
        "url": URL,
        "body": {"click": "a&b=c d", "amount": "9.99", "note": "as is"},
    }


def test_a_value_of_json_adds_no_member_and_a_bare_macro_is_a_number() -> None:
    template = '{"click": "{click_id}", "value": {value}, "text": "{value} {currency}", "at": {timestamp}, "n": 1}'
    assert body(template, replace(PURCHASE, click_id=HOSTILE)) == {
        "click": HOSTILE,
        "value": 9.99,
        "text": "9.99 USD",
        "at": 1735889487,
        "n": 1,
    }
    assert body("[{event_id}]") == [EVENT_ID]


def test_a_field_whose_macros_all_lack_a_value_is_left_out() -> None:
    template = "a={click_id}&b={value}&c=user-{user_id}&d={currency}{event}&e=&f"
    assert query(template, NOBODY) == "?d=game_launch&e=&f"
    template = '{"a": "{click_id}", "b": {value}, "c": {"d": "{user_id}"}, "e": [{value}], "f": {}, "g": ""}'
    assert body(template, NOBODY) == {"f": {}, "g": ""}
    assert body('{"a": {value}}', NOBODY) == {}
    headers = built(NOBODY, headers="X-Click: {click_id}\nX-Event: {event}").headers
    assert headers == {"User-Agent": headers["User-Agent"], "X-Event": "game_launch"}


def test_value_and_currency_are_a_pair_or_missing() -> None:
    assert query("v={value}&c={currency}", replace(PURCHASE, currency=None)) == ""


def test_a_value_of_a_path_leads_to_no_other_path() -> None:
    template = "https://partner.example/{click_id}/{event}"
    request = built(replace(PURCHASE, click_id="a/b?c"), url=template)
    assert request.url == "https://partner.example/a%2Fb%3Fc/purchase"
    for step in (".", ".."):
        with pytest.raises(templates.TemplateError, match="would change the path"):
            built(replace(PURCHASE, click_id=step), url=template)
    with pytest.raises(templates.TemplateError, match=r"The URL needs \{click_id\}"):
        built(NOBODY, url=template)


def test_a_value_of_a_header_that_no_header_may_carry_leaves_it_out() -> None:
    template = "X-Click: {click_id}"
    for value in ("a\r\nHost: b", "é"):
        assert "X-Click" not in built(replace(PURCHASE, click_id=value), headers=template).headers
    assert built(headers=template).headers["X-Click"] == "E.C.P.CkYKA4-click"


def test_entered_headers_replace_the_usual_ones() -> None:
    request = built(
        method="POST",
        body_format="json",
        body="{}",
        headers="content-type: application/vnd.partner+json\nuser-agent: Studio\nAuthorization: Basic {secret_base64}",
        token="sid:token",
    )
    assert request.headers == {
        "content-type": "application/vnd.partner+json",
        "user-agent": "Studio",
        "Authorization": "Basic c2lkOnRva2Vu",
    }


def test_secrets_are_in_no_log_and_are_masked_in_answers() -> None:
    parts = {
        "url": URL + "/{secret}?key={secret}&b={secret_base64}",
        "headers": "Authorization: Bearer literal-token\nX-Key: {secret}",
        "token": SECRET,
    }
    request = built(**parts)
    assert request.shown == {"method": "GET", "url": f"{URL}/********", "query": {"key": "********", "b": "********"}}
    assert request.secrets == (
        SECRET,
        "s3cret%3Acanary%26token",
        "czNjcmV0OmNhbmFyeSZ0b2tlbg==",
        "Bearer literal-token",
        "literal-token",
    )
    assert "canary" not in repr(request) + repr(target(**parts))


def test_the_goals_name_takes_the_place_of_the_event() -> None:
    assert query("e={event}&t={trigger}", replace(PURCHASE, sent_as="21 sale")) == "?e=21%20sale&t=purchase"
    with pytest.raises(ValueError, match="no event name for a custom URL"):
        query("e={event}", replace(PURCHASE, sent_as="x" * 65))


def test_a_hash_of_the_sender_is_sent_as_it_is() -> None:
    facts = replace(NOBODY, hashes=Hashes(email="a" * 64, phone="b" * 64))
    assert query("e={email_sha256}&p={phone_sha256}", facts) == f"?e={'a' * 64}&p={'b' * 64}"


@pytest.mark.parametrize("facts", [LAUNCH, PURCHASE])
def test_a_request_with_another_base_address_keeps_host_and_path(facts: Facts) -> None:
    credential = {"method": "GET", "url": f"{URL}?c={{click_id}}"}
    aim = CUSTOM.target(pixel_id="impact", credential=credential, base_url="http://127.0.0.1:8010/")
    request = CUSTOM.build(aim, facts)
    assert request.url == "http://127.0.0.1:8010/custom/partner.example/pb?c=E.C.P.CkYKA4-click"
    assert (request.is_public_only, built().is_public_only) == (False, True)


def test_an_empty_template_is_what_a_form_begins_with() -> None:
    assert CUSTOM.refusals({part.name: part.default for part in CUSTOM.credential_fields if part.default}) == {}


REFUSED = [
    ({"url": "https://{click_id}.example/"}, "url", "Enter a complete URL, such as https://partner.example/postback."),
    ({"url": "partner.example/x"}, "url", "Enter a complete URL, such as https://partner.example/postback."),
    ({"url": f"{URL}?a={{clickid}}"}, "url", "The macro {clickid} does not exist."),
    ({"url": f"{URL}/{{order_id}}"}, "url", "{order_id} is not available for every event. Use it only after the “?”."),
    ({"headers": "Authorization"}, "headers", "Enter one header per line, such as Authorization: Bearer {secret}."),
    ({"headers": "X-A: é"}, "headers", "The header X-A has no value, or a character that is not allowed in headers."),
    ({"headers": "Host: a.example"}, "headers", "The header Host is set by Afterclick."),
    ({"headers": "X-A: {macro}"}, "headers", "The macro {macro} does not exist."),
    ({"headers": "\n".join(f"X-{n}: a" for n in range(11))}, "headers", "A request has at most 10 headers."),
    ({"body": "{}"}, "body", "Select JSON or Form above, or clear the body."),
    ({"body_format": "json", "body": "{}"}, "body_format", "A GET request has no body: select POST, or “No body”."),
    ({"method": "POST", "body_format": "json"}, "body", "Enter the body."),
    (
        {"method": "POST", "body_format": "json", "body": "{"},
        "body",
        "The body is not valid JSON (line 1, character 2).",
    ),
    ({"method": "POST", "body_format": "json", "body": "1"}, "body", "The body must be a JSON object or array."),
    ({"method": "POST", "body_format": "json", "body": '{"a": {b}}'}, "body", "The macro {b} does not exist."),
    ({"method": "POST", "body_format": "form", "body": "a={b}"}, "body", "The macro {b} does not exist."),
    (
        {"click_parameters": "utm_source"},
        "click_parameters",
        "utm_source cannot be a click parameter. Enter names",
    ),
    ({"click_parameters": "a b, *"}, "click_parameters", "a cannot be a click parameter. Enter names such"),
    ({"click_parameters": "transaction_id"}, "click_parameters", "transaction_id is the name of a common property"),
    ({"click_parameters": "cl1,cl2,cl3,cl4,cl5,cl6"}, "click_parameters", "A postback has at most 5 click parameters."),
    ({"success_statuses": "2x"}, "success_statuses", "Enter statuses such as 200, 2xx or 400-404, separated by commas"),
    ({"success_path": "a..b"}, "success_path", "Enter a path such as data.status, or with its value: data.status=ok."),
    ({"url": f"{URL}?t={{secret}}"}, "token", "Enter the secret that replaces {secret}."),
]


@pytest.mark.parametrize(("parts", "name", "sentence"), REFUSED)
def test_a_part_that_cannot_be_used_is_refused_with_a_sentence(parts: dict[str, str], name: str, sentence: str) -> None:
    refused = CUSTOM.refusals({"method": "GET", "url": URL, "click_parameters": "irclickid", **parts})
    assert list(refused) == [name]
    assert refused[name].startswith(sentence)


def test_the_credential_of_the_imitation_and_the_ready_made_requests_are_accepted() -> None:
    assert CUSTOM.refusals(ACCOUNTS.credential) == {}
    assert {preset.name: CUSTOM.refusals({**preset.parts, "token": "x"}) for preset in PRESETS} == {
        "taboola": {},
        "outbrain": {},
        "impact": {},
        "everflow": {},
    }


READY_MADE = {
    "taboola": (
        "https://trc.taboola.com/actions-handler/log/3/s2s-action?click-id=E.C.P.CkYKA4-click&name=purchase"
        "&revenue=9.99&currency=USD&orderid=1001",
        b"",
    ),
    "outbrain": (
        "https://tr.outbrain.com/unifiedPixel?ob_click_id=E.C.P.CkYKA4-click&name=purchase&orderValue=9.99"
        "&currency=USD&orderId=1001",
        b"",
    ),
    "impact": (
        "https://api.impact.com/Advertisers/ACCOUNT_SID/Conversions",
        b"CampaignId=CAMPAIGN_ID&ActionTrackerId=purchase&ClickId=E.C.P.CkYKA4-click"
        b"&EventDate=2025-01-03T07%3A31%3A27Z&OrderId=0f9fd3ca-6c1c-4b0e-9f8f-3f0b5c6f1f11"
        b"&CustomerId=%s&CurrencyCode=USD&Amount=9.99",
    ),
    "everflow": (
        "https://www.your-tracking-domain.example/?nid=NETWORK_ID&transaction_id=E.C.P.CkYKA4-click&amount=9.99"
        "&order_id=1001&verification_token=sid%3Atoken",
        b"",
    ),
}


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_a_ready_made_request_is_that_of_the_partner(preset: Any) -> None:
    request = built(**preset.parts, token="sid:token")
    url, expected = READY_MADE[preset.name]
    user = macros.values_of(target(), "purchase", PURCHASE)["user_id_sha256"]
    assert (request.url, request.body) == (url, expected.replace(b"%s", str(user).encode()))
    authorization = {"impact": "Basic c2lkOnRva2Vu"}.get(preset.name)
    assert request.headers.get("Authorization") == authorization


def verdict(status: int, answer: Any, **parts: str) -> tuple[Verdict, str | None]:
    outcome = CUSTOM.classify_answer(answered(status, answer), target(**parts))
    return outcome.verdict, outcome.access


@pytest.mark.parametrize(
    ("status", "answer", "parts", "expected"),
    [
        (200, {"status": "ok"}, {"success_path": "status=ok"}, (Verdict.SUCCESS, None)),
        (200, {"status": "error"}, {"success_path": "status=ok"}, (Verdict.PAYLOAD, None)),
        (200, {}, {"success_path": "status=ok"}, (Verdict.PAYLOAD, None)),
        (200, "<html>Maintenance</html>", {"success_path": "status=ok"}, (Verdict.TRANSIENT, None)),
        (200, "OK", {"success_path": "status=ok"}, (Verdict.TRANSIENT, None)),
        (200, "OK", {}, (Verdict.SUCCESS, None)),
        (204, "", {"success_statuses": "200"}, (Verdict.TRANSIENT, None)),
        (302, "", {"success_statuses": "2xx, 302"}, (Verdict.SUCCESS, None)),
        (400, "", {"transient_statuses": "400-404"}, (Verdict.TRANSIENT, None)),
        (503, "", {"permanent_statuses": "5xx"}, (Verdict.PAYLOAD, None)),
        (401, "", {"permanent_statuses": "401"}, (Verdict.PAYLOAD, None)),
        (401, "", {}, (Verdict.CREDENTIAL, "token")),
        (403, "", {}, (Verdict.CREDENTIAL, "pixel")),
        (429, "", {"permanent_statuses": "4xx", "transient_statuses": "429"}, (Verdict.TRANSIENT, None)),
    ],
)
def test_an_answer_means_what_the_postback_says(
    status: int, answer: Any, parts: dict[str, str], expected: tuple[Verdict, str | None]
) -> None:
    assert verdict(status, answer, **parts) == expected


@pytest.mark.parametrize(
    ("path", "answer", "holds"),
    [
        ("data.0.ok", {"data": [{"ok": True}]}, True),
        ("data.0.ok", {"data": [{"ok": False}]}, False),
        ("data.1.ok", {"data": [{"ok": True}]}, False),
        ("data.0.ok=true", {"data": [{"ok": True}]}, True),
        ("code=0", {"code": 0}, True),
        ("code", {"code": 0}, False),
        ("code=0", {"code": "0"}, True),
        ("code=null", {"code": None}, True),
        ("code=null", {}, False),
        ("a.b", {"a": "b"}, False),
        ("0", ["x"], True),
    ],
)
def test_a_path_finds_its_value_in_the_answer(path: str, answer: Any, holds: bool) -> None:
    found = SuccessPath.parse(path)
    assert found is not None
    assert found.holds(answer) is holds


def test_statuses_are_single_ones_ranges_and_hundreds() -> None:
    assert parse_statuses("200, 204 400-402") == {200, 204, 400, 401, 402}
    assert parse_statuses("2xx") == set(range(200, 300))
    assert Rules.of({}).success == set(range(200, 300))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"message": "Unknown click"}, "Unknown click"),
        ({"error": {"message": "Unknown click"}}, "Unknown click"),
        ({"errors": ["a"]}, '{"errors": ["a"]}'),
        ("<html><title>Bad</title></html>", "Bad"),
        ("", "HTTP 400 without a readable answer"),
        ({}, "HTTP 400 without a readable answer"),
    ],
)
def test_the_message_is_the_servers_own(answer: Any, message: str) -> None:
    assert CUSTOM.classify(answered(400, answer)).message == message


def test_a_redirect_and_a_forbidden_address_say_what_to_do() -> None:
    assert CUSTOM.classify(answered(302, "")).message == REDIRECT
    outcome = CUSTOM.classify(Response(None, {}, b"", 1, "forbidden"))
    assert (outcome.verdict, outcome.access, outcome.unknown) == (Verdict.CREDENTIAL, "pixel", False)
    assert outcome.message.startswith("Not sent: this address is not on the public internet.")


def test_a_wait_that_the_server_asks_for_is_kept() -> None:
    outcome = CUSTOM.classify(answered(429, "", retry_after="7"))
    assert (outcome.retry_after, outcome.limited) == (7.0, True)
