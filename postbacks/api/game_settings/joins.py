"""How visits on the web are joined to players of a game."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audience.api.toolkit.fields import ParsedField
from audience.api.toolkit.serializers import ReadSerializer, StrictSerializer
from audience.games import game_settings, return_addresses
from audience.models import JoinKind
from audience.models.games import MAX_MATCH_HOURS, MAX_RETURN_ADDRESS_LENGTH, MAX_REWARD_LENGTH
from postbacks.api.game_settings.base import SettingsViewSet
from postbacks.api.game_settings.views import OF_POSTBACKS, examples

EXAMPLE = {
    "joins": ["steam", "referrer"],
    "reward_text": "Sign in with Steam and get the Comet skin.",
    "return_addresses": ["https://game.example/thanks"],
    "match_hours": 6,
}


class JoinSettingsSerializer(ReadSerializer):
    """The kinds of joins that are on, and what the claim page shows and allows."""

    joins = serializers.ListField(child=serializers.ChoiceField(JoinKind.choices))
    reward_text = serializers.CharField()
    return_addresses = serializers.ListField(child=serializers.CharField())
    match_hours = serializers.IntegerField(help_text="How many hours before a first launch modeled matches compare.")


class JoinSettingsChangeSerializer(StrictSerializer):
    joins = serializers.ListField(
        child=serializers.ChoiceField(JoinKind.choices),
        required=False,
        max_length=len(JoinKind.values),
        help_text="All kinds that are on; the others are off afterward.",
    )
    reward_text = serializers.CharField(required=False, allow_blank=True, max_length=MAX_REWARD_LENGTH)
    return_addresses = serializers.ListField(
        child=ParsedField(return_addresses.cleaned_address, max_length=MAX_RETURN_ADDRESS_LENGTH),
        required=False,
        max_length=return_addresses.MAX_ADDRESSES,
        help_text="Replaces the list of addresses to which a sign-in may return.",
    )
    match_hours = serializers.IntegerField(required=False, min_value=1, max_value=MAX_MATCH_HOURS)


class JoinSettingsViewSet(SettingsViewSet):
    operations = OF_POSTBACKS
    section = game_settings.JOINS
    serializer_class = JoinSettingsSerializer

    @extend_schema(examples=examples(EXAMPLE, {}))
    def retrieve(self, request: Request, game: str) -> Response:
        """Return how visits on the web are joined to players of a game."""
        return self.shown()

    @extend_schema(request=JoinSettingsChangeSerializer, examples=examples(EXAMPLE, {"joins": ["steam", "code"]}))
    def partial_update(self, request: Request, game: str) -> Response:
        """Change how visits on the web are joined to players of a game. Joins that were made stay."""
        return self.changed(JoinSettingsChangeSerializer)

    def save(self, values: dict[str, Any], stated: dict[str, Any]) -> None:
        game_settings.set_joins(game=self.game, **values)
