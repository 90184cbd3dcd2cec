"""The trail of one conversion: why it was sent or not."""

from rest_framework import serializers

from audience.api.toolkit.serializers import ReadSerializer
from audience.models import KeyKind
from audience.models.join_kinds import PAGE_KINDS
from consent.models import Level
from postbacks.api.conversions.serializers import ConversionBaseSerializer, OutcomeSerializer
from postbacks.models.attempts import AttemptStatus
from postbacks.networks.interface.call import Verdict
from postbacks.reporting.clicks import ClickResult
from postbacks.reporting.consent_in_force import ConsentSource
from postbacks.reporting.conversion_detail import MAX_JOINS

VERDICTS = [("", "None"), *((verdict.value, verdict.value) for verdict in Verdict)]


class EventReferenceSerializer(ReadSerializer):
    """The address of the event: /events/{day}/{id}."""

    id = serializers.IntegerField()
    day = serializers.DateField()


class SenderKeySerializer(ReadSerializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    prefix = serializers.CharField()
    kind = serializers.ChoiceField(KeyKind.choices)


class SenderSerializer(ReadSerializer):
    """The key and the web page that the event came from."""

    key = SenderKeySerializer(allow_null=True)
    description = serializers.CharField()
    origin = serializers.CharField(help_text="The origin of the web page; empty if no browser sent the event.")


class ConsideredClickSerializer(ReadSerializer):
    """A click of the player, and why the conversion is attributed to it or not."""

    network = serializers.CharField()
    click_id = serializers.CharField()
    page_url = serializers.CharField()
    clicked_at = serializers.DateTimeField()
    is_attributed = serializers.BooleanField()
    result = serializers.ChoiceField([(result.value, result.value) for result in ClickResult])
    explanation = serializers.CharField(help_text="The result as a sentence.")


class ConversionJoinSerializer(ReadSerializer):
    """A join of a browser of the player with the player of the game."""

    kind = serializers.ChoiceField([(kind.value, kind.label) for kind in PAGE_KINDS])
    anonymous_id = serializers.CharField(help_text="The ID of the browser.")
    joined_at = serializers.DateTimeField()


class ConsentInForceSerializer(ReadSerializer):
    """The consent in force for the conversion."""

    level = serializers.ChoiceField([choice for choice in Level.choices if choice[0] != Level.NOT_SET])
    source = serializers.ChoiceField(  # type: ignore[assignment]  # of the consent
        [(source.value, source.value) for source in ConsentSource]
    )
    explanation = serializers.CharField()
    decided_at = serializers.DateTimeField(allow_null=True)
    data_use = serializers.CharField(help_text="A sentence about limited data use; empty if nobody asks for it.")


class ConversionWaitSerializer(ReadSerializer):
    """What a waiting delivery waits for."""

    until = serializers.DateTimeField(allow_null=True)
    cause = serializers.CharField()
    can_end = serializers.BooleanField(help_text="Whether it can be sent sooner.")


class ConversionAttemptSerializer(ReadSerializer):
    """One call to the network."""

    id = serializers.IntegerField()
    number = serializers.IntegerField()
    started_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    status = serializers.ChoiceField(AttemptStatus.choices)
    verdict = serializers.ChoiceField(VERDICTS)
    http_status = serializers.IntegerField(allow_null=True)
    latency_ms = serializers.IntegerField(allow_null=True)
    provider_code = serializers.CharField()
    message = serializers.CharField()
    request_id = serializers.CharField(help_text="The network's own ID of the call.")


class ConversionPostbackSerializer(OutcomeSerializer):
    """A conversion on one postback: the state, why, what to do, and every attempt."""

    verdict = serializers.ChoiceField(VERDICTS, help_text="How the last answer was understood.")
    explanation = serializers.CharField(help_text="Why, as a sentence.")
    remedy = serializers.CharField(help_text="What to do; empty if there is nothing to do.")
    event_name = serializers.CharField(help_text="The network's name of the event.")
    goal = serializers.CharField(help_text="The goal that matched.")
    version = serializers.IntegerField(help_text="The version of the postback's settings.")
    version_set_at = serializers.DateTimeField(allow_null=True)
    version_set_by = serializers.CharField()
    event_id = serializers.CharField(help_text="How the network detects duplicates.")
    deadline = serializers.DateTimeField(help_text="No attempt starts later.")
    next_attempt_at = serializers.DateTimeField(allow_null=True)
    wait = ConversionWaitSerializer(allow_null=True)
    can_send_again = serializers.BooleanField()
    attempts = ConversionAttemptSerializer(many=True)
    attempts_pruned = serializers.BooleanField(help_text="Whether its attempts were deleted by the retention.")
    body = serializers.JSONField(allow_null=True, help_text="What was sent last; null if it is not stored.")


class ConversionPostbackReferenceSerializer(ReadSerializer):
    """A postback that has no part in the conversion."""

    postback_id = serializers.UUIDField()
    network = serializers.CharField()
    pixel_id = serializers.CharField()
    created_at = serializers.DateTimeField()


class ConversionDetailSerializer(ConversionBaseSerializer):
    """A conversion with its trail: the event, the clicks considered, the joins, the consent in force, each postback."""

    properties = serializers.DictField()
    remedy = serializers.CharField(help_text="What to do about the reason; empty if there is nothing to do.")
    problem = serializers.CharField(help_text="Why it is not processed yet; empty if it is.")
    stored_event = EventReferenceSerializer(allow_null=True, help_text="Null once the event was deleted.")
    sender = SenderSerializer()
    ad = serializers.ListField(
        child=serializers.CharField(), help_text="The names under which reports count the click, from the network on."
    )
    clicks = ConsideredClickSerializer(many=True)
    joins = ConversionJoinSerializer(
        many=True, help_text=f"How the player was connected with a browser, the newest first; at most {MAX_JOINS}."
    )
    consent = ConsentInForceSerializer()
    postbacks = ConversionPostbackSerializer(many=True)
    without_part = ConversionPostbackReferenceSerializer(many=True, help_text="Postbacks that did not take the click.")
    added_later = ConversionPostbackReferenceSerializer(
        many=True, help_text="Postbacks that were added after it was processed."
    )
