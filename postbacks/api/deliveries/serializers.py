"""Representations of attempts and deliveries."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from audience.api.toolkit.fields import ObjectField
from audience.api.toolkit.serializers import MoneySerializer, ReadSerializer, as_money
from audience.hub.toolkit.masking import masked
from audience.models import Conversion, Reason
from postbacks.models import AttemptStatus, Confirmation, Delivery, DeliveryState
from postbacks.reporting.conversion_detail import PostbackDetail

ANSWER_EXAMPLE: dict[str, Any] = {
    "id": 90211,
    "number": 1,
    "started_at": "2026-11-21T09:58:10Z",
    "finished_at": "2026-11-21T09:58:11Z",
    "status": "success",
    "verdict": "success",
    "http_status": 200,
    "latency_ms": 212,
    "provider_code": "0",
    "message": "OK",
    "request_id": "20261121095811010245",
    "config_version": 3,
}
DELIVERY_EXAMPLE: dict[str, Any] = {
    "id": "f4b1c0de-0a8b-4c1e-8b57-6d1a8a2c9f10",
    "postback": "6f2f1a34-51c9-4be6-9c2a-0d2d3a6f1b55",
    "network": "tiktok",
    "pixel_id": "CABC1234567890",
    "event": "purchase",
    "sent_as": "",
    "object_id": "",
    "event_id": "3f1d7c0a-9e55-4f5c-8a61-2f0f6a9d1c20",
    "event_at": "2026-11-21T09:58:02Z",
    "state": "delivered",
    "reason": None,
    "verdict": "success",
    "confirmation": "",
    "may_have_arrived": False,
    "attempts_made": 1,
    "config_version": 3,
    "conversion": "3f1d7c0a-9e55-4f5c-8a61-2f0f6a9d1c20",
    "person": "8f14e45f-ceea-467f-a0e6-5f3b6f0f7a11",
    "player": "player-42",
    "value": {"amount": "9.99", "currency": "USD"},
    "replay": None,
    "created_at": "2026-11-21T09:58:05Z",
    "next_attempt_at": None,
    "deadline": "2026-11-23T08:58:10Z",
    "finished_at": "2026-11-21T09:58:11Z",
}
ATTEMPT_EXAMPLE: dict[str, Any] = {**ANSWER_EXAMPLE, "delivery": DELIVERY_EXAMPLE}
DETAIL_EXAMPLE: dict[str, Any] = {
    **DELIVERY_EXAMPLE,
    "label": "Delivered",
    "explanation": "Accepted by the network",
    "remedy": "",
    "event_name": "Purchase",
    "goal": "Purchase",
    "can_send_again": False,
    "wait": None,
    "attempts": [ANSWER_EXAMPLE],
    "sent": {"data": [{"event": "Purchase", "event_id": "3f1d7c0a"}]},
    "sent_fields": [{"field": "data[0].event", "value": "Purchase", "note": "The event"}],
}


class MaskedField(serializers.CharField):
    """Text with email addresses only for those who may see them."""

    def to_representation(self, value: Any) -> str:
        return str(masked(value, addresses=self.context["view"].addresses))


class AnswerSerializer(ReadSerializer):
    """One call to the network, and its answer."""

    id = serializers.IntegerField()
    number = serializers.IntegerField(help_text="Of the delivery, from 1.")
    started_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    status = serializers.ChoiceField(AttemptStatus.choices)
    verdict = serializers.CharField(help_text="What the answer means; empty while it is being sent.")
    http_status = serializers.IntegerField(allow_null=True)
    latency_ms = serializers.IntegerField(allow_null=True)
    provider_code = MaskedField()
    message = MaskedField()
    request_id = MaskedField(help_text="The network's id of the call.")
    config_version = serializers.IntegerField(help_text="The version of the postback's settings.")


class DeliverySerializer(ReadSerializer):
    """A conversion to be sent to a postback, or the reason why it is not sent."""

    id = serializers.UUIDField()
    postback = serializers.UUIDField(source="config_id")
    network = serializers.CharField()
    pixel_id = serializers.CharField(source="config.pixel_id")
    event = MaskedField(source="trigger")
    sent_as = serializers.CharField(help_text="The network's event name; empty for the usual one.")
    object_id = serializers.CharField()
    event_id = MaskedField(help_text="By which the network detects repeats.")
    event_at = serializers.DateTimeField()
    state = serializers.ChoiceField(DeliveryState.choices)
    reason = serializers.ChoiceField(Reason.choices, allow_null=True)
    verdict = serializers.CharField(help_text="What the last answer means; empty before it.")
    confirmation = serializers.ChoiceField(
        [("", "The answer is final"), *Confirmation.choices], source="known_confirmation"
    )
    may_have_arrived = serializers.BooleanField(help_text="A call ended without an answer.")
    attempts_made = serializers.IntegerField()
    config_version = serializers.IntegerField()
    conversion = serializers.UUIDField(
        source="conversion_id", allow_null=True, help_text="Null: the player was erased."
    )
    person = serializers.SerializerMethodField()
    player = serializers.SerializerMethodField(help_text="The game's id of the player, if it has one.")
    value = serializers.SerializerMethodField(method_name="read_value")
    replay = serializers.UUIDField(source="replay_id", allow_null=True)
    created_at = serializers.DateTimeField()
    next_attempt_at = serializers.DateTimeField(allow_null=True)
    deadline = serializers.DateTimeField(help_text="No attempt starts later.")
    finished_at = serializers.DateTimeField(allow_null=True)

    def to_representation(self, delivery: Delivery) -> dict[str, Any]:
        found: dict[str, Any] = super().to_representation(delivery)
        return {**found, "reason": delivery.reason or None}

    def get_person(self, delivery: Delivery) -> str | None:
        return str(delivery.conversion.person_id) if delivery.conversion else None

    def get_player(self, delivery: Delivery) -> str:
        player = delivery.conversion.user_id if delivery.conversion else ""
        return str(masked(player, addresses=self.context["view"].addresses))

    @extend_schema_field(MoneySerializer(allow_null=True))
    def read_value(self, delivery: Delivery) -> dict[str, str] | None:
        conversion: Conversion | None = delivery.conversion
        return as_money(conversion.value, conversion.currency) if conversion else None


class AttemptSerializer(AnswerSerializer):
    """One call to a network, with its delivery."""

    delivery = DeliverySerializer()


class WaitSerializer(ReadSerializer):
    """What a waiting delivery waits for."""

    until = serializers.DateTimeField(allow_null=True)
    cause = serializers.CharField()
    can_end = serializers.BooleanField(help_text="Whether it can be sent now with try-now.")


class SentFieldSerializer(ReadSerializer):
    field = serializers.CharField()
    value = serializers.CharField()
    note = serializers.CharField()


class DeliveryDetailSerializer(DeliverySerializer):
    """A delivery with its attempts, what was sent, and what to do."""

    label = serializers.CharField()  # type: ignore[assignment]
    explanation = serializers.CharField(help_text="Why it has this state.")
    remedy = serializers.CharField(help_text="What to do; empty for nothing.")
    event_name = serializers.CharField(help_text="As the network receives it.")
    goal = serializers.CharField()
    can_send_again = serializers.BooleanField()
    wait = WaitSerializer(allow_null=True)
    attempts = AnswerSerializer(many=True)
    sent = ObjectField(help_text="The body that was sent last, masked as on its page.")
    sent_fields = SentFieldSerializer(many=True)

    def to_representation(self, detail: PostbackDetail) -> dict[str, Any]:  # type: ignore[override]
        common = DeliverySerializer(detail.delivery, context=self.context).data
        names = ("label", "explanation", "remedy", "event_name", "goal", "can_send_again")
        return {
            **common,
            **{name: getattr(detail, name) for name in names},
            "wait": WaitSerializer(detail.wait).data if detail.wait else None,
            "attempts": AnswerSerializer(detail.attempts, many=True, context=self.context).data,
            "sent": detail.body or None,
            "sent_fields": [{"field": field, "value": value, "note": note} for field, value, note in detail.payload],
        }
