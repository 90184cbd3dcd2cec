"""Attempts, which are the rows of the delivery log, and deliveries. The Hub's page is postbacks/hub/delivery_log/."""

from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from audience.api.toolkit import pagination, patterns
from audience.api.toolkit.csv_answers import AnswersCSV
from audience.api.toolkit.operations import reads, requires
from audience.api.toolkit.problems import Conflict
from audience.api.toolkit.views import GameViewSet
from audience.database import clock
from audience.hub.toolkit import spreadsheet
from audience.models import Role, Scope
from postbacks.api.deliveries.queries import (
    AttemptQuery,
    DeliveryQuery,
    config_ids,
    delivery_filter,
    log_filter,
)
from postbacks.api.deliveries.serializers import (
    ATTEMPT_EXAMPLE,
    DELIVERY_EXAMPLE,
    DETAIL_EXAMPLE,
    AttemptSerializer,
    DeliveryDetailSerializer,
    DeliverySerializer,
)
from postbacks.delivery import replays, try_now
from postbacks.models import Delivery, DeliveryAttempt
from postbacks.reporting import attempt_export, attempt_log, delivery_list
from postbacks.reporting.conversion_detail import load_delivery, with_attempts

WAITING_EXAMPLE = {**DETAIL_EXAMPLE, "state": "waiting", "label": "Waiting", "verdict": "transient"}


class AttemptViewSet(AnswersCSV, GameViewSet):
    tag = "Deliveries"
    operations = {"list": reads(Scope.POSTBACKS), "retrieve": reads(Scope.POSTBACKS)}
    queries = {"list": AttemptQuery}
    list_actions = frozenset()
    csv_actions = frozenset({"list"})
    queryset = DeliveryAttempt.objects.none()
    serializer_class = AttemptSerializer
    lookup_value_regex = patterns.NUMBER

    @extend_schema(
        responses={
            (200, "application/json"): AttemptSerializer(many=True),
            (200, "text/csv"): OpenApiTypes.STR,
        },
        examples=[OpenApiExample("Attempt", ATTEMPT_EXAMPLE, response_only=True, media_type="application/json")],
    )
    def list(self, request: Request, game: str) -> Any:
        """List the calls to the networks. The newest is first. Filters by the delivery read the newest 2,000 calls at a
        time, so that a page may have few rows although there is a next one. With `Accept: text/csv`, the answer is
        the file of the Hub's export with all rows.
        """
        query, size = self.query(), pagination.limit_of(request)
        configs = config_ids(self.game, query)
        before = "" if self.wants_csv else pagination.position_of(request, int)
        filters = log_filter(self.game, query, configs, before=before)
        if self.wants_csv:
            lines = attempt_export.lines(configs, filters, addresses=self.addresses)
            name = f"deliveries-{self.game.slug}-{clock.now():%Y-%m-%d}.csv"
            return spreadsheet.streamed(lines, name=name, content_type="text/csv; charset=utf-8")
        log = attempt_log.newest(configs, filters, size=size, rows=attempt_log.full_rows())
        rows = AttemptSerializer(log.rows, many=True, context=self.get_serializer_context()).data
        return pagination.answer(request, list(rows), older=log.older)

    @extend_schema(examples=[OpenApiExample("Attempt", ATTEMPT_EXAMPLE, response_only=True)])
    def retrieve(self, request: Request, game: str, id: str) -> Response:
        """Return one call to a network with its delivery."""
        rows = attempt_log.full_rows().filter(config__game=self.game)
        attempt = get_object_or_404(rows, pk=id)
        return Response(AttemptSerializer(attempt, context=self.get_serializer_context()).data)


class DeliveryViewSet(GameViewSet):
    tag = "Deliveries"
    operations = {
        "list": reads(Scope.POSTBACKS),
        "retrieve": reads(Scope.POSTBACKS),
        "retry": requires(Scope.POSTBACKS, Role.MARKETER),
        "try_now": requires(Scope.POSTBACKS, Role.MARKETER),
    }
    without_body = frozenset({"retry", "try_now"})
    queries = {"list": DeliveryQuery}
    list_actions = frozenset()
    queryset = Delivery.objects.none()
    serializer_class = DeliverySerializer
    lookup_value_regex, id_schema = patterns.UUID, patterns.UUID_SCHEMA

    @extend_schema(examples=[OpenApiExample("Delivery", DELIVERY_EXAMPLE, response_only=True)])
    def list(self, request: Request, game: str) -> Response:
        """List the deliveries of a game to all networks. Those of the newest events are first. Filters read the newest
        2,000 deliveries at a time, so that a page may have few rows, or none, although there is a next one.
        """
        query, size = self.query(), pagination.limit_of(request)
        before, filters = pagination.position_of(request, UUID), delivery_filter(self.game, query)
        if "q" in query or "conversion" in query:
            named = [query["conversion"]] if "conversion" in query else []
            found = delivery_list.conversions_found(self.game, query["q"]) if "q" in query else named
            chosen = [pk for pk in found if not named or pk in named]
            page = delivery_list.of_conversions(self.game, chosen, filters, before=before, size=size)
        else:
            page = delivery_list.listed(self.game, filters, before=before, size=size)
        rows = DeliverySerializer(page.rows, many=True, context=self.get_serializer_context()).data
        return pagination.answer(request, list(rows), older=page.older)

    @extend_schema(
        responses={200: DeliveryDetailSerializer},
        examples=[OpenApiExample("Delivery", DETAIL_EXAMPLE, response_only=True)],
    )
    def retrieve(self, request: Request, game: str, id: str) -> Response:
        """Return a delivery with its attempts, why it has its state, what to do, and what was sent."""
        return self._detail(id)

    @extend_schema(
        request=None,
        responses={200: DeliveryDetailSerializer},
        examples=[OpenApiExample("Queued", WAITING_EXAMPLE, response_only=True)],
    )
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, game: str, id: str) -> Response:
        """Send a failed delivery again with the same event ID. The network counts it once."""
        try:
            replays.send_again(self._delivery(id))
        except replays.NotSendable as problem:
            raise Conflict(str(problem)) from problem
        return self._detail(id)

    @extend_schema(
        request=None,
        responses={200: DeliveryDetailSerializer},
        examples=[OpenApiExample("Due", WAITING_EXAMPLE, response_only=True)],
    )
    @action(detail=True, methods=["post"], url_path="try-now")
    def try_now(self, request: Request, game: str, id: str) -> Response:
        """Send a waiting delivery now, before its next attempt and before the pause of its pixel ends."""
        try:
            try_now.try_delivery(self._delivery(id))
        except try_now.NotTryable as problem:
            raise Conflict(str(problem)) from problem
        return self._detail(id)

    def stored_data(self, data: Any) -> Any:
        return {"id": data["id"]}  # the rest is about a player

    def repeated_data(self, stored: Any) -> Any:
        return self._detail(stored["id"]).data

    def _delivery(self, id: str) -> Delivery:
        return get_object_or_404(Delivery, game=self.game, pk=id)

    def _detail(self, id: str) -> Response:
        delivery = get_object_or_404(with_attempts(Delivery.objects.filter(game=self.game)), pk=id)
        detail = load_delivery(delivery, addresses=self.addresses)
        return Response(DeliveryDetailSerializer(detail, context=self.get_serializer_context()).data)
