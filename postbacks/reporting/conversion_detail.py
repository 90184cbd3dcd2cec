"""Everything about one conversion, in order: its event, the player's clicks and consent, and every postback."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db.models import Prefetch, QuerySet

from audience.database import clock
from audience.hub.events.feed import PAYLOAD_FIELDS
from audience.hub.toolkit.masking import as_json, masked
from audience.models import Conversion, Event, Reason
from consent.models import Level
from postbacks.models import ConfigVersion, Delivery, DeliveryAttempt, DeliveryState, PostbackConfig
from postbacks.networks.interface.network import Network
from postbacks.outbox import consent_levels
from postbacks.outbox.goals import goals_of
from postbacks.reporting import clicks, labels, stuck_rows
from postbacks.reporting.senders import Sender, sender_of
from postbacks.reporting.stuck_rows import StuckWork

# By config and number.
Versions = dict[tuple[UUID, int], ConfigVersion]


@dataclass(frozen=True, slots=True)
class ConsentInForce:
    """The consent in force, its source, and when it was decided (None if never)."""

    level: Level
    why: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostbackDetail:
    """One postback of the game and this conversion; `payload` is [(path, value, note), ...]."""

    delivery: Delivery
    network: Network
    label: str
    dot: str
    why: str
    remedy: str
    event_name: str
    goal: str
    version: ConfigVersion | None
    set_by: str
    attempts: list[DeliveryAttempt]
    json: str
    can_send_again: bool
    payload: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def are_gone(self) -> bool:
        """Whether there were attempts that were pruned (postbacks/delivery/prune.py)."""
        return bool(self.delivery.attempts_made and not self.attempts)


@dataclass(frozen=True, slots=True)
class ConversionDetail:
    """`later` are postbacks added after this conversion was fanned out.

    `stuck` says why it is not fanned out although it was tried, or ''.
    """

    conversion: Conversion
    event: Event | None
    sender: Sender
    clicks: list[clicks.ConsideredClick]
    consent: ConsentInForce
    postbacks: list[PostbackDetail]
    later: list[PostbackConfig]
    stuck: str = ""


def with_details(rows: QuerySet[Conversion]) -> QuerySet[Conversion]:
    """Return `rows` with everything that `load_detail` reads."""
    attempts = Prefetch("attempts", DeliveryAttempt.objects.order_by("number"))
    deliveries = Delivery.objects.select_related("config").defer("config__credential", "config__previous_credential")
    in_order = deliveries.prefetch_related(attempts).order_by("created_at", "pk")
    found = stuck_rows.with_failures(rows).select_related("game", "person", "touch")
    return found.prefetch_related("person__identities", Prefetch("deliveries", in_order))


def load_detail(conversion: Conversion, *, addresses: bool) -> ConversionDetail:
    """Return all data of one conversion, in a constant number of queries.

    Expects one of `with_details`. Without `addresses`, email addresses and phone numbers are masked.
    """
    network = conversion.touch.network if conversion.touch else ""
    deliveries = sorted(conversion.deliveries.all(), key=lambda delivery: delivery.network != network)
    versions = _versions(deliveries)
    known = {delivery.config_id for delivery in deliveries}
    configs = PostbackConfig.objects.kept().filter(game=conversion.game).order_by("created_at")
    failed = stuck_rows.find_stuck(conversion.game_id, [delivery.pk for delivery in deliveries])
    undecided = stuck_rows.undecided(conversion)
    event = event_of(conversion)
    return ConversionDetail(
        conversion=conversion,
        event=event,
        sender=sender_of(conversion, event),
        clicks=clicks.considered_clicks(conversion, addresses=addresses),
        consent=consent_of(conversion),
        postbacks=[_sent(delivery, versions, failed.get(delivery.pk), addresses) for delivery in deliveries],
        later=[config for config in configs.defer("credential", "previous_credential") if config.pk not in known],
        stuck=undecided.sentence if undecided else "",
    )


def event_of(conversion: Conversion) -> Event | None:
    """Return its event; None once the partition was dropped."""
    at = Event.objects.filter(game_id=conversion.game_id, day=conversion.event_day, message_id=conversion.message_id)
    return at.defer(*PAYLOAD_FIELDS).first()


def consent_of(conversion: Conversion) -> ConsentInForce:
    """Return the level that the gate applies now, with its source."""
    found = consent_levels.decisions([conversion]).get(conversion.pk, consent_levels.Decisions())
    level, later = consent_levels.level(conversion, found), found.later
    why, at = _consent_at_event(conversion, found.at_event)
    if later and level != consent_levels.level(conversion, consent_levels.Decisions(found.at_event)):
        return ConsentInForce(level, f"{why} Withdrawn since, {later.origin}.", later.decided_at)
    return ConsentInForce(level, why, at)


def _consent_at_event(conversion: Conversion, decision: consent_levels.Decision | None) -> tuple[str, datetime | None]:
    """Return what the level at the event's time comes from, and when it was decided (None if never)."""
    stated = conversion.consent_level
    if stated and stated not in Level.values:
        return f"The message states “{stated}”, a level that nobody defined: it counts as none.", None
    if stated == Level.NOT_SET:
        return "The message states “not_set”, which counts as none.", None
    if stated:
        return "Stated in the message itself.", None
    if decision:
        return f"The player’s decision at the time of the event, {decision.origin}.", decision.decided_at
    if conversion.game.strict_consent:
        return "Nothing was stated or recorded until then, and in this game unknown counts as no consent.", None
    return "Nothing was stated or recorded until then, and this game reads that as consent.", None


