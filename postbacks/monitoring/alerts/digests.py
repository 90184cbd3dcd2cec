"""The daily digest: the numbers of the day before, for members who chose it.

Written once per member, game and day, at the first check after DIGEST_HOUR: `digest_sent_on` and the Notice are stored
in one transaction, and the Notice is sent and retried like every message. After days of downtime there is one digest,
of the day before. Failing members are isolated.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any

from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.template.defaultfilters import pluralize

from audience.background import isolation
from audience.background.wakeup import wake
from audience.database import clock
from audience.models import Conversion, Game, Queue
from audience.wording import dates
from postbacks.models import (
    OUTCOME_UNKNOWN,
    Alert,
    AlertChoice,
    Confirmation,
    Delivery,
    DeliveryState,
    Notice,
    NoticeKind,
    PostbackConfig,
)
from postbacks.monitoring.alerts import labels
from postbacks.monitoring.alerts.recipients import DAILY, DIGEST_HOUR, NOTICES_TASK, members
from postbacks.monitoring.health.types import Health
from postbacks.networks import NETWORKS


@dataclass(slots=True)
class NetworkDay:
    """The numbers of one network and day (of the events), and its alerts that are open now."""

    conversions: int = 0
    delivered: int = 0
    failed: int = 0
    may_have_arrived: int = 0
    confirmed: int = 0
    unconfirmed: int = 0  # accepted by a network that says later whether it counted them
    unmatched: int = 0  # of the failed: their click belongs to no ad of the network
    open_alerts: list[Alert] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any((self.conversions, self.delivered, self.failed, self.may_have_arrived, self.open_alerts))


def day_of(written_at: datetime) -> date:
    """Return the day that a digest covers: the one before the day it was written (UTC)."""
    return written_at.astimezone(UTC).date() - timedelta(days=1)


def write_digests(*, now: datetime | None = None) -> int:
    """Store a Notice for every digest that is due and has content; return their number."""
    now = (now or clock.now()).astimezone(UTC)
    if now.hour < DIGEST_HOUR:
        return 0

    @cache
    def has_content(game: Game) -> bool:
        return any(read(game=game, day=day_of(now)).values())

    due = _unsent(now).filter(told__in=DAILY).select_related("game").order_by("game_id", "pk")
    written = isolation.process_each(
        Queue.ALERT_DIGEST,
        due,
        lambda choice: _write(choice, now, has_content),
        failure_key=lambda choice: isolation.FailureKey(f"choice {choice.pk}", choice.game_id),
    )
    return sum(written)


def _unsent(now: datetime) -> QuerySet[AlertChoice]:
    return AlertChoice.objects.filter(Q(digest_sent_on=None) | Q(digest_sent_on__lt=now.date()))


@transaction.atomic
def _write(choice: AlertChoice, now: datetime, has_content: Callable[[Game], bool]) -> bool:
    # Only one of concurrent workers updates the row.
    if not _unsent(now).filter(pk=choice.pk).update(digest_sent_on=now.date()):
        return False
    if not has_content(choice.game) or choice.user_id not in {member.user_id for member in members(choice.game)}:
        return False
    Notice.objects.create(
        game=choice.game, user_id=choice.user_id, kind=NoticeKind.DIGEST, created_at=now, next_attempt_at=now
    )
    wake(NOTICES_TASK)
    return True


def read(*, game: Game, day: date) -> dict[str, NetworkDay]:
    """Return each network's numbers for the events of `day` (UTC), with its open alerts."""
    days = {kind: NetworkDay() for kind in NETWORKS}
    start = datetime.combine(day, time.min, UTC)
    span: dict[str, Any] = {"event_at__gte": start, "event_at__lt": start + timedelta(days=1)}
    counted = Conversion.objects.filter(game=game, touch__network__in=NETWORKS, **span).counted()
    for kind, number in counted.values_list("touch__network").annotate(Count("pk")):
        days[kind].conversions = number
    sent = Delivery.objects.filter(game=game, network__in=NETWORKS, **span)
    ended = sent.filter(state__in=(DeliveryState.DELIVERED, DeliveryState.FAILED))
    for kind, state, number in ended.values_list("network", "state").annotate(Count("pk")):
        setattr(days[kind], state, number)
    acknowledged = sent.filter(state=DeliveryState.DELIVERED).exclude(confirmation="")
    for kind, confirmation, number in acknowledged.values_list("network", "confirmation").annotate(Count("pk")):
        if confirmation == Confirmation.CONFIRMED:
            days[kind].confirmed = number
        else:
            days[kind].unconfirmed += number
    unmatched = sent.filter(state=DeliveryState.FAILED, confirmation=Confirmation.UNMATCHED)
    for kind, number in unmatched.values_list("network").annotate(Count("pk")):
        days[kind].unmatched = number
    for kind, number in sent.filter(OUTCOME_UNKNOWN).values_list("network").annotate(Count("pk")):
        days[kind].may_have_arrived = number
    for alert in Alert.objects.filter(game=game, recovered_at=None).select_related("config", "game"):
        if alert.config.network in days:
            days[alert.config.network].open_alerts.append(alert)
    return days


def text(*, game: Game, day: date) -> str:
    """Return the digest as plain text. It names the networks that have a postback, or something to tell."""
    connected = set(PostbackConfig.objects.kept().filter(game=game).values_list("network", flat=True))
    parts = [f"{game} on {dates.weekday(day)} (UTC)."]
    for kind, numbers in read(game=game, day=day).items():
        if kind not in connected and not numbers:
            continue
        unknown = f", {numbers.may_have_arrived:,} may have arrived" if numbers.may_have_arrived else ""
        later = f" ({numbers.confirmed:,} confirmed)" if numbers.confirmed or numbers.unconfirmed else ""
        unmatched = f" ({numbers.unmatched:,} unmatched)" if numbers.unmatched else ""
        lines = [
            f"{NETWORKS[kind].label}: {numbers.conversions:,} attributed conversion{pluralize(numbers.conversions)}, "
            f"{numbers.delivered:,} delivered{later}, {numbers.failed:,} failed{unmatched}{unknown}."
        ]
        for alert in numbers.open_alerts:
            state = f"{Health(alert.health).label} since {dates.moment(alert.opened_at)}"
            lines.append(f"  Open alert: {alert.config.pixel_id}, {state}. {alert.cause} {alert.next_step}".rstrip())
            lines.append(f"  {labels.integration_url(alert)}")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)
