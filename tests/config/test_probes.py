"""Access to /metrics without a token: from this machine in any spelling of its address, but not through a proxy."""

import pytest
from django.db import OperationalError
from django.test import Client

from postbacks.monitoring.server import server_troubles

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_this_machine_may(address: str) -> None:
    assert Client().get("/metrics", REMOTE_ADDR=address).status_code == 200


@pytest.mark.parametrize("address", ["203.0.113.9", "::ffff:203.0.113.9", "2001:db8::1", "", "unix:"])
def test_another_may_not(address: str) -> None:
    assert Client().get("/metrics", REMOTE_ADDR=address).status_code == 403


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
def test_requests_through_a_proxy_on_this_machine_are_refused(name: str) -> None:
    assert Client().get("/metrics", headers={name: "127.0.0.1"}).status_code == 403


def test_a_database_that_fails_during_a_scrape_is_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(server_troubles, "find_troubles", away)
    answer = Client().get("/metrics")
    samples = [line for line in answer.content.decode().splitlines() if line.startswith("afterclick_database_up")]
    assert answer.status_code == 200
    assert samples == ["afterclick_database_up 0.0"]
