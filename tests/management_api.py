"""A client of the management API for tests, without a socket."""

import json
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client

from audience.accounts import tokens
from audience.models import Game, Membership, Role, Scope
from tests import hub

ROOT = "/api/v1/"
PROBLEM = "application/problem+json"


@dataclass
class Api:
    """Sends requests with a token. `path` is relative to /api/v1/."""

    token: str

    def get(self, path: str, **headers: str) -> HttpResponse:
        return self.send("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> HttpResponse:
        return self.send("POST", path, body, **headers)

    def patch(self, path: str, body: Any = None, **headers: str) -> HttpResponse:
        return self.send("PATCH", path, body, **headers)

    def put(self, path: str, body: Any = None, **headers: str) -> HttpResponse:
        return self.send("PUT", path, body, **headers)

    def delete(self, path: str, **headers: str) -> HttpResponse:
        return self.send("DELETE", path, **headers)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> HttpResponse:
        """`headers` in the form of Django's client: `if_match='"x"'`. `body` is sent as JSON, bytes as they are."""
        client = Client(raise_request_exception=False)
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        content_type = names.pop("content-type", "application/json" if body is not None else "")
        authorization = {"authorization": f"Bearer {self.token}"} if self.token else {}
        url = path if path.startswith("/") else ROOT + path
        return client.generic(method, url, data, content_type=content_type, headers={**authorization, **names})


def game_api(game: Game, role: Role = Role.ADMIN, scopes: tuple[Scope, ...] = tuple(Scope)) -> Api:
    """A client with a token of the game."""
    return Api(tokens.create_game_token(game=game, name="Script", role=role, scopes=scopes).value)


def user_api(user: User, scopes: tuple[Scope, ...] = tuple(Scope)) -> Api:
    """A client with a token of the user."""
    return Api(tokens.create_user_token(user=user, name="Laptop", scopes=scopes).value)


def member_api(game: Game, role: Role, scopes: tuple[Scope, ...] = tuple(Scope)) -> Api:
    """A client with a token of a new member of the game."""
    user = hub.user(f"{role.value}-of-{game.slug}")
    Membership.objects.create(game=game, user=user, role=role)
    return user_api(user, scopes)


def problem_of(response: HttpResponse, status: int) -> dict[str, Any]:
    """The problem details of an answer with this status."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == PROBLEM
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    return problem
