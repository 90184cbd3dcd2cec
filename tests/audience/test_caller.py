"""Whose address a request came from, with proxies in front and with a header that the caller made up."""

from typing import Any

import pytest
from django.test import RequestFactory

from audience.intake.requests.caller import caller_ip

PROXIES = ["10.0.0.0/8", "2001:db8:aaaa::/48"]


def seen(forwarded: str | None, *, direct: str = "10.0.0.2") -> str:
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    return caller_ip(RequestFactory().get("/", headers=headers, REMOTE_ADDR=direct))


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        (" 203.0.113.9 ", "203.0.113.9"),
        # Forged, then what our proxy saw.
        ("198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("198.51.100.1, 198.51.100.2,203.0.113.9", "203.0.113.9"),
        # Made up to look like a proxy of ours, which it is not to the right of it.
        ("10.0.0.7, 203.0.113.9", "203.0.113.9"),
        # Two proxies of ours, one behind the other.
        ("203.0.113.9, 10.0.0.1", "203.0.113.9"),
        ("198.51.100.1, 203.0.113.9, 10.0.0.1, 10.0.0.3", "203.0.113.9"),
        ("2001:db8::9, 2001:db8:aaaa::1", "2001:db8::9"),
        # From inside: the furthest that our proxies speak of.
        ("10.9.9.9, 10.0.0.1", "10.9.9.9"),
        # Nothing that our proxy wrote can be read: what is left of it is not believed instead.
        ("198.51.100.1, unknown", ""),
        ("198.51.100.1, 203.0.113.9:x", ""),
        ("198.51.100.1, [203.0.113.9", ""),
        ("198.51.100.1, 203.0.113.09", ""),
        # With a port, in brackets, mapped into IPv6, with a zone: one address each.
        ("198.51.100.1, 203.0.113.9:4711", "203.0.113.9"),
        ("198.51.100.1, [2001:db8::9]:443", "2001:db8::9"),
        ("198.51.100.1, [2001:DB8::9]", "2001:db8::9"),
        ("198.51.100.1, ::ffff:203.0.113.9", "203.0.113.9"),
        ("198.51.100.1, [::ffff:203.0.113.9]:443", "203.0.113.9"),
        ("198.51.100.1, fe80::1%eth0", "fe80::1"),
        # Proxies of ours in each of these forms.
        ("203.0.113.9, 10.0.0.1:4711", "203.0.113.9"),
        ("203.0.113.9, ::ffff:10.0.0.1, [2001:db8:aaaa::1]:443", "203.0.113.9"),
        ("", "10.0.0.2"),
        (None, "10.0.0.2"),
    ],
)
def test_the_client_address_is_the_last_one_that_is_no_trusted_proxy(
    settings: Any, forwarded: str | None, address: str
) -> None:
    settings.TRUSTED_PROXIES = PROXIES
    assert seen(forwarded) == address


def test_a_forwarded_address_from_an_untrusted_peer_is_ignored(settings: Any) -> None:
    settings.TRUSTED_PROXIES = PROXIES
    assert seen("198.51.100.1", direct="203.0.113.9") == "203.0.113.9"
    assert seen("198.51.100.1, 10.0.0.1", direct="203.0.113.9") == "203.0.113.9"
    settings.TRUSTED_PROXIES = []
    assert seen("198.51.100.1", direct="10.0.0.2") == "10.0.0.2"


@pytest.mark.parametrize("direct", ["::ffff:10.0.0.2", "10.0.0.2:80", "[::ffff:10.0.0.2]:80"])
@pytest.mark.parametrize("proxies", [["10.0.0.0/8"], ["::ffff:10.0.0.0/104"], ["::ffff:10.0.0.2"]])
def test_a_proxy_is_known_by_any_spelling_of_its_address(settings: Any, direct: str, proxies: list[str]) -> None:
    settings.TRUSTED_PROXIES = proxies
    assert seen("203.0.113.9", direct=direct) == "203.0.113.9"
    assert seen("203.0.113.9", direct="::ffff:11.0.0.2") == "11.0.0.2"


def test_a_network_of_other_ipv6_addresses_holds_no_ipv4_address(settings: Any) -> None:
    settings.TRUSTED_PROXIES = ["2001:db8::/32"]
    assert seen("198.51.100.1", direct="::ffff:10.0.0.2") == "10.0.0.2"


@pytest.mark.parametrize("direct", ["", "unix:"])
def test_a_connection_without_an_address_has_none(settings: Any, direct: str) -> None:
    settings.TRUSTED_PROXIES = PROXIES
    assert seen("198.51.100.1", direct=direct) == ""
