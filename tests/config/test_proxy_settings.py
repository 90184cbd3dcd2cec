"""TRUSTED_PROXIES and URLs in the environment; an invalid value stops the start."""

import pytest

from config import environment
from postbacks.networks import NETWORKS


def test_no_proxy_is_trusted_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRUSTED_PROXIES", raising=False)
    assert environment.trusted_proxies() == []


def test_addresses_and_networks_are_taken_with_spaces_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", " 10.0.0.0/8, 192.0.2.1 ,2001:db8::/48,")
    assert environment.trusted_proxies() == ["10.0.0.0/8", "192.0.2.1", "2001:db8::/48"]


@pytest.mark.parametrize("value", ["proxy.internal", "10.0.0.1/8", "10.0.0.0/33"])
def test_one_that_cannot_be_read_stops_the_boot(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", f"10.0.0.0/8,{value}")
    with pytest.raises(SystemExit) as stopped:
        environment.trusted_proxies()
    said = f"TRUSTED_PROXIES must be addresses or networks such as 10.0.0.0/8, not '{value}'"
    assert str(stopped.value).startswith(f"Afterclick cannot start: {said}")


@pytest.mark.parametrize("name", ["TIKTOK_API_URL", "PUBLIC_URL", "STEAM_OPENID_URL"])
def test_a_url_that_cannot_be_read_stops_the_boot(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "http://[x")
    with pytest.raises(SystemExit) as stopped:
        environment.url(name)
    assert str(stopped.value) == (
        f"Afterclick cannot start: {name} must be a URL that starts with http:// or https:// (see .env.example)."
    )


@pytest.mark.parametrize("value", ["", " "])
def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    tiktok = NETWORKS["tiktok"]
    for name in (tiktok.url_variable, tiktok.rate_variable, "PORT"):
        monkeypatch.setenv(name, value)
    found = environment.url(tiktok.url_variable, tiktok.default_url)
    assert found == "https://business-api.tiktok.com"
    assert (environment.network_rate(tiktok), environment.port()) == (tiktok.default_rate, 8000)
