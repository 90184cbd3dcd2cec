"""One trouble of the server: what is said of it, and where more of it is seen."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import TextChoices


class Kind(TextChoices):
    """The label is the title."""

    NO_BEAT = "no_beat", "No beat"
    NO_WORKER = "no_worker", "No worker"
    IDLE_WORKERS = "idle_workers", "Workers take up nothing"
    DIGEST_BEHIND = "digest_behind", "Digest behind"
    BATCHES_FAILING = "batches_failing", "Requests fail to be digested"
    BATCHES_SET_ASIDE = "batches_set_aside", "Requests set aside"
    CONVERSIONS_UNDECIDED = "conversions_undecided", "Conversions undecided"
    WORK_SET_ASIDE = "work_set_aside", "Work set aside"
    NO_PARTITION_AHEAD = "no_partition_ahead", "No partition ahead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """`count` of whatever the kind counts: requests, conversions, tables; 1 for a process that is silent.

    `href` leads to the rows in the admin, for staff with `permission`; both '' where no rows tell more.
    """

    kind: Kind
    sentence: str
    next_step: str
    count: int = 1
    since: datetime | None = None
    href: str = ""
    permission: str = ""

    @property
    def title(self) -> str:
        return self.kind.label
