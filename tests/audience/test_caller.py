"""The client's address behind proxies, and with a forged header."""

from typing import Any

import pytest
from django.test import RequestFactory

from audience.games.keys import NewKey, create_key
from audience.intake.requests.caller import caller_ip
from audience.models import Dialect, Game, Rejection, Touch
from tests.audience import immutable
from tests.audience.wire import ORIGIN, digest, only_event, post, stored

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


# 0.0.0.0 in the context

BROWSER = {"Origin": ORIGIN, "X-Forwarded-For": "203.0.113.9", "User-Agent": "Firefox"}
ZERO_ADDRESSES = [
    "0.0.0.0",
    " 0.0.0.0 ",
    "0.0.0.0:443",
    "000.000.000.000",
    "::",
    "[::]",
    "0:0:0:0:0:0:0:0",
    "::ffff:0.0.0.0",
]
OTHER_ADDRESSES = ["0.0.0.1", "127.0.0.1", "::1", "203.0.113.7", "none", "10.0.0.0", ""]


@pytest.fixture
def behind_proxy(settings: Any) -> None:
    settings.TRUSTED_PROXIES = ["127.0.0.1/32"]


def page(ip: Any) -> dict[str, Any]:
    context = {"ip": ip, "page": {"url": "https://g.example/?ttclid=E.C.P.1"}}
    return {"userId": "u-1", "context": context}


@pytest.mark.django_db
@pytest.mark.parametrize("ip", ZERO_ADDRESSES)
def test_no_address_is_stored_for_an_event_that_states_zeros(game: Game, behind_proxy: None, ip: str) -> None:
    key = create_key(game=game, name="rudder", dialect=Dialect.RUDDERSTACK)
    post("/v1/page", {**page(ip), "ip": "203.0.113.9"}, key, **BROWSER)
    digest()

    event = only_event()
    assert (event.request_ip, event.context["ip"], event.context["user_agent"]) == ("", None, "Firefox")
    assert event.raw == page(ip)
    assert Touch.objects.get().ip == ""


@pytest.mark.django_db
@pytest.mark.parametrize("ip", OTHER_ADDRESSES)
def test_any_other_stated_address_is_kept(game: Game, behind_proxy: None, ip: str) -> None:
    key = create_key(game=game, name="rudder", dialect=Dialect.RUDDERSTACK)
    post("/v1/page", page(ip), key, **BROWSER)

    assert (only_event().request_ip, only_event().context["ip"]) == ("203.0.113.9", ip)


@pytest.mark.django_db
def test_zeros_of_a_batch_are_those_of_its_members_without_an_address(game: Game, behind_proxy: None) -> None:
    key = create_key(game=game, name="rudder", dialect=Dialect.RUDDERSTACK)
    members = [{"type": "page", "userId": "u-1"}, {"type": "page", **page("203.0.113.7")}, {"type": "track"}]
    post("/v1/batch", {"batch": members, "context": {"ip": "::"}}, key, **BROWSER)

    assert sorted((event.request_ip, event.context["ip"]) for event in stored()) == [
        ("", None),
        ("203.0.113.9", "203.0.113.7"),
    ]
    assert Rejection.objects.get().request_ip == ""


@pytest.mark.django_db
def test_no_address_is_stored_for_an_immutable_message_that_states_zeros(key: NewKey, behind_proxy: None) -> None:
    context = {**immutable.LIBRARY, "ip": "0.0.0.0"}
    messages = [immutable.message(context=context), immutable.message(context=context, userId=5)]
    immutable.send(key, *messages, **BROWSER)

    assert (only_event().request_ip, only_event().context["ip"]) == ("", None)
    assert Rejection.objects.get().request_ip == ""
