"""Clients of the RudderStack, MetaRouter and Parcelvoy dialects: how they call, and what a refusal leaves behind."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

from django.http import HttpResponse
from django.test import Client

from audience.digest import queue
from audience.games.keys import NewKey
from audience.models import Batch, BatchState, Event, Rejection

FIXTURES = Path(__file__).parent.parent / "fixtures"
ORIGIN = "https://mygame.com"
EXPOSED = "Retry-After, X-RateLimit-Reset"


def load(dialect: str, name: str) -> Any:
    return json.loads((FIXTURES / dialect / f"{name}.json").read_text())


def basic(value: str, password: str = "") -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{value}:{password}".encode()).decode()}


def bearer(value: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {value}"}


def authorised(key: NewKey) -> dict[str, str]:
    """The key where the clients of its dialect put it."""
    return bearer(key.value) if key.key.dialect == "parcelvoy" else basic(key.value)


def packed(body: Any) -> bytes:
    """JSON as compact as a member is measured; bytes stay what they are."""
    return body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def post(path: str, body: Any, key: NewKey | None = None, **headers: str) -> HttpResponse:
    """POST with the dialect's own authentication, unless `headers` bring another."""
    headers = {**(authorised(key) if key else {}), **headers}
    # Django's client resolves `//host` itself, so a path that starts so is sent as a whole URL.
    return Client().generic("POST", f"http://testserver{path}", packed(body), "application/json", headers=headers)


def get(path: str, **headers: str) -> HttpResponse:
    return Client().get(f"http://testserver{path}", headers=headers)


def said(answer: HttpResponse) -> Any:
    """The body: JSON read, or text as it is."""
    if answer.headers.get("Content-Type", "").startswith("application/json"):
        return json.loads(answer.content)
    return answer.content.decode()


def stored() -> list[Event]:
    return list(Event.objects.order_by("id"))


def only_event() -> Event:
    (event,) = stored()
    return event


def reasons() -> list[list[dict[str, str]]]:
    return [rejection.errors for rejection in Rejection.objects.order_by("id")]


def assert_nothing_stored() -> None:
    assert not Event.objects.exists()
    assert not Rejection.objects.exists()
    assert not Batch.objects.exists()


def assert_kept_as(*expected: dict[str, str]) -> None:
    """No event, but a rejection for each of the given reasons."""
    assert not Event.objects.exists()
    assert reasons() == [[reason] for reason in expected]


def assert_echoes_cors(answer: HttpResponse, *, asked: str | None = None) -> None:
    """A browser page of ORIGIN may read the answer."""
    headers = answer.headers
    assert headers["Access-Control-Allow-Origin"] == ORIGIN
    assert headers["Access-Control-Allow-Credentials"] == "true"
    assert headers["Access-Control-Max-Age"] == "900"
    assert headers["Access-Control-Expose-Headers"] == EXPOSED
    assert headers["Access-Control-Allow-Methods"] == "GET, HEAD, POST, OPTIONS"
    assert asked is None or headers["Access-Control-Allow-Headers"] == asked
    assert "Origin" in headers["Vary"]


def digest() -> None:
    """Digest all that came in, none of it put off."""
    queue.drain()
    assert not Batch.objects.exclude(state=BatchState.DONE).exists()
