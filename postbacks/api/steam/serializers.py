"""Representations of Steam's UTM analytics."""

from typing import Any

from rest_framework import serializers

from audience.api.toolkit.filtering import QuerySerializer
from audience.api.toolkit.queries import DaysQuery, PagedQuery
from audience.api.toolkit.serializers import ReadSerializer
from postbacks.api.costs.serializers import CostDeletionQuery, UploadSerializer
from postbacks.models import SteamVisits
from postbacks.models.campaigns import MAX_NAME_LENGTH
from postbacks.reporting.steam.files import COUNTS, WORDS

EXAMPLE: dict[str, Any] = {
    "date": "2026-11-01",
    "campaign": "autumn",
    "source": "newsletter",
    "medium": "email",
    "content": "",
    "term": "",
    "visits": 410,
    "trusted_visits": 371,
    "tracked_visits": 188,
    "wishlists": 42,
    "purchases": 9,
    "activations": 0,
}
UPLOAD_EXAMPLE: dict[str, Any] = {
    "id": 3,
    "name": "utm_daily.csv",
    "rows": 60,
    "replaced": 0,
    "first_day": "2026-11-01",
    "last_day": "2026-11-30",
    "uploaded_by": "Token “BI”",
    "uploaded_at": "2026-12-01T06:00:00Z",
}


class SteamNumbersQuery(DaysQuery, PagedQuery):
    """The filters of Steam's numbers."""

    campaign = serializers.CharField(required=False, max_length=MAX_NAME_LENGTH, help_text="As in the upload.")


class SteamUploadQuery(QuerySerializer):
    name = serializers.CharField(required=False, max_length=200, help_text="The name of the file, for the list.")


class SteamDeletionQuery(CostDeletionQuery):
    """The days of the rows to delete."""

    network = None  # type: ignore[assignment]  # DRF removes an inherited field by this


class SteamNumbersSerializer(ReadSerializer):
    """Steam's totals of a day for one combination of UTM parameters. A count is null if the file does not have it."""

    date = serializers.DateField(help_text="Steam's day.")
    campaign = serializers.CharField(help_text="`utm_campaign`; empty if the link had none.")
    source = serializers.CharField()  # type: ignore[assignment]  # of the traffic
    medium = serializers.CharField()
    content = serializers.CharField()
    term = serializers.CharField()
    visits = serializers.IntegerField()
    trusted_visits = serializers.IntegerField(allow_null=True)
    tracked_visits = serializers.IntegerField(allow_null=True)
    wishlists = serializers.IntegerField(allow_null=True)
    purchases = serializers.IntegerField(allow_null=True)
    activations = serializers.IntegerField(allow_null=True)


class SteamUploadSerializer(UploadSerializer):
    """An upload of Steam's numbers."""


class DeletedSteamNumbersSerializer(ReadSerializer):
    deleted = serializers.IntegerField(help_text="How many rows were deleted.")


def visits_values(row: SteamVisits) -> dict[str, Any]:
    return {"date": row.day, **{name: getattr(row, name) for name in (*WORDS, *COUNTS)}}
