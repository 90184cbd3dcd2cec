"""The types of health: its states, the counts, and the status of a config."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import TextChoices

from postbacks.models import HELD_BY_USER, Flow
from postbacks.networks.interface.network import Network

# A postback that is younger than this is not expected to have been active.
NEW_FOR = timedelta(hours=24)


class Health(TextChoices):
    """The states of a config, in order of precedence (postbacks/monitoring/health/evaluation.py)."""

    ON_HOLD = "on_hold", "On hold"
    CREDENTIAL_PROBLEM = "credential_problem", "Credential problem"
    RATE_LIMITED = "rate_limited", "Rate limited"
    DEGRADED = "degraded", "Degraded"
    RETRYING = "retrying", "Retrying"
    SILENT = "silent", "Silent"
    QUIET = "quiet", "Quiet"
    HEALTHY = "healthy", "Healthy"


class Indicator(TextChoices):
    """The icon of a postback in a list, if there is one."""

    CREDENTIAL_FAILURES = "credential_failures", "Credential failures detected"
    NO_ACTIVITY = "no_activity", "No recent activity"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCounts:
    """Counts of one config in the 24 hours before `now`, at most of the newest counting.SCAN_LIMIT rows each."""

    kind: Network
    pixel_id: str
    now: datetime
    enabled: bool = True
    created_at: datetime | None = None
    # Of PostbackConfig, set by postbacks/configs/hold.py.
    suspected_at: datetime | None = None
    held_at: datetime | None = None
    held_for: str = ""
    held_message: str = ""
    # Of Flow: rate limiter and circuit breaker of the pixel.
    limited_at: datetime | None = None
    next_slot_at: datetime | None = None
    open_until: datetime | None = None
    asked_until: datetime | None = None
    breaker_open: bool = False
    # Attempts: all, those to be retried, and the newest verdict about the credential.
    attempts: int = 0
    retried: int = 0
    last_retried_at: datetime | None = None
    retried_message: str = ""
    failed_message: str = ""
    last_verdict: str | None = None
    refused_message: str = ""
    refused_since: datetime | None = None
    last_success_at: datetime | None = None
    # The first transient failure since the network's last answer.
    failing_since: datetime | None = None
    # Deliveries: by state, and the skipped ones by reason. `overdue_since`: when the oldest waiting one became due.
    delivered: int = 0
    # The delivered ones of a network that says later whether it counted them; and those whose click it did not know.
    confirmed: int = 0
    unconfirmed: int = 0
    unmatched: int = 0
    may_have_arrived: int = 0  # skipped or canceled after a call without an answer; not counted in `skipped`
    failed: int = 0
    failed_by: Mapping[str, int] = field(default_factory=dict)  # by verdict
    first_failed_at: datetime | None = None
    last_failed_at: datetime | None = None
    waiting: int = 0
    early: int = 0  # the network does not accept them yet
    held: int = 0
    overdue_since: datetime | None = None
    skipped: Mapping[str, int] = field(default_factory=dict)  # by reason
    first_conversion_at: datetime | None = None
    # Conversions whose click the config takes, whatever became of them; and those from before it was added.
    attributed: int = 0
    attributed_before: int = 0

    @property
    def held_by_user(self) -> bool:
        return self.held_at is not None and self.held_for == HELD_BY_USER

    @property
    def is_new(self) -> bool:
        return self.created_at is not None and self.now - self.created_at < NEW_FOR

    @property
    def paused_until(self) -> datetime | None:
        """The end of the pixel's pause; None without one."""
        flow = Flow(limited_at=self.limited_at, next_slot_at=self.next_slot_at, open_until=self.open_until)
        return flow.pause_end(self.now)

    @property
    def eligible(self) -> int:
        """The conversions of the 24 hours that this config sent, tried to send, or still has to send."""
        sent = self.delivered + self.may_have_arrived + self.unmatched + self.failed
        return sent + self.waiting + self.early + self.held


@dataclass(frozen=True, slots=True)
class HealthStatus:
    """The health of a config. `since` is None while it is healthy; `cause` quotes the network if it sent a text.

    `figures`, `cause` and `next_step` are whole sentences or ''. `considered` is the number of conversions in the 24
    hours, skipped ones included, `attempted` whether any call was made. `held_by_user`: on hold, and not for a refused
    credential.
    """

    health: Health
    since: datetime | None
    figures: str
    cause: str
    next_step: str
    considered: int = 0
    attempted: bool = True
    held_by_user: bool = False

    @property
    def indicator(self) -> Indicator | None:
        if self.held_by_user:
            return None
        if self.health in (Health.ON_HOLD, Health.CREDENTIAL_PROBLEM):
            return Indicator.CREDENTIAL_FAILURES
        return None if self.attempted else Indicator.NO_ACTIVITY

    @property
    def explanation(self) -> str:
        """The figures and the cause, in at most two sentences."""
        return " ".join(filter(None, (self.figures, self.cause)))

    @property
    def dot(self) -> str:
        """The CSS class of the status dot."""
        if self.held_by_user:
            return "warn"
        if self.health in (Health.ON_HOLD, Health.CREDENTIAL_PROBLEM, Health.DEGRADED):
            return "bad"
        if self.health in (Health.RATE_LIMITED, Health.RETRYING, Health.SILENT):
            return "warn"
        return "good" if self.health == Health.HEALTHY else ""
