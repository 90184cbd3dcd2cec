"""The part of a dry run that all dialects share: an ingestion view that writes nothing and collects the outcomes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from audience.intake.dialects.refusing import RefusingView
from audience.intake.dialects.responses import Refusal
from audience.intake.messages.message import Message, Rejected, Violation
from audience.intake.storing.accept import AcceptResult
from audience.intake.storing.rows import Submission
from audience.models import ApiKey


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of the item `index` of the body; None if the request is refused as a whole.

    `messages` are those of the item: none if it has errors, two for an event of Parcelvoy with a `user`.
    """

    index: int | None
    messages: Sequence[Message]
    errors: Sequence[Violation]


class WithoutEffects(RefusingView):
    """Added in front of a view. `given_key` is used instead of the key of the request; with `knows_caller` its
    restrictions to origins and addresses apply."""

    given_key: ApiKey
    given_time: datetime
    knows_caller = False

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.payload_read: Any = None
        self.found: list[Outcome] = []
        self.submitted: list[Submission] = []
        # The rejections of messages of erased players, which have no content, and the messages.
        self.refused: list[tuple[Rejected, Message]] = []

    def prepare(self) -> None:
        super().prepare()  # type: ignore[misc]
        self.received_at = self.given_time

    def require_key(self, *args: Any, **kwargs: Any) -> ApiKey:
        self.admit(self.given_key)
        return self.given_key

    def admit(self, key: ApiKey) -> None:
        self.admitted_key = key

    def caller_violation(self, key: ApiKey) -> Violation | None:
        return super().caller_violation(key) if self.knows_caller else None

    def suppressed(self, key: ApiKey, message: Message, message_id: str | None) -> Rejected | None:
        rejected = super().suppressed(key, message, message_id)
        if rejected:
            self.refused.append((rejected, message))
        return rejected

    def decode(self, data: bytes, **options: Any) -> Any:
        self.payload_read = super().decode(data, **options)
        return self.payload_read

    def submission(self, key: ApiKey, messages: Sequence[Message], rejected: Sequence[Rejected]) -> Submission:
        # First, since the address of the caller is added to copies of the messages.
        self.found += self.outcomes(messages, rejected)
        return super().submission(key, messages, rejected)

    def with_request_rejection(self, refusal: Refusal, violation: Violation) -> Refusal:
        self.found.append(Outcome(None, (), (violation,)))
        return refusal

    async def accept(self, request: Sequence[Submission]) -> list[AcceptResult]:
        self.submitted += request
        return [AcceptResult(len(one.messages), 0, len(one.rejected)) for one in request]

    def outcomes(self, messages: Sequence[Message], rejected: Sequence[Rejected]) -> Iterator[Outcome]:
        """Yield the outcomes of one call of `submission`."""
        raise NotImplementedError
