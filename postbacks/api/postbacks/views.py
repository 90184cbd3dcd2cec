"""Postbacks: list, create, change, rotate, pause, resume, delete. The Hub's pages are postbacks/hub/settings/."""

from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from audience.api.toolkit.filtering import FlagFilter
from audience.api.toolkit.operations import reads, requires
from audience.api.toolkit.preconditions import with_etag
from audience.models import Role, Scope
from postbacks.api.checks.serializers import PENDING_EXAMPLE, StartedCheckSerializer
from postbacks.api.postbacks.base import etag
from postbacks.api.postbacks.credential_views import CredentialActions
from postbacks.api.postbacks.history_views import HistoryActions
from postbacks.api.postbacks.serializers import (
    EXAMPLE,
    UNSENT_EXAMPLE,
    PausedSerializer,
    PostbackSerializer,
    UnsentSerializer,
)
from postbacks.api.postbacks.settings import (
    WRITABLE_EXAMPLE,
    PostbackChangeSerializer,
    PostbackCreateSerializer,
    entered,
)
from postbacks.api.postbacks.trial_views import TrialActions
from postbacks.api.postbacks.waiting import PREFER
from postbacks.configs import credentials, lifecycle
from postbacks.configs.entered_settings import propose
from postbacks.configs.sending_state import SendingState, in_state
from postbacks.hub.toolkit.config_rows import rows_of, with_last_delivery
from postbacks.models import PostbackConfig
from postbacks.networks import NETWORKS

STARTED = OpenApiExample("Checking", {"check": PENDING_EXAMPLE}, response_only=True, status_codes=["202"])


class PostbackFilter(filters.FilterSet):
    network = filters.ChoiceFilter(choices=[(kind, kind) for kind in NETWORKS])
    enabled = FlagFilter()
    state = filters.ChoiceFilter(choices=SendingState.choices, method="filter_state")

    def filter_state(self, rows: Any, name: str, value: str) -> Any:
        return rows.filter(in_state(SendingState(value)))


class PostbackViewSet(CredentialActions, TrialActions, HistoryActions):
    operations = {
        "list": reads(Scope.POSTBACKS),
        "retrieve": reads(Scope.POSTBACKS),
        "create": requires(Scope.POSTBACKS, Role.MARKETER),
        "partial_update": requires(Scope.POSTBACKS, Role.MARKETER),
        "destroy": requires(Scope.POSTBACKS, Role.MARKETER),
        "pause": requires(Scope.POSTBACKS, Role.MARKETER),
        "resume": requires(Scope.POSTBACKS, Role.MARKETER),
        **CredentialActions.operations,
        **TrialActions.operations,
        **HistoryActions.operations,
    }
    without_body = frozenset({"check_credential", "pause", "release", "resume", "roll_back", "try_now"})
    etag_actions = frozenset({"retrieve", "partial_update", "destroy", "rotate"})
    list_actions = frozenset({"list", *HistoryActions.list_actions})
    queries = TrialActions.queries
    filterset_class = PostbackFilter

    @extend_schema(examples=[OpenApiExample("Postback", EXAMPLE, response_only=True)])
    def list(self, request: Request, game: str) -> Response:
        """List the postbacks of a game to all networks. The newest is first, and deleted ones are left out."""
        rows: QuerySet[Any] = with_last_delivery(PostbackConfig.objects.kept().filter(game=self.game))
        page = self.paginate_queryset(self.filter_queryset(rows))
        return self.get_paginated_response([self.represent(row) for row in rows_of(page or [])])

    @extend_schema(examples=[OpenApiExample("Postback", EXAMPLE, response_only=True)])
    def retrieve(self, request: Request, game: str, id: str) -> Response:
        """Return a postback with its state, its health and what waits."""
        return self.answered(id)

    @extend_schema(
        request=PostbackCreateSerializer,
        responses={201: PostbackSerializer, 202: StartedCheckSerializer},
        parameters=[PREFER],
        examples=[
            OpenApiExample("TikTok", WRITABLE_EXAMPLE, request_only=True),
            OpenApiExample("Created", EXAMPLE, response_only=True, status_codes=["201"]),
            STARTED,
        ],
    )
    def create(self, request: Request, game: str) -> Response:
        """Create a postback after a check by the network. It exists only when the network has accepted the credential:
        until then the answer is 202 with a check to read.
        """
        data = self.body(PostbackCreateSerializer)
        network = NETWORKS[data["network"]]
        with self.refusals():
            proposed = propose(game=self.game, network=network, entered=entered(data))
            check = credentials.request_check(game=self.game, proposed=proposed, requested_by=self.user)
        return self.started(check)

    @extend_schema(
        request=PostbackChangeSerializer,
        responses={200: PostbackSerializer, 202: StartedCheckSerializer},
        parameters=[PREFER],
        examples=[
            OpenApiExample("Triggers", {"triggers": ["purchase"]}, request_only=True),
            OpenApiExample("Changed", EXAMPLE, response_only=True, status_codes=["200"]),
            STARTED,
        ],
    )
    def partial_update(self, request: Request, game: str, id: str) -> Response:
        """Change a postback. A new credential, pixel or object ID is checked by the network first, which is answered
        with 202; everything else is applied at once.
        """
        config = self.config(id)
        seen = self.seen_version(config)
        data = self.body(PostbackChangeSerializer, partial=True)
        with self.refusals():
            proposed = propose(game=self.game, network=config.kind, entered=entered(data), config=config)
            check = lifecycle.change(config=config, proposed=proposed, changed_by=self.user, seen_version=seen)
        return self.started(check) if check else self.answered(id)

    @extend_schema(
        responses={200: UnsentSerializer},
        examples=[OpenApiExample("Deleted", UNSENT_EXAMPLE, response_only=True)],
    )
    def destroy(self, request: Request, game: str, id: str) -> Response:
        """Delete a postback and its credential. The answer counts what is not sent; the delivery log stays."""
        config = self.config(id)
        seen = self.seen_version(config) if request.headers.get("If-Match") else None
        with self.refusals():
            unsent = lifecycle.delete(config=config, changed_by=self.user, seen_version=seen)
        return Response(UnsentSerializer(unsent).data)

    @extend_schema(
        request=None,
        responses={200: PausedSerializer},
        examples=[
            OpenApiExample(
                "Paused",
                {"postback": {**EXAMPLE, "enabled": False, "state": "disabled"}, "unsent": UNSENT_EXAMPLE},
                response_only=True,
            )
        ],
    )
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, game: str, id: str) -> Response:
        """Disable a postback. Nothing is sent until it is enabled. What waits is canceled, and the answer counts it."""
        config = self.config(id)
        with self.refusals():
            unsent = lifecycle.disable(config=config, changed_by=self.user)
        row = self.row(id)
        paused = PausedSerializer((row, unsent), context=self.get_serializer_context())
        return with_etag(Response(paused.data), etag(row.config))

    @extend_schema(
        request=None,
        responses={200: PostbackSerializer},
        examples=[OpenApiExample("Resumed", EXAMPLE, response_only=True)],
    )
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, game: str, id: str) -> Response:
        """Enable a postback. Conversions that were not sent while it was disabled stay unsent."""
        with self.refusals():
            lifecycle.enable(config=self.config(id), changed_by=self.user)
        return self.answered(id)
