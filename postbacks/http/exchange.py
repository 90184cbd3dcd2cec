"""Calls to the ad networks.

A call never raises for what the network does: every failure becomes a Response without a status. The whole call is
bounded by one deadline. Redirects are not followed and nothing is retried here: a repeat is a row in the database
(postbacks/delivery/retry.py), not a loop.
"""

import functools
import logging
import time

import urllib3
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import (
    HTTPError,
    LocationParseError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    SSLError,
)
from urllib3.exceptions import TimeoutError as Urllib3TimeoutError
from urllib3.util import parse_url

from postbacks.http import connections
from postbacks.networks.interface.network import Request, Response

CONNECT_TIMEOUT = 5.0  # seconds, over all addresses of the host together
BODY_LIMIT = 64 * 1024  # bytes; both networks answer in well under 1 KB
SHORTEST_SECRET = 6

# At DEBUG urllib3 logs every request line; there are better logs of what was sent.
logging.getLogger("urllib3").setLevel(logging.INFO)


def post(request: Request, *, timeout: float = 10.0) -> Response:
    """Send `request` and return what came back, within `timeout` seconds for connecting, sending and reading together.

    `latency_ms` is the wall time of the whole call. The request's secrets are blanked out of the answer, so that no
    log can repeat a token that the network echoed.
    """
    started = time.monotonic()
    try:
        origin, target = _place(request.url)
        status, headers, body = exchange(connections.pool_of(origin), request, target, timeout)
    except (HTTPError, ValueError) as error:
        return Response(None, {}, b"", since(started), failure(error))
    for secret in filter(_worth_hiding, request.secrets):
        body = body.replace(secret.encode(), b"[hidden]")
        headers = {name: value.replace(secret, "[hidden]") for name, value in headers.items()}
    return Response(status, headers, body, since(started))


def exchange(
    pool: HTTPConnectionPool, request: Request, target: str, timeout: float
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers by their names in lower case, and body, cut at BODY_LIMIT. urllib3's HTTPError, or ValueError.

    `target` is the path with the query.
    """
    connections.call.is_written = False
    answer = pool.urlopen(
        request.method,
        target,
        body=request.body,
        headers=request.headers,
        timeout=_timeout(timeout),
        redirect=False,
        retries=False,
        assert_same_host=False,
        preload_content=False,
    )
    try:
        body = answer.read(BODY_LIMIT)
        return answer.status, {name.lower(): value for name, value in answer.headers.items()}, body
    finally:
        # A body read to its end has given its connection back already; any other connection is of no more use.
        answer.close()


@functools.lru_cache(maxsize=1024)
def _place(url: str) -> tuple[str, str]:
    """What is the same for every call to a URL: its origin and what is asked for there. LocationParseError."""
    parts = parse_url(url)
    if parts.scheme not in ("http", "https") or not parts.host:
        raise LocationParseError(url)
    return f"{parts.scheme}://{parts.netloc}", parts.request_uri


@functools.cache
def _timeout(seconds: float) -> urllib3.Timeout:
    """urllib3 copies it for each call."""
    return urllib3.Timeout(connect=min(CONNECT_TIMEOUT, seconds), total=seconds)


def failure(error: Exception) -> str:
    """One word for a call without an answer; one of `networks.base.UNSENT` when no byte of the request was written.

    Of the call that this thread made last.
    """
    if isinstance(error, LocationParseError):
        return "network"
    return _failure_of_an_answer(error) if connections.call.is_written else _failure_to_send(error)


def _failure_to_send(error: Exception) -> str:
    """A ValueError is http.client refusing to write a header."""
    if isinstance(error, NameResolutionError):
        return "dns"
    if isinstance(error, NewConnectionError):  # before its parent class, a time-out
        return "refused" if isinstance(error.__cause__, ConnectionRefusedError) else "network"
    if isinstance(error, Urllib3TimeoutError):  # also of a TLS handshake
        return "no_connection"
    if isinstance(error, SSLError):
        return "tls"
    return "network" if isinstance(error, HTTPError) else "unsendable"


def _failure_of_an_answer(error: Exception) -> str:
    if isinstance(error, Urllib3TimeoutError):
        return "timeout"
    return "reset" if isinstance(error, ProtocolError | SSLError) else "unreadable"


def _worth_hiding(secret: str) -> bool:
    # A short or all-digit test code would be blanked out of the provider's own numbers and break the answer.
    return len(secret) >= SHORTEST_SECRET and not secret.isdigit()


def since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
