"""The query parameters of reports."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rest_framework import serializers

from audience.api.toolkit.filtering import FlagParameter, QuerySerializer
from audience.api.toolkit.queries import DaysQuery, PagedQuery, PeriodQuery, ZoneField, days_of
from audience.models import Game, ValueProblem
from audience.wording.days import Days
from postbacks.api.conversions.serializers import NETWORK_CHOICES
from postbacks.models.campaigns import MAX_NAME_LENGTH
from postbacks.networks import NETWORKS
from postbacks.reporting.campaigns.figures import LEVELS, Scope
from postbacks.reporting.campaigns.order import BY_NAME, DEFAULT
from postbacks.reporting.campaigns.periods import Period
from postbacks.reporting.campaigns.wording import LEVEL_LABELS
from postbacks.reporting.conversion_list import CLICKS, CURRENCY_LENGTH
from postbacks.reporting.labels import CLICK_LABELS

CLICK_NETWORKS = [(kind, label) for kind, label in CLICK_LABELS.items() if kind]
DEFAULT_DAYS = 30
# Longer periods of campaigns have more days than anyone reads.
MAX_CAMPAIGN_DAYS = 731


class OverviewQuery(PeriodQuery):
    """The period of the page."""


class FunnelQuery(PeriodQuery):
    """The filters of the funnel on the Conversions page."""

    event = serializers.CharField(required=False, max_length=256, help_text="The name, such as `purchase`.")
    network = serializers.ChoiceField(NETWORK_CHOICES, required=False)
    click = serializers.ChoiceField(
        list(CLICKS.items()), required=False, help_text="The network of the attributed click; `none` for no click."
    )
    currency = serializers.CharField(required=False, max_length=CURRENCY_LENGTH)
    problem = serializers.ChoiceField(ValueProblem.choices, required=False)


class NameField(serializers.CharField):
    """A name of an ad, unchanged: it may end with a space where it was cut."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_blank=True, trim_whitespace=False, max_length=MAX_NAME_LENGTH, **kwargs)


class AdQuery(QuerySerializer):
    """An ad by its names: each requires those before it. '' is the name of what a link does not name."""

    network = serializers.ChoiceField(CLICK_NETWORKS, required=False, help_text="The network of the clicks.")
    campaign = serializers.CharField(
        required=False, allow_blank=True, max_length=MAX_NAME_LENGTH, trim_whitespace=False
    )
    ad_group = serializers.CharField(
        required=False, allow_blank=True, max_length=MAX_NAME_LENGTH, trim_whitespace=False
    )
    ad = NameField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        path_of(attrs)
        return attrs


class CampaignQuery(DaysQuery, AdQuery, PagedQuery):
    """The filters and the order of the Campaigns page."""

    zone = ZoneField(required=False, help_text="The time zone of the days; the game's by default.")
    by = serializers.ChoiceField(
        list(LEVEL_LABELS.items()), required=False, help_text="One row for each; below a name, for the next level."
    )
    q = serializers.CharField(required=False, max_length=200, help_text="A part of a name.")
    compare = FlagParameter(required=False, help_text="Whether to return the period before as well.")
    sort = serializers.CharField(
        default=DEFAULT, max_length=300, help_text=f"The key of a column, or `{BY_NAME}`. An unknown key sorts by name."
    )
    dir = serializers.ChoiceField(
        [("asc", "Ascending"), ("desc", "Descending")], required=False, help_text="Names ascend by default."
    )


class CohortQuery(DaysQuery, AdQuery):
    """The filters of the Cohorts page. Days are those of the game's time zone."""


class CompareQuery(DaysQuery):
    """The postback to compare, on days of its ad account."""

    network = serializers.ChoiceField([(kind, kind) for kind in NETWORKS])
    postback = serializers.UUIDField(required=False, help_text="By default, the first postback of the network.")


def path_of(query: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of an AdQuery from the network on. Raises ValidationError if one before another is missing."""
    present = [name for name in LEVELS if name in query]
    for position, name in enumerate(present):
        if name != LEVELS[position]:
            raise serializers.ValidationError({name: [f"State `{LEVELS[position]}` as well."]})
    return tuple(query[name].replace("\0", "") for name in present)


def scope_of(query: Mapping[str, Any], game: Game, *, now: datetime) -> Scope:
    """Return the ads and days of a CampaignQuery or CohortQuery. Raises ValidationError."""
    zone = query.get("zone") or game.zone
    days: Days = days_of(query, zone=zone, now=now, days=DEFAULT_DAYS, max_days=MAX_CAMPAIGN_DAYS)
    return Scope(game=game, period=Period(days.first, days.last, days.zone), path=path_of(query))


def depth_of(query: Mapping[str, Any], scope: Scope) -> int:
    """Return how many names the rows of a CampaignQuery have. Raises ValidationError for a level above the path."""
    least = min(len(scope.path), len(LEVELS) - 1)
    by = query.get("by") or (LEVELS[least] if scope.path else "campaign")
    if LEVELS.index(by) < least:
        raise serializers.ValidationError({"by": [f"Below these names, rows are by {LEVELS[least]} or a later level."]})
    return LEVELS.index(by) + 1