def _versions(deliveries: Sequence[Delivery]) -> Versions:
    ids = [delivery.config_id for delivery in deliveries]
    numbers = {delivery.config_version for delivery in deliveries}
    found = ConfigVersion.objects.filter(config__in=ids, number__in=numbers).select_related("set_by")
    return {(version.config_id, version.number): version for version in found}


def _sent(delivery: Delivery, versions: Versions, failed: StuckWork | None, addresses: bool) -> PostbackDetail:
    network, attempts = delivery.config.kind, list(delivery.attempts.all())
    for attempt in attempts:
        attempt.message = masked(attempt.message, addresses=addresses)
    failed = failed if delivery.state == DeliveryState.WAITING else None
    label, dot = ("Set aside", "bad") if failed and failed.is_set_aside else labels.outcome_label(delivery)
    sent = next((attempt.payload for attempt in reversed(attempts) if attempt.payload), None)
    body = masked(sent, addresses=addresses)
    version = versions.get((delivery.config_id, delivery.config_version))
    in_time = delivery.deadline > clock.now()
    return PostbackDetail(
        delivery=delivery,
        network=network,
        label=label,
        dot=dot,
        why=failed.sentence if failed else masked(_doubted(delivery, _why(delivery)), addresses=addresses),
        remedy="" if failed else _remedy(delivery, in_time),
        event_name=delivery.sent_as or network.events.get(delivery.trigger, delivery.trigger),
        goal=_goal(version, delivery) if version else "",
        version=version,
        set_by=masked(version.set_by.get_username(), addresses=addresses) if version and version.set_by else "",
        attempts=attempts,
        json=as_json(body) if body else "",
        can_send_again=delivery.state == DeliveryState.FAILED and in_time,
        payload=network.describe(body) if body else [],
    )


def _goal(version: ConfigVersion, delivery: Delivery) -> str:
    """Return the goal that matched the conversion in this version; '' if none named its event."""
    config = PostbackConfig(goals=version.goals, triggers=version.triggers)
    named = [goal for goal in goals_of(config) if goal.event == delivery.trigger]
    conversion = delivery.conversion
    taken = [goal for goal in named if conversion is not None and goal.accepts(conversion)]
    return " or ".join(str(goal) for goal in taken[:1] or named)


def _remedy(delivery: Delivery, in_time: bool) -> str:
    # The remedy for a click of a network without a postback is shown with the conversion, not with other postbacks.
    if delivery.reason == Reason.OTHER_NETWORK:
        return ""
    if delivery.is_unknown and not (delivery.state == DeliveryState.FAILED and in_time):
        return labels.IN_DOUBT
    return labels.remedy(state=delivery.state, reason=delivery.reason, verdict=delivery.verdict, in_time=in_time)


def _doubted(delivery: Delivery, why: str) -> str:
    """Return `why`, with a note if an earlier call may have arrived."""
    return f"{why.rstrip('. ')}; {labels.UNANSWERED}" if delivery.is_unknown else why


def _why(delivery: Delivery) -> str:
    """Return the recorded reason in plain words, else the network's last answer."""
    if delivery.reason == Reason.OTHER_NETWORK and delivery.conversion and delivery.conversion.touch:
        won = labels.network_label(delivery.conversion.touch.network)
        return f"The click that won came from {won}, so this postback has no part in it"
    if delivery.reason:
        return delivery.get_reason_display()
    answers = [attempt.message for attempt in delivery.attempts.all() if attempt.message]
    if delivery.state == DeliveryState.DELIVERED:
        return "Accepted by the network"
    if delivery.state == DeliveryState.HELD:
        return delivery.config.held_message or "The network does not accept the credential of this postback"
    if answers:
        return answers[-1]
    return "About to be sent" if delivery.state == DeliveryState.WAITING else "It ended without an answer"
