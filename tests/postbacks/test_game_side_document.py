"""The examples of docs/game-side.md: those for servers run as printed, and those for engines send what they state."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from django.test import Client

from audience.digest import queue
from audience.games.keys import create_key
from audience.intake.dialects import immutable
from audience.intake.dialects.immutable_rules import MAX_AGE
from audience.intake.openapi import ingestion_document
from audience.joins import codes
from audience.models import ApiKey, Conversion, Event, Game, Identity, Join, KeyKind
from consent.models import ConsentDecision
from tests.audience.immutable import click, digest
from tests.postbacks.claiming import ANNA, BROWSER

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "game-side.md").read_text(encoding="utf-8")
INSTALLATION = "0b5c8c1e-0f0a-4a3e-9d0c-6f1e2d3c4b5a"
MESSAGE_ID = "550e8400-e29b-41d4-a716-446655440123"
ENGINES = ("csharp", "cpp")
# The expressions in the bodies of the engines' code, with values in the forms that .NET and Unreal document.
VALUES = {
    "Guid.NewGuid()": MESSAGE_ID,
    "MessageId": MESSAGE_ID.upper(),
    "DateTime.UtcNow:o": "TIME.0000000Z",
    "FDateTime::UtcNow().ToIso8601()": "TIME.000Z",
    **dict.fromkeys(("eventName", "EventName"), "game_launch"),
    **dict.fromkeys(("player", "SteamId"), ANNA),
    **dict.fromkeys(("Installation()", "Installation"), INSTALLATION),
    **dict.fromkeys(("properties", "Properties"), '{"platform": "windows"}'),
    **dict.fromkeys(("status", "Status"), "full"),
}


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)
    return str(found)


@dataclass(frozen=True)
class Sent:
    """A request of an engine's code. `body` has the values above."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: str


def bodies_of_csharp(code: str) -> list[str]:
    """The interpolated verbatim strings, joined where they are added."""
    joined = re.sub(r'"\s*\+ \$@"', "", code)
    texts = [text.replace('""', '"') for text in re.findall(r'\$@"((?:[^"]|"")*)"', joined)]
    return [re.sub(r"\{\{|\}\}|\{([^{}]+)\}", _interpolated, text) for text in texts]


def _interpolated(found: re.Match[str]) -> str:
    return f"<{found[1]}>" if found[1] else found[0][0]


def bodies_of_cpp(code: str) -> list[str]:
    """The raw strings of FString::Printf, joined where they follow each other, with its arguments."""
    joined = re.sub(r'\)"\)\s*TEXT\(R"\(', "", code)
    found = re.findall(r'TEXT\(R"\((.*?)\)"\),\s*(.*?)\);', joined, re.DOTALL)
    texts = []
    for text, stated in found:
        arguments = [f"<{argument.strip().removeprefix('*')}>" for argument in stated.split(",")]
        pieces = zip(text.split("%s"), [*arguments, ""], strict=True)
        texts.append("".join(piece + argument for piece, argument in pieces))
    return texts


def now() -> str:
    """Return the time in UTC, to the second, without an offset."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}"


def requests_of(language: str) -> list[Sent]:
    """The requests of an engine's code: consent, and a batch with one message."""
    code = block(language)
    texts = bodies_of_csharp(code) if language == "csharp" else bodies_of_cpp(code)
    message, consent, batch = (re.sub(r"<(.+?)>", _filled_in, text) for text in texts)
    headers = re.findall(r'Set(?:Request)?Header\((?:TEXT\()?"([\w-]+)"\)?, (?:TEXT\()?"?([\w/]+)"?', code)
    calls = re.findall(r'Request\((?:TEXT\()?"(PUT|POST)"\)?, (?:TEXT\()?"(/[\w/-]+)"', code)
    assert [path for _, path in calls] == ["/v1/audience/tracking-consent", "/v1/audience/messages"]
    sent = [consent, re.sub("<[mM]essages>", lambda _: message, batch)]
    return [Sent(*call, dict(headers), body) for call, body in zip(calls, sent, strict=True)]


def _filled_in(found: re.Match[str]) -> str:
    return VALUES.get(found[1], found[0]).replace("TIME", now())


@pytest.fixture
def server_key(game: Game) -> str:
    game.joins = ["code"]
    game.save()
    return create_key(game=game, name="Backend", kind=KeyKind.SERVER).value


