"""Conversions: list with the filters of the page, also as its CSV export, and retrieve one with its trail.

The Hub's pages are postbacks/hub/conversions/.
"""

from uuid import UUID

from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from audience.api.toolkit import pagination, patterns
from audience.api.toolkit.csv_answers import AnswersCSV
from audience.api.toolkit.operations import reads
from audience.api.toolkit.views import GameViewSet
from audience.database import clock
from audience.hub.toolkit import spreadsheet
from audience.hub.toolkit.paging import newest
from audience.models import Conversion, Scope
from postbacks.api.conversions import examples
from postbacks.api.conversions.queries import conversion_filter
from postbacks.api.conversions.representation import detail_values, listed_values
from postbacks.api.conversions.serializers import ConversionQuery, ConversionSerializer
from postbacks.api.conversions.trail_serializers import ConversionDetailSerializer
from postbacks.reporting import conversion_detail, export, search
from postbacks.reporting.conversion_list import conversion_list, listed_key, listed_page
from postbacks.reporting.conversion_rows import with_outcomes


class ConversionViewSet(AnswersCSV, GameViewSet):
    tag = "Conversions"
    operations = {"list": reads(Scope.POSTBACKS), "retrieve": reads(Scope.POSTBACKS)}
    queries = {"list": ConversionQuery}
    list_actions = frozenset()
    csv_actions = frozenset({"list"})
    lookup_value_regex, id_schema = patterns.UUID, patterns.UUID_SCHEMA
    queryset = Conversion.objects.none()
    serializer_class = ConversionSerializer

    @extend_schema(
        responses={
            (200, "application/json"): ConversionSerializer(many=True),
            (200, "text/csv"): OpenApiTypes.STR,
        },
        examples=[OpenApiExample("Conversion", examples.CONVERSION, response_only=True, media_type="application/json")],
    )
    def list(self, request: Request, game: str) -> HttpResponseBase:
        """List conversions. The newest is first, by the time of the event; without a period, those of the last 7 days.
        Lists other than `only=all` read the newest 10,000 conversions at a time, so that a page may have few rows, or
        none, although there is a next one.

        `Accept: text/csv` is answered with the file of the page's export: all rows of the list, one line per delivery.
        """
        query, size = self.query(), pagination.limit_of(request)
        only, search_for = query.get("only", ""), query.get("q", "")
        filters = conversion_filter(self.game, query)
        if self.wants_csv:
            rows = search.find(self.game, search_for).rows if search_for else conversion_list(filters, only=only).rows
            lines = export.lines(rows, addresses=self.addresses)
            name = export.file_name(self.game, now=clock.now())
            return spreadsheet.streamed(lines, name=name, content_type="text/csv; charset=utf-8")
        before = pagination.position_of(request, UUID)
        if search_for:
            rows = search.find(self.game, search_for).rows
            found = newest(with_outcomes(rows), by="event_at", before=before, size=size)
        else:
            found = listed_page(listed_key(only, filters.network), filters, before=before, size=size)
        values = [listed_values(row, addresses=self.addresses) for row in found.rows]
        return pagination.answer(request, ConversionSerializer(values, many=True).data, older=found.older)

    @extend_schema(
        responses=ConversionDetailSerializer,
        examples=[OpenApiExample("Refused by the network", examples.DETAIL, response_only=True)],
    )
    def retrieve(self, request: Request, game: str, id: str) -> Response:
        """Return a conversion with its trail. It says why the conversion was sent or not: the event, the clicks that
        were considered, the joins of the player, the consent in force, and each postback with its attempts.

        Codes such as `reason`, `state` and `result` keep their meaning; the sentences are those of the page.
        """
        rows = conversion_detail.with_details(Conversion.objects.filter(game=self.game))
        detail = conversion_detail.load_detail(get_object_or_404(rows, pk=id), addresses=self.addresses)
        return Response(ConversionDetailSerializer(detail_values(detail, addresses=self.addresses)).data)
