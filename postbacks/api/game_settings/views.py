"""A game's settings by section. The Hub's pages are postbacks/hub/game_settings/ and audience/hub/privacy/."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audience.api.toolkit.operations import reads, requires
from audience.api.toolkit.problems import Conflict
from audience.games import game_settings
from audience.models import Role, Scope
from audience.storage import retention
from postbacks.api.game_settings.base import SettingsViewSet
from postbacks.api.game_settings.serializers import (
    CONSENT_EXAMPLE,
    REPORTS_EXAMPLE,
    WINDOWS_EXAMPLE,
    AdClickSettingsChangeSerializer,
    AdClickSettingsSerializer,
    AttributionSettingsChangeSerializer,
    AttributionSettingsSerializer,
    ConsentSettingsChangeSerializer,
    ConsentSettingsSerializer,
    ReportSettingsChangeSerializer,
    ReportSettingsSerializer,
    RetentionSettingsChangeSerializer,
    RetentionSettingsSerializer,
    parse_rates,
    rates_as_list,
)
from postbacks.hub.game_settings.forms import CLICK_NETWORKS
from postbacks.reporting.campaigns import settings as reports

OF_POSTBACKS = {"retrieve": reads(Scope.POSTBACKS), "partial_update": requires(Scope.POSTBACKS, Role.ADMIN)}
OF_PRIVACY = {"retrieve": reads(Scope.PRIVACY), "partial_update": requires(Scope.PRIVACY, Role.ADMIN)}


def examples(shown: dict[str, Any], stated: dict[str, Any]) -> list[OpenApiExample]:
    """Return the examples of an answer and of a body."""
    return [OpenApiExample("Settings", shown, response_only=True), OpenApiExample("Change", stated, request_only=True)]


class ReportSettingsViewSet(SettingsViewSet):
    operations = OF_POSTBACKS
    serializer_class = ReportSettingsSerializer

    @extend_schema(examples=examples(REPORTS_EXAMPLE, {}))
    def retrieve(self, request: Request, game: str) -> Response:
        """Return the time zone, currency and exchange rates of a game's reports."""
        return self.shown()

    @extend_schema(
        request=ReportSettingsChangeSerializer, examples=examples(REPORTS_EXAMPLE, {"time_zone": "Europe/Berlin"})
    )
    def partial_update(self, request: Request, game: str) -> Response:
        """Change the time zone, currency or exchange rates of reports. In another time zone, the days of all figures
        are computed again within minutes. It changes nothing that is sent to ad networks."""
        return self.changed(ReportSettingsChangeSerializer)

    def values(self) -> dict[str, Any]:
        present = reports.settings_of(self.game)
        rates = rates_as_list(present.rates)
        return {
            "time_zone": present.time_zone,
            "reporting_currency": present.reporting_currency,
            "exchange_rates": rates,
        }

    def version(self) -> str:
        return reports.settings_of(self.game).version

    def save(self, values: dict[str, Any], stated: dict[str, Any]) -> None:
        currency = values["reporting_currency"]
        if currency != self.game.reporting_currency and "exchange_rates" not in stated:
            message = f"Send the exchange rates in {currency} too: the present ones are in another currency."
            raise serializers.ValidationError({"exchange_rates": [message]}, "required")
        reports.set_report_settings(
            game=self.game,
            time_zone=values["time_zone"],
            reporting_currency=currency,
            rates=parse_rates(values["exchange_rates"], currency=currency),
        )


