"""What the documents of /help/ say of answers, reasons, limits and levels is what the code does."""

import ast
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from django.test import Client
from rest_framework.exceptions import (
    MethodNotAllowed,
    NotAcceptable,
    NotFound,
    Throttled,
    UnsupportedMediaType,
    ValidationError,
)

from audience.accounts import tokens
from audience.api.toolkit import problems, schema
from audience.api.toolkit.pagination import DEFAULT_LIMIT, MAX_LIMIT
from audience.api.toolkit.parsing import MAX_JSON_BYTES
from audience.games.keys import NewKey, create_key
from audience.intake import refusals
from audience.intake.dialects import immutable, metarouter, parcelvoy, responses, rudderstack
from audience.intake.dialects.responses import RequestProblem
from audience.models import Dialect, Event, Game, Reason, Scope
from audience.models.games import MIN_RETENTION_DAYS
from audience.models.tokens import ANSWERS_KEPT
from audience.storage import prune, prune_accounts
from consent.decisions import effective_level
from consent.models import Level
from postbacks.networks import NETWORKS
from tests.audience.wire import basic, bearer

ROOT = Path(__file__).resolve().parent.parent
NOW = datetime(2026, 4, 8, 12, 0, tzinfo=UTC)


def document(name: str) -> str:
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def section(name: str, heading: str) -> str:
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", document(name), re.S | re.M)
    assert found is not None, heading
    return found[1]


def rows(name: str, heading: str) -> list[list[str]]:
    """The rows of the tables of a section, without backticks."""
    lines = [line for line in section(name, heading).splitlines() if line.startswith("|")]
    cells = [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]
    return [row for row, line in zip(cells, lines, strict=True) if not set(line) <= {"|", "-"}][1:]


def examples(name: str, heading: str) -> list[str]:
    return re.findall(r"^```json\n(.*?)^```", section(name, heading), re.S | re.M)


# Error answers ---------------------------------------------------------------------------------------------------


def test_every_answer_of_rudderstack_is_listed_with_its_sentence() -> None:
    expected = sorted((str(status), text) for status, text in rudderstack.ANSWERS.values())
    assert sorted((row[0], row[1]) for row in rows("errors", "RudderStack and Segment")) == expected


def test_every_answer_of_metarouter_is_listed_with_its_sentence() -> None:
    expected = {(str(status), text, details) for status, text, details in metarouter.ANSWERS.values()}
    listed = [tuple(row[:3]) for row in rows("errors", "MetaRouter")]
    assert set(listed) == expected
    assert len(listed) == len(expected)


def test_every_answer_of_parcelvoy_is_listed_with_its_sentence() -> None:
    answers = {*parcelvoy.ANSWERS.values(), parcelvoy.BAD_REQUEST}
    listed = [(row[0], row[1]) for row in rows("errors", "Parcelvoy") if row[0] != "422"]
    assert set(listed) == {(str(status), text) for status, text, _ in answers}
    assert len(listed) == len(set(listed))
    assert {code for status, _, code in answers if status != 401} == {None}


def test_every_status_and_code_of_immutable_is_listed() -> None:
    statuses = {400, *responses.ENVELOPE_STATUSES.values()}
    codes = {(str(status), responses.ENVELOPE_CODES.get(status, responses.DEFAULT_CODE)) for status in statuses}
    listed = {(row[0], row[1]) for row in rows("errors", "Immutable Audience")}
    assert listed == codes | {("404", "NOT_FOUND")}


def test_every_code_of_a_rejection_is_listed() -> None:
    listed = [row[0] for row in rows("errors", "Message codes")]
    assert set(listed) == set(rejection_codes())
    assert len(listed) == len(set(listed))


def test_the_sizes_of_requests_are_those_of_the_server() -> None:
    text = document("errors")
    assert (immutable.MAX_BODY_BYTES, immutable.MAX_MESSAGES) == (2 * 1024**2, 100)
    assert "not 1 to 100 messages" in text
    assert "a body of more than 2 MB" in text
    sizes = (rudderstack.RESPONSES.call_limit, rudderstack.RESPONSES.batch_limit)
    assert (sizes, "A call may have 32 KB, a batch 4 MB." in text) == ((32 * 1024, 4 * 1024**2), True)
    sizes = (metarouter.RESPONSES.call_limit, metarouter.RESPONSES.batch_limit)
    assert (sizes, "A call may have 15 KB, a batch 500 KB." in text) == ((15 * 1024, 500 * 1024), True)
    assert (parcelvoy.MAX_BODY_BYTES, "A body may have 1 MB." in text) == (1024**2, True)


