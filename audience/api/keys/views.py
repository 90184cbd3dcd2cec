"""API keys: list, create, change, rotate, revoke. The Hub's page is audience/hub/keys/."""

from typing import Any

from django.db import transaction
from django.shortcuts import get_object_or_404
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from audience.api.keys.serializers import (
    EXAMPLE,
    NEW_EXAMPLE,
    REVOKED_EXAMPLE,
    KeyChangeSerializer,
    KeyCreateSerializer,
    KeyRotateSerializer,
    KeySerializer,
    NewKeySerializer,
    changes_of,
    restrictions_of,
)
from audience.api.toolkit.fields import overlap_of
from audience.api.toolkit.filtering import FlagFilter
from audience.api.toolkit.operations import reads, requires
from audience.api.toolkit.preconditions import etag_of, require_match, with_etag
from audience.api.toolkit.problems import Conflict
from audience.api.toolkit.views import GameViewSet
from audience.games import keys
from audience.models import ApiKey, Dialect, Environment, KeyKind, Role, Scope


class KeyFilter(filters.FilterSet):
    kind = filters.ChoiceFilter(choices=KeyKind.choices)
    environment = filters.ChoiceFilter(choices=Environment.choices)
    live = FlagFilter(method="filter_live", label="Whether the key works now.")

    def filter_live(self, rows: Any, name: str, value: bool) -> Any:
        live = ApiKey.objects.live().filter(game__in=rows.values("game")).values("pk")
        return rows.filter(pk__in=live) if value else rows.exclude(pk__in=live)


class KeyViewSet(GameViewSet):
    tag = "Keys"
    operations = {
        "list": reads(Scope.KEYS),
        "retrieve": reads(Scope.KEYS),
        "create": requires(Scope.KEYS, Role.ADMIN),
        "partial_update": requires(Scope.KEYS, Role.ADMIN),
        "rotate": requires(Scope.KEYS, Role.ADMIN),
        "revoke": requires(Scope.KEYS, Role.ADMIN),
    }
    without_body = frozenset({"revoke"})
    filterset_class = KeyFilter
    etag_actions = frozenset({"retrieve", "partial_update"})
    queryset = ApiKey.objects.none()
    serializer_class = KeySerializer

    @extend_schema(examples=[OpenApiExample("Key", EXAMPLE, response_only=True)])
    def list(self, request: Request, game: str) -> Response:
        """List the keys of a game. The newest is first."""
        return self.paginated(ApiKey.objects.filter(game=self.game).select_related("replaced_by"), KeySerializer)

    @extend_schema(examples=[OpenApiExample("Key", EXAMPLE, response_only=True)])
    def retrieve(self, request: Request, game: str, id: str) -> Response:
        """Return a key."""
        key = self._key(id)
        return with_etag(Response(KeySerializer(key).data), _etag(key))

    @extend_schema(
        request=KeyCreateSerializer,
        responses={201: NewKeySerializer},
        examples=[
            OpenApiExample("Server key", {"name": "Payment backend", "kind": "server"}, request_only=True),
            OpenApiExample("Created", NEW_EXAMPLE, response_only=True, status_codes=["201"]),
        ],
    )
    def create(self, request: Request, game: str) -> Response:
        """Create a key. Its `value` is only in this answer; the value of a publishable key is also in the Hub."""
        data = self.body(KeyCreateSerializer)
        new = keys.create_key(
            game=self.game,
            name=data["name"],
            kind=KeyKind(data["kind"]),
            environment=Environment(data["environment"]),
            dialect=Dialect(data["dialect"]),
            rate_limit=data["rate_limit"],
            restrictions=restrictions_of(data),
            created_by=self.user,
        )
        return self._created(new)

    @extend_schema(
        request=KeyChangeSerializer,
        examples=[
            OpenApiExample("Restrict", {"allowed_events": ["purchase"]}, request_only=True),
            OpenApiExample("Changed", EXAMPLE, response_only=True),
        ],
    )
    def partial_update(self, request: Request, game: str, id: str) -> Response:
        """Rename or restrict a key. It applies to requests within a second. The end of a rotated key cannot change."""
        key = self._live(id)
        data = self.body(KeyChangeSerializer, partial=True)
        with transaction.atomic():
            keys.lock(key)
            require_match(request, _etag(key))
            keys.change_key(
                key=key,
                name=data.get("name"),
                restrictions=changes_of(data),
                rate_limit=data.get("rate_limit", "kept"),
            )
        return with_etag(Response(KeySerializer(key).data), _etag(key))

    @extend_schema(
        request=KeyRotateSerializer,
        responses={201: NewKeySerializer},
        examples=[
            OpenApiExample("A day", {"overlap_hours": 24}, request_only=True),
            OpenApiExample("Successor", NEW_EXAMPLE, response_only=True, status_codes=["201"]),
        ],
    )
    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, game: str, id: str) -> Response:
        """Create the successor of a key. It has the same restrictions; the old key works during the overlap."""
        overlap = overlap_of(self.body(KeyRotateSerializer))
        key = self._live(id)
        if key.replaced_by_id:
            raise Conflict("This key was rotated before. Rotate its successor.")
        try:
            new = keys.rotate_key(key=key, overlap=overlap, rotated_by=self.user)
        except keys.KeyRefused as refused:  # it was rotated or revoked meanwhile
            raise Conflict(str(refused)) from None
        return self._created(new)

    @extend_schema(request=None, examples=[OpenApiExample("Revoked", REVOKED_EXAMPLE, response_only=True)])
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, game: str, id: str) -> Response:
        """Revoke a key. Requests with it are rejected from then on. Revoking it again changes nothing."""
        key = self._key(id)
        keys.revoke_key(key=key)
        return Response(KeySerializer(key).data)

    def _key(self, id: str) -> ApiKey:
        return get_object_or_404(ApiKey.objects.select_related("replaced_by"), game=self.game, pk=id)

    def _live(self, id: str) -> ApiKey:
        key = self._key(id)
        if not key.is_live:
            raise Conflict("This key was revoked or has ended.")
        return key

    def _created(self, new: keys.NewKey) -> Response:
        return Response(NewKeySerializer(new).data, status=status.HTTP_201_CREATED)


def _etag(key: ApiKey) -> str:
    """Return the ETag of what a change may have changed, not of the key's use."""
    events, origins, addresses = key.allowed_events, key.allowed_origins, key.allowed_addresses
    ends = key.expires_at and key.expires_at.timestamp()
    return etag_of("key", key.pk, key.name, key.rate_limit, events, origins, addresses, ends, key.replaced_by_id)
