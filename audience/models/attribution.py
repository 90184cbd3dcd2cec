"""Attribution: Touch (an ad click) and Conversion (a trigger event, with the click it is attributed to)."""

import uuid

from django.contrib.postgres.indexes import HashIndex
from django.db import models
from django.db.models import JSONField, Q, Value

from audience.database import clock
from audience.models.games import Game
from audience.models.people import Person


class Touch(models.Model):
    """A paid click. Events with the same click id are one, at the earliest time (audience/digest/touches.py)."""

    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="+", db_index=False)
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="touches", db_index=False)
    network = models.CharField(max_length=16)
    # The click id or, for a paid visit with UTM parameters only, "message:<message id>".
    click_key = models.TextField()
    click_id = models.TextField(blank=True)
    parameter = models.CharField(
        max_length=32, blank=True, default="", db_default="", help_text="Of the click ID: gclid, gbraid, ..."
    )
    clicked_at = models.DateTimeField()
    message_id = models.CharField(max_length=256)
    campaign = models.JSONField(default=dict, blank=True)
    page_url = models.TextField(blank=True)
    referrer = models.TextField(blank=True)
    # The address of the player at the time of the click, for matching; never that of a game server.
    ip = models.CharField(max_length=45, blank=True)
    user_agent = models.CharField(max_length=1024, blank=True)
    cookies = models.JSONField(default=dict, db_default=Value({}, JSONField()), blank=True)  # of all networks
    # The first of the network's own cookies, for other programs; not used here.
    browser_id = models.CharField(max_length=256, blank=True)
    is_repeated = models.BooleanField(
        default=False, db_default=False, help_text="Possibly repeated from an earlier URL."
    )
    # {fact: [event time, message id]} of the facts that another event than the earliest stated.
    fact_times = models.JSONField(default=dict, db_default=Value({}, JSONField()), blank=True, editable=False)

    class Meta:
        verbose_name_plural = "touches"
        constraints = [
            models.UniqueConstraint(fields=["person", "network", "click_key"], name="one_touch_per_click"),
        ]
        indexes = [
            models.Index(fields=["person", "-clicked_at"], name="touch_newest"),  # the last paid click before a time
            # The figures of campaigns (postbacks/reporting/campaigns/).
            models.Index(fields=["game", "clicked_at"], name="touch_by_time"),
            models.Index(fields=["game", "network"], name="touch_by_network"),  # conversions of a network with few
            # Search on the Conversions page. A hash index, since a B-tree refuses texts over 2,700 bytes.
            HashIndex(fields=["click_id"], name="touch_click_id", condition=~Q(click_id="")),
            # Who repeats a click of another player (audience/digest/repeated_clicks.py).
            models.Index(fields=["game", "click_id"], name="touch_repeated", condition=Q(is_repeated=True)),
        ]

    def __str__(self) -> str:
        return f"{self.network} click {self.click_key[:24]}"


class Trigger(models.TextChoices):
    """The two built-in triggers; goals of postbacks may count further events (GoalEvent)."""

    GAME_LAUNCH = "game_launch", "Game Launch"
    PURCHASE = "purchase", "Purchase"


def trigger_label(trigger: str) -> str:
    """Return a trigger as pages name it: "Purchase", or the event name."""
    return Trigger(trigger).label if trigger in Trigger.values else trigger


class GoalEvent(models.Model):
    """An event name, besides the built-in triggers, whose events become conversions: a postback's goal counts them."""

    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="goal_events", db_index=False)
    name = models.CharField(max_length=256)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["game", "name"], name="one_goal_event_per_name")]

    def __str__(self) -> str:
        return self.name


class Reason(models.TextChoices):
    """Why a conversion was not sent; the labels are shown on its page."""

    NO_CLICK = "no_click", "No ad click of this player"
    OTHER_NETWORK = "other_network", "The ad click is from a network without a postback"
    OUTSIDE_WINDOW = "outside_window", "The ad click is older than the attribution window"
    CONSENT = "consent", "The player did not consent"
    LIMITED_USE = "limited_use", "The use of the player's data is limited, which the network does not support"
    NO_MATCH_KEY = "no_match_key", "No match key for the network"
    CONFIG_DISABLED = "config_disabled", "The postback was disabled for this event"
    CONFIG_DELETED = "config_deleted", "The postback was deleted"
    TEST_TRAFFIC = "test_traffic", "Test traffic is never sent"
    FILTERED = "filtered", "The event does not meet the goal's condition"
    NOT_FROM_SERVER = "not_from_server", "The goal counts only events that were sent with a server key"
    NOT_MAPPED = "not_mapped", "The goal has no event ID of the network"
    REPEAT_LAUNCH = "repeat_launch", "Only a player's first launch counts"
    REFUND = "refund", "A negative amount is a refund, not a purchase"
    REPEAT = "repeat", "The goal counts once per player, and this was not the first"
    REPEAT_ORDER = "repeat_order", "Another event of the same order counts"
    NO_VALUE = "no_value", "The network requires a value for this event, and the event has no valid value"
    TOO_OLD = "too_old", "Too old for the network to accept"
    SHARED_ID = "shared_id", "The event has only an ID that many players share"
    ERASED = "erased", "The player's data was erased"


