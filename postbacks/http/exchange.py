"""Calls to the ad networks.

A call raises no error for a failure of the network, which becomes a Response without a status. One deadline bounds the
whole call. Redirects are not followed and nothing is retried here (postbacks/delivery/retry_schedule.py does).
"""

import logging
import time

from urllib3 import HTTPConnectionPool, PoolManager, Timeout
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError, ProtocolError, SSLError
from urllib3.exceptions import TimeoutError as Urllib3TimeoutError

from postbacks.http import connections
from postbacks.networks.interface.call import Request, Response

CONNECT_TIMEOUT = 5.0  # seconds, over all addresses of the host together
BODY_LIMIT = 64 * 1024  # bytes; both networks answer in well under 1 KB
MIN_SECRET_LENGTH = 6

# Its warning about malformed headers of an answer has the whole URL, which may have a token. The delivery log has what
# is known of a call.
logging.getLogger("urllib3").setLevel(logging.ERROR)


def post(request: Request, *, timeout: float = 10.0) -> Response:
    """Send `request` and return the Response, within `timeout` seconds for connecting, sending and reading together.

    `latency_ms` is the wall time of the call. Secrets of the request are removed from the answer, so that a token
    echoed by the network is not logged.
    """
    started = time.monotonic()
    try:
        status, headers, body = exchange(connections.pools, request, request.url, timeout)
    except (HTTPError, ValueError) as error:
        return Response(None, {}, b"", elapsed_ms(started), failure(error))
    return answered(request, status, headers, body, elapsed_ms(started))


def answered(request: Request, status: int, headers: dict[str, str], body: bytes, latency_ms: int) -> Response:
    """Return the Response, without the secrets of the request."""
    for secret in filter(_is_maskable, request.secrets):
        body = body.replace(secret.encode(), b"[hidden]")
        headers = {name: value.replace(secret, "[hidden]") for name, value in headers.items()}
    return Response(status, headers, body, latency_ms)


def exchange(
    pool: HTTPConnectionPool | PoolManager, request: Request, url: str, timeout: float
) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers with lower-case names, and the body, cut at BODY_LIMIT.

    `url` is a whole URL for a PoolManager, and a path with the query for the pool of one host. Raises urllib3's
    HTTPError, or ValueError.
    """
    connections.call.is_written = False
    answer = pool.urlopen(
        request.method,
        url,
        body=request.body,
        headers=request.headers,
        timeout=Timeout(connect=min(CONNECT_TIMEOUT, timeout), total=timeout),
        redirect=False,
        retries=False,
        preload_content=False,
    )
    try:
        body = answer.read(BODY_LIMIT)
        return answer.status, {name.lower(): value for name, value in answer.headers.items()}, body
    finally:
        # A body read to its end has returned its connection to the pool; any other connection is closed.
        answer.close()


def failure(error: Exception) -> str:
    """Return the keyword of this thread's failed call; one of UNSENT if no byte of the request was written."""
    return _failure_of_an_answer(error) if connections.call.is_written else _failure_to_send(error)


def _failure_to_send(error: Exception) -> str:
    """Return one of UNSENT. A ValueError means that http.client refused to write a header."""
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


def _is_maskable(secret: str) -> bool:
    # Removing a short or all-digit test code could change other numbers of the answer.
    return len(secret) >= MIN_SECRET_LENGTH and not secret.isdigit()


def elapsed_ms(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
