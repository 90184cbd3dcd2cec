"""Trusted proxies and URLs of the environment: a value that cannot be read stops the boot."""

from pathlib import Path

import pytest

from config import environment


def test_no_proxy_is_trusted_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRUSTED_PROXIES", raising=False)
    assert environment.read(tmp_path).trusted_proxies == []


def test_addresses_and_networks_are_taken_with_spaces_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", " 10.0.0.0/8, 192.0.2.1 ,2001:db8::/48,")
    assert environment.read(tmp_path).trusted_proxies == ["10.0.0.0/8", "192.0.2.1", "2001:db8::/48"]


@pytest.mark.parametrize("value", ["proxy.internal", "10.0.0.1/8", "10.0.0.0/33"])
def test_one_that_cannot_be_read_stops_the_boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", f"10.0.0.0/8,{value}")
    with pytest.raises(SystemExit) as stopped:
        environment.read(tmp_path)
    said = f"TRUSTED_PROXIES must be addresses or networks such as 10.0.0.0/8, not '{value}'"
    assert str(stopped.value).startswith(f"Afterclick cannot start: {said}")


@pytest.mark.parametrize("name", ["TIKTOK_API_URL", "PUBLIC_URL"])
def test_a_url_that_cannot_be_read_stops_the_boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "http://[x")
    with pytest.raises(SystemExit) as stopped:
        environment.read(tmp_path)
    assert str(stopped.value) == (
        f"Afterclick cannot start: {name} must be a URL that starts with http:// or https:// (see .env.example)."
    )


@pytest.mark.parametrize("value", ["", " "])
def test_an_empty_url_counts_as_unset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    for name in ("TIKTOK_API_URL", "PUBLIC_URL", "PORT"):
        monkeypatch.setenv(name, value)
    found = environment.read(tmp_path)
    assert (found.network_urls["tiktok"], found.public_url) == (
        "https://business-api.tiktok.com",
        "http://127.0.0.1:8000",
    )
