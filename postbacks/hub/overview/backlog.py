"""The backlog of a game: events that wait to be digested, and overdue deliveries."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Min

from audience.database import clock
from audience.models import Batch, BatchState, Game
from audience.wording.durations import short_duration
from postbacks.hub.toolkit.config_rows import ConfigRow

# Longer than the beat's sweep and a slow network's calls together.
BEHIND_AFTER = timedelta(minutes=1)
# Pending batches searched for the oldest, which is among those due first.
MAX_BATCHES_READ = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """`lag_since`: when the oldest undigested request was received. `due_since`: when the oldest sendable delivery
    became due; `oldest_due` is its config. All are None if there is none."""

    now: datetime
    lag_since: datetime | None = None
    due_since: datetime | None = None
    oldest_due: ConfigRow | None = None

    @property
    def lag(self) -> str:
        """Return `0 s`, `3 min`."""
        return short_duration(self.now - self.lag_since) if self.lag_since else "0 s"

    @property
    def queue_age(self) -> str:
        return short_duration(self.now - self.due_since) if self.due_since else "0 s"

    @property
    def digest_is_behind(self) -> bool:
        return self.lag_since is not None and self.now - self.lag_since >= BEHIND_AFTER

    @property
    def sending_is_behind(self) -> bool:
        return self.due_since is not None and self.now - self.due_since >= BEHIND_AFTER

    @property
    def is_behind(self) -> bool:
        return self.digest_is_behind or self.sending_is_behind


def read_backlog(game: Game, configs: Sequence[ConfigRow], *, now: datetime | None = None) -> Backlog:
    """Return the backlog of a game, that of its deliveries over `configs`."""
    now = now or clock.now()
    due = [(row.overdue_since, row) for row in configs if row.overdue_since and row.overdue_since < now]
    due_since, oldest_due = min(due, key=lambda pair: pair[0], default=(None, None))
    return Backlog(now=now, lag_since=_lag_since(game), due_since=due_since, oldest_due=oldest_due)


def _lag_since(game: Game) -> datetime | None:
    pending = Batch.objects.filter(game=game, state=BatchState.PENDING).order_by("next_attempt_at", "pk")
    since: datetime | None = pending[:MAX_BATCHES_READ].aggregate(since=Min("received_at"))["since"]
    return since
