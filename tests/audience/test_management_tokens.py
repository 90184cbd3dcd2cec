"""A token of the management API in place of a key: every ingestion route answers 401 with the same sentence."""

import base64
import json
from typing import Any

import pytest
from django.test import Client
from django.urls.resolvers import RoutePattern

from audience.accounts import tokens
from audience.intake.dialects.pixels import QueryPixelView
from audience.intake.urls import urlpatterns
from audience.models import Event, Game, Rejection, Role, Scope

pytestmark = pytest.mark.django_db
SENTENCE = (
    "This is a token of the management API (/api/v1/). Events are sent with an API key: "
    "create one on the Hub's page API keys."
)
BODIES: dict[str, Any] = {"": {"event": "e"}, "batch": {"batch": [{"type": "track", "event": "e"}]}}


def routes() -> list[tuple[str, str]]:
    """(method, path) of each route with a key. An image has no text, and metrics are accepted without a key."""
    found = []
    for entry in urlpatterns:
        view: Any = entry.callback
        if isinstance(entry.pattern, RoutePattern) and not issubclass(view.view_class, QueryPixelView):
            methods = set(view.view_class(**view.view_initkwargs).allowed_methods) - {"OPTIONS", "HEAD"}
            found += [(method, f"/{entry.pattern}") for method in sorted(methods)]
    return [(method, path) for method, path in found if path != "/rsaMetrics"]


def places(token: str) -> dict[str, dict[str, Any]]:
    """Where a client puts its key: the arguments of Client.generic, and `query`."""
    basic = base64.b64encode(f"{token}:".encode()).decode()
    return {
        "basic": {"headers": {"authorization": f"Basic {basic}"}},
        "bearer": {"headers": {"authorization": f"Bearer {token}"}},
        "query": {"query": f"?writeKey={token}"},
        "publishable": {"headers": {"x-immutable-publishable-key": token}},
        "secret": {"headers": {"x-immutable-api-key": token}},
    }


@pytest.fixture
def token(game: Game) -> str:
    return tokens.create_game_token(game=game, name="CI", role=Role.ADMIN, scopes=list(Scope)).value


def assert_refused(response: Any) -> None:
    assert (response.status_code, response.json()["message"]) == (401, SENTENCE)
    assert not Event.objects.exists()
    assert not Rejection.objects.exists()


@pytest.mark.parametrize(("method", "path"), routes())
def test_a_token_is_refused_with_a_sentence(token: str, method: str, path: str) -> None:
    path = path.replace("<str:key>", token)
    for arguments in places(token).values():
        query = arguments.pop("query", "")
        body = json.dumps(BODIES["batch" if "batch" in path else ""])
        assert_refused(Client().generic(method, path + query, body, "application/json", **arguments))


@pytest.mark.parametrize("path", ["/v1/track", "/v1/t", "/v1/batch", "/v1/import", "/v1/webhook"])
def test_a_token_in_the_body_is_refused_with_a_sentence(token: str, path: str) -> None:
    body = {**BODIES[""], **BODIES["batch"], "writeKey": token}
    assert_refused(Client().post(path, body, "application/json"))


def test_a_key_beside_a_token_is_used(token: str, key: Any) -> None:
    headers = {"authorization": f"Bearer {token}", "x-immutable-publishable-key": key.value}
    response = Client().get("/v1/audience/tracking-consent?anonymousId=a", headers=headers)
    assert (response.status_code, response.json()) == (200, {"status": "not_set"})
