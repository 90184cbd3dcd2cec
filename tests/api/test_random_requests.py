"""Random requests to every operation, valid and invalid: each answer is one that the document describes.

A short, repeatable run by default; SCHEMATHESIS_EXAMPLES=2000 sends about so many requests, spread over all operations.
"""

import itertools
import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from audience.models import Game, Membership, Role
from tests import hub
from tests.api.operations import Routed, routed
from tests.api.test_operations import OBJECTS
from tests.management_api import game_api, user_api
from tests.random_requests import document, one_connection

pytestmark = [pytest.mark.long, pytest.mark.django_db]
OPERATIONS = routed()
EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "800"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
EFFORT = effort(
    phases=[Phase.generate],
    max_examples=max(2, EXAMPLES // len(OPERATIONS)),
    deadline=None,
    database=None,
    derandomize="SCHEMATHESIS_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
# Beside the token. A wait is left out: no worker runs, and the request would last as long as it says.
HEADERS = ({}, {"Idempotency-Key": "once"}, {"If-Match": '"old"'})


def arguments(one: Routed, game: Game) -> Iterator[dict[str, Any]]:
    """The fixed parts of the address and the headers: a token that may do this, and an object
    that exists if the address has one."""
    user = hub.user("eve")
    tokens = [user_api(user).token]
    if one.has_game:
        Membership.objects.create(game=game, user=user, role=Role.ADMIN)
        tokens.append(game_api(game).token)
    path: dict[str, Any] = {"game": game.slug} if one.has_game else {}
    if one.ids:
        made = OBJECTS.get(one.path.partition("{" + one.ids[0] + "}")[0])
        found = made(game) if made else None
        path |= found if isinstance(found, dict) else {one.ids[0]: found} if found is not None else {}
    path = {name: str(value) if not isinstance(value, int) else value for name, value in path.items()}
    for token, headers in itertools.product(tokens, HEADERS):
        named = {"headers": {"Authorization": f"Bearer {token}", **headers}}
        yield {**named, "path_parameters": path} if path else named


@pytest.mark.parametrize("one", OPERATIONS, ids=[f"{one.method} {one.path}" for one in OPERATIONS])
def test_every_answer_is_described(game: Game, one: Routed, settings: Any) -> None:
    settings.API_REQUESTS_PER_MINUTE = 1_000_000
    with one_connection():
        operation = document()[f"/api/v1/{one.path}"][one.method]
    is_described = bool(operation.body or operation.query)
    modes = list(GenerationMode) if is_described else [GenerationMode.POSITIVE]
    fixed = list(arguments(one, game))
    requests = st.one_of(*(operation.as_strategy(generation_mode=mode, **each) for mode in modes for each in fixed))

    @EFFORT
    @given(case=requests)
    def test(case: Case) -> None:
        # Each request finds the tables as the first one did, so that a failure repeats.
        with transaction.atomic():
            answer = case.call()
            transaction.set_rollback(True)
        # A resource that someone else changed is refused before the body is read.
        checks = [check for check in CHECKS if answer.status_code != 412 or check is not negative_data_rejection]
        case.validate_response(answer, checks=checks)

    with one_connection():
        test()
