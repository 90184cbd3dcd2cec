"""The SDKs that run in game backends, in processes of their own, in four weathers at once."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.product import Product
from tests.sdk.proxy import FlakyProxy
from tests.sdk.story import (
    COINS,
    WEATHERS,
    Story,
    assert_copies_were_known,
    assert_one_person,
    assert_the_weather_was_met,
    assert_told_once,
    digested,
    last_batch,
)

CLIENTS = Path(__file__).parent / "clients"
SECONDS = 60


def run(command: list[str], **told: Any) -> subprocess.Popen[str]:
    # rudder-sdk-python reads the nearest .env into its process, which here would be the developer's.
    env = {**os.environ, "PYTHON_DOTENV_DISABLED": "1"}
    return subprocess.Popen(
        [*command, json.dumps(told)], cwd=CLIENTS, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def tell_in_every_weather(product: Product, name: str, command: list[str], **told: Any) -> None:
    """Tell one story per weather, all at once; each is stored once and of one person, and the faults did happen."""
    key = product.demo["write_keys"]["rudderstack"]
    before = last_batch(product)
    with contextlib.ExitStack() as stack:
        proxies = {w: stack.enter_context(FlakyProxy(product.url, faults)) for w, faults in WEATHERS.items()}
        stories = {weather: Story(f"{name}-{weather}") for weather in WEATHERS}
        running = {
            weather: run(command, url=proxy.url, key=key, story=stories[weather].as_told(), **told)
            for weather, proxy in proxies.items()
        }
        said = {weather: process.communicate(timeout=SECONDS)[0] for weather, process in running.items()}
    product.wait_for(lambda: digested(product), seconds=30)

    for weather, story in stories.items():
        output, status = said[weather], running[weather].returncode
        assert status == 0, f"{name} in {weather} weather: {output[-2000:]}"
        assert_told_once(product, story)
        assert_one_person(product, story)
        assert_the_weather_was_met(proxies[weather])
    assert_copies_were_known(product, before, at_least=COINS)


@pytest.mark.parametrize("sdk", ["rudderstack", "segment"])
def test_every_call_of_a_python_sdk_is_stored_once_despite_network_errors(product: Product, sdk: str) -> None:
    tell_in_every_weather(product, f"{sdk}-python", [sys.executable, "python_sdk.py"], sdk=sdk)


@pytest.mark.node
@pytest.mark.parametrize("sdk", ["rudder", "segment"])
def test_every_call_of_a_node_sdk_is_stored_once_despite_network_errors(
    product: Product, packages: Path, sdk: str
) -> None:
    tell_in_every_weather(product, f"{sdk}-node", ["node", f"{sdk}_node.js"])
