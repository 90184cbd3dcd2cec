"""The tables of campaigns and cohorts as JSON."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from rest_framework import serializers

from audience.api.toolkit.serializers import MoneySerializer, ReadSerializer, as_money
from postbacks.api.reports.figures import money_list
from postbacks.reporting.campaigns.cohort_table import CohortRow, CohortTable
from postbacks.reporting.campaigns.columns import Column, Value
from postbacks.reporting.campaigns.figures import LEVELS, Scope
from postbacks.reporting.campaigns.report import Report, ReportRow

# Of amounts that are divided, such as the cost of a click.
RATIO_PLACES = 4


class ColumnSerializer(ReadSerializer):
    """A figure of the report."""

    key = serializers.CharField()
    label = serializers.CharField(read_only=True)  # type: ignore[assignment]  # of the column
    unit = serializers.ChoiceField(
        [("count", "A whole number"), ("money", "An amount"), ("ratio", "Revenue per spend")],
        help_text="Of the values: a number, money, or a decimal number.",
    )
    model = serializers.CharField(help_text="How it is attributed.")


class CampaignRowSerializer(ReadSerializer):
    """A row. `figures` is {key of a column: value}, null for an unknown one; `before` that of the period before."""

    names = serializers.DictField(child=serializers.CharField(), help_text="From `network` on; empty for the total.")
    figures = serializers.DictField()
    before = serializers.DictField(allow_null=True, help_text="Null without `compare`.")
    revenue_originals = MoneySerializer(many=True, help_text="The revenue as it was reported.")
    spend_originals = MoneySerializer(many=True, help_text="The costs as they were uploaded.")
    days_with_cost = serializers.IntegerField(allow_null=True)
    attribution_window_days = serializers.IntegerField(allow_null=True)


class CampaignReportSerializer(ReadSerializer):
    """A page of the table of campaigns. `missing` are currencies without an exchange rate."""

    first_day = serializers.DateField()
    last_day = serializers.DateField()
    time_zone = serializers.CharField()
    currency = serializers.CharField(help_text="The reporting currency.")
    missing = serializers.ListField(child=serializers.CharField())
    columns = ColumnSerializer(many=True)
    total = CampaignRowSerializer()
    row_count = serializers.IntegerField()
    rows = CampaignRowSerializer(many=True)
    next_cursor = serializers.CharField(allow_null=True, help_text="The `cursor` of the next rows.")


class RetentionSerializer(ReadSerializer):
    """Players who were active that many days after the first click; null while the day is not over."""

    days = serializers.IntegerField()
    players = serializers.IntegerField(allow_null=True)
    share = serializers.FloatField(allow_null=True, help_text="In per cent.")


class EarnedSerializer(ReadSerializer):
    """The revenue per player until the end of that many days after the first click; null while the day is not over."""

    days = serializers.IntegerField()
    per_player = MoneySerializer(allow_null=True)


class CohortRowSerializer(ReadSerializer):
    """The players of a day of first clicks."""

    day = serializers.DateField(allow_null=True, help_text="Null for the whole period.")
    players = serializers.IntegerField()
    retention = RetentionSerializer(many=True)
    revenue = EarnedSerializer(many=True)


class CohortReportSerializer(ReadSerializer):
    """The table of cohorts. `missing` are currencies without an exchange rate."""

    first_day = serializers.DateField()
    last_day = serializers.DateField()
    time_zone = serializers.CharField()
    currency = serializers.CharField(help_text="The reporting currency.")
    missing = serializers.ListField(child=serializers.CharField())
    total = CohortRowSerializer()
    rows = CohortRowSerializer(many=True)


def campaign_values(
    scope: Scope, report: Report, shown: Sequence[Column], rows: Sequence[ReportRow], *, row_count: int
) -> dict[str, Any]:
    """Return the values of the report with these rows, but for `next_cursor`."""
    return {
        **_period(scope),
        "currency": report.currency,
        "missing": report.missing,
        "columns": [
            {"key": column.key, "label": column.label, "unit": _unit(column), "model": column.model} for column in shown
        ],
        "total": _row(scope, report, shown, report.total),
        "row_count": row_count,
        "rows": [_row(scope, report, shown, row) for row in rows],
    }


def cohort_values(scope: Scope, table: CohortTable) -> dict[str, Any]:
    return {
        **_period(scope),
        "currency": table.currency,
        "missing": table.missing,
        "total": _cohort(table.total, table.currency),
        "rows": [_cohort(row, table.currency) for row in table.rows],
    }


def _period(scope: Scope) -> dict[str, Any]:
    period = scope.period
    return {"first_day": period.first, "last_day": period.last, "time_zone": period.zone.key}


def _unit(column: Column) -> str:
    return {"": "count", "ratio": "ratio"}.get(column.unit, "money")


def _row(scope: Scope, report: Report, shown: Sequence[Column], row: ReportRow) -> dict[str, Any]:
    before = None
    if row.before is not None:
        before = {c.key: _value(c.before(row), _unit(c), report.currency) for c in shown if c.before}
    return {
        "names": dict(zip(LEVELS, row.names, strict=False)),
        "figures": {column.key: _value(column.value(row), _unit(column), report.currency) for column in shown},
        "before": before,
        "revenue_originals": money_list(row.figures.revenue),
        "spend_originals": money_list(row.cost.originals) if row.cost else [],
        "days_with_cost": row.cost.days if row.cost else None,
        "attribution_window_days": scope.game.window_of(row.names[0]).days if row.names else None,
    }


def _value(value: Value, unit: str, currency: str) -> Any:
    if value is None or unit == "count":
        return value
    if unit == "ratio":
        return round(float(value), RATIO_PLACES)
    return _exact_money(Decimal(value), currency)


def _exact_money(amount: Decimal, currency: str) -> Any:
    """Return money with the currency's digits, or more where they would hide a small amount."""
    rounded: Any = as_money(amount, currency)
    if amount and not Decimal(rounded["amount"]):
        return {"amount": f"{round(amount, RATIO_PLACES):f}", "currency": currency}
    return rounded


def _cohort(row: CohortRow, currency: str) -> dict[str, Any]:
    retention = [
        {"days": days, "players": None if share is None else row.active[days], "share": share}
        for days, share in row.retention.items()
    ]
    revenue = [
        {"days": days, "per_player": None if amount is None else _exact_money(amount, currency)}
        for days, amount in row.per_player.items()
    ]
    return {"day": row.day, "players": row.players, "retention": retention, "revenue": revenue}
