"""The HTTP client with servers that misbehave."""

import contextlib
import gzip
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from postbacks.http import BODY_LIMIT, post
from postbacks.networks import NETWORKS
from postbacks.networks.interface.call import UNSENT, Request, Response
from postbacks.sandbox.server import Sandbox

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Odd: Yes\r\n\r\n{}"


class Peer:
    """A listener that runs its script for every request, told by how our requests end."""

    def __init__(self, script: Callable[[socket.socket], None], end: bytes, tls: Path | None) -> None:
        self.end, self.context = end, None
        if tls is not None:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(tls)
        self.script, self.connections, self.requests = script, 0, list[bytes]()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # the listener is closed at the end of the test
            while True:
                connection, _ = self.listener.accept()
                self.connections += 1
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            stack.enter_context(connection)
            if self.context is not None:
                connection = stack.enter_context(self.context.wrap_socket(connection, server_side=True))
            received = b""
            while part := connection.recv(65536):
                received += part
                if received.endswith(self.end):  # head and body may come in two segments
                    self.requests.append(received)
                    received = b""
                    self.script(connection)


@contextlib.contextmanager
def peer(
    script: Callable[[socket.socket], None], *, end: bytes = b"\r\n\r\n{}", tls: Path | None = None
) -> Iterator[Peer]:
    running = Peer(script, end, tls)
    try:
        yield running
    finally:
        running.listener.close()


def request(url: str, *, secrets: tuple[str, ...] = (), **headers: str) -> Request:
    return Request("POST", url, {"User-Agent": "Afterclick/test", **headers}, b"{}", secrets)


def drip(first: bytes, drop: bytes) -> Callable[[socket.socket], None]:
    def script(connection: socket.socket) -> None:
        connection.sendall(first)
        while True:
            connection.sendall(drop)
            time.sleep(0.05)

    return script


def test_it_returns_status_headers_in_lower_case_body_and_time():
    with peer(lambda connection: connection.sendall(OK)) as network:
        response = post(request(network.url))
    assert (response.status, response.headers, response.body) == (200, {"content-length": "2", "x-odd": "Yes"}, b"{}")
    assert response.failure is None
    assert 0 <= response.latency_ms < 1000


def test_it_sends_what_the_request_says_and_no_agent_of_its_own():
    with peer(lambda connection: connection.sendall(OK)) as network:
        post(request(f"{network.url}/a/b/"))
    head, _, body = network.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /a/b/ HTTP/1.1\r\n")
    assert b"\r\nUser-Agent: Afterclick/test" in head
    assert b"urllib3" not in head
    assert body == b"{}"


def test_it_reuses_the_connection():
    with peer(lambda connection: connection.sendall(OK)) as network:
        assert [post(request(network.url)).status for _ in range(5)] == [200] * 5
    assert network.connections == 1


def test_it_keeps_a_connection_for_each_call_of_many_at_once():
    everyone = threading.Barrier(100)

    def script(connection: socket.socket) -> None:
        everyone.wait(10)
        connection.sendall(OK)

    with peer(script) as network, ThreadPoolExecutor(100) as threads:
        for _ in range(2):
            answers = list(threads.map(post, [request(network.url)] * 100))
            assert [answer.status for answer in answers] == [200] * 100
    assert network.connections == 100


def test_it_serves_many_threads_at_once():
    with Sandbox() as sandbox, ThreadPoolExecutor(16) as threads:
        calls = [request(f"{sandbox.url}/open_api/v1.3/event/track/")] * 320
        assert {response.status for response in threads.map(post, calls)} == {200}
        assert len(sandbox.received("tiktok")) == 320


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_it_does_not_follow_a_redirect(status: int):
    moved = f"HTTP/1.1 {status} Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n".encode()
    with peer(lambda connection: connection.sendall(moved)) as network:
        assert post(request(network.url)).status == status
    assert len(network.requests) == 1


