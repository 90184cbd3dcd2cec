"""The details of one conversion: its event and sender, the player's clicks and consent, and every postback."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import Prefetch, QuerySet

from audience.database import clock
from audience.hub.events.selection import PAYLOAD_FIELDS
from audience.hub.toolkit.masking import as_json, masked
from audience.models import Conversion, Event, Join
from audience.models.people import ANONYMOUS, DEVICE
from postbacks.models import ConfigVersion, Delivery, DeliveryAttempt, DeliveryState, PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.networks.interface.network import Network
from postbacks.outbox.goals import goals_of
from postbacks.reporting import clicks, labels, stuck_rows
from postbacks.reporting.consent_in_force import ConsentInForce, consent_of, data_use_of
from postbacks.reporting.delivery_explanation import explanation_of, remedy_of
from postbacks.reporting.modeled_matches import ExplainedMatch, modeled_match_of, with_matches
from postbacks.reporting.pixels import with_pixels
from postbacks.reporting.senders import Sender, sender_of
from postbacks.reporting.stuck_rows import StuckWork
from postbacks.reporting.waits import Wait, flows_of, wait_of

# By config and number.
Versions = dict[tuple[UUID, int], ConfigVersion]
Configs = list[PostbackConfig]
MAX_JOINS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class PostbackDetail:
    """The conversion on one postback.

    `body` is what was sent last, None if that is not stored, and `payload` describes it: [(path, value, note), ...].
    `wait` is what the delivery waits for, if it does.
    """

    delivery: Delivery
    network: Network
    label: str
    dot: str
    explanation: str
    remedy: str
    event_name: str
    goal: str
    version: ConfigVersion | None
    set_by: str
    attempts: list[DeliveryAttempt]
    body: Any
    can_send_again: bool
    event_id: str
    wait: Wait | None
    payload: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def attempts_pruned(self) -> bool:
        """Whether all attempts were pruned (postbacks/delivery/prune.py)."""
        return bool(self.delivery.attempts_made and not self.attempts)

    @property
    def json(self) -> str:
        return as_json(self.body) if self.body else ""


@dataclass(frozen=True, slots=True)
class ConversionDetail:
    """`without_part` are postbacks that did not take the click; `added_later` were added after the fan-out. `stuck` is
    a sentence about the failure that prevents the fan-out, or ''. `joins` are those that connect browsers of the player
    with the player, the newest first, at most MAX_JOINS. `modeled`: the modeled match, which is no join.
    """

    conversion: Conversion
    event: Event | None
    sender: Sender
    clicks: list[clicks.ConsideredClick]
    consent: ConsentInForce
    data_use: str
    postbacks: list[PostbackDetail]
    without_part: Configs
    added_later: Configs
    joins: list[Join]
    modeled: ExplainedMatch | None
    stuck: str = ""


def with_details(rows: QuerySet[Conversion]) -> QuerySet[Conversion]:
    """Return `rows` with everything that `load_detail` reads."""
    attempts = Prefetch("attempts", DeliveryAttempt.objects.order_by("number"))
    deliveries = with_pixels(Delivery.objects.prefetch_related(attempts)).order_by("created_at", "pk")
    conversions = stuck_rows.with_failures(rows).select_related("game", "person", "touch")
    return with_matches(conversions.prefetch_related("person__identities", Prefetch("deliveries", deliveries)))


def load_detail(conversion: Conversion, *, addresses: bool) -> ConversionDetail:
    """Return the details of a conversion of `with_details`, in a constant number of queries.

    Email addresses and phone numbers are masked unless `addresses`.
    """
    network = conversion.touch.network if conversion.touch else ""
    deliveries = sorted(conversion.deliveries.all(), key=lambda delivery: delivery.network != network)
    versions = _versions(deliveries)
    without_part, added_later = _without_delivery(conversion, {delivery.config_id for delivery in deliveries})
    stuck = stuck_rows.find_stuck(conversion.game_id, [delivery.pk for delivery in deliveries])
    undecided = stuck_rows.undecided(conversion)
    now = clock.now()
    flows = flows_of(row.config for row in deliveries if row.state == DeliveryState.WAITING)
    waits = {row.pk: wait_of(row, flows, now) for row in deliveries}
    event = event_of(conversion)
    return ConversionDetail(
        conversion=conversion,
        event=event,
        sender=sender_of(conversion, event),
        clicks=clicks.considered_clicks(conversion, addresses=addresses),
        consent=consent_of(conversion),
        data_use=data_use_of(conversion),
        postbacks=[
            _postback(row, versions, stuck.get(row.pk), waits[row.pk], addresses=addresses) for row in deliveries
        ],
        without_part=without_part,
        added_later=added_later,
        joins=joins_of(conversion),
        modeled=modeled_match_of(conversion, addresses=addresses),
        stuck=undecided.sentence if undecided else "",
    )


def _without_delivery(conversion: Conversion, config_ids: Collection[UUID]) -> tuple[Configs, Configs]:
    """Return the other postbacks: those that were there at the fan-out, and later ones. None before it."""
    rows = PostbackConfig.objects.kept().filter(game=conversion.game, network__in=NETWORKS).exclude(pk__in=config_ids)
    configs = rows.defer("credential", "previous_credential").order_by("created_at")
    if (at := conversion.fanned_out_at) is None:
        return [], []
    return [one for one in configs if one.created_at <= at], [one for one in configs if one.created_at > at]


def joins_of(conversion: Conversion) -> list[Join]:
    """Return the newest joins of a browser of the player with one of the player's other ids."""
    ids = [(row.namespace, row.value) for row in conversion.person.identities.all()]
    browsers = [value for namespace, value in ids if namespace == ANONYMOUS]
    players = [value for namespace, value in ids if namespace not in (ANONYMOUS, DEVICE)]
    return list(Join.objects.connecting(conversion.game_id, browsers=browsers, players=players)[:MAX_JOINS])


