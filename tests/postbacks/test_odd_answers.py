"""No answer of a server breaks the classification of a network, however odd it is."""

import json
import random
import time
from typing import Any

import pytest

from postbacks.networks import NETWORKS
from postbacks.networks.interface.answers import plain_message, retry_after
from postbacks.networks.interface.call import Response
from tests.postbacks.facts import answered

ANSWERS = 1000
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 33, 100, 190, 10**300, 1.5, 1e308, "", "x", "190", "\0", "\ud800", "²", "٣"),
    *([], {}, [None], [[]], [{}], {"code": 190}, {"message": {"message": "x"}}, ["data", 0]),
]
NAMES = (
    *("error", "errors", "code", "error_subcode", "message", "is_transient", "error_data", "blame_field_specs"),
    *("fbtrace_id", "events_received", "messages", "data", "conversions_processed", "debug_id", "parameter", "id"),
    *("status", "reason", "details", "requestId", "error_user_msg", "request_id", "results"),
)
HEADERS = ("retry-after", "date", "x-rate-limit-reset", "x-account-rate-limit-reset", "x-ad-api-version-warning")
HEADER_VALUES = (
    *("", "-1", "1e9", "99999999999999", "²", "2026-11-29T00:00:00Z", "Fri, 99 Foo 2026"),
    *("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 +2359"),
    *("Mon, 01 Jan 9999 23:59:59 -2359", "Mon, 01 Jan 2026 00:00:00 +9999999999"),
)
BODIES = (b"", b"[", b"[" * 60_000, b'{"error":' * 900 + b"1" + b"}" * 900, b"\xff\xfe\0", b"<title>" * 9_000)
STATUSES = (200, 204, 301, 400, 401, 403, 404, 408, 409, 413, 423, 429, 500, 502, 503, 599)


def value(chance: random.Random, depth: int) -> Any:
    kind = chance.random()
    if depth == 0 or kind < 0.4:
        return chance.choice(VALUES)
    if kind < 0.8:
        return {chance.choice(NAMES): value(chance, depth - 1) for _ in range(chance.randint(1, 5))}
    return [value(chance, depth - 1) for _ in range(chance.randint(0, 3))]


def response(chance: random.Random) -> Response:
    body = json.dumps(value(chance, 4)).encode() if chance.random() < 0.95 else chance.choice(BODIES)
    headers = {name: chance.choice(HEADER_VALUES) for name in HEADERS if chance.random() < 0.4}
    return Response(chance.choice(STATUSES), headers, body, 1)


@pytest.mark.parametrize("kind", sorted(NETWORKS))
def test_every_answer_has_an_outcome_and_a_sentence(kind: str) -> None:
    network, chance = NETWORKS[kind], random.Random(kind)
    credential = {"token": "canary", "success_path": "data.0.id=x"}
    target = network.target(pixel_id="1", credential=credential, base_url="https://x.example", object_ids=["ol288"])
    for given in (response(chance) for _ in range(ANSWERS)):
        for classify in (network.classify_answer, network.classify_check):
            outcome = classify(given, target)
            assert len(outcome.message) <= 500, given
            assert "\0" not in outcome.message, given
            assert outcome.retry_after is None or outcome.retry_after >= 0, given
            assert network.explain(outcome, "1", undecided="nothing was saved."), given


def test_a_date_that_is_out_of_range_is_no_wait() -> None:
    late = "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"
    assert retry_after(answered(429, "", retry_after=late)) is None


def test_a_page_of_ten_thousand_titles_is_read_at_once() -> None:
    """It took seconds, in which no other call of the worker went on."""
    before = time.process_time()
    assert plain_message(Response(400, {}, b"<title>" * 9_000, 1)) == "HTTP 400 without a readable answer"
    assert plain_message(Response(400, {}, b"<title" * 9_000, 1)) == "HTTP 400 without a readable answer"
    assert time.process_time() - before < 0.5


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("<html><head><TITLE lang='en'>Down for\n maintenance</TITLE></head>", "Down for maintenance"),
        ("<title>İstanbul</title>", "İstanbul"),
        ("<title></title><p>x", "HTTP 400 without a readable answer"),
        ("Down <title>", "Down <title>"),
    ],
)
def test_a_page_is_named_by_its_title(page: str, message: str) -> None:
    assert plain_message(answered(400, page)) == message