def test_the_statuses_of_all_formats_have_advice() -> None:
    statuses = {status for status, *_ in (*rudderstack.ANSWERS.values(), *metarouter.ANSWERS.values())}
    statuses |= (
        {status for status, *_ in parcelvoy.ANSWERS.values()} | set(responses.ENVELOPE_STATUSES.values()) | {404, 422}
    )
    listed = {int(status) for row in rows("errors", "By status") for status in row[0].split(", ")}
    assert listed == statuses


def rejection_codes() -> Iterator[str]:
    """Every code that the source of the intake gives to a violation."""
    for path in (ROOT / "audience" / "intake").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and _name(node.func) in ("Violation", "InvalidMessage"):
                yield from _texts(node.args[1], path)
            elif isinstance(node, ast.Call) and _name(node.func) == "refuse_content":
                assert isinstance(node.args[0], ast.Attribute)
                yield RequestProblem[node.args[0].attr].name


def _name(function: ast.expr) -> str:
    return (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )


def _texts(code: ast.expr, path: Path) -> Iterator[str]:
    """The texts of an argument: a literal, or those that a variable or constant of the module may have."""
    if isinstance(code, ast.Constant):
        yield str(code.value)
    elif isinstance(code, ast.Name):
        source = (ROOT / "audience/intake/messages/message.py").read_text() + path.read_text()
        for line in re.findall(rf"^\s*{code.id} = (.+)$", source, re.M):
            yield from re.findall(r'"([A-Z]+(?:_[A-Z]+)+)"', line)


# Management API --------------------------------------------------------------------------------------------------


def test_every_scope_is_listed() -> None:
    assert [row[0] for row in rows("api", "Scopes")] == [scope.value for scope in Scope]


def test_every_code_of_a_problem_is_listed_with_its_status() -> None:
    listed = {
        (int(row[0]), code) for row in rows("api", "Errors") for code in re.findall(r"\w+", row[1].replace("`", ""))
    }
    known = {
        (error.status_code, error.default_code)
        for error in (
            *(problems.Refused, problems.Conflict, problems.PreconditionFailed, problems.KeyReused, problems.TooLarge),
            *(ValidationError, NotFound, MethodNotAllowed, NotAcceptable, UnsupportedMediaType, Throttled),
        )
    }
    known |= {(int(status), code) for status, (_, code, _) in schema.ERRORS.items() if status not in ("400", "404")}
    folders = [ROOT / "audience" / "api", ROOT / "postbacks" / "api"]
    source = "".join(path.read_text() for folder in folders for path in folder.rglob("*.py"))
    known |= {(401, code) for code in re.findall(r'AuthenticationFailed\(.*?"(\w+)"\)', source)}
    known |= {(403, code) for code in re.findall(r'"(missing_\w+)"', source)}
    known |= {(409, code) for code in re.findall(r'Conflict\([^)]*code="(\w+)"', source)}
    known |= {(400, code) for code in re.findall(r'Refused\((?![^)]*field=)[^)]*code="(\w+)"', source)}
    known |= {(400, code) for code in re.findall(r'ParseError\(.*?"(\w+)"\)', source)}
    known |= set(refusals.CODES.items())
    assert listed == known | {(401, "not_authenticated")}


def test_the_limits_of_the_management_api_are_those_of_the_server() -> None:
    text = document("api")
    assert (MAX_LIMIT, DEFAULT_LIMIT) == (200, 50)
    assert "from 1 to 200; without it 50" in text
    assert (MAX_JSON_BYTES, tokens.MAX_TOKENS) == (5 * 1024**2, 50)
    assert "can have 50 tokens that work" in text
    assert (tokens.MAX_OVERLAP, "works for up to 7 days" in text) == (timedelta(days=7), True)
    assert (prune_accounts.TOKEN_RETENTION, "for 90 days" in text) == (timedelta(days=90), True)
    assert (ANSWERS_KEPT, "for 24 hours" in text) == (timedelta(hours=24), True)
    kept = dict(rows("deleting-data", "How long data is kept"))
    assert kept["API tokens that ended"] == "90 days"
    assert kept["answers to repeated requests of the management API"] == "24 hours"


# Attribution -----------------------------------------------------------------------------------------------------


