"""Saving a postback in the browser: a refusal stores nothing, and no secret is readable anywhere."""

import threading
from typing import Any

import pytest
import redis

from postbacks.networks.reddit.imitation import ACCOUNTS as REDDIT_ACCOUNTS
from postbacks.networks.tiktok.imitation import ACCOUNTS as TIKTOK_ACCOUNTS
from tests.journeys.product import Browser, Product
from tests.journeys.test_erasing import everything

WRONG_TOKEN = "f" * 40
TEST_CODE = "TEST90817"


@pytest.fixture
def broker_traffic(product: Product) -> Any:
    """Every command that reaches the broker while the test runs, as text."""
    heard: list[str] = []
    client = redis.Redis.from_url(product.env["REDIS_URL"])
    with client.monitor() as monitor:
        thread = threading.Thread(target=_listen, args=(monitor, heard), daemon=True)
        thread.start()
        yield heard
        client.echo("that is all")
        thread.join(timeout=10)
    client.close()


def _listen(monitor: Any, heard: list[str]) -> None:
    for command in monitor.listen():
        heard.append(str(command["command"]))
        if "that is all" in command["command"]:
            return


def _add(marketer: Browser, product: Product, **changes: str) -> None:
    fields = {"pixel_id": TIKTOK_ACCOUNTS.second_pixel, "credential": TIKTOK_ACCOUNTS.token, "test_code": TEST_CODE}
    answer = marketer.post(
        f"/g/{product.demo['game']}/integrations/tiktok/add/",
        [*{**fields, **changes}.items(), ("triggers", "purchase"), ("enabled", "on")],
    )
    assert answer.status in {200, 302}, answer.data


def _checks(product: Product) -> list[tuple[str, str]]:
    return product.rows("SELECT state, message FROM postbacks_credentialcheck ORDER BY created_at")


def test_a_wrong_token_and_a_wrong_pixel_show_the_networks_reason_and_store_no_config(
    product: Product, marketer: Browser
) -> None:
    before, known = product.rows("SELECT count(*) FROM postbacks_postbackconfig"), len(_checks(product))
    _add(marketer, product, credential=WRONG_TOKEN)
    product.wait_for(lambda: [state for state, _ in _checks(product)[known:]] == ["refused"])
    assert "Access token is incorrect or has been revoked" in _checks(product)[known][1]
    _add(marketer, product, pixel_id="CNOTOURS00000000001")
    product.wait_for(lambda: [state for state, _ in _checks(product)[known:]] == ["refused", "refused"])
    assert "No permission to operate pixel code" in _checks(product)[known + 1][1]
    assert product.rows("SELECT count(*) FROM postbacks_postbackconfig") == before


def test_no_token_and_no_test_code_is_in_the_database_the_broker_or_the_logs(
    product: Product, marketer: Browser, broker_traffic: list[str]
) -> None:
    known = len(_checks(product))
    _add(marketer, product)
    product.wait_for(lambda: [state for state, _ in _checks(product)[known:]] == ["passed"])
    assert product.rows(
        "SELECT enabled FROM postbacks_postbackconfig WHERE pixel_id = %s", TIKTOK_ACCOUNTS.second_pixel
    ) == [(True,)]
    test_requests = product.http.request("GET", f"{product.sandbox_url}/sandbox/requests?network=tiktok&test=1").json()
    assert [request["body"]["test_event_code"] for request in test_requests][-1] == TEST_CODE

    places = {**everything(product), "broker": "\n".join(broker_traffic), "logs": product.logs()}
    assert "check_credentials" in places["broker"], "the monitor heard the task"
    for secret in (TIKTOK_ACCOUNTS.token, WRONG_TOKEN, REDDIT_ACCOUNTS.token, TEST_CODE):
        assert [place for place, text in places.items() if secret in text] == []
