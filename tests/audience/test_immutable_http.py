"""The Immutable routes as HTTP: keys, errors, CORS, methods, paths, encodings and sizes."""

import gzip
import json
import tracemalloc
import zlib
from datetime import timedelta
from typing import Any

import pytest
import urllib3
from django.test import Client
from django.utils import timezone

from audience.games.keys import NewKey, revoke_key, rotate_key
from audience.intake.requests import body
from audience.models import Batch, Event, Rejection
from consent.models import ConsentDecision
from tests.audience.immutable import (
    CONSENT,
    CORS,
    DATA,
    MESSAGES,
    assert_cors,
    assert_envelope,
    message,
    post,
    send,
)
from tests.audience.wire import assert_nothing_stored

pytestmark = pytest.mark.django_db
NO_HEADER = "The header x-immutable-publishable-key is missing or does not contain a key (pk_imapik-… or sk_imapik-…)."
NOT_RECOGNISED = "The publishable key is not recognized. Check that it is correct and not revoked."
MB = 1024 * 1024


def assert_nothing_written() -> None:
    assert not Event.objects.exists()
    assert not Batch.objects.exists()
    assert not Rejection.objects.exists()
    assert not ConsentDecision.objects.exists()


def assert_only_refused() -> None:
    """Nothing but the Rejection of a request that was refused as a whole, which has no content."""
    assert_nothing_stored()
    assert [row.errors[0]["field"] for row in Rejection.objects.all()] == [""]
    assert not ConsentDecision.objects.exists()


def packed(*messages: Any) -> bytes:
    return json.dumps({"messages": messages}).encode()


# Keys


def test_a_request_without_a_key_is_400(game: Any) -> None:
    answer = Client().post(MESSAGES, packed(message()), "application/json")

    assert_envelope(answer, 400, "VALIDATION_ERROR", NO_HEADER)
    assert_nothing_written()


@pytest.mark.parametrize("value", ["", " ", "nonsense", "imapik-abc", "PK_IMAPIK-abc", "Bearer pk_imapik-abc"])
def test_a_key_of_another_form_is_400(game: Any, value: str) -> None:
    headers = {"x-immutable-publishable-key": value}
    answer = Client().post(MESSAGES, packed(message()), "application/json", headers=headers)

    assert_envelope(answer, 400, "VALIDATION_ERROR", NO_HEADER)
    assert_nothing_written()


@pytest.mark.parametrize("value", ["pk_imapik-", "pk_imapik-unknown", "pk_imapik-test-unknown", "sk_imapik-unknown"])
def test_an_unknown_key_is_401(game: Any, value: str) -> None:
    headers = {"x-immutable-publishable-key": value}
    answer = Client().post(MESSAGES, packed(message()), "application/json", headers=headers)

    assert_envelope(answer, 401, "UNAUTHORISED_REQUEST", NOT_RECOGNISED)
    assert_nothing_written()


def test_a_revoked_key_is_401(key: NewKey) -> None:
    revoke_key(key=key.key)

    assert_envelope(send(key, message()), 401, "UNAUTHORISED_REQUEST", NOT_RECOGNISED)
    assert_nothing_written()


def test_an_expired_key_is_401_and_its_successor_is_not(key: NewKey) -> None:
    successor = rotate_key(key=key.key, overlap=timedelta(0))

    assert_envelope(send(key, message()), 401, "UNAUTHORISED_REQUEST", NOT_RECOGNISED)
    assert_nothing_written()
    assert send(successor, message()).status_code == 200


def test_a_secret_key_in_the_publishable_header_is_401(secret_key: NewKey) -> None:
    assert secret_key.value.startswith("sk_imapik-")
    assert_envelope(send(secret_key, message()), 401, "UNAUTHORISED_REQUEST", NOT_RECOGNISED)
    assert_nothing_written()


@pytest.mark.parametrize("method", ["get", "put"])
def test_consent_requires_a_key_as_messages_do(key: NewKey, method: str) -> None:
    call = getattr(Client(), method)
    assert_envelope(call(f"{CONSENT}?anonymousId=a"), 400, "VALIDATION_ERROR", NO_HEADER)
    revoke_key(key=key.key)
    headers = {"x-immutable-publishable-key": key.value}
    answer = call(f"{CONSENT}?anonymousId=a", headers=headers)
    assert_envelope(answer, 401, "UNAUTHORISED_REQUEST", NOT_RECOGNISED)
    assert_nothing_written()


