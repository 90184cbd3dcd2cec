"""Reading a request, and refusing it with its Rejection: the part of an ingestion view that answers nothing itself."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from rest_framework.views import APIView

from audience.intake.dialects.responses import Refusal, RequestProblem
from audience.intake.messages.message import NOT_KEPT, SUPPRESSED_RAW, Message, Rejected, Violation
from audience.intake.requests import body, limit, restrictions
from audience.intake.requests.auth import find_expired_key
from audience.intake.requests.caller import caller_ip, origin, record_caller
from audience.intake.requests.request_id import request_id
from audience.intake.storing import allowance
from audience.intake.storing.accept import record_use
from audience.intake.storing.rows import Submission, subjects_of
from audience.models import ApiKey, Dialect

# Between two Rejections for requests with the same expired key.
EXPIRED_KEY_INTERVAL_SECONDS = 60.0
# When the last Rejection was stored, by key id (time.monotonic()).
_expired_key_recorded_at: dict[int, float] = {}


class RefusingView(APIView):
    """A dialect adds `dialect` and `refuse`."""

    dialect: Dialect
    # The name of the route in its dialect, stored with each Rejection to validate it again.
    route = ""
    # Returns the rejection of a message whose id another event has (rows.Submission).
    reject_reused: Callable[[Message], Rejected] | None = None
    received_at: datetime
    # The live key of the request, once `admit` has let it pass.
    admitted_key: ApiKey | None = None

    def refuse(self, problem: RequestProblem, detail: str = "") -> Refusal:
        """This dialect's error for a whole request, to be raised. `detail` is used where the dialect has no text."""
        raise NotImplementedError(f"{type(self).__name__} does not define its errors")

    def refuse_content(self, problem: RequestProblem, text: str) -> Refusal:
        """`refuse` for a request that is not understood. `text` is the reason for the studio, a sentence."""
        return self.with_request_rejection(self.refuse(problem, text), Violation("", problem.name, text))

    def read(self, request: Any, *, limit: int) -> bytes:
        """The decompressed body. Raises Refusal when it is larger than `limit` bytes, compressed or not."""
        try:
            return body.read(request, limit=limit)
        except body.TooLarge:
            raise self.refuse_content(RequestProblem.TOO_LARGE, too_large(limit)) from None
        except body.Malformed as error:
            raise self.refuse_content(RequestProblem.BAD_ENCODING, str(error)) from None

    def decode(self, data: bytes, *, keep_digits: bool = False, members: str | None = None) -> Any:
        """The parsed JSON of a body. Raises Refusal when it is invalid. For the options see body.decode."""
        try:
            return body.decode(data, keep_digits=keep_digits, members=members)
        except body.Malformed as error:
            raise self.refuse_content(RequestProblem.BAD_JSON, str(error)) from None

    def admit(self, key: ApiKey) -> None:
        """Record the key's use. Raises Refusal when it exceeds its rate limit."""
        record_use(key)
        if wait := limit.seconds_to_wait(key):
            raise self.too_many_requests(wait)
        self.admitted_key = key

    def too_many_requests(self, wait: int) -> Refusal:
        """The refusal of a key that exceeds its rate limit for `wait` more seconds."""
        text = f"Too many requests with this key. Try again in {wait} s."
        refusal = self.refuse(RequestProblem.TOO_MANY_REQUESTS, text)
        refusal.response["Retry-After"] = refusal.response["X-RateLimit-Reset"] = str(wait)
        return refusal

    def caller_violation(self, key: ApiKey) -> Violation | None:
        """Why the key may not be used from the caller's origin or address; None when it may."""
        if not key.is_restricted:
            return None
        return restrictions.caller_violation(key, origin=origin(self.request), address=caller_ip(self.request))

    def violation(self, key: ApiKey, message: Message) -> Violation | None:
        """Why the key may not send this message from the caller's origin or address; None when it may."""
        return self.caller_violation(key) or restrictions.event_violation(key, message)

    def suppressed(self, key: ApiKey, message: Message, message_id: str | None) -> Rejected | None:
        """The rejection of a message whose player was erased with a suppression; None for any other. It has no data of
        the player. `message_id` is the id as sent."""
        erasure = key.game.suppressed_ids and key.game.suppressed_ids.erasure_of(message)
        if not erasure:
            return None
        violations = [restrictions.SUPPRESSED]
        return Rejected(message_id, violations, SUPPRESSED_RAW, route=self.route, suppressed_by=erasure)

    def without_suppressed(self, key: ApiKey, messages: list[Message]) -> tuple[list[Message], list[Rejected]]:
        """The messages whose player is not suppressed, and the rejections of the others."""
        if not key.game.suppressed_ids:
            return messages, []
        found = [(message, self.suppressed(key, message, message.message_id)) for message in messages]
        return [message for message, rejected in found if not rejected], [row for _, row in found if row]

    def submission(self, key: ApiKey, messages: Sequence[Message], rejected: Sequence[Rejected]) -> Submission:
        """These messages, with the caller's address and origin, for `accept`."""
        if suppressed_ids := key.game.suppressed_ids:
            for rejection in rejected:
                if suppressed_ids.includes(subjects_of(rejection.raw)):
                    rejection.forget()
        record_caller(self.request, messages, rejected)
        return Submission(
            key=key,
            dialect=self.dialect,
            received_at=self.received_at,
            messages=messages,
            rejected=rejected,
            reject_reused=self.reject_reused,
        )

    def with_rejection(self, refusal: Refusal, key: ApiKey, violation: Violation, raw: Any = NOT_KEPT) -> Refusal:
        """The refusal of a whole request, with a Rejection to be stored."""
        refusal.submissions = [self.submission(key, [], [Rejected(None, [violation], raw, route=self.route)])]
        return refusal

    def with_request_rejection(self, refusal: Refusal, violation: Violation) -> Refusal:
        """The refusal of a request that is not understood, with a Rejection that states the size of its body.

        Without one if the key is unknown, or if the key has too many of them (allowance.py).
        """
        key = self.admitted_key
        if key is None or not allowance.take_request(key.pk):
            return refusal
        raw = {**NOT_KEPT, "bytes": body.sent_size(self.request), "request": request_id(self.request)}
        return self.with_rejection(refusal, key, violation, raw)

    def with_expired_key_rejection(self, refusal: Refusal, value: str) -> Refusal:
        """The refusal of the invalid key `value`, with a Rejection to be stored if the key has expired."""
        key = find_expired_key(value)
        if key is None or not _is_rejection_due(key):
            return refusal
        return self.with_rejection(refusal, key, restrictions.KEY_ENDED)


def too_large(limit: int) -> str:
    """The sentence about a request of more than `limit` bytes."""
    return f"The body is larger than {limit} bytes. Send smaller batches."


def _is_rejection_due(key: ApiKey) -> bool:
    """Whether to store another Rejection for this expired key."""
    now = time.monotonic()
    if now - _expired_key_recorded_at.get(key.pk, -EXPIRED_KEY_INTERVAL_SECONDS) < EXPIRED_KEY_INTERVAL_SECONDS:
        return False
    _expired_key_recorded_at[key.pk] = now
    return True
