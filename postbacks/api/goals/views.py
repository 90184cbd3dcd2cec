"""The goals of a game: list, create, change, delete. The Hub's pages are postbacks/hub/goals/."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from audience.api.toolkit import patterns
from audience.api.toolkit.operations import reads, requires
from audience.api.toolkit.preconditions import etag_of, require_match, with_etag
from audience.api.toolkit.problems import Conflict, PreconditionFailed, Refused
from audience.api.toolkit.views import GameViewSet
from audience.models import Role, Scope
from postbacks.api.goals.serializers import (
    EXAMPLE,
    WRITABLE_EXAMPLE,
    ChangedGoalSerializer,
    GameGoalSerializer,
    GoalChangeSerializer,
    GoalCreateSerializer,
)
from postbacks.configs import game_goals, rules
from postbacks.models import GameGoal
from postbacks.outbox.conditions import GoalRefused
from postbacks.outbox.goals import Goal

CHANGED_EXAMPLE = {"goal": EXAMPLE, "changed_postbacks": EXAMPLE["postbacks"]}


class GoalViewSet(GameViewSet):
    tag = "Goals"
    operations = {
        "list": reads(Scope.POSTBACKS),
        "retrieve": reads(Scope.POSTBACKS),
        "create": requires(Scope.POSTBACKS, Role.MARKETER),
        "partial_update": requires(Scope.POSTBACKS, Role.MARKETER),
        "destroy": requires(Scope.POSTBACKS, Role.MARKETER),
    }
    etag_actions = frozenset({"retrieve", "partial_update", "destroy"})
    queryset = GameGoal.objects.none()
    serializer_class = GameGoalSerializer
    lookup_value_regex, id_schema = patterns.UUID, patterns.UUID_SCHEMA

    @extend_schema(examples=[OpenApiExample("Goal", EXAMPLE, response_only=True)])
    def list(self, request: Request, game: str) -> Response:
        """List the goals of a game. The newest is first; each has the postbacks that use it."""
        page = self.paginate_queryset(self.filter_queryset(GameGoal.objects.filter(game=self.game)))
        users = game_goals.postbacks_by_goal(self.game)
        return self.get_paginated_response(GameGoalSerializer(page, many=True, context={"users": users}).data)

    @extend_schema(examples=[OpenApiExample("Goal", EXAMPLE, response_only=True)])
    def retrieve(self, request: Request, game: str, id: str) -> Response:
        """Return a goal with the postbacks that use it."""
        goal = self._goal(id)
        return with_etag(Response(self._represent(goal)), etag(goal))

    @extend_schema(
        request=GoalCreateSerializer,
        responses={201: GameGoalSerializer},
        examples=[
            OpenApiExample("VIP", WRITABLE_EXAMPLE, request_only=True),
            OpenApiExample("Created", {**EXAMPLE, "postbacks": []}, response_only=True, status_codes=["201"]),
        ],
    )
    def create(self, request: Request, game: str) -> Response:
        """Create a goal of the game. No postback uses it yet: name it as `game_goal` in the goals of a postback."""
        data = self.body(GoalCreateSerializer)
        with _refusals(request):
            goal = game_goals.add(game=self.game, name=data["name"], definition=_definition(data), added_by=self.user)
        return with_etag(Response(self._represent(goal), status=status.HTTP_201_CREATED), etag(goal))

    @extend_schema(
        request=GoalChangeSerializer,
        responses={200: ChangedGoalSerializer},
        examples=[
            OpenApiExample("Once", {"once": True}, request_only=True),
            OpenApiExample("Changed", CHANGED_EXAMPLE, response_only=True),
        ],
    )
    def partial_update(self, request: Request, game: str, id: str) -> Response:
        """Change a goal of the game. The postbacks that use it change with it, unless the network of one of them
        refuses the change: then nothing is changed.
        """
        goal = self._goal(id)
        require_match(request, etag(goal))
        data = self.body(GoalChangeSerializer, partial=True)
        name, entered = data.pop("name", goal.name), {**goal.definition, "game_goal": "", **data}
        with _refusals(request):
            changed = game_goals.change(
                goal=goal, name=name, definition=_definition(entered), version=goal.version, changed_by=self.user
            )
        goal = self._goal(id)
        answer = {"goal": self._represent(goal), "changed_postbacks": [str(config.pk) for config in changed]}
        return with_etag(Response(answer), etag(goal))

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, game: str, id: str) -> Response:
        """Delete a goal that no postback uses."""
        goal = self._goal(id)
        require_match(request, etag(goal))
        version = goal.version if request.headers.get("If-Match") else None
        with _refusals(request):
            game_goals.delete(goal=goal, version=version)
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _goal(self, id: str) -> GameGoal:
        return get_object_or_404(GameGoal, game=self.game, pk=id)

    def _represent(self, goal: GameGoal) -> Any:
        return GameGoalSerializer(goal, context={"users": game_goals.postbacks_by_goal(self.game)}).data


def etag(goal: GameGoal) -> str:
    """Return the ETag of a goal: that of its version."""
    return etag_of("goal", str(goal.pk), goal.version)


def _definition(data: Mapping[str, Any]) -> Goal:
    """Return the definition of a validated body. Raises Refused."""
    try:
        return Goal.from_json({name: value for name, value in data.items() if name != "name"})
    except GoalRefused as refused:
        path = rules.goal_path(refused).removeprefix("goals").lstrip(".")
        raise Refused(str(refused), field=path) from refused


@contextmanager
def _refusals(request: Request) -> Iterator[None]:
    """Turn the refusals of services into problems."""
    try:
        yield
    except game_goals.GameGoalChanged as changed:
        raise PreconditionFailed from changed if request.headers.get("If-Match") else Conflict(str(changed))
    except game_goals.GameGoalRefused as refused:
        raise Conflict(str(refused), field=refused.field) from refused
