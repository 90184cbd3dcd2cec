"""Base classes of the management API's view sets.

A view set has `operations` (operations.py) and `tag`, its chapter in the document. Its actions validate with `body` and
`query`, call one function, and return a representation. Refusals of services become `Refused` or `Conflict`.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from audience.api.toolkit import idempotency, problems, throttling, unused_parts
from audience.api.toolkit.authentication import TokenAuthentication
from audience.api.toolkit.filtering import QuerySerializer, StrictFilterBackend, check_names
from audience.api.toolkit.operations import Operation, OperationPermission
from audience.api.toolkit.pagination import KeysetPagination
from audience.api.toolkit.parsing import StrictJSONParser
from audience.api.toolkit.patterns import NUMBER
from audience.api.toolkit.schema import OperationSchema
from audience.hub.toolkit.access import sees_addresses
from audience.models import ApiToken, Game, Membership


class ApiViewSet(throttling.LimitedView, GenericViewSet[Any]):
    """Operations that belong to no single game."""

    operations: ClassVar[Mapping[str, Operation]]
    tag: ClassVar[str]
    # {action: the serializer of its query parameters}; other actions have none, except the filters of lists.
    queries: ClassVar[Mapping[str, type[QuerySerializer]]] = {}
    # Actions with an ETag, which take If-Match.
    etag_actions: ClassVar[frozenset[str]] = frozenset()
    # Actions by POST that take no body.
    without_body: ClassVar[frozenset[str]] = frozenset()
    # Actions that only read and may still contradict the state: 409.
    conflicting_reads: ClassVar[frozenset[str]] = frozenset()
    # Actions that are paged by `filter_queryset` and `paginated`.
    list_actions: ClassVar[frozenset[str]] = frozenset({"list"})
    ordering_field: ClassVar[str] = "created_at"
    # Of ids that are integers; others are not found. Both are replaced where ids are UUIDs.
    lookup_value_regex: ClassVar[str] = NUMBER
    id_schema: ClassVar[Mapping[str, Any]] = {"type": "integer"}

    authentication_classes = (TokenAuthentication,)
    permission_classes = (OperationPermission,)
    parser_classes: Sequence[type[BaseParser]] = (StrictJSONParser,)
    renderer_classes: Sequence[type[BaseRenderer]] = (JSONRenderer,)
    filter_backends = (StrictFilterBackend,)
    pagination_class = KeysetPagination
    metadata_class = None
    schema = OperationSchema()
    lookup_url_kwarg = "id"
    post: Any  # set for each request by the router

    def get_exception_handler(self) -> Any:
        return problems.handle

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if self.action in self.operations and self.action not in self.list_actions:
            serializer = self.queries.get(str(self.action))
            fields = serializer().fields if serializer else {}
            # Only a name of an ad may be empty.
            empty = [name for name, field in fields.items() if getattr(field, "allow_blank", False)]
            check_names(request.query_params, fields, may_be_empty=empty)
        if self.action in self.operations:
            self._refuse_unused(request)
        if request.method == "POST" and (key := idempotency.key_of(request)) and not self._only_reads():
            # APIView.dispatch looks the handler up after this.
            handler = self.post
            self.post = partial(self._once, handler, key)

    def _refuse_unused(self, request: Request) -> None:
        if request.method not in ("POST", "PUT", "PATCH") or self.action in self.without_body:
            unused_parts.refuse_body(request)
        if request.method not in ("GET", "HEAD") and self.action not in self.etag_actions:
            unused_parts.refuse_precondition(request)

    def _only_reads(self) -> bool:
        operation = self.operations.get(str(self.action))
        return operation is not None and operation.only_reads

    def _once(self, handler: Any, key: str, request: Request, *args: Any, **kwargs: Any) -> Response:
        carry_out = partial(handler, request, *args, **kwargs)
        return idempotency.run(carry_out, request, key, stored=self.stored_data, repeated=self.repeated_data)

    def stored_data(self, data: Any) -> Any:
        """Return what to store of an answer for a repeated request. It must have no data of players, which would be
        kept beyond an erasure."""
        return data

    def repeated_data(self, stored: Any) -> Any:
        """Return the data of the answer to a repeated request, from that of `stored_data`."""
        return stored

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    @property
    def token(self) -> ApiToken:
        return self.request.auth  # type: ignore[return-value]

    @property
    def user(self) -> Any:
        """The account that acts, for services; None for a token of a game."""
        return self.token.user

    @property
    def actor(self) -> str:
        """The name of who acts, for what services record beside the audit log."""
        return self.user.get_username() if self.user else f"Token “{self.token.name}”"

    def body(self, serializer: type[serializers.Serializer[Any]], **kwargs: Any) -> dict[str, Any]:
        """Return the validated body. Raises ValidationError."""
        validator = serializer(data=self.request.data, context=self.get_serializer_context(), **kwargs)
        validator.is_valid(raise_exception=True)
        return dict(validator.validated_data)

    def query(self) -> dict[str, Any]:
        """Return the validated query parameters of an action of `queries`. Raises ValidationError."""
        validator = self.queries[str(self.action)](data=self.request.query_params)
        validator.is_valid(raise_exception=True)
        return dict(validator.validated_data)

    def paginated(self, rows: QuerySet[Any], serializer: type[serializers.Serializer[Any]]) -> Response:
        """Return the requested page of the rows that the filters leave."""
        page = self.paginate_queryset(self.filter_queryset(rows))
        return self.get_paginated_response(serializer(page, many=True, context=self.get_serializer_context()).data)


class GameViewSet(ApiViewSet):
    """Operations of one game, below /api/v1/games/<game>/. `membership` is what the token may do there."""

    membership: Membership

    @property
    def game(self) -> Game:
        return self.membership.game

    @property
    def addresses(self) -> bool:
        """Whether email addresses may be shown; viewers see ids only."""
        return sees_addresses(self.membership)
