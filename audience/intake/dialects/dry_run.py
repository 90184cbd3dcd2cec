"""Runs the ingestion views without their effects: nothing is stored, no use of a key is recorded, no limit is used up.

The views are those of the routes. Only what reads the key, and what writes, is replaced, so that a dry run says what
the route would answer.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from itertools import accumulate
from typing import Any

import orjson
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest

from audience.intake.dialects import immutable, parcelvoy, segment_requests
from audience.intake.dialects.refusing import RefusingView
from audience.intake.dialects.responses import Refusal
from audience.intake.dialects.revalidation import PARCELVOY_VIEWS
from audience.intake.dialects.segment import TYPES
from audience.intake.dialects.segment_fields import text_of
from audience.intake.dialects.segment_views import Members, SegmentView
from audience.intake.messages.message import Message, Rejected, Violation
from audience.intake.storing.accept import AcceptResult
from audience.intake.storing.rows import Submission
from audience.models import ApiKey, Dialect, Kind

# Names of routes, by which a dry run is requested; the first one of a dialect is its default.
ROUTES: Mapping[Dialect, tuple[str, ...]] = {
    Dialect.IMMUTABLE: ("messages",),
    Dialect.RUDDERSTACK: (segment_requests.BATCH, *TYPES),
    Dialect.METAROUTER: (segment_requests.BATCH, *TYPES),
    Dialect.PARCELVOY: tuple(sorted(PARCELVOY_VIEWS, key=lambda route: route != parcelvoy.EventsView.route)),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of the item `index` of the body; None if the request is refused as a whole.

    `messages` are those of the item: none if it has errors, two for an event of Parcelvoy with a `user`.
    """

    index: int | None
    messages: Sequence[Message]
    errors: Sequence[Violation]


@dataclass(frozen=True, slots=True)
class DryRun:
    """The answer of the route, and what it would store: `outcomes` in the order of the body, and the `submissions`,
    without those that have rejected messages only. `items` is the length of the body's list, 1 without a list."""

    status: int
    answer: str
    outcomes: Sequence[Outcome]
    submissions: Sequence[Submission]
    items: int


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


class ImmutableDryRun(WithoutEffects, immutable.MessagesView):
    def outcomes(self, messages: Sequence[Message], rejected: Sequence[Rejected]) -> Iterator[Outcome]:
        """Messages are found in the body by identity; equal small numbers are one object, in their order."""
        places: dict[int, deque[int]] = defaultdict(deque)
        for index, raw in enumerate(self.payload_read["messages"]):
            places[id(raw)].append(index)
        yield from (Outcome(places[id(one.raw)].popleft(), (one,), ()) for one in messages)
        yield from (Outcome(places[id(one.raw)].popleft(), (), one.errors) for one in rejected)


class SegmentDryRun(WithoutEffects, SegmentView):
    def receive(self, outer_key: str) -> tuple[ApiKey, Any, int]:
        self.choose_responses(self.given_key)
        self.admit(self.given_key)
        data = self.read(self.request, limit=segment_requests.MAX_BODY_BYTES)
        return self.given_key, self.payload(data, self.given_key.prefix), len(data)

    async def store(self, parsed: Members) -> None:
        for index, (_, one) in enumerate(parsed):
            outcome = Outcome(index, (one,), ()) if isinstance(one, Message) else Outcome(index, (), one.errors)
            self.found.append(outcome)
        await super().store(parsed)

    def outcomes(self, messages: Sequence[Message], rejected: Sequence[Rejected]) -> Iterator[Outcome]:
        return iter(())  # `store` has their order


class ParcelvoyDryRun(WithoutEffects, parcelvoy.ParcelvoyView):
    def outcomes(self, messages: Sequence[Message], rejected: Sequence[Rejected]) -> Iterator[Outcome]:
        """An invalid item refuses the request; the path of its violation begins with its place in a list."""
        by_item: dict[int, list[Message]] = defaultdict(list)
        places = accumulate((not message.is_joined for message in messages), initial=-1)
        next(places)
        for place, message in zip(places, messages, strict=True):
            by_item[place].append(message)
        yield from (Outcome(place, tuple(found), ()) for place, found in by_item.items())
        for violation in (violation for one in rejected for violation in one.errors):
            stated, _, _ = violation.field.partition("/")
            is_listed = isinstance(self.payload_read, list) and stated.isdecimal()
            index = int(stated) if is_listed else 0 if isinstance(self.payload_read, dict) else None
            yield Outcome(index, (), (violation,))


def run(
    *,
    key: ApiKey,
    route: str,
    body: bytes,
    received_at: datetime,
    origin: str | None = None,
    address: str | None = None,
) -> DryRun:
    """Return what a POST of the body to a route of the key's dialect would do. `route` is one of ROUTES.

    `origin` and `address` are those of the caller; without either, the key's restrictions to callers are not checked.
    """
    view = _view_class(Dialect(key.dialect), route)(route=route)
    view.given_key, view.given_time = key, received_at
    view.knows_caller = origin is not None or address is not None
    request = _request(body, origin or "", address or "")
    response = view.dispatch(request)
    outcomes = sorted(view.found, key=lambda one: -1 if one.index is None else one.index)
    stored = [one for one in view.submitted if one.messages]
    items = len(view.payload_read) if isinstance(view.payload_read, list) else 1
    return DryRun(response.status_code, _text(response), outcomes, stored, items)


def default_route(dialect: Dialect, body: bytes) -> str:
    """Return the route for a body: that of batches; for a single message that of its type, or for events."""
    routes = ROUTES[dialect]
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return routes[0]
    if not isinstance(value, dict) or dialect == Dialect.IMMUTABLE or segment_requests.MEMBERS in value:
        return routes[0]
    if dialect == Dialect.PARCELVOY:
        return parcelvoy.TrackView.route
    stated = text_of(value.get("type")).lower()
    return stated if stated in routes else Kind.TRACK.value


def _view_class(dialect: Dialect, route: str) -> Callable[..., Any]:
    if dialect == Dialect.IMMUTABLE:
        return ImmutableDryRun
    if dialect != Dialect.PARCELVOY:
        return SegmentDryRun
    return type("ParcelvoyRouteDryRun", (ParcelvoyDryRun, PARCELVOY_VIEWS[route]), {})


def _request(body: bytes, origin: str, address: str) -> HttpRequest:
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "REMOTE_ADDR": address,
        "wsgi.input": BytesIO(body),
    }
    return WSGIRequest({**environ, "HTTP_ORIGIN": origin} if origin else environ)


def _text(response: Any) -> str:
    return bytes(response.content).decode("utf-8", "replace")
