"""Representations of conversions in lists."""

from rest_framework import serializers

from audience.api.toolkit.queries import PagedQuery, PeriodQuery
from audience.api.toolkit.serializers import MoneySerializer, ReadSerializer
from audience.models import MatchResult, Reason, ValueProblem
from postbacks.models import Confirmation, DeliveryState
from postbacks.networks import NETWORKS
from postbacks.reporting.conversion_list import CLICKS, CURRENCY_LENGTH, KEYS, MAX_QUERY_LENGTH
from postbacks.reporting.funnel import LABELS

NETWORK_CHOICES = [(kind, kind) for kind in NETWORKS]


class ConversionQuery(PeriodQuery, PagedQuery):
    """The filters of the page."""

    event = serializers.CharField(required=False, max_length=256, help_text="The name, such as `purchase`.")
    network = serializers.ChoiceField(
        NETWORK_CHOICES,
        required=False,
        help_text="What is attributed to the network, by the outcome on its postbacks.",
    )
    only = serializers.ChoiceField(
        [(key, LABELS[key]) for key in KEYS],
        required=False,
        help_text="A status, a step of the funnel or a figure; without it, the conversions that totals count. Of a "
        "period with more than 100,000 conversions, the CSV file of a status has the newest of them, as the page does.",
    )
    click = serializers.ChoiceField(
        list(CLICKS.items()), required=False, help_text="The network of the attributed click; `none` for no click."
    )
    currency = serializers.CharField(required=False, max_length=CURRENCY_LENGTH)
    problem = serializers.ChoiceField(
        ValueProblem.choices, required=False, help_text="Why the amount that the event states is not sent."
    )
    q = serializers.CharField(
        required=False,
        max_length=MAX_QUERY_LENGTH,
        help_text="Finds the ID of a conversion, message, order, click or player, or an email address, each compared "
        "exactly. The other filters are ignored.",
    )


class AttributedClickSerializer(ReadSerializer):
    """The ad click that a conversion is attributed to."""

    network = serializers.CharField()
    click_id = serializers.CharField()
    parameter = serializers.CharField(help_text="The parameter of the click ID, such as `ttclid`.")
    clicked_at = serializers.DateTimeField()
    campaign = serializers.DictField(
        child=serializers.CharField(), help_text="What the link names, such as `utm_campaign`."
    )


class ModeledMatchSerializer(ReadSerializer):
    """An estimate of the ad click that a first launch comes from. It is no attribution, and is never sent."""

    result = serializers.ChoiceField(MatchResult.choices)
    explanation = serializers.CharField(help_text="The result as a sentence.")
    click = AttributedClickSerializer(allow_null=True, help_text="The click of another visitor, if one is matched.")


class OutcomeSerializer(ReadSerializer):
    """The outcome of a conversion on one postback."""

    delivery_id = serializers.UUIDField()
    postback_id = serializers.UUIDField()
    network = serializers.CharField()
    pixel_id = serializers.CharField()
    state = serializers.ChoiceField(DeliveryState.choices)
    reason = serializers.ChoiceField([("", "None"), *Reason.choices], help_text="Why it was not sent.")
    confirmation = serializers.ChoiceField(
        [("", "None"), *Confirmation.choices], help_text="Of networks that acknowledge first and count later."
    )
    may_have_arrived = serializers.BooleanField(help_text="A call ended without an answer, and no later one had one.")
    attempts_made = serializers.IntegerField()
    finished_at = serializers.DateTimeField(allow_null=True)
    label = serializers.CharField(help_text="The outcome, as the page shows it.")  # type: ignore[assignment]  # of the outcome
    message = serializers.CharField(help_text="What the network answered last, unless it accepted the conversion.")


class ConversionBaseSerializer(ReadSerializer):
    """A conversion with its click."""

    id = serializers.UUIDField()
    event = serializers.CharField(help_text="`game_launch`, `purchase` or the name of a goal's event.")
    event_at = serializers.DateTimeField()
    message_id = serializers.CharField()
    person_id = serializers.UUIDField()
    user_id = serializers.CharField(help_text="The player's own ID; empty if the event has none.")
    order_id = serializers.CharField()
    repeats_order = serializers.BooleanField(help_text="Another purchase with this order counts in its place.")
    value = MoneySerializer(allow_null=True)
    value_problem = serializers.ChoiceField([("", "None"), *ValueProblem.choices])
    test = serializers.BooleanField()
    is_processed = serializers.BooleanField(help_text="Whether it was assigned to postbacks.")
    reason = serializers.ChoiceField([("", "None"), *Reason.choices], help_text="Why no postback sends it.")
    reason_text = serializers.CharField(help_text="The reason as a sentence.")
    click = AttributedClickSerializer(allow_null=True)
    modeled_match = ModeledMatchSerializer(
        allow_null=True, help_text="Of first launches without a click, if the game compares them; null otherwise."
    )


class ConversionSerializer(ConversionBaseSerializer):
    """A conversion with its click and its outcome on each postback."""

    outcomes = OutcomeSerializer(many=True)
