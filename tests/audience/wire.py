"""Clients of the RudderStack, MetaRouter and Parcelvoy dialects, and checks of what is stored."""

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
EXPOSED = "Retry-After, X-RateLimit-Reset, X-Request-ID"


def load(dialect: str, name: str) -> Any:
    return json.loads((FIXTURES / dialect / f"{name}.json").read_text())


def basic(value: str, password: str = "") -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{value}:{password}".encode()).decode()}


def bearer(value: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {value}"}


def authorised(key: NewKey) -> dict[str, str]:
    """Return the header with the key as clients of its dialect send it."""
    return bearer(key.value) if key.key.dialect == "parcelvoy" else basic(key.value)


def compact_json(body: Any) -> bytes:
    """Return compact JSON, in which the size of a message is measured; bytes are returned unchanged."""
    return body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def post(path: str, body: Any, key: NewKey | None = None, **headers: str) -> HttpResponse:
    """POST with the dialect's authentication, unless `headers` have another."""
    headers = {**(authorised(key) if key else {}), **headers}
    # A whole URL, since Django's client reads `//host` at the beginning of a path as a host.
    return Client().generic("POST", f"http://testserver{path}", compact_json(body), "application/json", headers=headers)


def get(path: str, **headers: str) -> HttpResponse:
    return Client().get(f"http://testserver{path}", headers=headers)


def body_of(answer: HttpResponse) -> Any:
    """Return the body: decoded JSON, else the text."""
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
    """No event, and no Rejection but that of a request that was refused as a whole, which has no content."""
    assert not Event.objects.exists()
    assert not Rejection.objects.exclude(raw__contains={"not_kept": True}).exists()
    assert not Batch.objects.exclude(accepted=0, duplicates=0).exists()


def assert_rejected(*expected: dict[str, str]) -> None:
    """No event is stored, and one rejection with each of the reasons."""
    assert not Event.objects.exists()
    assert reasons() == [[reason] for reason in expected]


def assert_echoes_cors(answer: HttpResponse, *, requested: str | None = None) -> None:
    """A page of ORIGIN may read the answer. `requested` are the headers of the preflight."""
    headers = answer.headers
    assert headers["Access-Control-Allow-Origin"] == ORIGIN
    assert headers["Access-Control-Allow-Credentials"] == "true"
    assert headers["Access-Control-Max-Age"] == "900"
    assert headers["Access-Control-Expose-Headers"] == EXPOSED
    assert headers["Access-Control-Allow-Methods"] == "GET, HEAD, POST, OPTIONS"
    assert requested is None or headers["Access-Control-Allow-Headers"] == requested
    assert "Origin" in headers["Vary"]


def digest() -> None:
    """Digest all batches; none of them may fail."""
    queue.drain()
    assert not Batch.objects.exclude(state=BatchState.DONE).exists()
