"""Firefox, driven over Marionette, its own protocol: Playwright needs a Firefox that it has built itself.

https://firefox-source-docs.mozilla.org/testing/marionette/Protocol.html
"""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from config.quickstart.processes import free_port

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
STARTED_WITHIN = 90  # seconds, on the slowest machine
PREFERENCES = {
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.dns.disablePrefetch": True,
    "toolkit.telemetry.server": "",
}


class Firefox:
    """One window. Errors of Firefox raise RuntimeError."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._number = connection, 0
        self._received = connection.makefile("rb")
        self._read()  # its greeting
        self.call("WebDriver:NewSession", capabilities={"alwaysMatch": {"pageLoadStrategy": "normal"}})

    def goto(self, url: str) -> None:
        self.call("WebDriver:Navigate", url=url)

    def evaluate(self, script: str) -> Any:
        """Return what the body of a function returns in the page."""
        return self.call("WebDriver:ExecuteScript", script=script, args=[], sandbox=None)["value"]

    def close_window(self) -> None:
        """Close the window after another one was opened, since Firefox ends with its last window."""
        opened = self.call("WebDriver:NewWindow", type="tab")["handle"]
        self.call("WebDriver:CloseWindow")
        self.call("WebDriver:SwitchToWindow", handle=opened)

    def call(self, command: str, **parameters: Any) -> Any:
        self._number += 1
        message = json.dumps([0, self._number, command, parameters])
        self._connection.sendall(f"{len(message)}:{message}".encode())
        _, number, error, result = self._read()
        if error or number != self._number:
            raise RuntimeError(f"{command}: {error}")
        return result

    def _read(self) -> Any:
        length = b""
        while (byte := self._received.read(1)) != b":":
            if not byte:
                raise RuntimeError("Firefox closed the connection.")
            length += byte
        return json.loads(self._received.read(int(length)))


@contextmanager
def firefox(profile: Path) -> Iterator[Firefox]:
    """Run Firefox without a display, with a new profile in this folder."""
    port = free_port()
    settings = {**PREFERENCES, "marionette.port": port}
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in settings.items()]
    (profile / "user.js").write_text("\n".join(lines))
    command = [str(FIREFOX), "-headless", "-marionette", "-no-remote", "-profile", str(profile)]
    env = {**os.environ, "HOME": str(profile), "MOZ_DISABLE_CONTENT_SANDBOX": "1"}
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with _connected(port) as connection:
            yield Firefox(connection)
    finally:
        process.terminate()
        process.wait(30)


def _connected(port: int) -> socket.socket:
    end = time.monotonic() + STARTED_WITHIN
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=60)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
