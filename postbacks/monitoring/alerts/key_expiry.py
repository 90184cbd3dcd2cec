"""Reminders that an API key will end on the day that an admin has set: one email to each admin of its game.

The end of a key after a rotation is shown on the Overview only.
"""

from django.db import transaction
from django.db.models import QuerySet

from audience.background import isolation
from audience.background.wakeup import wake
from audience.database import clock
from audience.models import ApiKey, Queue, Role
from audience.wording import dates
from postbacks.models import AlertChoice, AlertFrequency, Notice, NoticeKind
from postbacks.monitoring.alerts import labels
from postbacks.monitoring.alerts.recipients import NOTICES_TASK, members


def write_reminders() -> int:
    """Store a Notice for each admin of each key whose reminder is due; return their number. Isolates failing keys."""
    due = _due().select_related("game").order_by("remind_at", "pk")
    written = isolation.process_each(
        Queue.ALERT_DIGEST, due, _write, failure_key=lambda key: isolation.FailureKey(f"key {key.pk}", key.game_id)
    )
    return sum(written)


def _due() -> QuerySet[ApiKey]:
    return ApiKey.objects.live().filter(remind_at__lte=clock.now(), replaced_by=None)


@transaction.atomic
def _write(key: ApiKey) -> int:
    # Only one of concurrent workers updates the row.
    if not _due().filter(pk=key.pk).update(remind_at=None):
        return 0
    now = clock.now()
    muted = set(AlertChoice.objects.filter(game=key.game, told=AlertFrequency.NEVER).values_list("user_id", flat=True))
    admins = [row.user_id for row in members(key.game) if row.role == Role.ADMIN and row.user_id not in muted]
    fields = {"game": key.game, "key": key, "kind": NoticeKind.KEY_ENDS, "created_at": now, "next_attempt_at": now}
    Notice.objects.bulk_create(Notice(user_id=user_id, **fields) for user_id in admins)
    wake(NOTICES_TASK)
    return len(admins)


def text(key: ApiKey) -> tuple[str, str]:
    """Return subject and body of a reminder."""
    name = labels.one_line(f"{key.game}: API key {key.name}")
    if not key.is_live or key.expires_at is None:
        return f"{name} no longer needs attention", "The key was revoked, has ended, or no longer has an end date."
    end = dates.moment(key.expires_at)
    used = f"It was last used on {dates.moment(key.last_used_at)}." if key.last_used_at else "It was never used."
    body = (
        f"The key {key.prefix}… stops working on {end}. Requests with it are rejected from then on, and their events "
        f"are lost. {used}\n\nWhat to do: replace it with another key, or set a later last day. If the key is "
        f"no longer needed, do nothing.\n\n{labels.page_url('keys', key.game)}"
    )
    return f"{name} ends on {end}", body
