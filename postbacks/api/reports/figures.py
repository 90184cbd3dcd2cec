"""Figures in reports: their definitions, sums and values."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from rest_framework import serializers

from audience.api.toolkit.serializers import MoneySerializer, ReadSerializer, as_money
from postbacks.reporting import figure_rows
from postbacks.reporting.funnel import Tally


class DefinitionSerializer(ReadSerializer):
    """What a figure counts, as the page explains it."""

    label = serializers.CharField(read_only=True)  # type: ignore[assignment]  # of the figure
    explanation = serializers.CharField()


class WithoutValueSerializer(ReadSerializer):
    """Conversions that the sums leave out, and why."""

    problem = serializers.CharField(help_text="A code, such as `no_currency`.")
    text = serializers.CharField()
    count = serializers.IntegerField()


class TallySerializer(ReadSerializer):
    """A number of conversions, and the sums of their values by currency."""

    count = serializers.IntegerField()
    values = MoneySerializer(many=True)
    without_value = WithoutValueSerializer(many=True)


def definitions_of(keys: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return {key: definition} of those keys that are figures."""
    found = {key: figure_rows.find(key) for key in keys}
    return {key: {"label": figure.label, "explanation": figure.explanation} for key, figure in found.items() if figure}


def tally_values(tally: Tally) -> dict[str, Any]:
    return {
        "count": tally.count,
        "values": money_list(tally.sums),
        "without_value": [
            {"problem": problem, "text": text, "count": count} for count, text, problem in tally.without_value
        ],
    }


def money_list(amounts: Mapping[str, Decimal]) -> list[Any]:
    """Return the amounts by currency as money, in order of the currency."""
    return [as_money(amount, currency) for currency, amount in sorted(amounts.items())]