def test_the_use_of_a_key_is_noted(key: NewKey) -> None:
    send(key, message())

    key.key.refresh_from_db()
    assert key.key.last_used_at is not None
    assert timezone.now() - key.key.last_used_at < timedelta(seconds=30)


# Bodies


@pytest.mark.parametrize(
    ("sent", "complaint"),
    [
        (b"[]", 'The body must be an object: {"messages": [...]}.'),
        (b"null", 'The body must be an object: {"messages": [...]}.'),
        (b'"text"', 'The body must be an object: {"messages": [...]}.'),
        (b"{}", 'The body must be an object: {"messages": [...]}.'),
        (b'{"messages": null}', 'The body must be an object: {"messages": [...]}.'),
        (b'{"messages": {}}', 'The body must be an object: {"messages": [...]}.'),
        (b'{"messages": "x"}', 'The body must be an object: {"messages": [...]}.'),
        (b'{"batch": [{}]}', 'The body must be an object: {"messages": [...]}.'),
        (b'{"messages": []}', "messages must contain 1 to 100 messages, not 0."),
        (json.dumps({"messages": [{}] * 101}).encode(), "messages must contain 1 to 100 messages, not 101."),
    ],
)
def test_a_body_that_is_no_batch_is_400(key: NewKey, sent: bytes, complaint: str) -> None:
    assert_envelope(post(key, sent), 400, "VALIDATION_ERROR", complaint)
    assert_only_refused()


@pytest.mark.parametrize(
    "sent",
    [b"", b"{", b"messages=1", b'{"messages": [NaN]}', b'{"messages": [1,]}', b"\xff\xfe", b'{"messages":["\x00"]}'],
)
def test_a_body_that_is_no_json_is_400(key: NewKey, sent: bytes) -> None:
    answer = post(key, sent)

    assert answer.status_code == 400
    assert answer.json()["code"] == "VALIDATION_ERROR"
    assert answer.json()["message"].startswith("The body is not valid JSON: ")
    assert_cors(answer)
    assert_only_refused()


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/octet-stream"]
)
def test_the_content_type_is_not_looked_at(key: NewKey, content_type: str) -> None:
    headers = {"x-immutable-publishable-key": key.value}
    answer = Client().post(MESSAGES, packed(message()), content_type, headers=headers)

    assert (answer.status_code, answer.json()["accepted"]) == (200, 1)


def test_an_odd_accept_header_costs_nothing(key: NewKey) -> None:
    assert send(key, message(), Accept="application/xml").status_code == 200


def test_a_batch_of_2_mb_is_taken(key: NewKey) -> None:
    padding = 2 * MB - len(packed(message(properties={"note": ""})))
    sent = packed(message(properties={"note": "x" * padding}))
    assert len(sent) == 2 * MB

    assert post(key, sent).json()["accepted"] == 1


@pytest.mark.parametrize("surplus", [1, 4 * MB])
def test_a_larger_body_is_413(key: NewKey, surplus: int) -> None:
    complaint = "The body is larger than 2097152 bytes. Send smaller batches."
    answer = post(key, b'{"messages":' + b" " * (2 * MB - 12 + surplus))

    assert_envelope(answer, 413, "VALIDATION_ERROR", complaint)
    assert_only_refused()


def test_a_real_batch_of_the_web_sdk_is_taken_at_once(key: NewKey) -> None:
    batch = [message(properties={"note": "x" * 700}) for _ in range(100)]
    assert len(packed(*batch)) > 70_000

    assert send(key, *batch).json()["accepted"] == 100


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("GZIP", gzip.compress), ("deflate", zlib.compress)]
)
def test_a_packed_body_is_unpacked(key: NewKey, encoding: str, pack: Any) -> None:
    answer = post(key, pack(packed(message())), **{"Content-Encoding": encoding})

    assert (answer.status_code, answer.json()["accepted"]) == (200, 1)


@pytest.mark.parametrize(
    ("sent", "encoding", "complaint"),
    [
        (b"no gzip at all", "gzip", "The body is not valid gzip."),
        (b"", "gzip", "The gzip body is incomplete."),
        (gzip.compress(b'{"messages": []}', mtime=0)[:-9], "gzip", "The gzip body is incomplete."),
        (gzip.compress(b'{"messages": []}', mtime=0)[:-8] + b"12345678", "gzip", "The body is not valid gzip."),
        (b"{}", "br", "Content-Encoding 'br' is not supported: use gzip, deflate or none."),
        (b"{}", "gzip, gzip", "Content-Encoding 'gzip, gzip' is not supported: use gzip, deflate or none."),
    ],
)
def test_a_body_that_cannot_be_unpacked_is_400(key: NewKey, sent: bytes, encoding: str, complaint: str) -> None:
    answer = post(key, sent, **{"Content-Encoding": encoding})

    assert_envelope(answer, 400, "VALIDATION_ERROR", complaint)
    assert_only_refused()


