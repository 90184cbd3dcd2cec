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
from audience.intake.dialects.revalidation import PARCELVOY_VIEWS
from audience.intake.dialects.segment import TYPES
from audience.intake.dialects.segment_fields import text_of
from audience.intake.dialects.segment_views import Members, SegmentView
from audience.intake.dialects.without_effects import Outcome, WithoutEffects
from audience.intake.messages.message import Message, Rejected
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
class DryRun:
    """The answer of the route, and what it would store: `outcomes` in the order of the body, and the `submissions`,
    without those that have rejected messages only. `items` is the length of the body's list, 1 without a list."""

    status: int
    answer: str
    outcomes: Sequence[Outcome]
    submissions: Sequence[Submission]
    items: int


class ImmutableDryRun(WithoutEffects, immutable.MessagesView):
    def outcomes(self, messages: Sequence[Message], rejected: Sequence[Rejected]) -> Iterator[Outcome]:
        """Messages are found in the body by identity; equal small numbers are one object, in their order."""
        places: dict[int, deque[int]] = defaultdict(deque)
        for index, raw in enumerate(self.payload_read["messages"]):
            places[id(raw)].append(index)
        yield from (Outcome(places[id(one.raw)].popleft(), (one,), ()) for one in messages)
        raws = {id(one): message.raw for one, message in self.refused}
        for one in rejected:
            yield Outcome(places[id(raws.get(id(one), one.raw))].popleft(), (), one.errors)


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
    parsed: Sequence[Message] = ()

    def without_suppressed(self, key: ApiKey, messages: list[Message]) -> tuple[list[Message], list[Rejected]]:
        self.parsed = messages
        return super().without_suppressed(key, messages)

    def outcomes(self, messages: Sequence[Message], rejected: Sequence[Rejected]) -> Iterator[Outcome]:
        """An invalid item refuses the request; the path of its violation begins with its place in a list."""
        places = accumulate((not message.is_joined for message in self.parsed), initial=-1)
        next(places)
        place_of = {id(message): place for place, message in zip(places, self.parsed, strict=True)}
        by_item: dict[int, list[Message]] = defaultdict(list)
        for message in messages:
            by_item[place_of[id(message)]].append(message)
        yield from (Outcome(place, tuple(found), ()) for place, found in by_item.items())
        # Once for an item of two messages.
        errors_of = {place_of[id(message)]: one.errors for one, message in self.refused}
        yield from (Outcome(place, (), errors) for place, errors in errors_of.items())
        others = [one for one in rejected if not one.suppressed_by]
        for violation in (violation for one in others for violation in one.errors):
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
