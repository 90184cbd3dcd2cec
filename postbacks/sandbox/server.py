"""Starts and stops a sandbox in this process, for the management command and for tests."""

import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from postbacks.networks import NETWORKS
from postbacks.networks.interface.imitation import Imitation, imitation_of
from postbacks.sandbox import control
from postbacks.sandbox.listener import HOLD_SECONDS, SandboxServer
from postbacks.sandbox.state import SandboxState


def all_imitations() -> dict[str, Imitation]:
    return {kind: imitation_of(network) for kind, network in NETWORKS.items()}


class Sandbox:
    """A sandbox that runs on a thread: `with Sandbox() as sandbox: sandbox.url`. With port 0 a free port is used."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        log: Callable[[str], object] = lambda line: None,
        hold: float = HOLD_SECONDS,
        clock: Callable[[], float] = time.time,
        imitations: Mapping[str, Imitation] | None = None,
    ) -> None:
        self.state = SandboxState(imitations or all_imitations(), clock=clock)
        self._server = SandboxServer((host, port), self.state, log, hold)
        self.url = f"http://{host}:{self._server.server_port}"
        self.steam = self._server.steam
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def start(self) -> Self:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._server.stop()
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def received(self, network: str, *, test: bool = False) -> list[dict[str, Any]]:
        """Return the list of `GET /sandbox/requests`."""
        return [row.as_json(control.decoded_body) for row in self.state.requests(network) if row.test is test]
