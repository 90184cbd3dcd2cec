"""The exchange rates of a game's reports: read, replace all, or set some."""

from decimal import Decimal
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from audience.api.toolkit.operations import reads, requires
from audience.models import Role, Scope
from postbacks.api.game_settings.base import SettingsViewSet
from postbacks.api.game_settings.serializers import (
    RATES_EXAMPLE,
    ExchangeRateListSerializer,
    ExchangeRatesAddSerializer,
    ExchangeRatesReplaceSerializer,
    parse_rates,
    rates_as_list,
)
from postbacks.reporting.campaigns import settings as reports

EXAMPLES = [
    OpenApiExample("Rates", {"reporting_currency": "USD", "exchange_rates": RATES_EXAMPLE}, response_only=True),
    OpenApiExample("Change", {"exchange_rates": RATES_EXAMPLE[:1]}, request_only=True),
]


class ExchangeRateViewSet(SettingsViewSet):
    operations = {
        "retrieve": reads(Scope.POSTBACKS),
        "update": requires(Scope.POSTBACKS, Role.ADMIN),
        "partial_update": requires(Scope.POSTBACKS, Role.ADMIN),
    }
    serializer_class = ExchangeRateListSerializer

    @extend_schema(examples=EXAMPLES[:1])
    def retrieve(self, request: Request, game: str) -> Response:
        """List the exchange rates of a game. They are also part of its report settings."""
        return self.shown()

    @extend_schema(request=ExchangeRatesReplaceSerializer, examples=EXAMPLES)
    def update(self, request: Request, game: str) -> Response:
        """Replace the exchange rates of a game. Currencies that are left out have no rate afterward."""
        return self.changed(ExchangeRatesReplaceSerializer)

    @extend_schema(request=ExchangeRatesAddSerializer, examples=EXAMPLES)
    def partial_update(self, request: Request, game: str) -> Response:
        """Set some exchange rates of a game. Currencies that are left out keep their rate."""
        return self.changed(ExchangeRatesAddSerializer)

    def values(self) -> dict[str, Any]:
        present = reports.settings_of(self.game)
        return {
            "reporting_currency": present.reporting_currency,
            "exchange_rates": rates_as_list(present.rates),
        }

    def version(self) -> str:
        return reports.settings_of(self.game).version

    def save(self, values: dict[str, Any], stated: dict[str, Any]) -> None:
        rates = parse_rates(stated.get("exchange_rates", []), currency=self.game.reporting_currency)
        if self.action == "partial_update":
            reports.add_rates(game=self.game, rates=rates)
        else:
            self._replace(rates)

    def _replace(self, rates: dict[str, Decimal]) -> None:
        reports.set_report_settings(
            game=self.game,
            time_zone=self.game.time_zone,
            reporting_currency=self.game.reporting_currency,
            rates=rates,
        )