def test_it_does_not_repeat_a_failed_request():
    unavailable = b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"
    with peer(lambda connection: connection.sendall(unavailable)) as network:
        assert post(request(network.url)).status == 503
    assert len(network.requests) == 1


@pytest.mark.parametrize(
    "script",
    [
        lambda connection: time.sleep(5),
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", b"x"),
        drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        drip(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
    ],
    ids=["silence", "dripping body", "dripping chunks", "dripping headers"],
)
def test_the_whole_call_ends_at_its_time_out(script: Callable[[socket.socket], None]):
    with peer(script) as network:
        started = time.monotonic()
        response = post(request(network.url), timeout=0.4)
    assert (response.status, response.failure, response.body) == (None, "timeout", b"")
    assert 0.4 <= time.monotonic() - started < 4.5  # less than the silence of 5 s
    assert 400 <= response.latency_ms < 4500


def test_a_time_out_does_not_shorten_the_next_call_on_the_connection():
    def script(connection: socket.socket) -> None:
        time.sleep(1)
        connection.sendall(OK)

    with peer(script) as network:
        assert [post(request(network.url), timeout=2.5).status for _ in range(3)] == [200] * 3
    assert network.connections == 1


@pytest.mark.parametrize("head", [b"Content-Length: 300000\r\n", b""], ids=["announced", "until close"])
def test_an_answer_is_read_up_to_64_kib(head: bytes):
    def script(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + b"x" * 300_000)
        connection.close()

    with peer(script) as network:
        response = post(request(network.url))
    assert (response.status, len(response.body)) == (200, BODY_LIMIT)


def test_a_zipped_answer_is_unpacked_up_to_64_kib():
    bomb = gzip.compress(b"x" * 5_000_000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    with peer(lambda connection: connection.sendall(head + bomb)) as network:
        assert len(post(request(network.url)).body) == BODY_LIMIT


@pytest.mark.parametrize(
    "answer",
    [b"", b"not http at all\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhalf"],
    ids=["nothing", "garbage", "half a body"],
)
def test_a_broken_answer_is_no_answer(answer: bytes):
    def script(connection: socket.socket) -> None:
        connection.sendall(answer)
        connection.close()

    with peer(script) as network:
        response = post(request(network.url))
    assert (response.status, response.failure) == (None, "reset")


def test_a_call_after_which_the_network_may_have_the_request_is_told_from_one_that_was_never_sent(certificate: Path):
    def silence(connection: socket.socket) -> None:
        time.sleep(3)

    def cut(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhalf")
        connection.close()

    def nonsense(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnone")

    assert _ended(silence) == ("timeout", True)
    assert _ended(lambda connection: connection.close()) == ("reset", True)
    assert _ended(cut) == ("reset", True)
    assert _ended(nonsense) == ("unreadable", True)
    assert _ended(lambda connection: connection.sendall(OK)) == (None, False)
    with peer(cut, tls=certificate) as network:
        response = post(request(network.url.replace("http://127.0.0.1", "https://localhost")))
    assert (response.failure, response.is_unknown) == ("reset", True)


@pytest.mark.parametrize("network", sorted(NETWORKS))
def test_every_network_passes_on_whether_the_request_may_have_arrived(network: str):
    def outcome(failure: str) -> bool:
        return NETWORKS[network].classify(Response(None, {}, b"", 5, failure)).unknown

    sent = {"timeout", "reset", "unreadable"}
    assert {failure for failure in {*UNSENT, *sent} if outcome(failure)} == sent
    assert NETWORKS[network].classify(Response(503, {}, b"", 5)).unknown is False


def _ended(script: Callable[[socket.socket], None]) -> tuple[str | None, bool]:
    with peer(script) as network:
        response = post(request(network.url), timeout=1.5)
    return response.failure, response.is_unknown


def test_a_host_that_takes_no_connection_was_sent_nothing():
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as stack:
        host = listener.getsockname()[:2]
        for _ in range(2):  # what the kernel holds for a server that accepts nobody
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(host)
        response = post(request(f"http://127.0.0.1:{host[1]}/"), timeout=0.4)
    assert (response.failure, response.is_unknown) == ("no_connection", False)


def test_a_handshake_that_does_not_come_to_its_end_was_sent_nothing():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        response = post(request(f"https://127.0.0.1:{listener.getsockname()[1]}/"), timeout=0.4)
    assert (response.failure, response.is_unknown) == ("no_connection", False)


def test_a_handshake_that_is_reset_was_sent_nothing():
    with peer(lambda connection: connection.close(), end=b"") as network:
        response = post(request(network.url.replace("http:", "https:")))
    assert response.failure in {"tls", "network"}
    assert response.is_unknown is False


@pytest.mark.parametrize(
    "url", ["http://nothing-here.invalid/", "http://[broken/", "ftp://127.0.0.1/"], ids=["no name", "no URL", "no HTTP"]
)
def test_what_failed_before_says_nothing_of_a_call_that_was_never_made(url: str):
    with peer(lambda connection: connection.close()) as network:
        assert post(request(network.url)).is_unknown is True
    assert post(request(url)).is_unknown is False


def test_a_closed_port_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert post(request(f"http://127.0.0.1:{port}/")).failure == "refused"


def test_a_name_that_does_not_exist_is_a_dns_failure():
    assert post(request("http://nothing-here.invalid/")).failure == "dns"


def test_plain_http_behind_https_is_a_tls_failure():
    with peer(lambda connection: connection.sendall(OK), end=b"") as network:
        assert post(request(network.url.replace("http:", "https:"))).failure == "tls"


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A key and a certificate for localhost in one file, trusted for the length of a test."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    text = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path / "localhost.pem"
    path.write_bytes(key.private_bytes(*text) + signed.public_bytes(serialization.Encoding.PEM))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return path


def test_https_is_verified_reused_and_bounded_like_http(certificate: Path):
    with peer(lambda connection: connection.sendall(OK), tls=certificate) as network:
        url = network.url.replace("http://127.0.0.1", "https://localhost")
        assert [post(request(url)).status for _ in range(3)] == [200, 200, 200]
        assert network.connections == 1
        assert (
            post(request(network.url.replace("http:", "https:"))).failure == "tls"
        )  # a name it has no certificate for
    with peer(drip(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", b"x"), tls=certificate) as network:
        url = network.url.replace("http://127.0.0.1", "https://localhost")
        response = post(request(url), timeout=0.6)
    assert (response.failure, response.latency_ms < 10_000) == ("timeout", True)


@pytest.mark.parametrize("url", ["http://[broken/", "ftp://127.0.0.1/"])
def test_an_address_that_is_none_is_a_network_failure(url: str):
    assert post(request(url)).failure == "network"


@pytest.mark.parametrize("token", ["two\nlines", "smart “quotes”"])
def test_a_token_that_no_header_can_carry_is_not_raised_with_its_value(token: str):
    with peer(lambda connection: connection.sendall(OK)) as network:
        response = post(request(network.url, Authorization=token))
    assert (response.status, response.failure, response.is_unknown) == (None, "unsendable", False)
    assert network.requests == []


def test_a_secret_that_the_network_echoes_is_blanked_out():
    echo = b"HTTP/1.1 400 No\r\nX-Token: s3cret-token\r\nContent-Length: 25\r\n\r\nbad s3cret-token TEST1234"
    with peer(lambda connection: connection.sendall(echo)) as network:
        response = post(request(network.url, secrets=("s3cret-token", "TEST1234", "40", "123456")))
    assert response.body == b"bad [hidden] [hidden]"
    assert response.headers["x-token"] == "[hidden]"


def test_nothing_of_a_request_is_logged(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.DEBUG), peer(lambda connection: connection.sendall(OK)) as network:
        post(request(f"{network.url}/secret-path", Authorization="Bearer s3cret"))
    assert "s3cret" not in caplog.text
    assert [record for record in caplog.records if record.levelno < logging.INFO and "urllib3" in record.name] == []
