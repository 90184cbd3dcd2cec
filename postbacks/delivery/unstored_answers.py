"""Retries answers, and consequences of answers, that could not be stored.

Their FailedWork row has all the data, since a second call must not be made for the answer.
"""

from collections.abc import Callable
from uuid import UUID

from audience.background import isolation
from audience.models import FailedWork, Queue, Reason
from postbacks.configs import hold
from postbacks.delivery import attempts, cancellation, recording
from postbacks.models import PostbackConfig
from postbacks.outbox import conversion_reasons

MAX_RETRIES_PER_SWEEP = 100


def retry_due(*, network: str) -> int:
    """Retry the due rows of one network; return how many succeeded."""
    failed = FailedWork.objects.of(Queue.CLOSING).filter(kept__network=network).due()
    return isolation.retry(
        Queue.CLOSING, lambda failure: STEPS[failure.kept["step"]](failure), rows=failed[:MAX_RETRIES_PER_SWEEP]
    )


def _record(failure: FailedWork) -> None:
    recording.record_again(recording.stored_answer(UUID(failure.row), failure.kept))


def _clear_reasons(failure: FailedWork) -> None:
    conversion_reasons.clear_reasons(conversion_ids=[UUID(failure.row)])


def _set_reason(failure: FailedWork) -> None:
    conversion_reasons.set_reason(conversion_id=UUID(failure.row), reason=Reason(failure.kept["reason"]))


def _suspect(failure: FailedWork) -> None:
    refused = PostbackConfig.objects.kept().filter(pk=failure.row, version=failure.kept["version"])
    for config in refused:
        hold.suspect(config=config)


STEPS: dict[str, Callable[[FailedWork], None]] = {
    recording.RECORD: _record,
    attempts.CLEAR_REASONS: _clear_reasons,
    attempts.SUSPECT: _suspect,
    cancellation.SET_REASON: _set_reason,
}
