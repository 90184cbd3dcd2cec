"""Any JSON in the Immutable dialect gets a consistent answer and is digested (hypothesis)."""

import json
import string
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from audience.digest import queue
from audience.games.keys import NewKey
from audience.models import Batch, BatchState, Event, Rejection
from tests.audience.immutable import LIBRARY, ago, message, post
from tests.effort import examples

pytestmark = pytest.mark.django_db
LENIENT = settings(
    max_examples=examples(150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# Lone surrogates and NUL included: browsers send both.
text = st.text(st.characters(), max_size=20)
words = st.sampled_from(
    ["", " ", "0", "unknown", "user-1", "person", "event", "steam", "USD", "ßßß", "nan", "1e999", "-1"]
)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | text | words
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=8
)
ids = words | text | st.text(string.ascii_letters, min_size=1, max_size=300)
moments = st.sampled_from([ago(minutes=1), ago(days=29), ago(days=31), ago(hours=-23), "9999-12-31T23:59:59-23:59"])
urls = st.builds("https://g.com/?{}={}".format, st.sampled_from(["ttclid", "rdt_cid", "gclid", "utm_source"]), text)
PROPERTIES = ["value", "currency", "ttclid", "utm_source", "utm_medium", "_ttp", "landing_page"]

contexts = st.fixed_dictionaries(
    {"library": st.just("x"), "libraryVersion": st.just("1")},
    optional=dict.fromkeys(("ip", "userAgent", "campaign", "active", "page_url"), anything) | {"pageUrl": urls},
)
likely = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["track", "identify", "alias", "page", "screen"]),
        "eventTimestamp": moments,
        "context": contexts,
        "userId": ids,
        "anonymousId": ids,
    },
    optional={
        "eventName": st.sampled_from(["purchase", "game_launch"]) | text,
        "deviceId": ids,
        "fromId": ids,
        "toId": ids,
        "fromType": words | text,
        "toType": words | text,
        "properties": st.dictionaries(st.sampled_from(PROPERTIES) | text, anything, max_size=4),
        "traits": st.dictionaries(text, anything, max_size=4),
        "test": st.booleans(),
        "consentLevel": st.sampled_from(["full", "none", "some"]),
    },
)
wild = st.fixed_dictionaries({}, optional=dict.fromkeys([*message(), "surface", "traits", "test"], anything))


def check(key: NewKey, sent: list[Any]) -> None:
    answer = post(key, json.dumps({"messages": sent}).encode())

    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert body["success"] is True
    assert body["accepted"] + body["rejected"] == len(sent)
    assert bool(body["rejections"]) == bool(body["rejected"])
    assert all(entry["errors"] for entry in body["rejections"])
    queue.drain()
    batch = Batch.objects.latest("id")
    assert (batch.state, batch.error) == (BatchState.DONE, "")
    assert (batch.accepted + batch.duplicates, batch.rejected) == (body["accepted"], body["rejected"])


@LENIENT
@given(st.lists(likely, min_size=1, max_size=4))
@example(
    [
        {
            "type": "alias",
            "eventTimestamp": ago(minutes=1),
            "context": LIBRARY,
            "fromId": "1",
            "toId": "2",
            "fromType": "person",
        }
    ]
)
@example(
    [
        {
            "type": "alias",
            "eventTimestamp": ago(minutes=1),
            "context": LIBRARY,
            "fromId": "1",
            "toId": "2",
            "fromType": "event",
        }
    ]
)
def test_a_likely_message_is_answered_and_digested(key: NewKey, sent: list[dict[str, Any]]) -> None:
    check(key, [{"messageId": message()["messageId"], **fields} for fields in sent])


@LENIENT
@given(st.lists(wild | anything, min_size=1, max_size=4))
@example([None])
def test_any_message_is_answered(key: NewKey, sent: list[Any]) -> None:
    check(key, sent)


@LENIENT
@given(anything | st.fixed_dictionaries({"messages": anything}))
def test_any_body_is_answered(key: NewKey, sent: Any) -> None:
    messages = Rejection.objects.exclude(raw__contains={"not_kept": True})
    before = (messages.count(), Event.objects.count())
    answer = post(key, json.dumps(sent).encode())

    assert answer.status_code in (200, 400), answer.content
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    if answer.status_code == 400:
        assert answer.json()["code"] == "VALIDATION_ERROR"
        assert (messages.count(), Event.objects.count()) == before
