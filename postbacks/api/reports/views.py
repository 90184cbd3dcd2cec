"""Reports: the figures of the pages Overview, Conversions, Campaigns, Cohorts and Compare."""

from typing import Any

from django.http import Http404, HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from audience.api.toolkit.csv_answers import AnswersCSV
from audience.api.toolkit.operations import reads
from audience.api.toolkit.pagination import limit_of, offset_cursor, offset_of
from audience.api.toolkit.queries import days_of, quarter_hours, times_of
from audience.api.toolkit.views import GameViewSet
from audience.database import clock
from audience.hub.toolkit import spreadsheet
from audience.hub.toolkit.date_range import preset_bounds
from audience.models import Scope as TokenScope
from audience.wording.time_zones import zone_or_utc
from postbacks.api.conversions.queries import conversion_filter
from postbacks.api.reports import examples
from postbacks.api.reports.campaigns import (
    CampaignReportSerializer,
    CohortReportSerializer,
    campaign_values,
    cohort_values,
)
from postbacks.api.reports.comparison import ComparisonSerializer, comparison_values
from postbacks.api.reports.overview import FunnelSerializer, OverviewSerializer, funnel_values, overview_values
from postbacks.api.reports.queries import (
    CampaignQuery,
    CohortQuery,
    CompareQuery,
    FunnelQuery,
    OverviewQuery,
    depth_of,
    scope_of,
)
from postbacks.hub.toolkit.network_pages import compared_configs
from postbacks.models import PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.reporting import comparison_export
from postbacks.reporting.campaigns import cohort_table, columns, export, order
from postbacks.reporting.campaigns.report import build
from postbacks.reporting.campaigns.wording import selects
from postbacks.reporting.comparison import compare
from postbacks.reporting.conversion_list import conversion_list

CSV = "text/csv; charset=utf-8"
COMPARED_DAYS = 7
MAX_COMPARED_DAYS = 92


def also_csv(serializer: type[Any]) -> dict[Any, Any]:
    return {(200, "application/json"): serializer, (200, "text/csv"): OpenApiTypes.STR}


