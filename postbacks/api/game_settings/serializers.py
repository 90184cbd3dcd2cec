"""Representations of the sections of a game's settings."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rest_framework import serializers

from audience.api.toolkit.fields import ParsedField
from audience.api.toolkit.serializers import ReadSerializer, StrictSerializer
from audience.digest import money
from audience.models.games import MAX_RETENTION_DAYS, MAX_WINDOW_DAYS, MIN_RETENTION_DAYS
from audience.wording.time_zones import find_zone
from postbacks.hub.game_settings.forms import CLICK_NETWORKS
from postbacks.reporting.campaigns import rates

CURRENCIES = money.currencies()
RATES_EXAMPLE = [{"currency": "EUR", "rate": "1.08"}, {"currency": "JPY", "rate": "0.0064"}]
REPORTS_EXAMPLE = {"time_zone": "Europe/Berlin", "reporting_currency": "USD", "exchange_rates": RATES_EXAMPLE}
WINDOWS_EXAMPLE = {
    "attribution_window_days": 28,
    "network_windows": {kind: 7 if kind == "tiktok" else None for kind in CLICK_NETWORKS},
}
CONSENT_EXAMPLE = {"strict_consent": False, "limited_data_use": False}


def parse_zone(text: str) -> str:
    if find_zone(text) is None:
        raise ValueError("This is not a time zone. Use a name such as Europe/Berlin.")
    return text


class RateSerializer(StrictSerializer):
    """How much one unit of the currency is in the reporting currency."""

    currency = serializers.ChoiceField(CURRENCIES)
    rate = serializers.RegexField(r"^[0-9]{1,11}(\.[0-9]{1,8})?$", help_text="A decimal number, such as 1.08.")


class ReportSettingsSerializer(ReadSerializer):
    """The time zone and currency of reports, and how amounts in other currencies are converted."""

    time_zone = serializers.CharField()
    reporting_currency = serializers.CharField()
    exchange_rates = RateSerializer(many=True)


class ReportSettingsChangeSerializer(StrictSerializer):
    time_zone = ParsedField(parse_zone, max_length=64, required=False, help_text="Days begin at midnight there.")
    reporting_currency = serializers.ChoiceField(CURRENCIES, required=False)
    exchange_rates = serializers.ListField(
        child=RateSerializer(),
        required=False,
        max_length=rates.MAX_RATES,
        help_text="Replaces all rates. Required with another currency.",
    )


class ExchangeRateListSerializer(ReadSerializer):
    reporting_currency = serializers.CharField()
    exchange_rates = RateSerializer(many=True)


class ExchangeRatesReplaceSerializer(StrictSerializer):
    exchange_rates = serializers.ListField(child=RateSerializer(), max_length=rates.MAX_RATES)


class ExchangeRatesAddSerializer(StrictSerializer):
    exchange_rates = serializers.ListField(child=RateSerializer(), max_length=rates.MAX_RATES, required=False)


class NetworkWindowsSerializer(StrictSerializer):
    """Days by the network of the click; null for the window of the game."""

    def get_fields(self) -> dict[str, Any]:
        limits: dict[str, Any] = {"min_value": 1, "max_value": MAX_WINDOW_DAYS, "allow_null": True, "required": False}
        return {kind: serializers.IntegerField(**limits) for kind in CLICK_NETWORKS}


class AttributionSettingsSerializer(ReadSerializer):
    """For how many days after a paid click a conversion is attributed to it."""

    attribution_window_days = serializers.IntegerField()
    network_windows = NetworkWindowsSerializer()


class AttributionSettingsChangeSerializer(StrictSerializer):
    attribution_window_days = serializers.IntegerField(min_value=1, max_value=MAX_WINDOW_DAYS, required=False)
    network_windows = NetworkWindowsSerializer(
        required=False, help_text="Networks that are left out keep their window."
    )


class AdClickSettingsSerializer(ReadSerializer):
    untagged_fbclid_is_paid = serializers.BooleanField(
        help_text="Whether visits with Meta’s fbclid and without UTM tags count as paid clicks."
    )


class AdClickSettingsChangeSerializer(StrictSerializer):
    untagged_fbclid_is_paid = serializers.BooleanField(required=False)


class ConsentSettingsSerializer(ReadSerializer):
    strict_consent = serializers.BooleanField(
        help_text="Whether conversions of players who never stated a consent level are not sent."
    )
    limited_data_use = serializers.BooleanField(
        help_text="Whether limited data use is requested with every conversion, or only where the event states it."
    )


class ConsentSettingsChangeSerializer(StrictSerializer):
    strict_consent = serializers.BooleanField(required=False)
    limited_data_use = serializers.BooleanField(required=False)


class RetentionSettingsSerializer(ReadSerializer):
    kept_days = serializers.IntegerField(allow_null=True, help_text="For how long events are kept; null: forever.")


class RetentionSettingsChangeSerializer(StrictSerializer):
    kept_days = serializers.IntegerField(
        min_value=MIN_RETENTION_DAYS,
        max_value=MAX_RETENTION_DAYS,
        allow_null=True,
        required=False,
        help_text="Null: forever.",
    )
    delete_older_events = serializers.BooleanField(
        default=False, help_text="Must be true if events that are kept now would be deleted."
    )


def rates_as_list(present: Mapping[str, Decimal]) -> list[dict[str, str]]:
    """Return [{currency, rate}, ...] by currency."""
    return [{"currency": code, "rate": f"{rate.normalize():f}"} for code, rate in sorted(present.items())]


def parse_rates(stated: list[dict[str, str]], *, currency: str) -> dict[str, Decimal]:
    """Return {currency: rate}. `currency` is the reporting currency. Raises ValidationError."""
    read = rates.read_pairs(((row["currency"], row["rate"]) for row in stated), currency=currency)
    if read.errors:
        errors = {str(number): [problem[0].upper() + problem[1:]] for number, problem in read.errors}
        raise serializers.ValidationError({"exchange_rates": errors})
    return read.rates
