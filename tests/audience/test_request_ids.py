"""Every answer has an X-Request-ID, which is in the log too; unknown paths of programs are answered in JSON."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
from django.test import Client

from audience.games.keys import NewKey
from audience.intake import asgi
from audience.intake.storing import allowance
from audience.models import Game
from config.probes import answer_livez
from tests.audience.event_loop import on_loop
from tests.audience.immutable import MESSAGES
from tests.audience.test_intake_asgi import Loop
from tests.audience.wire import body_of, get, post

pytestmark = pytest.mark.django_db
HEADER = "X-Request-ID"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the server writes, one JSON object a line."""
    stream = io.StringIO()
    handler = next(handler for handler in logging.getLogger().handlers if handler.get_name() == "stderr")
    assert isinstance(handler, logging.StreamHandler)
    before = handler.setStream(stream)
    yield stream
    handler.setStream(before)


@pytest.mark.parametrize(
    "path",
    ["/livez", "/accounts/login/", "/v1/audience/messages", "/v1/track", "//v1/track", "/v1/nothing", "/nothing"],
)
def test_every_answer_has_an_id_of_its_own(game: Game, path: str) -> None:
    ids = [Client().get(f"http://testserver{path}").headers[HEADER] for _ in range(2)]

    assert len(set(ids)) == 2
    assert all(len(value) == 32 and set(value) <= set("0123456789abcdef") for value in ids)


def test_an_id_of_the_client_is_not_used(key: NewKey) -> None:
    answer = post("/v1/track", {"userId": "u", "event": "e"}, key, **{HEADER: "1"})

    assert answer.status_code == 200
    assert len(answer.headers[HEADER]) == 32


def test_the_trace_id_of_an_error_is_the_id_of_the_answer_and_in_the_log(key: NewKey, log: io.StringIO) -> None:
    headers = {"x-immutable-publishable-key": key.value}
    answer = Client().post(MESSAGES, b"{", "application/json", headers=headers)
    [line] = [json.loads(line) for line in log.getvalue().splitlines() if "request_refused" in line]

    assert answer.json()["trace_id"] == answer.headers[HEADER] == line["request_id"]
    assert (line["method"], line["path"], line["status"]) == ("POST", MESSAGES, 400)


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v1/nothing", 404), ("/api/" + "x" * 10_000, 404), ("/v1/track/", 400), ("//api/api/client/events", 401)],
)
def test_a_refusal_on_any_spelling_of_a_path_and_on_an_unknown_one_is_in_the_log(
    log: io.StringIO, path: str, status: int
) -> None:
    answer = post(path, b"{}")
    [line] = [json.loads(line) for line in log.getvalue().splitlines() if "request_refused" in line]

    assert (line["request_id"], line["status"]) == (answer.headers[HEADER], status)
    assert line["path"] == path[:200]


def test_refused_requests_do_not_fill_the_log(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowance, "take_log_line", iter([True, True, False, False]).__next__)
    for path in ("/v1/track", "/v1/nothing", "/v1/track/", "/api/nothing"):
        post(path, b"{")

    assert log.getvalue().count("request_refused") == 2


def test_the_lines_of_a_process_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowance.time, "monotonic", lambda: 1e9)
    assert sum(allowance.take_log_line() for _ in range(2_000)) == 1_000


def test_the_event_loop_answers_with_the_id_that_a_page_would_get(key: NewKey) -> None:
    loop = Loop()
    answers = [loop.ask(path, b"{") for path in ("/v1/track", MESSAGES, "/accounts/login/")]

    assert len({answer.headers["x-request-id"] for answer in answers}) == 3
    assert json.loads(answers[1].content)["trace_id"] == answers[1].headers["x-request-id"]


def test_the_liveness_probe_has_an_id_too() -> None:
    sent = []

    async def send(message: asgi.Scope) -> None:
        sent.append(message)

    app = asgi.IngestApp(Loop().pages, quick={"/livez": answer_livez})
    scope = {"type": "http", "method": "GET", "path": "/livez", "headers": [], "query_string": b""}
    on_loop(lambda: app(scope, None, send))  # type: ignore[arg-type]

    assert [len(value) for name, value in sent[0]["headers"] if name == b"x-request-id"] == [32]


# Unknown paths


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/", "//v1/trakc", "/v1/audience/mesages", "/api/nothing", "/api/"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_an_unknown_path_of_a_program_is_answered_in_json(game: Game, path: str, method: str) -> None:
    answer = Client().generic(method, f"http://testserver{path}", b"{}", "application/json")

    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/json")
    text = f"{path} is not a route of this server. Check the base URL and the path of the client."
    assert body_of(answer) == {
        "code": "NOT_FOUND",
        "message": text,
        "link": "/api/docs/",
        "trace_id": answer.headers[HEADER],
        "details": [],
    }


def test_an_unknown_page_is_a_page_and_a_missing_slash_leads_on(game: Game) -> None:
    assert get("/nothing").headers["Content-Type"].startswith("text/html")
    answer = get("/api/docs")
    assert (answer.status_code, answer.headers["Location"]) == (301, "/api/docs/")
