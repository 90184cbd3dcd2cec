"""The event catalog: what the game sends, descriptions of events, and what would become of a batch.

The Hub's page is postbacks/hub/catalog/.
"""

from typing import Any

import orjson
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from audience.api.toolkit.filtering import FlagParameter, QuerySerializer
from audience.api.toolkit.operations import reads, requires
from audience.api.toolkit.preconditions import etag_of, require_match, with_etag
from audience.api.toolkit.problems import PreconditionFailed, Refused
from audience.api.toolkit.views import GameViewSet
from audience.catalog.descriptions import (
    CHANGED,
    DescriptionRefused,
    describe_event,
    description_of,
    forget_description,
)
from audience.catalog.figures import EventKey, Period, last_days
from audience.models import ApiKey, Dialect, Kind, PropertyType, Role, Scope
from postbacks.api.catalog import examples
from postbacks.api.catalog.serializers import (
    BatchSerializer,
    CatalogEventDetailSerializer,
    CatalogSerializer,
    DescriptionSerializer,
    ValidationSerializer,
    detail_values,
    event_values,
    message_values,
)
from postbacks.preview.batch_validation import validate_batch
from postbacks.reporting.catalog import events

MAX_DAYS = 30
NO_KEY = "This key does not exist in the game."


class SpanQuery(QuerySerializer):
    days = serializers.IntegerField(min_value=1, max_value=MAX_DAYS, default=7, help_text="Days in UTC, with today.")
    test = FlagParameter(default=False, help_text="Test events instead of those of players.")


class CatalogQuery(SpanQuery):
    q = serializers.CharField(required=False, help_text="A part of the name or description.")
    warnings = FlagParameter(default=False, help_text="Only events with warnings.")


class NameQuery(QuerySerializer):
    name = serializers.CharField(max_length=256, help_text="The name of a track event.")


class EventQuery(SpanQuery):
    name = serializers.CharField(required=False, max_length=256, help_text="The name of a track event.")
    kind = serializers.ChoiceField(Kind.choices, default=Kind.TRACK, help_text="Another kind has no name.")


class CatalogViewSet(GameViewSet):
    tag = "Event catalog"
    operations = {"retrieve": reads(Scope.POSTBACKS)}
    queries = {"retrieve": CatalogQuery}
    list_actions = frozenset()

    @extend_schema(
        responses=CatalogSerializer,
        examples=[OpenApiExample("Catalog", {"results": [examples.EVENT], "others": 0}, response_only=True)],
    )
    def retrieve(self, request: Request, game: str) -> Response:
        """List the events of a game, the most frequent first. Names are counted, players are not."""
        query = self.query()
        found = events.list_events(
            game=self.game,
            period=_period(query),
            search=query.get("q", ""),
            only_with_checks=query["warnings"],
        )
        rows = [event_values(event, addresses=self.addresses) for event in found.events]
        return Response(CatalogSerializer({"results": rows, "others": found.others}).data)


class CatalogEventViewSet(GameViewSet):
    tag = "Event catalog"
    operations = {
        "retrieve": reads(Scope.POSTBACKS),
        "update": requires(Scope.POSTBACKS, Role.MARKETER),
        "destroy": requires(Scope.POSTBACKS, Role.MARKETER),
    }
    queries = {"retrieve": EventQuery, "update": NameQuery, "destroy": NameQuery}
    list_actions = frozenset()
    etag_actions = frozenset({"retrieve", "update"})

    @extend_schema(
        responses=CatalogEventDetailSerializer, examples=[OpenApiExample("Event", examples.DETAIL, response_only=True)]
    )
    def retrieve(self, request: Request, game: str) -> Response:
        """Return an event with its properties, types, senders, goals and warnings. Also if it was never sent."""
        query = self.query()
        return self._answered(EventKey(query["kind"], query.get("name", "")), _period(query))

    @extend_schema(
        request=DescriptionSerializer,
        responses=CatalogEventDetailSerializer,
        examples=[
            OpenApiExample("Description", examples.DESCRIPTION, request_only=True),
            OpenApiExample("Described", {**examples.DETAIL, "is_described": True}, response_only=True),
        ],
    )
    def update(self, request: Request, game: str) -> Response:
        """Describe a track event, and state which properties it requires. Events without them are accepted."""
        name, data = self.query()["name"], self.body(DescriptionSerializer)
        version = None
        if request.headers.get("If-Match"):
            row = description_of(game=self.game, name=name.strip())
            version = row.version if row else 0
            require_match(request, etag_of(version))
        required = {path: PropertyType(kind) for path, kind in data["required_properties"].items()}
        try:
            describe_event(
                game=self.game,
                name=name,
                description=data["description"],
                required=required,
                described_by=self.user,
                version=version,
            )
        except DescriptionRefused as refused:
            if str(refused) == CHANGED:
                raise PreconditionFailed from refused
            field = "required_properties" if refused.field == "required" else refused.field
            raise Refused(str(refused), field=field) from refused
        return self._answered(EventKey(Kind.TRACK, name.strip()), last_days(7))

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, game: str) -> Response:
        """Delete the description of an event. The event stays in the catalog."""
        forget_description(game=self.game, name=self.query()["name"].strip())
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _answered(self, key: EventKey, period: Period) -> Response:
        details = events.event_details(game=self.game, key=key, period=period)
        data = CatalogEventDetailSerializer(detail_values(details, addresses=self.addresses)).data
        return with_etag(Response(data), etag_of(details.described.version if details.described else 0))


class ValidateViewSet(GameViewSet):
    tag = "Event catalog"
    operations = {"create": reads(Scope.POSTBACKS)}
    list_actions = frozenset()

    @extend_schema(
        request=BatchSerializer,
        responses={200: ValidationSerializer},
        examples=[
            OpenApiExample("Batch", examples.BATCH, request_only=True),
            OpenApiExample("Rejected", examples.VALIDATION, response_only=True),
        ],
    )
    def create(self, request: Request, game: str) -> Response:
        """Say what would become of a batch of events without storing it. Accepted or rejected, and why; what is
        ignored; warnings of the event catalog; and the conversion and goals that it would count for.
        """
        data = self.body(BatchSerializer)
        key = self._key(data)
        try:
            validated = validate_batch(
                game=self.game,
                body=orjson.dumps(data["body"]),
                key=key,
                dialect=Dialect(data["dialect"]) if "dialect" in data else None,
                route=data["route"],
            )
        except ValueError as refused:
            raise Refused(str(refused)) from refused
        messages = [message_values(message, addresses=self.addresses) for message in validated.messages]
        answer = {"status": validated.status, "answer": validated.answer, "messages": messages}
        return Response(ValidationSerializer(answer).data)

    def _key(self, data: dict[str, Any]) -> ApiKey | None:
        if "key" not in data:
            return None
        key = ApiKey.objects.select_related("game").filter(game=self.game, pk=data["key"]).first()
        if key is None:
            raise Refused(NO_KEY, field="key")
        return key


def _period(query: dict[str, Any]) -> Period:
    return last_days(query["days"], test=query["test"])
