"""Which bytes of a connection are the answer to a request, with servers that send more, less or something else."""

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from postbacks.http import post
from postbacks.http.answer import MAX_ANSWER_BYTES, MAX_INTERIM
from tests.postbacks.test_http import OK, Peer, certificate, peer, request

__all__ = ["certificate"]  # the fixture

HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"
PROCESSING = b"HTTP/1.1 102 Processing\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# The answer that no request must ever be given.
STRAY = b"HTTP/1.1 418 Stray\r\nContent-Length: 5\r\n\r\nstray"
IDLE = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
EMPTY = b"HTTP/1.1 204 No Content\r\n"

Script = Callable[[socket.socket], None]


def saying(*parts: bytes, pause: float = 0.0) -> Script:
    def script(connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)

    return script


def once(first: Script, *then: Script) -> Script:
    """`first` for the first request to the peer, `then` for the others."""
    scripts = [first, *then]

    def script(connection: socket.socket) -> None:
        (scripts.pop(0) if len(scripts) > 1 else scripts[0])(connection)

    return script


# Interim answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "interim",
    [CONTINUE, PROCESSING, HINTS, HINTS + CONTINUE + PROCESSING + HINTS, CONTINUE * MAX_INTERIM],
    ids=["100", "102", "103", "several", "as many as are read"],
)
def test_an_interim_answer_is_read_past(interim: bytes):
    with peer(saying(interim + OK)) as network:
        assert [_status_and_body(network) for _ in range(2)] == [(200, b"{}"), (200, b"{}")]
    assert network.connections == 1


def test_an_interim_answer_may_come_long_before_the_real_one():
    with peer(saying(HINTS, PROCESSING, OK, pause=0.1)) as network:
        assert _status_and_body(network) == (200, b"{}")
        assert "link" not in post(request(network.url)).headers


@pytest.mark.parametrize(
    "answer",
    [
        CONTINUE * (MAX_INTERIM + 1) + OK,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n" + OK,
        HINTS[:30],
    ],
    ids=["too many", "another protocol", "half of one"],
)
def test_interim_answers_without_an_end_are_no_answer(answer: bytes):
    def script(connection: socket.socket) -> None:
        connection.sendall(answer)
        connection.close()

    with peer(script) as network:
        response = post(request(network.url))
    assert (response.status, response.failure, response.is_unknown) == (None, "reset", True)


# Another's answer -------------------------------------------------------------------------------------

UNEXPECTED = {
    "a second answer": OK + STRAY,
    "a second answer, later": (OK, STRAY),
    "a second answer behind chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    + STRAY,
    "more body than was said": OK + b"x",
    "more body, later": (OK, b"\r\n\r\n"),
    "a body where none may be": EMPTY + b"\r\n" + STRAY,
    "a body where none may be, with its length": EMPTY + b"Content-Length: 60\r\n\r\n",
    "chunks where no body may be": EMPTY + b"Transfer-Encoding: chunked\r\n\r\n",
    "a body where nothing changed": b"HTTP/1.1 304 Not Modified\r\n\r\n" + STRAY,
    "a word to an idle connection": (OK, IDLE),
    "a word to an idle connection, as an answer": IDLE.replace(b"Connection: close\r\n", b""),
    "an interim answer behind the last": (OK, CONTINUE),
    "a length and chunks": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    ),
    "one length twice": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "a header that is none": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nnonsense\r\nX-A: b\r\n\r\n{}",
}


