"""One HTTP call to a network: what is sent, and what came back."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request ready to send. Its URL may carry a token: nothing logs, stores or shows it.

    http.post blanks every one of `secrets` out of the answer.
    """

    method: str
    url: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    body: bytes
    secrets: tuple[str, ...] = field(default=(), repr=False)


# The failures after which the network cannot have the request: no byte of it was written.
UNSENT = frozenset({"dns", "forbidden", "network", "no_connection", "refused", "tls", "unsendable"})


@dataclass(frozen=True, slots=True)
class Response:
    """What came back. With no HTTP answer `status` is None and `failure` says why; header names are lower case."""

    status: int | None
    headers: Mapping[str, str]
    body: bytes
    latency_ms: int
    failure: str | None = None

    @property
    def is_unknown(self) -> bool:
        """Whether the network may have taken the request although no answer came: a time-out, a reset or an answer
        that was cut off, after some of the request had been written."""
        return self.status is None and self.failure not in UNSENT