class ReportViewSet(AnswersCSV, GameViewSet):
    tag = "Reports"
    operations = {
        "overview": reads(TokenScope.POSTBACKS),
        "funnel": reads(TokenScope.POSTBACKS),
        "campaigns": reads(TokenScope.POSTBACKS),
        "cohorts": reads(TokenScope.POSTBACKS),
        "compare": reads(TokenScope.POSTBACKS),
    }
    queries = {
        "overview": OverviewQuery,
        "funnel": FunnelQuery,
        "campaigns": CampaignQuery,
        "cohorts": CohortQuery,
        "compare": CompareQuery,
    }
    csv_actions = frozenset({"campaigns", "cohorts", "compare"})
    queryset = PostbackConfig.objects.none()
    serializer_class = OverviewSerializer

    @extend_schema(
        responses=OverviewSerializer, examples=[OpenApiExample("A day", examples.OVERVIEW, response_only=True)]
    )
    @action(detail=False)
    def overview(self, request: Request, game: str) -> Response:
        """Return the figures of the Overview. Without a period, those of the last 24 hours.

        Times are rounded to quarter hours, by which figures are counted; `since` and `until` have the period.
        """
        query, now = self.query(), clock.now()
        if "from" in query or "to" in query:
            since, until = quarter_hours(*times_of(query, zone=self.game.zone, now=now, days=1))
        else:
            since, until = preset_bounds("24h", self.game.zone, now=now)
        values = overview_values(self.game, since=since, until=until, now=now)
        return Response(OverviewSerializer(values).data)

    @extend_schema(responses=FunnelSerializer, examples=[OpenApiExample("A week", examples.FUNNEL, response_only=True)])
    @action(detail=False)
    def funnel(self, request: Request, game: str) -> Response:
        """Return the funnel of conversions. Its steps are events seen, conversions, and those that were attributed,
        eligible and delivered; each has what was lost before the next one, by status.

        Each key lists its conversions as `only` of /conversions. Without a period, the last 7 days.
        """
        filters = conversion_filter(self.game, self.query())
        return Response(FunnelSerializer(funnel_values(conversion_list(filters))).data)

    @extend_schema(
        responses=also_csv(CampaignReportSerializer),
        examples=[OpenApiExample("Campaigns", examples.CAMPAIGNS, response_only=True, media_type="application/json")],
    )
    @action(detail=False)
    def campaigns(self, request: Request, game: str) -> HttpResponseBase:
        """Return clicks, players, conversions, revenue and costs by ad. Without days, those of the last 30 days.

        `network`, `campaign` and `ad_group` narrow the ads. `Accept: text/csv` is answered with the file of the page's
        export: all rows.
        """
        query = self.query()
        scope = scope_of(query, self.game, now=clock.now())
        depth, is_compared = depth_of(query, scope), query.get("compare", False)
        report = build(
            scope, depth=depth, compare=is_compared, selected=lambda names: selects(query.get("q", ""), names)
        )
        shown = columns.columns(report, game=self.game)
        by = query["sort"]
        is_ascending = query["dir"] == "asc" if "dir" in query else by == order.BY_NAME
        rows = order.ordered(report.rows, shown, by=by, ascending=is_ascending)
        if self.wants_csv:
            lines = export.lines(scope, report, shown, rows, depth=depth, compare=is_compared)
            return spreadsheet.streamed(lines, name=export.file_name(scope), content_type=CSV)
        offset, limit = offset_of(request), limit_of(request)
        values = campaign_values(scope, report, shown, rows[offset : offset + limit], row_count=len(rows))
        values["next_cursor"] = offset_cursor(offset + limit) if offset + limit < len(rows) else None
        return Response(CampaignReportSerializer(values).data)

    @extend_schema(
        responses=also_csv(CohortReportSerializer),
        examples=[OpenApiExample("Cohorts", examples.COHORTS, response_only=True, media_type="application/json")],
    )
    @action(detail=False)
    def cohorts(self, request: Request, game: str) -> HttpResponseBase:
        """Return retention and revenue by the day of the first click. Without days, those of the last 30 days.

        `Accept: text/csv` is answered with the file of the page's export.
        """
        scope = scope_of(self.query(), self.game, now=clock.now())
        table = cohort_table.read(scope)
        if self.wants_csv:
            lines = cohort_table.lines(scope, table)
            return spreadsheet.streamed(lines, name=cohort_table.file_name(scope), content_type=CSV)
        return Response(CohortReportSerializer(cohort_values(scope, table)).data)

    @extend_schema(
        responses=also_csv(ComparisonSerializer),
        examples=[OpenApiExample("Comparison", examples.COMPARISON, response_only=True, media_type="application/json")],
    )
    @action(detail=False)
    def compare(self, request: Request, game: str) -> HttpResponseBase:
        """Compare a postback with the report of its network. Returned are its conversions by day of the ad account and
        event, and why some are missing there. Without days, those of the last 7 days.

        `Accept: text/csv` is answered with the rows by day and event.
        """
        query = self.query()
        config = self._config(query)
        zone, now = zone_or_utc(config.time_zone), clock.now()
        days = days_of(query, zone=zone, now=now, days=COMPARED_DAYS, max_days=MAX_COMPARED_DAYS)
        compared = compare(config, dates=days.dates, starts=days.starts)
        if self.wants_csv:
            lines = comparison_export.lines(config, days, compared, addresses=self.addresses)
            return spreadsheet.streamed(lines, name=comparison_export.file_name(config, days), content_type=CSV)
        network = NETWORKS[config.network]
        values = comparison_values(config, network, days, compared, addresses=self.addresses)
        return Response(ComparisonSerializer(values).data)

    def _config(self, query: dict[str, Any]) -> PostbackConfig:
        """Return the postback of the query, or the first one of the network. Raises Http404."""
        configs = compared_configs(self.game, query["network"])
        found = configs.filter(pk=query["postback"]) if "postback" in query else configs
        config = found.first()
        if config is None:
            raise Http404
        return config
