"""Sends due messages about conversions and erasures to webhooks, several at a time.

The body of a message is read right before its call. If a worker dies before it has stored the result, the message is
sent again under the same id when its lease has expired. Only the thread of the drain uses the database; the threads of
its pool make the calls. A webhook that does not answer delays no other: it gets MAX_PER_HOOK calls, and then one at a
time with growing pauses.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import timedelta
from typing import Any

import structlog

from audience.background import isolation
from audience.background.wakeup import wake
from audience.models import FailedWork, Queue
from postbacks.models import HookMessage
from postbacks.monitoring.alerts import hook_bodies, hook_calls, hook_claims, hook_results
from postbacks.monitoring.alerts.hook_calls import HookAnswer, HookResult
from postbacks.monitoring.alerts.hook_results import SentMessage
from postbacks.outbox.hook_messages import HOOK_MESSAGES_TASK

logger = structlog.get_logger(__name__)

MAX_IN_FLIGHT = 32  # concurrent calls of a worker process
MAX_PER_HOOK = 8
COLLECT_SECONDS = 0.1
# For the rate of a webhook; after longer waits the beat starts the next drain.
MAX_WAIT = timedelta(seconds=1)

_draining = threading.Lock()


def send_due(*, seconds: float = 20.0) -> int:
    """Send until nothing may be sent or `seconds` are over; return the number of calls.

    Returns 0 at once if another thread of this process is sending.
    """
    if not _draining.acquire(blocking=False):
        return 0
    try:
        with ThreadPoolExecutor(MAX_IN_FLIGHT, thread_name_prefix="webhook") as pool:
            drain = HookDrain(pool)
            drain.run(time.monotonic() + seconds)
    finally:
        _draining.release()
    # After the release: until then the task of a new message returns at once.
    if hook_claims.ready_hooks(within=MAX_WAIT):
        wake(HOOK_MESSAGES_TASK)
    return drain.calls


class HookDrain:
    """The calls of one drain. Not thread-safe."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._in_flight: dict[Future[HookAnswer], HookMessage] = {}
        self.calls = 0

    def run(self, until: float) -> None:
        """Claim, call and store until nothing may be sent, or until `until` (monotonic) and the end of its calls."""
        failed = FailedWork.objects.of(Queue.NOTICE).filter(kept__has_key="hook").due()
        isolation.retry(Queue.NOTICE, self._retry, rows=failed[: hook_claims.MAX_RETRIES_PER_SWEEP])
        while self._in_flight or time.monotonic() < until:
            claimed = self._claim() if time.monotonic() < until else 0
            if self._in_flight:
                self._collect()
            elif not claimed:
                if not hook_claims.ready_hooks(within=MAX_WAIT):
                    return
                time.sleep(COLLECT_SECONDS)

    def _retry(self, failure: FailedWork) -> None:
        if "result" in failure.kept:
            hook_results.store_again(failure)
        else:
            self._submit(hook_claims.retry_claim(failure))

    def _claim(self) -> int:
        """Claim and call what may be sent now; return the number of messages."""
        by_hook, claimed = Counter(message.hook_id for message in self._in_flight.values()), 0
        ready = hook_claims.ready_hooks()
        random.shuffle(ready)  # a webhook with many messages must not always come first
        for hook_id in ready:
            limit = min(MAX_PER_HOOK - by_hook[hook_id], MAX_IN_FLIGHT - len(self._in_flight))
            if limit > 0:
                messages = hook_claims.claim(hook_id=hook_id, limit=limit)
                self._submit(messages)
                claimed += len(messages)
        return claimed

    def _submit(self, messages: Iterable[HookMessage]) -> None:
        waiting = list(messages)
        bodies = hook_bodies.bodies(waiting)
        for message in waiting:
            if message.pk in bodies:
                self._in_flight[self._pool.submit(_call, message, bodies[message.pk])] = message
                self.calls += 1
            else:  # its delivery was deleted with its postback
                HookMessage.objects.filter(game=message.game_id, pk=message.pk).delete()

    def _collect(self) -> None:
        done, _ = wait(self._in_flight, timeout=COLLECT_SECONDS)
        sent = [SentMessage(self._in_flight.pop(future), future.result()) for future in done]
        if sent:
            hook_results.store(sent)


def _call(message: HookMessage, body: dict[str, Any]) -> HookAnswer:
    try:
        return hook_calls.call(message.hook, message_id=str(message.pk), event=message.event, body=body)
    except Exception as error:  # so that an unexpected error counts as an attempt
        logger.exception("hook_message_not_sent", message_id=str(message.pk))
        return HookAnswer(HookResult.FAILED, f"Afterclick failed while sending this ({type(error).__name__}).")
