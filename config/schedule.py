"""The tasks that the beat sends, with their periods. Each task finds its work in the database; most find none."""

from datetime import timedelta
from typing import Any

# An unread message expires after this: the beat's next one finds the same work. Longer than a worker's clock may be
# off, by which Celery judges the age of a message.
MESSAGE_EXPIRY = timedelta(hours=2)


def _every(task: str, period: timedelta) -> dict[str, Any]:
    return {"task": task, "schedule": period, "options": {"expires": MESSAGE_EXPIRY.total_seconds()}}


BEAT = {
    "digest": _every("audience.tasks.digest", timedelta(seconds=2)),
    "erase": _every("audience.tasks.erase", timedelta(seconds=10)),
    "partitions": _every("audience.tasks.make_partitions", timedelta(hours=1)),
    "prune": _every("audience.tasks.prune", timedelta(minutes=10)),
    # What is not rolled up yet is read row by row by every chart: a minute of it at most, and usually a quarter.
    "roll-up-intake": _every("audience.tasks.roll_up", timedelta(seconds=15)),
    "roll-up-postbacks": _every("postbacks.tasks.roll_up", timedelta(seconds=15)),
    "prune-attempts": _every("postbacks.tasks.prune", timedelta(minutes=10)),
    "fan-out": _every("postbacks.tasks.fan_out", timedelta(seconds=2)),
    "deliver": _every("postbacks.tasks.deliver", timedelta(seconds=2)),
    "checks": _every("postbacks.tasks.sweep_checks", timedelta(seconds=15)),
    "confirm": _every("postbacks.tasks.confirm", timedelta(minutes=1)),
    "alerts": _every("postbacks.tasks.alerts", timedelta(seconds=15)),
    "notices": _every("postbacks.tasks.notices", timedelta(seconds=15)),
    "digests": _every("postbacks.tasks.digests", timedelta(minutes=10)),
    "replay": _every("postbacks.tasks.replay", timedelta(seconds=5)),
}