class ValueProblem(models.TextChoices):
    """Why an amount that an event states is neither summed nor sent; completes "without value: "."""

    NO_CURRENCY = "no_currency", "no currency"
    UNKNOWN_CURRENCY = "unknown_currency", "a currency that is not in ISO 4217"
    NEGATIVE = "negative", "a negative amount"
    UNREADABLE = "unreadable", "an invalid amount"


# Set by attribution; the other reasons are set by the fan-out or a postback.
ATTRIBUTION_REASONS = (Reason.NO_CLICK, Reason.OUTSIDE_WINDOW, Reason.SHARED_ID)
# Reasons of conversions that no total counts, beside test traffic and further events of an order (`repeats_order`).
UNCOUNTED_REASONS = (Reason.REPEAT_LAUNCH, Reason.REFUND, Reason.ERASED)
COUNTED = Q(test=False, repeats_order=False) & ~Q(reason__in=UNCOUNTED_REASONS)


class ConversionQuerySet(models.QuerySet["Conversion"]):
    def to_fan_out(self) -> "ConversionQuerySet":
        return self.filter(fanned_out_at=None).order_by("created_at")

    def unattributed(self) -> "ConversionQuerySet":
        """Conversions that a late click or a merge may still attribute. A blank reason is not decided yet."""
        return self.filter(touch=None, reason__in=("", *ATTRIBUTION_REASONS))

    def counted(self) -> "ConversionQuerySet":
        """Conversions that totals count."""
        return self.filter(COUNTED)

    def launches(self) -> "ConversionQuerySet":
        """First and repeated launches; one per person may count."""
        return self.filter(trigger=Trigger.GAME_LAUNCH, test=False).exclude(reason=Reason.ERASED)


class Conversion(models.Model):
    """A trigger event of one person. `touch` is the click that it is attributed to; without one there is a `reason`.

    `id` is also the event id by which networks deduplicate if the event has none of its sender. `reason` is blank if
    the conversion was or will be sent; the fan-out stores a reason if no postback sends it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="conversions", db_index=False)
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="conversions", db_index=False)
    # A Trigger, or the name of a GoalEvent.
    trigger = models.CharField(max_length=256)
    message_id = models.CharField(max_length=256)
    event_day = models.DateField(help_text="The day of its event, to find it again.")
    event_at = models.DateTimeField()
    created_at = models.DateTimeField(default=clock.now)
    user_id = models.TextField(blank=True)
    anonymous_id = models.TextField(blank=True, db_default="", help_text="The anonymous ID of its event, canonical.")
    # What is shown, summed, exported and sent: both, or neither with the problem (audience/digest/money.py). Rows of
    # version 0.2 may have one of them.
    value = models.DecimalField(max_digits=20, decimal_places=6, null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    value_problem = models.CharField(max_length=16, choices=ValueProblem.choices, blank=True, db_default="")
    order_id = models.CharField(max_length=256, blank=True, db_default="", help_text="The order of a purchase.")
    # Totals count the others of an order with this False; which one a postback sends, it decides itself.
    repeats_order = models.BooleanField(default=False, db_default=False)
    properties = models.JSONField(default=dict, blank=True)
    context = models.JSONField(default=dict, blank=True)
    integrations = models.JSONField(default=dict, blank=True)
    consent_level = models.CharField(max_length=10, blank=True)
    test = models.BooleanField(default=False)
    # The key it came with, without a foreign key constraint. None for conversions of version 0.1.0.
    key_id = models.BigIntegerField(null=True, blank=True)
    # Whether that was a server key. None (conversions of version 0.1.0) counts as False.
    from_server = models.BooleanField(null=True, blank=True)
    origin = models.CharField(max_length=300, blank=True, db_default="", help_text="The origin of its event.")
    # Whose its event is by now, if it was handed to a postback before that changed: what was sent keeps its player.
    moved_to = models.ForeignKey(Person, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False)
    touch = models.ForeignKey(Touch, null=True, blank=True, on_delete=models.SET_NULL, related_name="conversions")
    reason = models.CharField(max_length=16, choices=Reason.choices, blank=True)
    fanned_out_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ConversionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["game", "message_id", "event_day"], name="one_conversion_per_event"),
            # game_launch counts once per person, even with concurrent workers.
            models.UniqueConstraint(
                fields=["person"],
                condition=Q(trigger="game_launch", test=False) & ~Q(reason="repeat_launch") & ~Q(reason="erased"),
                name="one_launch_per_person",
            ),
        ]
        indexes = [
            # ConversionQuerySet.to_fan_out: the queue of the fan-out.
            models.Index(fields=["created_at"], condition=Q(fanned_out_at=None), name="conversion_to_fan_out"),
            # The Conversions page and the audit.
            models.Index(fields=["game", "-event_at"], name="conversion_newest"),
            # Merges and erasures; the purchases of an order; search by its number.
            models.Index(fields=["person"], name="conversion_person"),
            models.Index(fields=["moved_to"], condition=~Q(moved_to=None), name="conversion_moved"),
            models.Index(fields=["person", "order_id"], condition=~Q(order_id=""), name="conversion_order"),
            models.Index(fields=["game", "order_id"], condition=~Q(order_id=""), name="conversion_by_order"),
            # The Overview: conversions without a value that could be sent.
            models.Index(fields=["game", "event_at"], condition=~Q(value_problem=""), name="conversion_value_problem"),
        ]

    def __str__(self) -> str:
        return f"{self.trigger} {self.id}"

    @property
    def trigger_label(self) -> str:
        return trigger_label(self.trigger)