def test_every_reason_is_listed_with_what_to_do() -> None:
    listed = rows("attribution", "Why a conversion was not sent")
    assert sorted(row[0] for row in listed) == sorted(Reason.values)
    assert [row for row in listed if not all(row)] == []


def test_the_oldest_event_of_each_network_is_listed() -> None:
    ages = {network.label: f"{network.max_age.days} days" for network in NETWORKS.values()}
    assert dict(rows("attribution", "Windows")) == ages


def test_every_network_has_a_document_and_its_click_parameter_is_listed() -> None:
    for kind, network in NETWORKS.items():
        assert network.document == kind
        assert document(f"networks/{kind}").splitlines()[0] == f"# {network.label}"
        for parameter in network.click_params:
            assert f"`{parameter}`" in section("attribution", "What counts as a paid click"), parameter


# Consent, retention ----------------------------------------------------------------------------------------------


def test_the_levels_of_the_examples_are_those_that_apply() -> None:
    shown = {"": None, "nothing": Level.NONE, "nothing, if it still waits": Level.NONE}
    listed = rows("consent", "Which level applies")
    for stated, later, sent in listed[:-1]:
        level = effective_level(stated=stated, at_event=None, later=Level(later) if later else None, strict=False)
        assert level == shown.get(sent, sent)
    assert listed[-1] == ["none stated", "", "the default of the game"]
    assert [row[0] for row in rows("consent", "Levels")] == ["none", "anonymous", "full", "not_set"]
    assert effective_level(stated="not_set", at_event=None, later=None, strict=False) == Level.NONE
    defaults = [effective_level(stated="", at_event=None, later=None, strict=strict) for strict in (False, True)]
    assert defaults == [Level.FULL, Level.NONE]


def test_data_is_kept_as_long_as_listed() -> None:
    kept = dict(rows("deleting-data", "How long data is kept"))
    assert MIN_RETENTION_DAYS == 31
    assert "(31 or more)" in kept["events, and the calls in the delivery log"]
    assert timedelta(days=7) == prune.REJECTION_RETENTION
    assert prune.REJECTIONS_PER_GAME == 10_000
    assert kept["rejected messages"] == "7 days, at most 10,000 per game"
    assert (prune.BATCH_RETENTION, kept["counts of requests for charts"]) == (timedelta(days=31), "31 days")


# Examples --------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_examples_of_the_event_reference_are_stored_as_purchases(game: Game, key: NewKey) -> None:
    requests = {
        "/v1/audience/messages": ({"x-immutable-publishable-key": key.value}, 200),
        "/v1/track": (basic(key.value), 200),
        "/api/client/events": (bearer(key.value), 204),
    }
    blocks = examples("events", "Examples")
    assert len(blocks) == len(requests)
    with time_machine.travel(NOW + timedelta(minutes=5), tick=True):
        for (path, (headers, status)), block in zip(requests.items(), blocks, strict=True):
            answer = Client().post(path, block, "application/json", headers=headers)
            assert answer.status_code == status, (path, answer.content)
    stored = Event.objects.order_by("id")
    assert [(event.name, event.user_id, event.event_at) for event in stored] == [("purchase", "player-7", NOW)] * 3
    assert [event.properties["transaction_id"] for event in stored] == ["T-1001", "T-1002", "T-1003"]


@pytest.mark.django_db
def test_the_examples_about_consent_are_accepted(game: Game, key: NewKey) -> None:
    message, decision = examples("consent", "How to state it")
    segment = create_key(game=game, name="segment", dialect=Dialect.RUDDERSTACK)
    answer = Client().post("/v1/track", message, "application/json", headers=basic(segment.value))
    assert (answer.status_code, answer.content) == (200, b"OK")
    assert Event.objects.get().consent_level == "anonymous"
    headers = {"x-immutable-publishable-key": key.value}
    url = "/v1/audience/tracking-consent"
    assert Client().put(url, decision, "application/json", headers=headers).status_code == 204
    assert Client().get(f"{url}?anonymousId=browser-7", headers=headers).json() == {"status": "full"}


@pytest.mark.django_db
def test_the_example_of_an_error_has_the_members_of_the_answer() -> None:
    (example,) = examples("errors", "Immutable Audience")
    headers = {"x-immutable-publishable-key": "pk_imapik-unknown"}
    answer = Client().post("/v1/audience/messages", "{}", "application/json", headers=headers)
    assert list(answer.json()) == list(json.loads(example))
    assert (answer.status_code, answer.json()["code"]) == (401, json.loads(example)["code"])
