"""What a wire route can answer, apart from how a dialect words it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import orjson
from django.http import HttpResponse, HttpResponseBase

from audience.intake.messages.message import Rejected
from audience.intake.storing.rows import Sent
from audience.models import Dialect


class Problem(Enum):
    """Why a whole request is refused."""

    NO_KEY = auto()
    UNKNOWN_KEY = auto()
    BAD_ENCODING = auto()
    BAD_JSON = auto()
    NOT_AN_EVENT = auto()
    EMPTY_BATCH = auto()
    TOO_LARGE = auto()
    TOO_MANY_REQUESTS = auto()
    METHOD = auto()
    STORAGE_AWAY = auto()
    BROKEN = auto()


def as_json(body: Any, status: int = 200) -> HttpResponse:
    """JSON without spaces, as the originals write it."""
    return HttpResponse(orjson.dumps(body), status=status, content_type="application/json")


class Refusal(Exception):
    """A request answered with an error: `response` is what goes out, once what it `leaves` is on disk."""

    def __init__(self, response: HttpResponseBase, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(response.status_code)
        self.response = response
        self.leaves: list[Sent] = []
        for name, value in (headers or {}).items():
            response[name] = value


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of the members of a batch; each rejected one with its place in it."""

    accepted: int
    rejected: Sequence[tuple[int, Rejected]]


class Words(ABC):
    """The limits in bytes, decoded, and the answers of one of the Segment-shaped dialects."""

    dialect: Dialect
    call_limit: int
    batch_limit: int
    # Whether a `timestamp` beside the members of a batch is theirs: analytics-node writes the time of sending there.
    batch_timestamp = False

    @abstractmethod
    def accepted(self) -> HttpResponseBase:
        """A single message is on disk."""

    @abstractmethod
    def refused(self, rejected: Rejected) -> HttpResponseBase:
        """A single message was not taken."""

    @abstractmethod
    def batch(self, taken: Taken, *, partial: bool) -> HttpResponseBase:
        """A batch with all, some or none of its members taken; `partial` where the caller understands 207."""

    @abstractmethod
    def problem(self, problem: Problem, *, batch: bool) -> HttpResponseBase:
        """The whole request is refused."""
