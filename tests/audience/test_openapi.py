"""The OpenAPI document: valid, complete, and consistent with the server.

A short, repeatable run by default; SCHEMATHESIS_EXAMPLES=2000 sends about so many random requests, spread over all
operations.
"""

import base64
import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import time_machine
from django.core.management import call_command
from django.db import transaction
from django.test import Client
from django.urls import path as url_path
from django.urls.resolvers import RoutePattern
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from rest_framework import serializers
from rest_framework.generics import RetrieveAPIView
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from audience.claims.urls import urlpatterns as claim_urlpatterns
from audience.games.keys import create_key
from audience.intake.dialects import metarouter, parcelvoy, rudderstack
from audience.intake.dialects.responses import RequestProblem
from audience.intake.openapi import ingestion_document
from audience.intake.urls import urlpatterns
from audience.joins.codes import digits_of
from audience.models import ClaimCode, Dialect, Event, Game, KeyKind
from audience.models.keys import sha256_hex
from tests.random_requests import document, one_connection

OPERATIONS: dict[tuple[str, str], Any] = {
    (method.upper(), path): operation
    for path, methods in ingestion_document()["paths"].items()
    for method, operation in methods.items()
}
ROUTES = [*urlpatterns, *(entry for entry in claim_urlpatterns if hasattr(entry.callback, "view_class"))]
TAGS = [tag["name"] for tag in ingestion_document()["tags"]]

EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "240"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# Seconds of this thread's own time for one request: a hang, not a slow machine.
MAX_SECONDS = 1.0
# A request that fails is shown as it came: to shrink a large one takes minutes.
EFFORT = settings(
    phases=[Phase.generate],
    max_examples=max(1, EXAMPLES // len(OPERATIONS)),
    deadline=None,
    database=None,
    derandomize="SCHEMATHESIS_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
EVERY = pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=[f"{m} {p}" for m, p in OPERATIONS])


@pytest.fixture(autouse=True)
def _one_connection() -> Iterator[None]:
    with one_connection():
        yield


@pytest.fixture
def credentials(game: Game) -> list[dict[str, dict[str, str]]]:
    """What a caller with a key puts into headers, query and path, once for each dialect that matters."""
    game.joins = ["code"]
    game.save()
    secret = create_key(game=game, name="backend", kind=KeyKind.SECRET).value
    server = create_key(game=game, name="server", kind=KeyKind.SERVER).value
    return [
        _said(create_key(game=game, name=dialect, dialect=dialect).value, secret, server)
        for dialect in (Dialect.RUDDERSTACK, Dialect.METAROUTER)
    ]


def _said(value: str, secret: str, server: str) -> dict[str, dict[str, str]]:
    return {
        "basic": {"Authorization": f"Basic {base64.b64encode(f'{value}:'.encode()).decode()}"},
        "bearer": {"Authorization": f"Bearer {value}"},
        "header": {"x-immutable-publishable-key": value, "x-immutable-api-key": secret},
        "server": {"Authorization": f"Bearer {server}"},
        "query": {"writeKey": value},
        "path": {"key": value},
    }


def schemes_of(operation: Any) -> set[str]:
    return {name for one in operation.definition.raw["security"] for name in one}


def headers_for(operation: Any, who: dict[str, dict[str, str]]) -> dict[str, str]:
    """The headers that hold the key, wherever this operation wants it."""
    schemes = schemes_of(operation)
    if "serverBearerKey" in schemes:
        return who["server"]
    return who["bearer"] if "bearerKey" in schemes else who["basic"] if "writeKey" in schemes else who["header"]


def known(operation: Any, mode: GenerationMode, who: dict[str, dict[str, str]]) -> Any:
    """Requests by a caller with a key, wherever this operation wants it."""
    schemes = schemes_of(operation)
    fixed: dict[str, Any] = {"headers": headers_for(operation, who)}
    if "{key}" in operation.path:
        fixed["path_parameters"] = who["path"]
    if "writeKeyInQuery" in schemes and "writeKey" not in schemes:
        fixed["query"] = who["query"]
    return operation.as_strategy(generation_mode=mode, **fixed)


def requests(operation: Any, credentials: list[dict[str, dict[str, str]]]) -> Any:
    """(is good, request): good and bad ones, with a key of either dialect or with whatever stands there."""
    described = bool(operation.body or operation.query or operation.path_parameters)
    modes = list(GenerationMode) if described else [GenerationMode.POSITIVE]
    found = [(mode.is_positive, known(operation, mode, who)) for mode in modes for who in credentials]
    found += [(False, operation.as_strategy(generation_mode=mode)) for mode in modes]
    return st.one_of(*(st.tuples(st.just(good), strategy) for good, strategy in found))


@pytest.mark.long
@EVERY
def test_answers_match_the_document_and_a_refusal_stores_nothing(
    credentials: list[dict[str, dict[str, str]]], method: str, path: str
) -> None:
    operation = document()[path][method]

    @EFFORT
    @given(request=requests(operation, credentials))
    def test(request: tuple[bool, Case]) -> None:
        is_good, case = request
        # Each request finds the tables as the first one did, so that a failure repeats.
        with transaction.atomic():
            answer = sent(case)
            stored = Event.objects.count()
            transaction.set_rollback(True)
        assert stored == 0 or answer.status_code < 400
        if path == "/v1/audience/messages" and answer.status_code == 200:
            assert stored <= answer.json()["accepted"]
        if is_good and "requestBody" in OPERATIONS[method, path] and case.media_type != "text/plain":
            assert list(refusals(answer)) == []

    test()


def sent(case: Case) -> Any:
    """The answer, checked against the document."""
    start = time.thread_time()
    answer = case.call()
    assert time.thread_time() - start < MAX_SECONDS
    case.validate_response(answer, checks=CHECKS)
    return answer


def refusals(answer: Any) -> Iterator[str]:
    """Why a good request was refused, but for what JSON Schema has no words for: time zones, the length of an object's
    text, how long ago, two that must differ, placeholders, and codes that exist."""
    accepted = ("IANA", "is longer than", "must be the ID of a player", "UNKNOWN_CODE")
    if answer.status_code >= 400 and not any(text in answer.text for text in accepted):
        yield f"{answer.status_code} {answer.text}"
    if answer.headers.get("content-type") == ["application/json"]:
        for refused in answer.json().get("rejections", []):
            yield from (
                f"{error['field']}: {error['message']}"
                for error in refused["errors"]
                if error["field"] not in {"eventTimestamp", "toId"} and error["code"] != "DUPLICATE_MESSAGE_ID"
            )


def test_the_published_document_is_valid_openapi_3(tmp_path: Path) -> None:
    call_command("spectacular", validate=True, fail_on_warn=True, file=str(tmp_path / "openapi.yaml"))


def test_every_ingestion_route_is_described_with_its_methods_and_nothing_else_is() -> None:
    routes = [pattern for pattern in ROUTES if isinstance(pattern.pattern, RoutePattern)]
    served = {
        (method, f"/{route.pattern}".replace("<str:key>", "{key}"))
        for route in routes
        for method in route.callback.view_class(**route.callback.view_initkwargs).allowed_methods  # type: ignore[attr-defined]
        if method != "OPTIONS"
    }

    assert set(OPERATIONS) == served


def test_operations_have_names_of_their_own_and_a_tag_each() -> None:
    names = [found["operationId"] for found in OPERATIONS.values()]

    assert len(set(names)) == len(names) == len(OPERATIONS)
    assert {tag for found in OPERATIONS.values() for tag in found["tags"]} == set(TAGS)
    assert [tag["name"] for tag in document().raw_schema["tags"]] == TAGS


def test_the_published_document_holds_the_ingestion_routes_and_the_views_of_rest_framework() -> None:
    class ThingSerializer(serializers.Serializer[Any]):
        name = serializers.CharField()

    class ThingView(RetrieveAPIView[Any]):
        serializer_class = ThingSerializer

    patterns = [*urlpatterns, url_path("api/v1/thing/", ThingView.as_view())]

    found = SchemaGenerator(patterns=patterns).get_schema(request=None, public=True)  # type: ignore[no-untyped-call]

    ours = ingestion_document()
    assert list(found["paths"]) == [*ours["paths"], "/api/v1/thing/"]
    assert {**ours["components"]["schemas"], **found["components"]["schemas"]} == found["components"]["schemas"]
    assert set(found["components"]["schemas"]) - set(ours["components"]["schemas"]) == {"Thing"}


@pytest.mark.parametrize(
    ("method", "path", "media_type", "name"),
    [
        (method, path, media_type, name)
        for (method, path), operation in OPERATIONS.items()
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items()
        for name in content.get("examples", {})
    ],
)
def test_the_example_of_a_body_is_taken_and_answered_as_described(
    credentials: list[dict[str, dict[str, str]]], game: Game, method: str, path: str, media_type: str, name: str
) -> None:
    operation = document()[path][method]
    body = OPERATIONS[method, path]["requestBody"]["content"][media_type]["examples"][name]["value"]
    who = credentials[0]
    case = operation.Case(headers=headers_for(operation, who), query=who["query"], body=body, media_type=media_type)
    if path == "/v1/claims":
        shown = {"digest": sha256_hex(digits_of(body["code"])), "anonymous_id": "anon-device-abc123"}
        ClaimCode.objects.create(game=game, expires_at=datetime(2026, 4, 9, tzinfo=UTC), **shown)

    with time_machine.travel(datetime(2026, 4, 8, 12, 5, tzinfo=UTC), tick=True):
        answer = sent(case)

    assert 200 <= answer.status_code < 300
    assert list(refusals(answer)) == []
    assert method != "POST" or Event.objects.count() == len(messages_of(body))


def messages_of(body: Any) -> list[Any]:
    """The messages of an example: a batch holds several, whatever its dialect calls them."""
    body = json.loads(body) if isinstance(body, str) else body
    return body if isinstance(body, list) else body.get("messages") or body.get("batch") or [body]


@pytest.mark.parametrize("body", [{"batch": [{"type": "track", "event": "e", "userId": "u"}]}, {"batch": []}, []])
@pytest.mark.parametrize("agent", [*rudderstack.JSON_CLIENTS, "another/"])
def test_answers_to_segments_ruby_and_java_clients_are_described(
    credentials: list[dict[str, dict[str, str]]], agent: str, body: Any
) -> None:
    operation = document()["/v1/import"]["POST"]
    headers = {**headers_for(operation, credentials[0]), "User-Agent": f"{agent}2.5.0"}
    answer = sent(operation.Case(headers=headers, body=body, media_type="application/json"))

    expected = "text/plain; charset=utf-8" if agent == "another/" else "application/json"
    assert answer.headers["content-type"] == [expected]


def test_every_answer_is_described_with_its_request_id() -> None:
    answers = [answer for route in ingestion_document()["paths"].values() for answer in answers_of(route)]

    assert len(answers) > 300
    assert all("X-Request-ID" in answer["headers"] for answer in answers)


def answers_of(methods: dict[str, Any]) -> Iterator[dict[str, Any]]:
    shared = ingestion_document()["components"]["responses"]
    for operation in methods.values():
        for answer in operation["responses"].values():
            yield shared[answer["$ref"].rpartition("/")[2]] if "$ref" in answer else answer


@pytest.mark.parametrize("path", [path for _, path in OPERATIONS if path.startswith("/v1/pixel/")])
def test_the_example_of_a_pixel_is_taken(credentials: list[dict[str, dict[str, str]]], path: str) -> None:
    operation = document()[path]["GET"]
    (example,) = OPERATIONS["GET", path]["parameters"][0]["schema"]["examples"]

    answer = sent(operation.Case(headers=credentials[0]["basic"], query={"data": example}))

    assert answer.headers["content-type"] == ["image/gif"]
    assert Event.objects.count() == 1


def examples_of(response: str, media_type: str) -> list[Any]:
    content = ingestion_document()["components"]["responses"][response]["content"]
    return [example["value"] for example in content[media_type]["examples"].values()]


@pytest.mark.parametrize("problem", rudderstack.ANSWERS, ids=lambda problem: problem.name)
def test_each_refusal_of_a_request_is_an_example_of_its_dialect(problem: RequestProblem) -> None:
    status, sentence = rudderstack.ANSWERS[problem]
    assert sentence in examples_of(f"Segment{status}", "text/plain")
    for prefix, is_batch in (("MetaRouter", False), ("MetaRouterBatch", True)):
        if is_batch or problem is not RequestProblem.EMPTY_BATCH:
            answer = metarouter.RESPONSES.answer_problem(problem, batch=is_batch)
            assert json.loads(answer.content) in examples_of(f"{prefix}{answer.status_code}", "application/json")
    answer = parcelvoy.AliasView().refuse(problem).response
    assert json.loads(answer.content) in examples_of(f"Parcelvoy{answer.status_code}", "application/json")


def test_every_example_matches_its_schema() -> None:
    raw = document().raw_schema
    shown = list(examples(raw))

    assert len(shown) > 100
    for schema, value in shown:
        jsonschema.Draft202012Validator({**schema, "components": raw["components"]}).validate(value)


def examples(node: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    """(schema, value) of every example of a body, anywhere in the document."""
    if isinstance(node, dict):
        if "schema" in node and "examples" in node:
            yield from ((node["schema"], one["value"]) for one in node["examples"].values())
        for child in node.values():
            yield from examples(child)
    elif isinstance(node, list):
        for child in node:
            yield from examples(child)


def test_the_documentation_page_loads_nothing_from_other_hosts(client: Client) -> None:
    page = client.get("/api/docs/").content.decode()

    assert "<style" not in page
    assert "http" not in page
