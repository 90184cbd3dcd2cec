"""Which task goes to which queue, and how often the beat sends it.

There are two queues, so that two processes share the work: sending waits for the networks, and in one process with the
digest it would also wait for Python's interpreter lock.
"""

from datetime import timedelta
from typing import Any

from kombu import Exchange, Queue

from audience.background.queues import DELIVERY, DIGEST, QUEUES

# A worker that is started without `-Q` takes the tasks of all of them. With the default exchange and routing key each
# message would go to both queues.
TASK_QUEUES = [Queue(name, Exchange(name), routing_key=name) for name in QUEUES]
DEFAULT_QUEUE = DELIVERY  # of a task without a route
# By task name; an exact name comes before a pattern.
TASK_ROUTES: dict[str, Any] = {
    "audience.tasks.*": {"queue": DIGEST},
    "postbacks.tasks.fan_out": {"queue": DIGEST},
    "postbacks.tasks.roll_up": {"queue": DIGEST},
    "postbacks.tasks.refresh_figures": {"queue": DIGEST},
    "postbacks.tasks.match_launches": {"queue": DIGEST},
    "postbacks.tasks.prune": {"queue": DIGEST},
    "postbacks.tasks.*": {"queue": DELIVERY},
}
# An unread message expires after this, since the next one finds the same work. Celery compares the expiry with the
# worker's clock, so that it must be longer than a clock may be wrong.
MESSAGE_EXPIRY = timedelta(hours=2)


def _every(task: str, period: timedelta) -> dict[str, Any]:
    return {"task": task, "schedule": period, "options": {"expires": MESSAGE_EXPIRY.total_seconds()}}


# Each task finds its work in the database; most find none.
BEAT = {
    "digest": _every("audience.tasks.digest", timedelta(seconds=2)),
    "erase": _every("audience.tasks.erase", timedelta(seconds=10)),
    "partitions": _every("audience.tasks.make_partitions", timedelta(hours=1)),
    "prune": _every("audience.tasks.prune", timedelta(minutes=10)),
    "expired-tokens": _every("audience.tasks.record_expired_tokens", timedelta(minutes=1)),
    # Charts read single rows for the time that is not rolled up yet: usually 15 seconds, at most a minute.
    "roll-up-intake": _every("audience.tasks.roll_up", timedelta(seconds=15)),
    "roll-up-postbacks": _every("postbacks.tasks.roll_up", timedelta(seconds=15)),
    "event-counts": _every("audience.tasks.count_events", timedelta(seconds=15)),
    "figures": _every("postbacks.tasks.refresh_figures", timedelta(seconds=15)),
    "modeled-matches": _every("postbacks.tasks.match_launches", timedelta(minutes=5)),
    "prune-attempts": _every("postbacks.tasks.prune", timedelta(minutes=10)),
    "fan-out": _every("postbacks.tasks.fan_out", timedelta(seconds=2)),
    "deliver": _every("postbacks.tasks.deliver", timedelta(seconds=2)),
    "checks": _every("postbacks.tasks.sweep_checks", timedelta(seconds=15)),
    "confirm": _every("postbacks.tasks.confirm", timedelta(seconds=15)),
    "alerts": _every("postbacks.tasks.alerts", timedelta(seconds=15)),
    "notices": _every("postbacks.tasks.notices", timedelta(seconds=15)),
    "hook-messages": _every("postbacks.tasks.hook_messages", timedelta(seconds=15)),
    "digests": _every("postbacks.tasks.digests", timedelta(minutes=10)),
    "replay": _every("postbacks.tasks.replay", timedelta(seconds=5)),
}