@pytest.mark.parametrize("said", UNEXPECTED.values(), ids=list(UNEXPECTED))
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_a_connection_with_anything_unexpected_on_it_is_not_used_again(
    said: bytes | tuple[bytes, ...], secure: bool, certificate: Path
):
    parts = said if isinstance(said, tuple) else (said,)
    mine = b'{"mine":1}'
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(mine), mine)
    with peer(once(saying(*parts, pause=0.05), saying(answer)), tls=certificate if secure else None) as network:
        url = network.url.replace("http://127.0.0.1", "https://localhost") if secure else network.url
        assert post(request(url)).status in {200, 204, 304, 408}
        time.sleep(0.1)
        response = post(request(url))
        assert (response.status, response.body) == (200, mine)
        assert network.connections == 2
        assert post(request(url)).body == mine
        assert network.connections == 2


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 2\r\nContent-Length: 40\r\n",
        b"Content-Length: 2, 40\r\n",
        b"Content-Length: +2\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: two\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    ],
)
def test_an_answer_whose_length_is_contradicted_is_no_answer_and_ends_its_connection(head: bytes):
    ended = threading.Event()

    def script(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n{}")
        if connection.recv(1) == b"":
            ended.set()

    with peer(script) as network:
        response = post(request(network.url), timeout=5)
        assert (response.status, response.failure, response.is_unknown) == (None, "reset", True)
        assert ended.wait(5)


def test_a_connection_with_more_on_it_is_closed_at_once():
    ended = threading.Event()

    def script(connection: socket.socket) -> None:
        connection.sendall(OK + STRAY)
        if connection.recv(1) == b"":
            ended.set()

    with peer(script) as network:
        assert post(request(network.url)).body == b"{}"
        assert ended.wait(5)


def test_data_received_before_the_request_is_not_its_answer():
    """A server that answers its idle connections at the moment at which we take one."""
    connections: list[socket.socket] = []

    def script(connection: socket.socket) -> None:
        connections.append(connection)
        connection.sendall(OK)

    with peer(script) as network:
        assert _status_and_body(network) == (200, b"{}")
        connections[0].sendall(STRAY)
        assert _status_and_body(network) == (200, b"{}")
        connections[1].sendall(STRAY[:1])
        assert _status_and_body(network) == (200, b"{}")
    assert (network.connections, len(network.requests)) == (3, 3)


def test_an_answer_before_the_body_was_sent_closes_the_connection():
    """A refusal after the head alone: the rest of the body is never read, and the connection is closed."""
    big = 8 * 1024 * 1024
    heads: list[bytes] = []

    def early() -> None:
        connection, _ = listener.accept()
        with connection:
            heads.append(connection.recv(100))
            connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n{}")
            time.sleep(0.1)
        second, _ = listener.accept()
        with second:
            received = second.recv(65536)
            while not received.endswith(b"\r\n\r\n{}"):
                received += second.recv(65536)
            heads.append(received)
            second.sendall(OK)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        server = threading.Thread(target=early)
        server.start()
        asked = request(url)
        first = post(type(asked)("POST", url, asked.headers, b"x" * big))
        assert first.status in {413, None}  # the kernel may drop an answer that lies behind a reset
        assert first.is_unknown is (first.status is None)
        assert post(asked).status == 200
        server.join()
    assert heads[1].endswith(b"\r\n\r\n{}")


# Too little, too much ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 20",
    ],
    ids=["a byte short", "in the head", "no last chunk", "in a chunk", "before the first chunk", "in the first line"],
)
def test_an_answer_that_was_cut_off_is_an_unknown_outcome(answer: bytes):
    def script(connection: socket.socket) -> None:
        connection.sendall(answer)
        connection.close()

    with peer(script) as network:
        response = post(request(network.url))
    assert (response.status, response.body, response.failure, response.is_unknown) == (None, b"", "reset", True)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % (1 << 40),
        b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n",
    ],
    ids=["a chunk below nothing", "an endless chunk", "an endless body"],
)
def test_an_endless_answer_takes_no_more_memory_than_a_long_one(answer: bytes):
    sent: list[int] = []

    def script(connection: socket.socket) -> None:
        connection.sendall(answer)
        while True:
            sent.append(connection.send(b"x" * 65536))

    with peer(script) as network:
        response = post(request(network.url), timeout=5)
    assert len(response.body) <= 64 * 1024
    assert response.latency_ms < 4000
    # What the kernel's buffers hold comes on top.
    assert sum(sent) < MAX_ANSWER_BYTES + 16 * 1024 * 1024


def _status_and_body(network: Peer) -> tuple[int | None, bytes]:
    response = post(request(network.url))
    return response.status, response.body