@pytest.mark.parametrize(
    ("language", "command"),
    [
        ("sh", ["bash", "-euo", "pipefail", "-c"]),
        ("python", [sys.executable, "-c"]),
        pytest.param("js", ["node", "-e"], marks=pytest.mark.skipif(not shutil.which("node"), reason="no node")),
    ],
)
@pytest.mark.django_db(transaction=True)
def test_a_server_sends_everything_as_printed(
    live_server: Any, game: Game, server_key: str, language: str, command: list[str]
) -> None:
    key = create_key(game=game, name="Game")
    digest(key, click(BROWSER, "T-game-side"))
    env = {
        **os.environ,
        "URL": live_server.url,
        "PUBLISHABLE_KEY": key.value,
        "SERVER_KEY": server_key,
        "PLAYER": ANNA,
        "INSTALLATION": INSTALLATION,
        "CODE": codes.shown(codes.create_code(game=game, anonymous_id=BROWSER)),
    }
    done = subprocess.run([*command, block(language)], env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "joined" in done.stdout.splitlines()[-1]

    events = Event.objects.exclude(surface="web").exclude(kind="page")
    assert sorted((row.kind, row.name, row.user_id) for row in events) == [
        ("alias", "", "player-7"),
        ("track", "game_launch", ANNA),
        ("track", "purchase", ANNA),
        ("track", "sign_in", ANNA),
    ]
    purchase = events.get(name="purchase")
    assert ApiKey.objects.get(pk=purchase.key_id).kind == KeyKind.SERVER
    assert purchase.properties == {"value": "9.99", "currency": "USD", "transaction_id": "T-1001"}
    decision = ConsentDecision.objects.get(anonymous_id=INSTALLATION)
    assert (decision.level, decision.source) == ("full", "first-start-dialog")
    assert (Join.objects.get().kind, Join.objects.get().player_id) == ("code", ANNA)
    queue.drain()
    assert {row.touch and row.touch.click_id for row in Conversion.objects.all()} == {"T-game-side"}
    assert len(set(Identity.objects.filter(value__in=[ANNA, "player-7"]).values_list("person", flat=True))) == 1


@pytest.mark.parametrize("language", ENGINES)
@pytest.mark.django_db
def test_an_engine_sends_requests_of_the_api_document(game: Game, language: str) -> None:
    document, key = ingestion_document(), create_key(game=game, name="Game")
    for sent in requests_of(language):
        operation = document["paths"][sent.path][sent.method.lower()]
        schema = operation["requestBody"]["content"][sent.headers["Content-Type"]]["schema"]
        body = json.loads(sent.body)
        jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(body)
        schemes = [document["components"]["securitySchemes"][name] for one in operation["security"] for name in one]
        (name,) = set(sent.headers) - {"Content-Type"}
        assert name in {scheme["name"] for scheme in schemes}
        answer = Client().generic(sent.method, sent.path, sent.body, "application/json", headers={name: key.value})
        assert answer.status_code in (200, 204), answer.content
    event = Event.objects.get()
    assert (event.kind, event.name, event.user_id) == ("track", "game_launch", ANNA)
    assert (event.anonymous_id, event.message_id, event.properties) == (
        INSTALLATION,
        MESSAGE_ID,
        {"platform": "windows"},
    )
    assert event.surface == {"csharp": "unity", "cpp": "unreal"}[language]
    assert ConsentDecision.objects.get().anonymous_id == INSTALLATION


@pytest.mark.parametrize("language", ENGINES)
def test_an_engine_has_the_publishable_key_only(language: str) -> None:
    code = block(language)
    assert '"pk_imapik-..."' in code
    assert "sk_imapik" not in code
    assert "purchase" not in code


@pytest.mark.django_db
def test_the_install_referrer_is_a_click(game: Game) -> None:
    body = json.loads(block("json").replace("2026-04-08T12:00:00Z", f"{now()}Z"))
    digest(create_key(game=game, name="Game"), *body["messages"])
    event = Event.objects.get()
    assert (event.name, event.user_id) == ("install_referrer_received", "player-7")


def test_the_limits_are_those_of_the_code() -> None:
    assert f"at most {immutable.MAX_MESSAGES} events and {immutable.MAX_BODY_BYTES // 1024**2} MB" in DOCUMENT
    assert f"last {MAX_AGE.days} days" in DOCUMENT
    assert f"Take({immutable.MAX_MESSAGES})" in block("csharp")
    assert f"Lines.Num(), {immutable.MAX_MESSAGES})" in block("cpp")
