"""Steam's UTM analytics: list, upload as CSV, delete. The Hub's pages are postbacks/hub/steam/."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from audience.api.toolkit.operations import reads, requires
from audience.api.toolkit.pagination import CURSOR, INVALID_CURSOR, answer, cursor_of, limit_of
from audience.api.toolkit.parsing import CSVParser
from audience.api.toolkit.queries import PagedQuery, days_of
from audience.api.toolkit.views import GameViewSet
from audience.database import clock
from audience.models import Role, Scope
from postbacks.api.costs.refusals import read_body, refusal
from postbacks.api.costs.serializers import upload_values
from postbacks.api.costs.views import DEFAULT_DAYS, DEFAULT_NAME
from postbacks.api.steam.serializers import (
    EXAMPLE,
    UPLOAD_EXAMPLE,
    DeletedSteamNumbersSerializer,
    SteamDeletionQuery,
    SteamNumbersQuery,
    SteamNumbersSerializer,
    SteamUploadQuery,
    SteamUploadSerializer,
    visits_values,
)
from postbacks.models import SteamVisits
from postbacks.reporting.campaigns.cost_uploads import CostLinesRefused
from postbacks.reporting.campaigns.day_pages import newest_by_day
from postbacks.reporting.steam import files, uploads


class SteamNumbersViewSet(GameViewSet):
    tag = "Reports"
    operations = {
        "list": reads(Scope.POSTBACKS),
        "uploads": reads(Scope.POSTBACKS),
        "create": requires(Scope.POSTBACKS, Role.MARKETER),
        "destroy": requires(Scope.POSTBACKS, Role.MARKETER),
    }
    queries = {
        "list": SteamNumbersQuery,
        "uploads": PagedQuery,
        "create": SteamUploadQuery,
        "destroy": SteamDeletionQuery,
    }
    list_actions = frozenset()
    ordering_field = "uploaded_at"
    parser_classes = (CSVParser,)
    queryset = SteamVisits.objects.none()
    serializer_class = SteamNumbersSerializer

    @extend_schema(examples=[OpenApiExample("Row", EXAMPLE, response_only=True)])
    def list(self, request: Request, game: str) -> Response:
        """List Steam's numbers. The newest day is first; without days, those of the last 90 days."""
        query = self.query()
        days = days_of(query, zone=self.game.zone, now=clock.now(), days=DEFAULT_DAYS)
        rows = uploads.stored(self.game, days.first, days.last)
        rows = rows.filter(campaign=query["campaign"]) if "campaign" in query else rows
        page = newest_by_day(rows, after=cursor_of(request), size=limit_of(request))
        if page is None:
            raise serializers.ValidationError({CURSOR: [INVALID_CURSOR]})
        values = [visits_values(row) for row in page.rows]
        return answer(request, SteamNumbersSerializer(values, many=True).data, older=page.older)

    @extend_schema(
        responses=SteamUploadSerializer(many=True),
        examples=[OpenApiExample("Upload", UPLOAD_EXAMPLE, response_only=True)],
    )
    @action(detail=False)
    def uploads(self, request: Request, game: str) -> Response:
        """List the uploads of Steam's numbers. The newest is first."""
        self.query()
        rows = self.paginate_queryset(self.game.steam_uploads.all()) or []
        values = [upload_values(row, addresses=self.addresses) for row in rows]
        return self.get_paginated_response(SteamUploadSerializer(values, many=True).data)

    @extend_schema(
        request={"text/csv": OpenApiTypes.STR},
        responses={201: SteamUploadSerializer},
        examples=[OpenApiExample("Stored", UPLOAD_EXAMPLE, response_only=True, status_codes=["201"])],
    )
    def create(self, request: Request, game: str) -> Response:
        """Upload Steam's numbers. All lines are stored, in place of all rows of their days, or none.

        The body is the CSV file of UTM analytics with the daily data, as Steamworks exports it. The errors of its lines
        have the field `line 3`.
        """
        query = self.query()
        file = read_body(request, files.read_file)
        try:
            stored = uploads.store_file(
                game=self.game, file=file, name=query.get("name", DEFAULT_NAME), uploaded_by=self.actor
            )
        except CostLinesRefused as refused:
            raise refusal(refused, "line {}") from None
        values = upload_values(stored.upload, addresses=True)
        return Response(SteamUploadSerializer(values).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        responses={200: DeletedSteamNumbersSerializer},
        examples=[OpenApiExample("Deleted", {"deleted": 60}, response_only=True)],
    )
    def destroy(self, request: Request, game: str) -> Response:
        """Delete Steam's numbers of a range of days, such as those of a wrong file. The list of uploads stays."""
        query = self.query()
        number = uploads.delete(game=self.game, first=query["from"], last=query["to"])
        return Response(DeletedSteamNumbersSerializer({"deleted": number}).data)
