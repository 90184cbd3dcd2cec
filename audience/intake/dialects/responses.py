"""What an ingestion route can answer, separate from how each dialect formats it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import orjson
from django.http import HttpResponse, HttpResponseBase

from audience.intake.messages.message import Rejected
from audience.intake.storing.rows import Submission
from audience.models import Dialect


class RequestProblem(Enum):
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
    DATABASE_UNAVAILABLE = auto()
    INTERNAL_ERROR = auto()


def as_json(body: Any, status: int = 200) -> HttpResponse:
    """JSON without spaces, as the original products write it."""
    return HttpResponse(orjson.dumps(body), status=status, content_type="application/json")


class Refusal(Exception):
    """A request answered with an error. `response` is sent once `submissions`, its Rejections, are stored."""

    def __init__(self, response: HttpResponseBase, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(response.status_code)
        self.response = response
        self.submissions: list[Submission] = []
        for name, value in (headers or {}).items():
            response[name] = value


@dataclass(frozen=True, slots=True)
class BatchResult:
    """How many members of a batch were accepted, and the rejected ones with their index in it."""

    accepted: int
    rejected: Sequence[tuple[int, Rejected]]


class Responses(ABC):
    """The size limits (in bytes, decoded) and the answers of one of the Segment-shaped dialects."""

    dialect: Dialect
    call_limit: int
    batch_limit: int
    # Whether a `timestamp` beside the members of a batch applies to them. analytics-node puts the time of sending
    # there.
    batch_timestamp = False

    @abstractmethod
    def accepted(self) -> HttpResponseBase:
        """A single message is stored."""

    @abstractmethod
    def refused(self, rejected: Rejected) -> HttpResponseBase:
        """A single message was rejected."""

    @abstractmethod
    def batch(self, result: BatchResult, *, partial: bool) -> HttpResponseBase:
        """A batch of which all, some or no members were accepted. `partial`: the client understands 207."""

    @abstractmethod
    def problem(self, problem: RequestProblem, *, batch: bool) -> HttpResponseBase:
        """The whole request is refused."""
