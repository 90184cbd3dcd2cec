"""How a postback is doing, derived from its attempts of the last 24 hours and stored nowhere."""

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Subquery, TextChoices
from django.utils import timezone

from postbacks.models import DeliveryAttempt, PostbackConfig
from postbacks.networks.base import Verdict

RECENT = timedelta(hours=24)
# Answers that tell whether the credential works. A network that was away (transient) says nothing about it, and an
# event refused for its content was refused by someone who had let us in.
TELLING = (Verdict.SUCCESS.value, Verdict.PAYLOAD.value, Verdict.CREDENTIAL.value)


class Health(TextChoices):
    CREDENTIAL_FAILURES = "credential_failures", "Credential failures detected"
    NO_ACTIVITY = "no_activity", "No recent activity"


def judge(*, attempted: bool, last_word: str | None) -> Health | None:
    """None when all is well. `last_word` is the newest telling verdict of the last 24 hours, None without one.

    A rotated credential does not clear a warning by itself: the next accepted postback does.
    """
    if last_word == Verdict.CREDENTIAL:
        return Health.CREDENTIAL_FAILURES
    return None if attempted else Health.NO_ACTIVITY


def of(configs: Iterable[PostbackConfig], *, now: datetime | None = None) -> dict[uuid.UUID, Health | None]:
    """The health of each config by its id, in one query for the whole list."""
    since = (now or timezone.now()) - RECENT
    attempts = DeliveryAttempt.objects.filter(config=OuterRef("pk"), started_at__gte=since)
    telling = attempts.filter(verdict__in=TELLING, finished_at__isnull=False).order_by("-started_at", "-number")
    rows = PostbackConfig.objects.filter(pk__in=[config.pk for config in configs]).annotate(
        attempted=Exists(attempts), last_word=Subquery(telling.values("verdict")[:1])
    )
    found = rows.values_list("pk", "attempted", "last_word")
    return {pk: judge(attempted=attempted, last_word=last_word) for pk, attempted, last_word in found}
