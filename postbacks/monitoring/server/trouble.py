"""A trouble of the server: its kind, its texts, and a link to its rows."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import TextChoices


class TroubleKind(TextChoices):
    """The kinds of server troubles, with their titles."""

    NO_BEAT = "no_beat", "No beat"
    NO_WORKER = "no_worker", "No worker"
    IDLE_WORKERS = "idle_workers", "Workers are idle"
    DIGEST_BEHIND = "digest_behind", "Processing delayed"
    BATCHES_FAILING = "batches_failing", "Requests cannot be processed"
    BATCHES_SET_ASIDE = "batches_set_aside", "Requests set aside"
    CONVERSIONS_UNDECIDED = "conversions_undecided", "Conversions not assigned"
    WORK_SET_ASIDE = "work_set_aside", "Work set aside"
    NO_PARTITION_AHEAD = "no_partition_ahead", "No partition for tomorrow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """`count` is the number of requests, conversions or tables, 1 for a silent process.

    `href` leads to the rows in the admin, for staff with `permission`; both are '' without such rows.
    """

    kind: TroubleKind
    sentence: str
    next_step: str
    count: int = 1
    since: datetime | None = None
    href: str = ""
    permission: str = ""

    @property
    def title(self) -> str:
        return self.kind.label
