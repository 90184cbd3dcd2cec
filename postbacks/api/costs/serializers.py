"""Representations of costs."""

from typing import Any

from rest_framework import serializers

from audience.api.toolkit.filtering import QuerySerializer
from audience.api.toolkit.queries import DaysQuery, PagedQuery
from audience.api.toolkit.serializers import MoneySerializer, ReadSerializer, StrictSerializer, as_money
from postbacks.api.reports.figures import money_list
from postbacks.models import AdCost
from postbacks.models.campaigns import MAX_NAME_LENGTH
from postbacks.models.uploads import UploadedFile
from postbacks.reporting.campaigns.cost_cells import COST_NETWORKS
from postbacks.reporting.campaigns.cost_gaps import CampaignWithoutCost, UnmatchedCost

NETWORKS = sorted(COST_NETWORKS.items())
# More rows are a file.
MAX_JSON_ROWS = 1_000
ROW = {
    "date": "2026-11-01",
    "network": "snapchat",
    "campaign": "autumn",
    "spend": "120.50",
    "currency": "USD",
    "clicks": 310,
    "impressions": 20400,
}
EXAMPLE: dict[str, Any] = {
    "date": "2026-11-01",
    "network": "snapchat",
    "campaign": "autumn",
    "campaign_id": "",
    "spend": {"amount": "120.50", "currency": "USD"},
    "clicks": 310,
    "impressions": 20400,
}
UPLOAD_EXAMPLE: dict[str, Any] = {
    "id": 7,
    "name": "november.csv",
    "rows": 60,
    "replaced": 0,
    "first_day": "2026-11-01",
    "last_day": "2026-11-30",
    "uploaded_by": "Token “BI”",
    "uploaded_at": "2026-12-01T06:00:00Z",
}
GAPS_EXAMPLE: dict[str, Any] = {
    "unmatched": [
        {
            "network": "snapchat",
            "campaign": "Autum",
            "first_day": "2026-11-01",
            "last_day": "2026-11-30",
            "spend": [{"amount": "120.50", "currency": "USD"}],
        }
    ],
    "without_cost": [{"network": "snapchat", "campaign": "autumn", "clicks": 310}],
}


class CostQuery(DaysQuery, PagedQuery):
    """The filters of costs."""

    network = serializers.ChoiceField(NETWORKS, required=False)
    campaign = serializers.CharField(required=False, max_length=MAX_NAME_LENGTH, help_text="As in the upload.")


class CostUploadQuery(QuerySerializer):
    """Of a CSV file: its name, and what applies to lines without a value."""

    name = serializers.CharField(required=False, max_length=200, help_text="The name of the file, for the list.")
    network = serializers.ChoiceField(NETWORKS, required=False, help_text="Of lines that state none.")
    currency = serializers.CharField(required=False, max_length=3, help_text="Of lines that state none.")


class CostDeletionQuery(QuerySerializer):
    """The costs to delete."""

    network = serializers.ChoiceField(NETWORKS, required=False, help_text="By default, the costs of all networks.")

    def get_fields(self) -> dict[str, Any]:
        days = {"from": "The first day.", "to": "The last day."}
        return {
            **{name: serializers.DateField(help_text=text) for name, text in days.items()},
            **super().get_fields(),
        }

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["from"] > attrs["to"]:
            raise serializers.ValidationError({"to": ["The last day is before the first day."]})
        return attrs


class CostSerializer(ReadSerializer):
    """What a campaign cost on a day."""

    date = serializers.DateField()
    network = serializers.CharField()
    campaign = serializers.CharField()
    campaign_id = serializers.CharField()
    spend = MoneySerializer()
    clicks = serializers.IntegerField(allow_null=True, help_text="As the network counts them.")
    impressions = serializers.IntegerField(allow_null=True)


class CostRowSerializer(StrictSerializer):
    """What a campaign cost on a day. It replaces the earlier row of the same day, network and campaign."""

    date = serializers.DateField()
    network = serializers.CharField(max_length=60, help_text="Such as `tiktok` or `TikTok Ads`.")
    campaign = serializers.CharField(max_length=MAX_NAME_LENGTH, help_text="Its name or ID in the links.")
    spend = serializers.DecimalField(max_digits=20, decimal_places=6, min_value=0)
    currency = serializers.CharField(max_length=3)
    clicks = serializers.IntegerField(min_value=0, required=False, allow_null=True)
    impressions = serializers.IntegerField(min_value=0, required=False, allow_null=True)
    campaign_id = serializers.CharField(max_length=MAX_NAME_LENGTH, required=False, allow_blank=True)


class CostRowsSerializer(StrictSerializer):
    """Costs as JSON; send more rows as CSV."""

    rows = serializers.ListField(child=CostRowSerializer(), allow_empty=False, max_length=MAX_JSON_ROWS)
    name = serializers.CharField(max_length=200, default="API", help_text="For the list of uploads.")


class UploadSerializer(ReadSerializer):
    """An uploaded file."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    rows = serializers.IntegerField()
    replaced = serializers.IntegerField(help_text="How many earlier rows it replaced.")
    first_day = serializers.DateField()
    last_day = serializers.DateField()
    uploaded_by = serializers.CharField(help_text="Empty for viewers.")
    uploaded_at = serializers.DateTimeField()


class CostUploadSerializer(UploadSerializer):
    """An upload of costs."""


class DeletedCostsSerializer(ReadSerializer):
    deleted = serializers.IntegerField(help_text="How many rows were deleted.")


class UnmatchedCostSerializer(ReadSerializer):
    """Costs of a campaign that no click names."""

    network = serializers.CharField()
    campaign = serializers.CharField()
    first_day = serializers.DateField()
    last_day = serializers.DateField()
    spend = MoneySerializer(many=True)


class CampaignWithoutCostSerializer(ReadSerializer):
    """A campaign with clicks and without costs."""

    network = serializers.CharField()
    campaign = serializers.CharField()
    clicks = serializers.IntegerField()


class CostGapsSerializer(ReadSerializer):
    """Costs that match no campaign, and campaigns without costs: most are spelled differently."""

    unmatched = UnmatchedCostSerializer(many=True)
    without_cost = CampaignWithoutCostSerializer(many=True)


def cost_values(row: AdCost) -> dict[str, Any]:
    fields = ("network", "campaign", "campaign_id", "clicks", "impressions")
    values = {name: getattr(row, name) for name in fields}
    return {**values, "date": row.day, "spend": as_money(row.spend, row.currency)}


def upload_values(upload: UploadedFile, *, addresses: bool) -> dict[str, Any]:
    fields = ("id", "name", "rows", "replaced", "first_day", "last_day", "uploaded_at")
    values = {name: getattr(upload, name) for name in fields}
    return {**values, "uploaded_by": upload.uploaded_by if addresses else ""}


def unmatched_values(cost: UnmatchedCost) -> dict[str, Any]:
    fields = ("network", "campaign", "first_day", "last_day")
    return {**{name: getattr(cost, name) for name in fields}, "spend": money_list(dict(cost.spend))}


def without_cost_values(campaign: CampaignWithoutCost) -> dict[str, Any]:
    return {"network": campaign.network, "campaign": campaign.campaign, "clicks": campaign.clicks}
