"""Which task goes to which queue. Two queues, so that two processes share the work: sending waits for the networks, and
in one process with the digest it would also wait for Python's interpreter lock."""

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
    "postbacks.tasks.prune": {"queue": DIGEST},
    "postbacks.tasks.*": {"queue": DELIVERY},
}
