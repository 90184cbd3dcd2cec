"""The types of a network's imitation for the sandbox: its accounts, its answers and its faults."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from postbacks.networks.interface.network import Network

# The faults that each network answers in its own format. The sandbox itself adds `html_502`, `timeout` and `reset`.
FAULTS = ("unauthorized", "forbidden", "bad_request", "rate_limited", "unavailable")


@dataclass(frozen=True, slots=True)
class ImitationRequest:
    """A request to an imitation; `headers` by lower-case name, `now` in Unix seconds.

    `accounts` are those that it accepts now: credential -> pixels. `over_quota`: the quota of this second is used up.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    accounts: Mapping[str, frozenset[str]]
    now: float
    over_quota: bool = False

    def json(self) -> Any:
        """The decoded body. ValueError when it is not JSON."""
        try:
            return json.loads(self.body)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error


@dataclass(frozen=True, slots=True)
class ImitationResponse:
    """The answer of an imitation. `body` is sent as JSON, or unchanged if it is text.

    `events` are the deduplication keys of the accepted events: the pixel first, the event id last.
    """

    status: int
    body: dict[str, Any] | str
    headers: Mapping[str, str] = field(default_factory=dict)
    events: tuple[tuple[str, ...], ...] = ()

    def encoded(self) -> tuple[str, bytes]:
        """(content type, bytes)"""
        if isinstance(self.body, str):
            html = self.body.lstrip().startswith("<")
            return f"text/{'html' if html else 'plain'}; charset=utf-8", self.body.encode()
        return "application/json", json.dumps(self.body).encode()

    @property
    def code(self) -> str:
        """The code at the top of the body, for a network whose HTTP status does not show the outcome; else ''."""
        return str(self.body.get("code", "")) if isinstance(self.body, dict) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """Fictitious accounts in the network's formats. `token` and `rotated_token` may post to `pixel` and `second_pixel`,
    and `foreign_token` only to `foreign_pixel`.

    `credential` is what a postback stores to post with `token`, by field; {"token": token} unless given. `object_ids`
    are the network's objects of the trigger events, on every pixel, if it has such (Network.object_id).
    """

    pixel: str
    second_pixel: str
    foreign_pixel: str
    token: str
    rotated_token: str
    foreign_token: str
    credential: Mapping[str, str] = field(default_factory=dict)
    object_ids: Mapping[str, str] = field(default_factory=dict)

    def stored_credential(self) -> dict[str, str]:
        return dict(self.credential) or {"token": self.token}

    def by_credential(self) -> dict[str, frozenset[str]]:
        pixels = frozenset({self.pixel, self.second_pixel})
        return {self.token: pixels, self.rotated_token: pixels, self.foreign_token: frozenset({self.foreign_pixel})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Imitation:
    """The imitation of one network. Every path of its API starts with one of `prefixes`, and no path of another's does.

    `endpoints` are shown on the sandbox's help page. `faults`: each of FAULTS, and further ones of this network -> the
    answer, by the request's pixel.
    """

    prefixes: tuple[str, ...]
    endpoints: tuple[str, ...]
    accounts: Accounts
    answer: Callable[[ImitationRequest], ImitationResponse]
    pixel: Callable[[str, Any], str]  # (path, decoded body) -> the pixel that the request names, '' without one
    is_test: Callable[[Any], bool]  # decoded body -> whether it is a test event
    test_path: re.Pattern[str] | None = None  # of the paths, without the query, that take test events only
    faults: Mapping[str, Callable[[str], ImitationResponse]]
    quota: int | None = None  # calls a second; above it ImitationRequest.over_quota is set
    # credential -> the access token that is issued for it; '' for a network without access tokens
    access_token: Callable[[str], str] = lambda credential: ""

    def takes_as_test(self, path: str, body: Any) -> bool:
        """Whether a request with this path, without the query, and decoded body is a test, which is counted nowhere."""
        return self.is_test(body) or bool(self.test_path and self.test_path.fullmatch(path))


def imitation_of(network: Network) -> Imitation:
    """`IMITATION` of `imitation.py` beside the network's own module. ImportError or AttributeError without one.

    Imported on demand, since only the sandbox, the demo and the tests need the schemas.
    """
    package = type(network).__module__.rpartition(".")[0]
    imitation: Imitation = import_module(f"{package}.imitation").IMITATION
    return imitation
