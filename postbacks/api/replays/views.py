"""Replays: sending many failed deliveries again. The Hub's pages are postbacks/hub/replays/."""

from collections.abc import Sequence
from typing import Any

from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from audience.api.toolkit import patterns
from audience.api.toolkit.operations import reads, requires
from audience.api.toolkit.problems import Conflict, Refused
from audience.api.toolkit.views import GameViewSet
from audience.models import Role, Scope
from postbacks.api.replays.serializers import (
    COUNTS_EXAMPLE,
    EXAMPLE,
    CanceledSerializer,
    ReplayCountsSerializer,
    ReplayCreateSerializer,
    ReplaySerializer,
)
from postbacks.configs.sending_state import block_of
from postbacks.delivery import failed_deliveries, replays
from postbacks.models import PostbackConfig, Replay, ReplayState

CANCELED_EXAMPLE = {"replay": {**EXAMPLE, "state": "cancelled"}, "stopped": 60}


class ReplayFilter(filters.FilterSet):
    postback = filters.UUIDFilter(field_name="config")
    state = filters.ChoiceFilter(choices=ReplayState.choices)


class ReplayViewSet(GameViewSet):
    tag = "Replays"
    operations = {
        "list": reads(Scope.POSTBACKS),
        "retrieve": reads(Scope.POSTBACKS),
        "create": requires(Scope.POSTBACKS, Role.MARKETER),
        "cancel": requires(Scope.POSTBACKS, Role.MARKETER),
    }
    without_body = frozenset({"cancel"})
    filterset_class = ReplayFilter
    queryset = Replay.objects.none()
    serializer_class = ReplaySerializer
    lookup_value_regex, id_schema = patterns.UUID, patterns.UUID_SCHEMA

    @extend_schema(examples=[OpenApiExample("Replay", EXAMPLE, response_only=True)])
    def list(self, request: Request, game: str) -> Response:
        """List the replays of a game with their progress. The newest is first."""
        rows = Replay.objects.filter(game=self.game).select_related("requested_by")
        page = self.paginate_queryset(self.filter_queryset(rows))
        return self.get_paginated_response(_represent(page or []))

    @extend_schema(examples=[OpenApiExample("Replay", EXAMPLE, response_only=True)])
    def retrieve(self, request: Request, game: str, id: str) -> Response:
        """Return a replay with its progress."""
        return Response(_represent([self._replay(id)])[0])

    @extend_schema(
        request=ReplayCreateSerializer,
        responses={200: ReplayCountsSerializer, 201: ReplaySerializer},
        examples=[
            OpenApiExample(
                "Last night",
                {
                    "postback": EXAMPLE["postback"],
                    "failed_from": EXAMPLE["failed_from"],
                    "failed_until": EXAMPLE["failed_until"],
                    "verdict": "transient",
                },
                request_only=True,
            ),
            OpenApiExample("Dry run", COUNTS_EXAMPLE, response_only=True, status_codes=["200"]),
            OpenApiExample("Started", EXAMPLE, response_only=True, status_codes=["201"]),
        ],
    )
    def create(self, request: Request, game: str) -> Response:
        """Send failed deliveries again. They keep their event IDs, so that the network counts each once. With
        `dry_run`, the answer is 200 with counts, and nothing is stored.
        """
        data = self.body(ReplayCreateSerializer)
        configs = PostbackConfig.objects.kept().defer("credential", "previous_credential")
        config = configs.filter(game=self.game, pk=data["postback"]).first()
        if config is None:
            raise Refused("This postback does not exist in the game.", field="postback")
        chosen = {"failed_from": data["failed_from"], "failed_until": data["failed_until"]}
        chosen["verdict"] = data.get("verdict", "")
        if data["dry_run"]:
            return Response(_counts(config, chosen))
        try:
            replay = replays.start(config=config, requested_by=self.user, **chosen)
        except replays.ReplayRefused as refused:
            raise Conflict(str(refused)) from refused
        return Response(_represent([replay])[0], status=status.HTTP_201_CREATED)

    @extend_schema(
        request=None,
        responses={200: CanceledSerializer},
        examples=[OpenApiExample("Canceled", CANCELED_EXAMPLE, response_only=True)],
    )
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, game: str, id: str) -> Response:
        """Stop a replay. Deliveries that it queued and that were not sent are failed again; canceling a replay that is
        over changes nothing.
        """
        stopped = replays.cancel(replay=self._replay(id))
        return Response({"replay": _represent([self._replay(id)])[0], "stopped": stopped})

    def _replay(self, id: str) -> Replay:
        rows = Replay.objects.filter(game=self.game).select_related("requested_by")
        return get_object_or_404(rows, pk=id)


def _represent(rows: Sequence[Replay]) -> Any:
    return ReplaySerializer(failed_deliveries.progress(rows), many=True).data


def _counts(config: PostbackConfig, chosen: dict[str, Any]) -> Any:
    counts = failed_deliveries.preview(config, **chosen)
    names = ("total", "sendable", "past_deadline", "disabled", "since")
    values = {name: getattr(counts, name) for name in names}
    return ReplayCountsSerializer({"dry_run": True, **values, "blocked": block_of(config) or ""}).data
