"""The server SDKs, in separate processes, with every fault of the connection."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.product import Product
from tests.sdk.calls import (
    COINS,
    FAULTS,
    PlayerCalls,
    assert_duplicates_were_counted,
    assert_faults_were_retried,
    assert_one_person,
    assert_stored_once,
    digested,
    last_batch,
)
from tests.sdk.proxy import FlakyProxy

CLIENTS = Path(__file__).parent / "clients"
SECONDS = 60


def run(command: list[str], **arguments: Any) -> subprocess.Popen[str]:
    # rudder-sdk-python would read the .env of the project.
    env = {**os.environ, "PYTHON_DOTENV_DISABLED": "1"}
    return subprocess.Popen(
        [*command, json.dumps(arguments)],
        cwd=CLIENTS,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def send_with_every_fault(product: Product, name: str, command: list[str], **arguments: Any) -> None:
    """Send the calls of one player per fault, in parallel; they are stored once and belong to one person."""
    key = product.demo["write_keys"]["rudderstack"]
    before = last_batch(product)
    with contextlib.ExitStack() as stack:
        proxies = {fault: stack.enter_context(FlakyProxy(product.url, FAULTS[fault])) for fault in FAULTS}
        players = {fault: PlayerCalls(f"{name}-{fault}") for fault in FAULTS}
        running = {
            fault: run(command, url=proxy.url, key=key, calls=players[fault].as_json(), **arguments)
            for fault, proxy in proxies.items()
        }
        outputs = {fault: process.communicate(timeout=SECONDS)[0] for fault, process in running.items()}
    product.wait_for(lambda: digested(product), seconds=30)

    for fault, calls in players.items():
        output, status = outputs[fault], running[fault].returncode
        assert status == 0, f"{name} with {fault}: {output[-2000:]}"
        assert_stored_once(product, calls)
        assert_one_person(product, calls)
        assert_faults_were_retried(proxies[fault])
    assert_duplicates_were_counted(product, before, at_least=COINS)


@pytest.mark.parametrize("sdk", ["rudderstack", "segment"])
def test_every_call_of_a_python_sdk_is_stored_once_despite_network_errors(product: Product, sdk: str) -> None:
    send_with_every_fault(product, f"{sdk}-python", [sys.executable, "python_sdk.py"], sdk=sdk)


@pytest.mark.node
@pytest.mark.parametrize("sdk", ["rudder", "segment"])
def test_every_call_of_a_node_sdk_is_stored_once_despite_network_errors(
    product: Product, packages: Path, sdk: str
) -> None:
    send_with_every_fault(product, f"{sdk}-node", ["node", f"{sdk}_node.js"])
