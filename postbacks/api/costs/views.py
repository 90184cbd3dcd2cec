"""Costs of campaigns: list, upload as CSV or JSON, delete, and what matches nothing. The Hub's pages are
postbacks/hub/costs/."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from audience.api.toolkit.operations import reads, requires
from audience.api.toolkit.pagination import CURSOR, INVALID_CURSOR, answer, cursor_of, limit_of
from audience.api.toolkit.parsing import CSVParser, StrictJSONParser
from audience.api.toolkit.queries import PagedQuery, days_of
from audience.api.toolkit.views import GameViewSet
from audience.database import clock
from audience.models import Role, Scope
from postbacks.api.costs.refusals import read_body, refusal
from postbacks.api.costs.serializers import (
    EXAMPLE,
    GAPS_EXAMPLE,
    ROW,
    UPLOAD_EXAMPLE,
    CostDeletionQuery,
    CostGapsSerializer,
    CostQuery,
    CostRowsSerializer,
    CostSerializer,
    CostUploadQuery,
    CostUploadSerializer,
    DeletedCostsSerializer,
    cost_values,
    unmatched_values,
    upload_values,
    without_cost_values,
)
from postbacks.models import AdCost
from postbacks.reporting.campaigns import cost_files, cost_gaps, cost_uploads, figures
from postbacks.reporting.campaigns.cost_files import COLUMNS, CostFile
from postbacks.reporting.campaigns.cost_uploads import CostLinesRefused
from postbacks.reporting.campaigns.day_pages import newest_by_day
from postbacks.reporting.campaigns.periods import last_days

DEFAULT_DAYS = GAP_DAYS = 90
DEFAULT_NAME = "API"


class CostViewSet(GameViewSet):
    tag = "Reports"
    operations = {
        "list": reads(Scope.POSTBACKS),
        "uploads": reads(Scope.POSTBACKS),
        "gaps": reads(Scope.POSTBACKS),
        "create": requires(Scope.POSTBACKS, Role.MARKETER),
        "destroy": requires(Scope.POSTBACKS, Role.MARKETER),
    }
    queries = {
        "list": CostQuery,
        "uploads": PagedQuery,
        "create": CostUploadQuery,
        "destroy": CostDeletionQuery,
    }
    list_actions = frozenset()
    ordering_field = "uploaded_at"
    parser_classes = (StrictJSONParser, CSVParser)
    queryset = AdCost.objects.none()
    serializer_class = CostSerializer

    @extend_schema(examples=[OpenApiExample("Cost", EXAMPLE, response_only=True)])
    def list(self, request: Request, game: str) -> Response:
        """List costs. The newest day is first; without days, those of the last 90 days."""
        query = self.query()
        days = days_of(query, zone=self.game.zone, now=clock.now(), days=DEFAULT_DAYS)
        rows = cost_uploads.stored(self.game, days.first, days.last, query.get("network", ""))
        rows = rows.filter(campaign=query["campaign"]) if "campaign" in query else rows
        page = newest_by_day(rows, after=cursor_of(request), size=limit_of(request))
        if page is None:
            raise serializers.ValidationError({CURSOR: [INVALID_CURSOR]})
        values = [cost_values(row) for row in page.rows]
        return answer(request, CostSerializer(values, many=True).data, older=page.older)

    @extend_schema(
        responses=CostUploadSerializer(many=True),
        examples=[OpenApiExample("Upload", UPLOAD_EXAMPLE, response_only=True)],
    )
    @action(detail=False)
    def uploads(self, request: Request, game: str) -> Response:
        """List the uploads of costs. The newest is first."""
        self.query()
        rows = self.paginate_queryset(self.game.cost_uploads.all()) or []
        values = [upload_values(row, addresses=self.addresses) for row in rows]
        return self.get_paginated_response(CostUploadSerializer(values, many=True).data)

    @extend_schema(responses=CostGapsSerializer, examples=[OpenApiExample("Gaps", GAPS_EXAMPLE, response_only=True)])
    @action(detail=False)
    def gaps(self, request: Request, game: str) -> Response:
        """Return costs without a campaign, and campaigns without costs. Of the last 90 days; in most, the name is
        spelled differently.
        """
        found = cost_gaps.find(figures.Scope(game=self.game, period=last_days(self.game, GAP_DAYS)))
        values = {
            "unmatched": [unmatched_values(one) for one in found.unmatched],
            "without_cost": [without_cost_values(one) for one in found.without_cost],
        }
        return Response(CostGapsSerializer(values).data)

    @extend_schema(
        request={"application/json": CostRowsSerializer, "text/csv": OpenApiTypes.STR},
        responses={201: CostUploadSerializer},
        examples=[
            OpenApiExample("A day", {"name": "november", "rows": [ROW]}, request_only=True),
            OpenApiExample("Stored", UPLOAD_EXAMPLE, response_only=True, status_codes=["201"]),
        ],
    )
    def create(self, request: Request, game: str) -> Response:
        """Upload costs. All of them are stored, in place of those of the same days and campaigns, or none.

        As `text/csv`, the body is a file with the columns date, network, campaign, spend and currency, and optionally
        clicks, impressions and campaign_id; exports of ad networks and spreadsheets are read as on the page. The errors
        of its lines have the field `line 3`.
        """
        query = self.query()
        defaults = {name: query.get(name, "") for name in ("network", "currency")}
        is_file = request.content_type.startswith(CSVParser.media_type)
        file, name = self._uploaded(query) if is_file else self._stated()
        try:
            mapped = cost_files.guess_columns(file.header)
            if missing := cost_uploads.missing_columns(mapped, defaults):
                raise serializers.ValidationError({column: ["The file needs this column."] for column in missing})
            stored = cost_uploads.store_file(
                game=self.game, file=file, mapped=mapped, defaults=defaults, name=name, uploaded_by=self.actor
            )
        except CostLinesRefused as refused:
            raise refusal(refused, "line {}" if is_file else "rows.{}") from None
        values = upload_values(stored.upload, addresses=True)
        return Response(CostUploadSerializer(values).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        responses={200: DeletedCostsSerializer},
        examples=[OpenApiExample("Deleted", {"deleted": 60}, response_only=True)],
    )
    def destroy(self, request: Request, game: str) -> Response:
        """Delete the costs of a range of days, such as those of a wrong file. The list of uploads stays."""
        query = self.query()
        number = cost_uploads.delete(
            game=self.game, first=query["from"], last=query["to"], network=query.get("network", "")
        )
        return Response(DeletedCostsSerializer({"deleted": number}).data)

    def _uploaded(self, query: Mapping[str, Any]) -> tuple[CostFile, str]:
        """Return the file that is the body, and its name."""
        return read_body(self.request, cost_files.read_file), query.get("name", DEFAULT_NAME)

    def _stated(self) -> tuple[CostFile, str]:
        """Return the rows of a JSON body as a file whose lines are numbered from 0."""
        data = self.body(CostRowsSerializer)
        lines = [(number, [_cell(row.get(name)) for name in COLUMNS]) for number, row in enumerate(data["rows"])]
        return CostFile(list(COLUMNS), lines), data["name"]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
