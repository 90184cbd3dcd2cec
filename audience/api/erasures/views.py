"""Erasures: request, receipts, retry; and suppressions: list, lift. The Hub's page is audience/hub/privacy/."""

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from audience.api.erasures.serializers import (
    EXAMPLE,
    PENDING_EXAMPLE,
    SUPPRESSION_EXAMPLE,
    ErasureSerializer,
    NewErasureSerializer,
    SuppressionSerializer,
    erasure_values,
    suppression_values,
)
from audience.api.toolkit.fields import PlayerIdField
from audience.api.toolkit.operations import reads, requires
from audience.api.toolkit.patterns import UUID, UUID_SCHEMA
from audience.api.toolkit.problems import Conflict
from audience.api.toolkit.queries import PagedQuery
from audience.api.toolkit.views import GameViewSet
from audience.models import Erasure, Role, Scope, Suppression
from audience.models.erasure import ReceiptKeyLost
from audience.privacy import receipts, suppression
from audience.privacy.erasure import request_erasure
from audience.privacy.receipts import ReceiptState


class ErasureFilter(filters.FilterSet):
    state = filters.ChoiceFilter(choices=ReceiptState.choices, method="filter_state")

    def filter_state(self, rows: Any, name: str, value: str) -> Any:
        return receipts.in_state(rows, value)


class SubjectQuery(PagedQuery):
    subject = PlayerIdField(help_text="An ID of the erased player, as it was sent or in its canonical form.")


class ErasureViewSet(GameViewSet):
    tag = "Privacy"
    operations = {
        "list": reads(Scope.PRIVACY),
        "retrieve": reads(Scope.PRIVACY),
        "search": reads(Scope.PRIVACY, Role.ADMIN),
        "create": requires(Scope.PRIVACY, Role.ADMIN),
        "retry": requires(Scope.PRIVACY, Role.ADMIN),
    }
    without_body = frozenset({"retry"})
    queries = {"search": SubjectQuery}
    filterset_class = ErasureFilter
    ordering_field = "requested_at"
    id_schema = UUID_SCHEMA
    lookup_value_regex = UUID
    queryset = Erasure.objects.none()
    serializer_class = ErasureSerializer

    @extend_schema(examples=[OpenApiExample("Receipt", EXAMPLE, response_only=True)])
    def list(self, request: Request, game: str) -> Response:
        """List erasures and their receipts. The newest is first."""
        return self._page(self.filter_queryset(self._erasures()))

    @extend_schema(
        responses=ErasureSerializer(many=True),
        filters=False,
        examples=[OpenApiExample("Receipt", EXAMPLE, response_only=True)],
    )
    @action(detail=False)
    def search(self, request: Request, game: str) -> Response:
        """Find the erasures of an ID. They are compared by keyed hashes, since no receipt has the ID."""
        try:
            found = Erasure.objects.for_subject(self.game.pk, self.query()["subject"])
        except ReceiptKeyLost as error:
            raise Conflict(str(error), code="receipt_key_lost") from None
        return self._page(self._erasures().filter(pk__in=found.values("pk")))

    @extend_schema(examples=[OpenApiExample("Receipt", EXAMPLE, response_only=True)])
    def retrieve(self, request: Request, game: str, id: str) -> Response:
        """Return an erasure with its state. Poll it after a request until it is `done` or `failed`."""
        return Response(self._representation(id))

    @extend_schema(
        request=NewErasureSerializer,
        responses={202: ErasureSerializer},
        examples=[
            OpenApiExample(
                "Erase and refuse later events",
                {"namespace": "user", "subject": "player-42", "suppress": True},
                request_only=True,
            ),
            OpenApiExample("Requested", PENDING_EXAMPLE, response_only=True, status_codes=["202"]),
        ],
    )
    def create(self, request: Request, game: str) -> Response:
        """Erase a player. A worker does it within seconds: this answer is the receipt in the state `pending`.

        Deleted are the player's events, IDs, traits, devices, clicks, conversions and consent decisions under every
        linked ID; waiting deliveries are canceled, delivered ones are not retracted. It cannot be undone. Without
        `suppress`, a later event of an ID makes a new player. With it, the erasure takes some seconds longer: first
        every process refuses the IDs, then the player is erased.
        """
        data = self.body(NewErasureSerializer)
        erasure = request_erasure(
            game=self.game,
            namespace=data["namespace"],
            subject=data["subject"],
            requested_by=self.actor,
            suppress=data["suppress"],
        )
        return Response(self._representation(str(erasure.pk)), status=status.HTTP_202_ACCEPTED)

    @extend_schema(
        request=None,
        responses={202: ErasureSerializer},
        examples=[OpenApiExample("Pending again", PENDING_EXAMPLE, response_only=True, status_codes=["202"])],
    )
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, game: str, id: str) -> Response:
        """Try a failed erasure again. Others are answered with 409."""
        if not receipts.retry(erasure=get_object_or_404(self._erasures(), pk=id)):
            raise Conflict("This erasure has not failed, so there is nothing to retry.")
        return Response(self._representation(id), status=status.HTTP_202_ACCEPTED)

    def _erasures(self) -> QuerySet[Erasure]:
        rows = Erasure.objects.filter(game=self.game).prefetch_related("suppressions")
        return receipts.with_failures(rows)

    def _representation(self, id: str) -> Any:
        return ErasureSerializer(erasure_values(get_object_or_404(self._erasures(), pk=id))).data

    def _page(self, rows: QuerySet[Erasure]) -> Response:
        values = [erasure_values(row) for row in self.paginate_queryset(rows) or []]
        return self.get_paginated_response(ErasureSerializer(values, many=True).data)


class SuppressionViewSet(GameViewSet):
    tag = "Privacy"
    operations = {"list": reads(Scope.PRIVACY), "destroy": requires(Scope.PRIVACY, Role.ADMIN)}
    id_schema = UUID_SCHEMA
    lookup_value_regex = UUID
    queryset = Suppression.objects.none()
    serializer_class = SuppressionSerializer
    queries = {"list": PagedQuery}
    list_actions = frozenset()

    @extend_schema(examples=[OpenApiExample("Suppression", SUPPRESSION_EXAMPLE, response_only=True)])
    def list(self, request: Request, game: str) -> Response:
        """List suppressions. The newest is first. Each refuses the later events of an erased player's IDs."""
        self.query()
        rows = Suppression.objects.filter(game=self.game).select_related("erasure")
        values = [suppression_values(row) for row in self.paginate_queryset(rows) or []]
        return self.get_paginated_response(SuppressionSerializer(values, many=True).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, game: str, id: str) -> Response:
        """Lift a suppression. Events of its IDs are accepted again within a second; what was erased does not return.

        The receipt keeps the number of refused messages.
        """
        rows = Suppression.objects.select_related("game", "erasure")
        suppression.lift(suppression=get_object_or_404(rows, game=self.game, pk=id))
        return Response(status=status.HTTP_204_NO_CONTENT)
