"""Decides whether a conversion may be sent to a config: returns the Reason why not, or None.

The reasons are tested in a fixed order (postbacks/outbox/reasons.py), since the first that applies is the one that is
shown: those that hold for any config (erased, test traffic, a repeat, no click), then the network of the click,
whether the postback is on, its goals, the player's consent, and last what the network accepts.
"""

from datetime import UTC, datetime
from typing import Any

import structlog

from audience.ids.values import read_usable_id
from audience.intake.messages import message_ids
from audience.intake.messages.message import SERVER_ID_PREFIX
from audience.models import Conversion, Reason, Trigger, ValueProblem
from audience.models.attribution import ATTRIBUTION_REASONS
from consent.models import Level
from postbacks.models import PostbackConfig
from postbacks.networks.interface.facts import Facts
from postbacks.outbox import conversion_facts
from postbacks.outbox.goals import Goal, Match, match_goal
from postbacks.outbox.json_objects import as_object

logger = structlog.get_logger(__name__)

MAX_EVENT_ID = 128  # Delivery.event_id


def reason_not_to_send(
    conversion: Conversion,
    config: PostbackConfig,
    *,
    level: Level,
    now: datetime,
    repeated: bool = False,
    is_decided: bool = False,
    facts: Facts | None = None,
    match: Match | None = None,
) -> Reason | None:
    """The first reason why `conversion` must not go to `config`, None if it may. Makes no query.

    Expects `touch` and `person` to be loaded, and `conversion_facts.load_first_user_ids`. `level` is its consent level,
    `repeated` whether it is one of `once_per_player.repeats()`, evaluated at fan-out only, as is REPEAT_ORDER
    (`repeated_orders`). `is_decided`: that the config takes the click. `facts` and `match` are read here unless passed.
    """
    if reason := reason_for_any_config(conversion):
        return reason
    if conversion.touch is None or not (is_decided or config.takes_click(conversion.touch)):
        return Reason.OTHER_NETWORK
    if config.deleted_at is not None:
        return Reason.CONFIG_DELETED
    if not is_destination_allowed(conversion.integrations, config.kind.label):
        return Reason.CONFIG_DISABLED
    match = match or match_goal(config, conversion)
    if isinstance(match, Reason) or (config.kind.object_id and not match.object_id):
        return match if isinstance(match, Reason) else Reason.NOT_MAPPED
    name = _name(conversion, config, match)
    if conversion.value_problem == ValueProblem.NEGATIVE and name == config.kind.events.get(Trigger.PURCHASE):
        return Reason.REFUND  # of an event that the goal sends as a purchase
    if repeated:
        return Reason.REPEAT
    if reason := _privacy_reason(conversion, config, level):
        return reason
    if not _can_match(conversion, config, level, facts):
        return Reason.NO_MATCH_KEY
    if _lacks_value(conversion, config, name):
        return Reason.NO_VALUE
    return Reason.TOO_OLD if is_too_old(config, conversion.event_at, now) else None


def reason_for_any_config(conversion: Conversion) -> Reason | None:
    """The reason that holds for every config: erasure's, attribution's or test traffic."""
    if conversion.reason == Reason.ERASED:
        return Reason.ERASED
    if conversion.test:
        return Reason.TEST_TRAFFIC
    if conversion.reason in (Reason.REPEAT_LAUNCH, Reason.REFUND):
        return Reason(conversion.reason)
    if conversion.reason in ATTRIBUTION_REASONS:
        return Reason(conversion.reason)
    return Reason.NO_CLICK if conversion.touch is None else None


def _privacy_reason(conversion: Conversion, config: PostbackConfig, level: Level) -> Reason | None:
    if level == Level.NONE:
        return Reason.CONSENT
    cannot_limit = not config.kind.limits_data_use and conversion_facts.is_limited(conversion)
    return Reason.LIMITED_USE if cannot_limit else None


def _name(conversion: Conversion, config: PostbackConfig, goal: Goal) -> str:
    """The network's name of the event."""
    return goal.sent_as or config.kind.events.get(conversion.trigger, conversion.trigger)


def _lacks_value(conversion: Conversion, config: PostbackConfig, name: str) -> bool:
    if conversion.value is None and conversion.value_problem and config.kind.has_default_values:
        return True
    is_needed = name in config.kind.value_events
    return is_needed and not config.kind.accepts_value(conversion.value, conversion.currency)


def is_eligible(conversion: Conversion, config: PostbackConfig) -> bool:
    """Whether a click that the config takes won the conversion, and no reason holds for every config."""
    touch = conversion.touch
    return touch is not None and config.takes_click(touch) and reason_for_any_config(conversion) is None


def _can_match(conversion: Conversion, config: PostbackConfig, level: Level, facts: Facts | None) -> bool:
    try:
        return config.kind.has_match_key(
            facts or conversion_facts.read_facts(conversion, event_id=str(conversion.pk), level=level)
        )
    except conversion_facts.BAD_DATA:
        # The delivery worker fails this delivery alone, with a message.
        logger.exception("facts_unusable", conversion_id=str(conversion.pk))
        return True


def not_before(conversion: Conversion, config: PostbackConfig, *, level: Level) -> datetime | None:
    """The time before which the network refuses the conversion; None if it accepts it at once."""
    try:
        return config.kind.not_before(conversion_facts.read_facts(conversion, event_id=str(conversion.pk), level=level))
    except conversion_facts.BAD_DATA:
        return None  # the delivery worker fails this delivery, with a message


def is_too_old(config: PostbackConfig, event_at: datetime, now: datetime) -> bool:
    return event_at < now - config.kind.max_age


def deadline(config: PostbackConfig, event_at: datetime) -> datetime:
    """The last time at which the network accepts the event; datetime.max if that is out of range."""
    try:
        return event_at + config.kind.max_age
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def is_destination_allowed(integrations: Any, destination: str) -> bool:
    """Whether the event's `integrations`, `{"All": false, "TikTok Ads": true}`, allow the destination of this label.

    The entry of the destination decides (an object of options means True), else that of All, else True.
    """
    if not isinstance(integrations, dict):
        return True
    entries = {str(name).strip().lower(): value for name, value in integrations.items()}
    return entries.get(destination.lower(), entries.get("all", True)) is not False


def event_id(conversion: Conversion, config: PostbackConfig) -> str:
    """The id by which the network deduplicates, the same on every retry and replay.

    The first that is usable: the id that the client sent to this network directly (`_imtbl_conversion_id`, with the
    network's kind or label in `_imtbl_conversion_network`), the event id that it shares with a browser pixel, the
    message id, which SDKs give their pixels too, else the conversion's own id. The name of the event is no id of it.
    """
    properties, context = as_object(conversion.properties), as_object(conversion.context)
    network = str(properties.get("_imtbl_conversion_network") or "").strip().lower()
    is_of_network = network in (config.network, config.kind.label.lower())
    # A message without an id of its sender was given one by the server.
    is_stated = not conversion.message_id.startswith(SERVER_ID_PREFIX)
    candidates = (
        properties.get("_imtbl_conversion_id") if is_of_network else None,
        properties.get("event_id"),
        properties.get("eventId"),
        context.get("event_id"),
        conversion.message_id if is_stated else None,
    )
    usable = (text for raw in candidates if (text := _usable_event_id(raw)) and text != conversion.trigger)
    return next(usable, str(conversion.pk))


def _usable_event_id(raw: Any) -> str:
    """The id as text; '' for a placeholder, text that is too long or damaged, and values that are no id."""
    text = read_usable_id(raw, max_length=MAX_EVENT_ID)
    return "" if message_ids.is_placeholder(text) else text
