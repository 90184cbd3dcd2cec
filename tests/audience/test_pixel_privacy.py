"""The Global Privacy Control in the header of a request with messages of the web pixel."""

import json
from typing import Any

import pytest
from django.test import Client

from audience.games.keys import NewKey
from audience.models import Event

pytestmark = pytest.mark.django_db
PIXEL = {"library": {"name": "afterclick-web", "version": "1"}}
FULL = {
    "type": "identify",
    "messageId": "m-1",
    "anonymousId": "browser-7",
    "userId": "anna",
    "traits": {"email": "anna@example.com"},
    "consentLevel": "full",
    "context": {"consent": {"source": "google"}, "cookies": {"_fbp": "fb.1.2.3"}},
}


def sent(key: NewKey, message: dict[str, Any], *, context: dict[str, Any] | None = None, gpc: str = "1") -> Event:
    """Send a message as the script does, and return its event."""
    body = json.dumps({"context": PIXEL if context is None else context, "batch": [message]})
    headers = {"Origin": "https://game.example", "Sec-GPC": gpc}
    url = f"/beacon/v1/batch?writeKey={key.value}"
    answer = Client().generic("POST", url, body, "text/plain", headers=headers)
    assert (answer.status_code, answer.content) == (200, b"OK")
    return Event.objects.get()


def test_the_header_limits_a_message_as_the_script_does(key: NewKey) -> None:
    event = sent(key, FULL)
    assert (event.consent_level, event.anonymous_id, event.user_id, event.traits) == ("anonymous", "browser-7", "", {})
    assert event.context["consent"] == {"source": "google", "gpc": True, "limited_data_use": True}
    assert "cookies" not in event.context
    assert "anna" not in json.dumps(event.raw)
    assert "fb.1.2.3" not in json.dumps(event.raw)


def test_a_level_that_the_page_states_takes_precedence_with_limited_data_use(key: NewKey) -> None:
    event = sent(key, {**FULL, "context": {"consent": {"source": "page"}}})
    assert (event.consent_level, event.user_id) == ("full", "anna")
    assert event.context["consent"] == {"source": "page", "gpc": True, "limited_data_use": True}


def test_the_header_does_not_raise_a_level(key: NewKey) -> None:
    event = sent(key, {"type": "track", "event": "consent_changed", "anonymousId": "b-7", "consentLevel": "none"})
    assert event.consent_level == "none"


@pytest.mark.parametrize("context", [{}, {"library": {"name": "RudderLabs JavaScript SDK"}}, {"library": "x"}])
def test_messages_of_other_scripts_are_stored_as_they_are(key: NewKey, context: dict[str, Any]) -> None:
    event = sent(key, FULL, context=context)
    assert (event.consent_level, event.user_id) == ("full", "anna")
    assert event.context["consent"] == {"source": "google"}


@pytest.mark.parametrize("gpc", ["0", "", "true"])
def test_another_value_of_the_header_states_nothing(key: NewKey, gpc: str) -> None:
    assert sent(key, FULL, gpc=gpc).consent_level == "full"