def event_of(conversion: Conversion) -> Event | None:
    """Return the event of a conversion; None once its partition was dropped."""
    rows = Event.objects.filter(game_id=conversion.game_id, day=conversion.event_day, message_id=conversion.message_id)
    return rows.defer(*PAYLOAD_FIELDS).first()


def _versions(deliveries: Sequence[Delivery]) -> Versions:
    ids = [delivery.config_id for delivery in deliveries]
    numbers = {delivery.config_version for delivery in deliveries}
    rows = ConfigVersion.objects.filter(config__in=ids, number__in=numbers).select_related("set_by")
    return {(version.config_id, version.number): version for version in rows}


def _postback(
    delivery: Delivery, versions: Versions, stuck: StuckWork | None, wait: Wait | None, *, addresses: bool
) -> PostbackDetail:
    network, attempts = delivery.config.kind, list(delivery.attempts.all())
    for attempt in attempts:
        attempt.message = masked(attempt.message, addresses=addresses)
    stuck = stuck if delivery.state == DeliveryState.WAITING else None
    label, dot = ("Set aside", "bad") if stuck and stuck.is_set_aside else labels.outcome_label(delivery)
    sent = next((attempt.payload for attempt in reversed(attempts) if attempt.payload), None)
    body = masked(sent, addresses=addresses)
    version = versions.get((delivery.config_id, delivery.config_version))
    in_time = delivery.deadline > clock.now()
    return PostbackDetail(
        delivery=delivery,
        network=network,
        label=label,
        dot=dot,
        explanation=stuck.sentence if stuck else masked(explanation_of(delivery, wait), addresses=addresses),
        remedy="" if stuck else remedy_of(delivery, in_time=in_time),
        event_name=delivery.sent_as or network.events.get(delivery.trigger, delivery.trigger),
        goal=_goal(version, delivery) if version else "",
        version=version,
        set_by=masked(version.set_by.get_username(), addresses=addresses) if version and version.set_by else "",
        attempts=attempts,
        body=body,
        can_send_again=in_time and delivery.state == DeliveryState.FAILED and not delivery.is_unmatched,
        event_id=masked(delivery.event_id, addresses=addresses),
        wait=None if stuck else wait,
        payload=network.describe(body) if body else [],
    )


def _goal(version: ConfigVersion, delivery: Delivery) -> str:
    """Return the goal of this version that matched the conversion; '' if no goal has its event name."""
    config = PostbackConfig(goals=version.goals, triggers=version.triggers)
    candidates = [goal for goal in goals_of(config) if goal.event == delivery.trigger]
    conversion = delivery.conversion
    matching = [goal for goal in candidates if conversion is not None and goal.accepts(conversion)]
    return " or ".join(str(goal) for goal in matching[:1] or candidates)


def with_attempts(rows: QuerySet[Delivery]) -> QuerySet[Delivery]:
    """Return `rows` with everything that `load_delivery` reads."""
    attempts = Prefetch("attempts", DeliveryAttempt.objects.order_by("number"))
    return with_pixels(rows.select_related("conversion__touch").prefetch_related(attempts))


def load_delivery(delivery: Delivery, *, addresses: bool) -> PostbackDetail:
    """Return the details of one delivery of `with_attempts`, also of a player who was erased. Masked as by
    `load_detail`."""
    is_waiting = delivery.state == DeliveryState.WAITING
    stuck = stuck_rows.find_stuck(delivery.game_id, [delivery.pk]) if is_waiting else {}
    wait = wait_of(delivery, flows_of([delivery.config]), clock.now()) if is_waiting else None
    return _postback(delivery, _versions([delivery]), stuck.get(delivery.pk), wait, addresses=addresses)