def test_a_gzip_bomb_is_413_and_costs_no_memory(key: NewKey) -> None:
    bomb = gzip.compress(b" " * (400 * MB))
    assert len(bomb) < MB
    send(key, message())  # so that nothing is imported for the first time below
    tracemalloc.start()
    try:
        answer = post(key, bomb, **{"Content-Encoding": "gzip"})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert_envelope(answer, 413, "VALIDATION_ERROR", "The body is larger than 2097152 bytes. Send smaller batches.")
    assert peak < 16 * MB
    assert Event.objects.count() == 1


# Text that PostgreSQL cannot hold


@pytest.mark.parametrize(
    ("escaped", "kept"),
    [
        (rb"a\u0000b", "a\ufffdb"),
        (rb"\u0000\u0000", "\ufffd\ufffd"),
        (rb"a\\u0000b", r"a\u0000b"),
        (rb"a\\\u0000b", "a\\\ufffdb"),
        (rb"cut emoji \ud83d", "cut emoji \ufffd"),
        (rb"\ude00 and \u0000", "\ufffd and \ufffd"),
        (rb"whole emoji \ud83d\ude00", "whole emoji 😀"),
    ],
)
def test_text_that_postgresql_cannot_hold_is_replaced(key: NewKey, escaped: bytes, kept: str) -> None:
    sent = packed(message(properties={"note": "HERE"})).replace(b"HERE", escaped)
    answer = post(key, sent)

    assert answer.json() == {"success": True, "accepted": 1, "rejected": 0, "rejections": []}
    event = Event.objects.get()
    assert (event.properties["note"], event.raw["properties"]["note"]) == (kept, kept)


def test_such_text_in_a_refused_message_and_in_a_name_is_replaced_too(key: NewKey) -> None:
    sent = packed(message(properties={"HERE": 1}), message(surface="HERE", messageId="HERE"))
    answer = post(key, sent.replace(b"HERE", rb"\u0000\ud83d"))

    assert (answer.json()["accepted"], answer.json()["rejected"]) == (1, 1)
    assert answer.json()["rejections"][0]["messageId"] == "\ufffd\ufffd"
    assert Event.objects.get().properties == {"\ufffd\ufffd": 1}
    assert Rejection.objects.get().raw["surface"] == "\ufffd\ufffd"


def test_bytes_that_are_no_utf_8_are_replaced(key: NewKey) -> None:
    answer = post(key, packed(message(properties={"note": "HERE"})).replace(b"HERE", b"caf\xe9"))

    assert answer.json()["accepted"] == 1
    assert Event.objects.get().properties == {"note": "caf\ufffd"}


def nested(levels: int) -> bytes:
    """A body whose deepest object lies that many levels down; the message is the third."""
    deep = b"1"
    for _ in range(levels - 4):
        deep = b'{"a":' + deep + b"}"
    return packed(message(properties={"deep": "HERE"})).replace(b'"HERE"', deep)


def test_nesting_to_64_levels_is_taken(key: NewKey) -> None:
    assert post(key, nested(body.MAX_NESTING)).json()["accepted"] == 1


@pytest.mark.parametrize("levels", [65, 900])
def test_deeper_nesting_is_400(key: NewKey, levels: int) -> None:
    answer = post(key, nested(levels))

    assert_envelope(answer, 400, "VALIDATION_ERROR", "The JSON is nested deeper than 64 levels.")
    assert_only_refused()


@pytest.mark.parametrize("sent", [b"[" * 200_000, b'{"a":' * 200_000, b"[" * 200_000 + b"]" * 200_000])
def test_absurd_nesting_is_400(key: NewKey, sent: bytes) -> None:
    answer = post(key, sent)

    assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR")
    assert_only_refused()


@pytest.mark.parametrize(
    "number", [b"1e308", b"-0.0", b"123456789012345678901234567890", b"1E-400", b"9007199254740993"]
)
def test_any_json_number_is_taken(key: NewKey, number: bytes) -> None:
    sent = packed(message(properties={"value": "HERE"})).replace(b'"HERE"', number)

    assert post(key, sent).json()["accepted"] == 1
    assert Event.objects.count() == 1


# Methods, CORS and paths


