"""The addresses that an alert webhook may call: none inside the studio's network."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from postbacks.http import post_to_public_host, public_hosts, refusal
from postbacks.networks.interface.call import Request
from tests.postbacks.test_http import OK, certificate, peer  # noqa: F401  (a fixture, asked for by its name)

PRIVATE = "this address is not on the public internet"
LOOPBACK = frozenset({"127.0.0.1"})


def asking(url: str) -> Request:
    return Request("POST", url, {"User-Agent": "Afterclick/test"}, b"{}")


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Every address that a connection was opened to; none is really opened."""
    found: list[Any] = []

    def create(address: Any, *_: Any, **__: Any) -> socket.socket:
        found.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr("postbacks.http.connections.create_connection", create)
    return found


@pytest.fixture
def resolving(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes a name resolve to these addresses, one list after the other."""

    def to(*answers: list[str]) -> None:
        left = list(answers)

        def found(host: str, port: int, **_: Any) -> list[Any]:
            return [(0, 0, 0, "", (address, port)) for address in (left.pop(0) if len(left) > 1 else left[0])]

        monkeypatch.setattr("postbacks.http.connections.socket.getaddrinfo", found)

    return to


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
        *("100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1", "ff02::1", "2001:db8::1"),
        *("192.0.0.192", "192.88.99.1", "fec0::1", "3fff::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"),
        *("2002:7f00:1::", "2002:a00:1::1", "2001:0:4136:e378:8000:63bf:f5ff:fffe"),
    ],
)
def test_no_connection_is_opened_to_an_address_that_is_not_public(
    address: str, dialled: list[Any], resolving: Callable[..., None]
) -> None:
    assert not public_hosts.is_public(address)
    resolving([address])
    answer = post_to_public_host(asking("https://chat.example/hook"))
    assert (answer.status, answer.failure) == (None, "forbidden")
    resolving(["93.184.215.14", address])  # one of several is enough
    assert post_to_public_host(asking("https://chat.example/hook")).failure == "forbidden"
    assert dialled == []


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "::ffff:8.8.8.8"])
def test_the_connection_is_opened_to_the_address_that_was_checked(
    address: str, dialled: list[Any], resolving: Callable[..., None]
) -> None:
    # A name server that says something else the second time is not asked a second time.
    resolving([address], ["127.0.0.1"])
    assert post_to_public_host(asking("https://chat.example:8443/hook")).failure == "refused"
    assert dialled == [(address, 8443)]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://chat.example/hook?x=1", ""),
        ("https://8.8.8.8/hook", ""),
        ("https://[2606:4700:4700::1111]:8443/", ""),
        ("http://chat.example/hook", "it must start with https://"),
        ("ftp://chat.example/", "it must start with https:// and contain a host"),
        ("https:///hook", "it must start with https:// and contain a host"),
        ("chat.example/hook", "it must start with https:// and contain a host"),
        ("https://user:word@chat.example/", "it must not contain a user name or password"),
        ("https://chat.example@127.0.0.1/", "it must not contain a user name or password"),
        ("https://127.0.0.1/", PRIVATE),
        ("https://127.1/", PRIVATE),
        ("https://2130706433/", PRIVATE),
        ("https://0x7f000001/", PRIVATE),
        ("https://0177.0.0.1/", PRIVATE),
        ("https://[::1]/", PRIVATE),
        ("https://[::ffff:127.0.0.1]/", PRIVATE),
        ("https://localhost:8000/", PRIVATE),
        ("https://a.localhost./", PRIVATE),
        ("https://169.254.169.254/latest/meta-data/", PRIVATE),
        ("https://[fe80::1%25eth0]/", PRIVATE),
        ("https://chat.example:99999/", "this is not a URL"),
    ],
)
def test_an_address_says_at_once_why_it_is_refused(url: str, why: str, dialled: list[Any]) -> None:
    assert refusal(url) == why
    if why:
        assert post_to_public_host(asking(url)).failure == "forbidden"
        assert dialled == []


@pytest.mark.parametrize("url", ["http://2130706433:{port}/", "http://0x7f.1:{port}/", "http://localhost:{port}/"])
def test_an_allowed_address_does_not_open_its_other_spellings_in_plain_http(url: str) -> None:
    with peer(lambda connection: connection.sendall(OK)) as inside:
        port = inside.url.rpartition(":")[2]
        assert post_to_public_host(asking(url.format(port=port)), private_hosts=LOOPBACK).failure == "forbidden"
    assert inside.requests == []


def test_the_operator_can_allow_a_private_host() -> None:
    with peer(lambda connection: connection.sendall(OK)) as inside:
        assert post_to_public_host(asking(f"{inside.url}/hook"), private_hosts=LOOPBACK).status == 200
        by_name = inside.url.replace("127.0.0.1", "localhost")
        assert post_to_public_host(asking(f"{by_name}/hook"), private_hosts={"localhost"}).status == 200
    assert [received.split(b"\r\n")[0] for received in inside.requests] == [b"POST /hook HTTP/1.1"] * 2


def test_a_redirect_is_not_followed() -> None:
    with peer(lambda connection: connection.sendall(OK)) as hidden:
        moved = f"HTTP/1.1 307 Moved\r\nLocation: {hidden.url}/\r\nContent-Length: 0\r\n\r\n".encode()
        with peer(lambda connection: connection.sendall(moved)) as front:
            assert post_to_public_host(asking(front.url), private_hosts=LOOPBACK).status == 307
    assert hidden.requests == []


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with peer(lambda connection: connection.sendall(OK)) as proxy, peer(lambda c: c.sendall(OK)) as inside:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert post_to_public_host(asking(inside.url), private_hosts=LOOPBACK).status == 200
    assert (len(inside.requests), proxy.requests) == (1, [])


def test_a_certificate_of_an_unknown_authority_is_refused(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted: Path = request.getfixturevalue("certificate")
    with peer(lambda connection: connection.sendall(OK), tls=trusted) as network:
        url = network.url.replace("http://127.0.0.1", "https://localhost")
        assert post_to_public_host(asking(url), private_hosts={"localhost"}).status == 200
        monkeypatch.delenv("SSL_CERT_FILE")
        assert post_to_public_host(asking(url), private_hosts={"localhost"}).failure == "tls"
    assert len(network.requests) == 1


def test_a_host_that_never_answers_blocks_for_the_time_limit_only() -> None:
    with peer(lambda connection: None) as network:
        answer = post_to_public_host(asking(network.url), private_hosts=LOOPBACK, timeout=0.3)
    assert answer.failure == "timeout"
    assert answer.latency_ms < 5000