class AttributionSettingsViewSet(SettingsViewSet):
    operations = OF_POSTBACKS
    section = game_settings.ATTRIBUTION
    serializer_class = AttributionSettingsSerializer

    @extend_schema(examples=examples(WINDOWS_EXAMPLE, {}))
    def retrieve(self, request: Request, game: str) -> Response:
        """Return the attribution windows of a game."""
        return self.shown()

    @extend_schema(
        request=AttributionSettingsChangeSerializer,
        examples=examples(WINDOWS_EXAMPLE, {"attribution_window_days": 28, "network_windows": {"tiktok": 7}}),
    )
    def partial_update(self, request: Request, game: str) -> Response:
        """Change the attribution windows of a game. They apply to conversions that are processed from now on."""
        return self.changed(AttributionSettingsChangeSerializer)

    def values(self) -> dict[str, Any]:
        values = super().values()
        return {**values, "network_windows": {kind: self.game.network_windows.get(kind) for kind in CLICK_NETWORKS}}

    def save(self, values: dict[str, Any], stated: dict[str, Any]) -> None:
        windows = {**self.values()["network_windows"], **stated.get("network_windows", {})}
        game_settings.set_attribution_windows(
            game=self.game,
            days=values["attribution_window_days"],
            network_days={kind: days for kind, days in windows.items() if days},
        )


class AdClickSettingsViewSet(SettingsViewSet):
    operations = OF_POSTBACKS
    section = game_settings.AD_CLICKS
    serializer_class = AdClickSettingsSerializer

    @extend_schema(examples=examples({"untagged_fbclid_is_paid": True}, {}))
    def retrieve(self, request: Request, game: str) -> Response:
        """Return which visits count as ad clicks."""
        return self.shown()

    @extend_schema(
        request=AdClickSettingsChangeSerializer,
        examples=examples({"untagged_fbclid_is_paid": False}, {"untagged_fbclid_is_paid": False}),
    )
    def partial_update(self, request: Request, game: str) -> Response:
        """Change which visits count as ad clicks. It applies to events that are processed from now on."""
        return self.changed(AdClickSettingsChangeSerializer)

    def save(self, values: dict[str, Any], stated: dict[str, Any]) -> None:
        game_settings.set_ad_clicks(game=self.game, **values)


class ConsentSettingsViewSet(SettingsViewSet):
    operations = OF_PRIVACY
    section = game_settings.CONSENT
    serializer_class = ConsentSettingsSerializer

    @extend_schema(examples=examples(CONSENT_EXAMPLE, {}))
    def retrieve(self, request: Request, game: str) -> Response:
        """Return the consent settings of a game."""
        return self.shown()

    @extend_schema(
        request=ConsentSettingsChangeSerializer, examples=examples(CONSENT_EXAMPLE, {"strict_consent": False})
    )
    def partial_update(self, request: Request, game: str) -> Response:
        """Change the consent settings of a game. They also apply to deliveries that are waiting."""
        return self.changed(ConsentSettingsChangeSerializer)

    def save(self, values: dict[str, Any], stated: dict[str, Any]) -> None:
        game_settings.set_consent(game=self.game, **values)


class RetentionSettingsViewSet(SettingsViewSet):
    operations = OF_PRIVACY
    section = game_settings.RETENTION
    serializer_class = RetentionSettingsSerializer

    @extend_schema(examples=examples({"kept_days": 90}, {}))
    def retrieve(self, request: Request, game: str) -> Response:
        """Return for how long the events of a game are kept."""
        return self.shown()

    @extend_schema(
        request=RetentionSettingsChangeSerializer,
        examples=examples({"kept_days": 90}, {"kept_days": 90, "delete_older_events": True}),
    )
    def partial_update(self, request: Request, game: str) -> Response:
        """Change for how long the events of a game are kept. A shorter time deletes older events within minutes, so
        `delete_older_events` must confirm it; the refusal states how many these are."""
        try:
            return self.changed(RetentionSettingsChangeSerializer)
        except game_settings.WouldDelete:
            days: int = self.body(RetentionSettingsChangeSerializer)["kept_days"]
            affected = retention.count_older_events(self.game, days)
            sentence = f"{affected.sentence} Send `delete_older_events`: true to confirm."
            raise Conflict(sentence, code="confirmation_required") from None

    def save(self, values: dict[str, Any], stated: dict[str, Any]) -> None:
        may_delete = values.get("delete_older_events", False)
        game_settings.set_kept_days(game=self.game, days=values["kept_days"], may_delete=may_delete)