@pytest.mark.parametrize(
    ("path", "method", "allow"),
    [
        (MESSAGES, "GET", "POST, OPTIONS"),
        (MESSAGES, "HEAD", "POST, OPTIONS"),
        (MESSAGES, "PUT", "POST, OPTIONS"),
        (MESSAGES, "PATCH", "POST, OPTIONS"),
        (MESSAGES, "DELETE", "POST, OPTIONS"),
        (CONSENT, "POST", "GET, PUT, HEAD, OPTIONS"),
        (CONSENT, "DELETE", "GET, PUT, HEAD, OPTIONS"),
        (DATA, "GET", "DELETE, OPTIONS"),
        (DATA, "POST", "DELETE, OPTIONS"),
    ],
)
def test_another_method_is_405_and_says_which_are_served(key: NewKey, path: str, method: str, allow: str) -> None:
    headers = {"x-immutable-publishable-key": key.value}
    answer = Client().generic(method, path, packed(message()), "application/json", headers=headers)

    assert (answer.status_code, answer.headers["Allow"]) == (405, allow)
    if method == "HEAD":
        assert_cors(answer)
    else:
        assert_envelope(answer, 405, "VALIDATION_ERROR", f"{method} is not served here.")
    assert_nothing_written()


@pytest.mark.parametrize("path", [MESSAGES, CONSENT, DATA])
def test_a_preflight_is_answered_without_a_key(path: str) -> None:
    headers = {
        "Origin": "https://mygame.com",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,x-immutable-publishable-key",
    }
    answer = Client().options(path, headers=headers)

    assert (answer.status_code, answer.content) == (204, b"")
    assert_cors(answer, allowed="content-type,x-immutable-publishable-key")


@pytest.mark.parametrize("path", [MESSAGES, CONSENT, DATA])
def test_the_headers_that_monitoring_adds_to_a_page_are_allowed(path: str) -> None:
    """Sentry, Datadog and OpenTelemetry add some to every request; the browser blocks it unless they are allowed."""
    asked = "baggage,content-type,sentry-trace,traceparent,x-immutable-publishable-key"
    answer = Client().options(path, headers={"Origin": "https://x", "Access-Control-Request-Headers": asked})

    assert_cors(answer, allowed=asked)
    assert answer.headers["Vary"] == "Access-Control-Request-Headers"


@pytest.mark.parametrize("asked", ["", " ", "a\r\nSet-Cookie: b", "<script>", "x" * 2049, "caf\xe9"])
def test_what_is_no_list_of_headers_is_not_repeated(db: None, asked: str) -> None:
    headers = {"Origin": "https://x", "Access-Control-Request-Headers": asked}

    assert_cors(Client().options(MESSAGES, headers=headers))
    assert_cors(Client().post(MESSAGES, b"{", "application/json", headers=headers))


def test_an_error_has_the_requested_cors_headers_too(db: None) -> None:
    headers = {"Origin": "https://x", "Access-Control-Request-Headers": "baggage"}
    answer = Client().post(MESSAGES, b"{", "application/json", headers=headers)

    assert answer.status_code == 400
    assert_cors(answer, allowed="baggage")


def test_an_answer_can_be_read_by_a_browser(key: NewKey) -> None:
    assert_cors(send(key, message()))
    assert_cors(Client().get(f"{CONSENT}?anonymousId=a", headers={"x-immutable-publishable-key": key.value}))


@pytest.mark.parametrize("route", ["messages", "tracking-consent", "data"])
@pytest.mark.parametrize("shape", ["/v1/audience/{}/", "//v1/audience/{}", "///v1/audience/{}/"])
def test_doubled_and_trailing_slashes_are_answered_without_a_redirect(db: None, route: str, shape: str) -> None:
    answer = Client().options(f"http://testserver{shape.format(route)}")

    assert answer.status_code == 204
    assert_cors(answer)


@pytest.mark.django_db(transaction=True)
def test_it_serves_a_client_over_a_real_socket(key: NewKey, live_server: Any) -> None:
    pool = urllib3.PoolManager(retries=False)
    headers = {
        "content-type": "application/json",
        "content-encoding": "gzip",
        "x-immutable-publishable-key": key.value,
    }
    for path in (MESSAGES, f"/{MESSAGES}", f"{MESSAGES}/", f"/{MESSAGES}/"):
        sent = gzip.compress(packed(message()))
        answer = pool.request("POST", live_server.url + path, body=sent, headers=headers, redirect=False)

        assert answer.status == 200
        assert answer.json() == {"success": True, "accepted": 1, "rejected": 0, "rejections": []}
        assert {name: answer.headers.get(name) for name in CORS} == CORS
    assert Event.objects.count() == 4
