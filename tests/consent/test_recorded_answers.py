"""The whole answers of consent and erasure, byte by byte, as recorded before these routes used DRF's dispatch.

`RECORD=1` writes them anew.
"""

import gzip
import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audience.games.keys import NewKey, Restrictions, create_key
from audience.models import Game, KeyKind, Rejection
from tests.audience.immutable import CONSENT, DATA

pytestmark = pytest.mark.django_db
RECORDED = Path(__file__).resolve().parents[1] / "fixtures" / "immutable" / "privacy_answers.json"
# The keys of the cases, by the name that stands in a header as {name}.
KEYS: dict[str, dict[str, Any]] = {
    "publishable": {},
    "server": {"kind": KeyKind.SERVER},
    "secret": {"kind": KeyKind.SECRET},
    "one_origin": {"restrictions": Restrictions(origins=["https://game.example"])},
    "limited": {"rate_limit": 1},
}
PUBLISHABLE, SECRET = "x-immutable-publishable-key", "x-immutable-api-key"
DECISION = {"anonymousId": "a-1", "status": "full", "source": "banner"}
LONG = "x" * 300
BODIES: list[Any] = [
    DECISION,
    {**DECISION, "extra": 1},
    {**DECISION, "anonymousId": " a-1 ", "source": " banner "},
    {},
    [],
    None,
    "text",
    7,
    [DECISION],
    *({name: value for name, value in DECISION.items() if name != missing} for missing in DECISION),
    *(
        {**DECISION, name: value}
        for name in DECISION
        for value in ("", "  ", None, 5, True, [], {}, "not_set", LONG, "a\x00b")
    ),
]
# Other in each answer: ids, and nonces of the security policy that answers with a trailing slash have.
CHANGING = {"X-Request-ID", "Content-Security-Policy"}
RAW_BODIES = [
    b"",
    b"{",
    b"\xff\xfe{",
    b'{"anonymousId": NaN}',
    b'{"anonymousId": "a", "status": "full", "source": "b", "n": 123456789012345678901234567890}',
    b"[" * 70 + b"]" * 70,
    b'{"anonymousId": "\\ud83d", "status": "full", "source": "b"}',
    b" " * (64 * 1024 + 1),
]
QUERIES = ["", "anonymousId=", "anonymousId=a-1", f"anonymousId={LONG}", "anonymousId=%00", "userId=u", "userId=%20"]
QUERIES += ["userId=u&anonymousId=a", f"userId={LONG}", "anonymousId=a&anonymousId=b", "userId=undefined"]
TYPES = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "image/png", ""]


def cases() -> dict[str, tuple[str, str, dict[str, Any]]]:
    """{name: (method, path, the other arguments of Client.generic)}"""
    found: dict[str, tuple[str, str, dict[str, Any]]] = {}

    def add(name: str, method: str, path: str, headers: dict[str, str], **arguments: Any) -> None:
        found[name] = (method, path, {"headers": headers, **arguments})

    sender, eraser = {PUBLISHABLE: "{publishable}"}, {SECRET: "{secret}"}
    for number, body in enumerate(BODIES):
        add(f"body {number}", "PUT", CONSENT, sender, data=json.dumps(body))
    for number, raw in enumerate(RAW_BODIES):
        add(f"raw body {number}", "PUT", CONSENT, sender, data=raw)
    for kind in TYPES:
        add(f"type {kind}", "PUT", CONSENT, sender, data=json.dumps(DECISION), content_type=kind)
    for encoding, data in {"gzip": gzip.compress(json.dumps(DECISION).encode()), "br": b"x", "deflate": b"x"}.items():
        add(f"encoding {encoding}", "PUT", CONSENT, {**sender, "Content-Encoding": encoding}, data=data)
    for accept in ("text/html", "image/webp", "nonsense"):
        add(f"accept {accept}", "GET", f"{CONSENT}?anonymousId=a-1", {**sender, "Accept": accept})
    for query in QUERIES:
        add(f"get {query[:30]}", "GET", f"{CONSENT}?{query}", sender)
        add(f"delete {query[:30]}", "DELETE", f"{DATA}?{query}", eraser)
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"):
        for path in (CONSENT, DATA):
            add(f"{method} {path}", method, path, sender)
            add(f"{method} {path}/ without a key", method, f"{path}/", {})
    preflight = {"Origin": "https://a.example", "Access-Control-Request-Headers": "baggage, x-own"}
    add("preflight", "OPTIONS", CONSENT, preflight)
    for name in ("publishable", "server", "secret", "revoked", "expired", "unknown", "one_origin", "limited"):
        for header in (PUBLISHABLE, SECRET):
            for method, path in (("GET", f"{CONSENT}?anonymousId=a"), ("DELETE", f"{DATA}?userId=u")):
                add(f"{name} in {header} {method}", method, path, {header: f"{{{name}}}"})
    return found


def values(game: Game) -> dict[str, str]:
    """The keys' values by the name in a case. The limited one has no token left."""
    keys = {name: create_key(game=game, name=name, entropy=name * 3, **options) for name, options in KEYS.items()}
    ended: list[NewKey] = [create_key(game=game, name=name, entropy=name * 3) for name in ("revoked", "expired")]
    for new, field in zip(ended, ("revoked_at", "expires_at"), strict=True):
        setattr(new.key, field, timezone.now() - timedelta(hours=1))
        new.key.save()
        keys[new.key.name] = new
    return {name: new.value for name, new in keys.items()} | {"unknown": "pk_imapik-unknown"}


def answer(method: str, path: str, arguments: dict[str, Any], keys: dict[str, str]) -> dict[str, Any]:
    """The status, headers and body, and the Rejections that it stored, without ids of requests."""
    headers = {name: value.format_map(keys) for name, value in arguments["headers"].items()}
    before = set(Rejection.objects.values_list("pk", flat=True))
    response = Client().generic(method, path, **{**arguments, "headers": headers})
    text = response.content.decode()
    if text.startswith("{") and "trace_id" in (body := json.loads(text)):
        text = text.replace(body["trace_id"], "TRACE")
    stored = Rejection.objects.exclude(pk__in=before).order_by("pk")
    rejections = [[row.route, row.errors, {k: v for k, v in row.raw.items() if k != "request"}] for row in stored]
    kept = {name: value for name, value in sorted(response.items()) if name not in CHANGING}
    return {"status": response.status_code, "headers": kept, "body": text, "rejections": rejections}


def test_answers_are_those_that_were_recorded(game: Game, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = values(game)
    limited = game.api_keys.get(name="limited").pk
    monkeypatch.setattr("audience.intake.requests.limit.seconds_to_wait", lambda key: 7 if key.pk == limited else 0)
    monkeypatch.setattr("audience.intake.dialects.refusing.EXPIRED_KEY_INTERVAL_SECONDS", 0.0)
    found = {name: answer(*case, keys) for name, case in cases().items()}
    if os.environ.get("RECORD"):
        RECORDED.write_text(json.dumps(found, indent=0, sort_keys=True) + "\n")

    recorded = json.loads(RECORDED.read_text())
    assert {name: each for name, each in found.items() if each != recorded[name]} == {}
    assert found.keys() == recorded.keys()
