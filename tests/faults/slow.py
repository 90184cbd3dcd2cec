"""Clients that are slow on purpose, many of each kind at once, and their effect on normal clients.

Every connection that the server closes is opened again at once, as an attacker would do.
"""

import asyncio
import http.client
import json
import os
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.faults.installation import Installation
from tests.journeys.product import CONTEXT

Kind = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

HEAD = b"%b %b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
WIRE = HEAD % (b"POST", b"/v1/audience/messages")
FORM = HEAD % (b"POST", b"/accounts/login/")
LARGE = 4 * 1024 * 1024
# The largest public file.
FILE = b"/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js"
SMALL_BUFFER = 4096  # bytes of the kernel's receive buffer


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


def _sending(data: bytes) -> Kind:
    """Send the data, then wait until the server closes the connection."""

    async def kind(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await reader.read()

    return kind


def _sending_slowly(start: bytes, part: bytes, *, seconds: float = 0.5) -> Kind:
    async def kind(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        ended = asyncio.create_task(reader.read())
        while not ended.done():
            writer.write(part)
            await writer.drain()
            await asyncio.wait([ended], timeout=seconds)

    return kind


async def _unread(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD % (b"GET", FILE) + b"\r\n")
    await asyncio.sleep(3600)


async def _closing_early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(WIRE + b"Content-Length: 1000\r\n\r\n{")
    await asyncio.sleep(0.5)


KINDS: dict[str, Kind] = {
    "no request": _silent,
    "half a head": _sending(b"POST /v1/audience/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: "),
    "a slow head": _sending_slowly(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"X-A: b\r\n"),
    "a head without an end": _sending(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: " + b"x" * 60_000),
    "half a body": _sending(WIRE + b'Content-Length: 1000\r\n\r\n{"messages":['),
    "a slow body": _sending_slowly(WIRE + b"Content-Length: 100000\r\n\r\n", b"x"),
    "half a chunk": _sending(WIRE + b"Transfer-Encoding: chunked\r\n\r\n100\r\n{"),
    "slow chunks": _sending_slowly(WIRE + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "a large body, then silence": _sending(WIRE + b"Content-Length: %d\r\n\r\n" % LARGE + b"x" * (LARGE - 1)),
    "large chunks, then silence": _sending(WIRE + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % LARGE + b"x" * LARGE),
    "half a form": _sending(FORM + b"Content-Length: 1000\r\n\r\nlogin="),
    "half an upload": _sending(FORM.replace(b"application/json", b"multipart/form-data; boundary=x")
                              + b"Transfer-Encoding: chunked\r\n\r\n5\r\n--x\r\n\r\n"),
    "an answer that is not read": _unread,
    "many requests at once": _sending((HEAD % (b"GET", b"/livez") + b"\r\n") * 50),
    "idle after a request": _sending(HEAD % (b"GET", b"/livez") + b"\r\n"),
    "closed in the middle": _closing_early,
    "HTTP/2": _sending(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"),
}  # fmt: skip


def thirds() -> list[dict[str, Kind]]:
    """Return the kinds in three parts, since the limit of memory is for a third of them at a time."""
    kinds = list(KINDS.items())
    size = -(-len(kinds) // 3)
    return [dict(kinds[start : start + size]) for start in range(0, len(kinds), size)]


class SlowTraffic:
    """`each` connections of each of `kinds` while the context lasts."""

    def __init__(self, port: int, *, each: int, kinds: dict[str, Kind]) -> None:
        self._port, self._each, self._kinds = port, each, kinds
        self.opened: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "SlowTraffic":
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(30)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(self._all())
        try:
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            pass
        finally:
            self._loop.close()

    async def _all(self) -> None:
        await asyncio.gather(*(self._repeat(name) for name in self._kinds for _ in range(self._each)))

    async def _repeat(self, name: str) -> None:
        while True:
            try:
                sock = socket.socket()
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
                sock.setblocking(False)
                await self._loop.sock_connect(sock, ("127.0.0.1", self._port))
                reader, writer = await asyncio.open_connection(sock=sock, limit=SMALL_BUFFER)
            except OSError:
                await asyncio.sleep(0.5)
                continue
            self.opened[name] += 1
            try:
                await self._kinds[name](reader, writer)
            except OSError:
                pass
            finally:
                writer.transport.abort()
            await asyncio.sleep(0.5)


@dataclass(slots=True)
class NormalClient:
    """Repeats a request, over one connection or a new one each time; `seconds` has the time of each answer."""

    port: int
    request: Callable[[http.client.HTTPConnection], int]
    pause: float
    keep_alive: bool = False
    seconds: list[float] = field(default_factory=list)
    problems: Counter[str] = field(default_factory=Counter)

    def run_until(self, deadline: float) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        while time.monotonic() < deadline:
            began = time.monotonic()
            try:
                status = self.request(connection)
                if status != 200:
                    self.problems[str(status)] += 1
            except (OSError, http.client.HTTPException) as error:
                self.problems[type(error).__name__] += 1
                connection.close()
            self.seconds.append(time.monotonic() - began)
            if not self.keep_alive:
                connection.close()
            time.sleep(self.pause)
        connection.close()

    @property
    def p99(self) -> float:
        return sorted(self.seconds)[int(0.99 * (len(self.seconds) - 1))]


def measure(
    installation: Installation, *, each: int, seconds: float, kinds: dict[str, Kind] | None = None
) -> dict[str, Any]:
    """Return figures of normal requests during `seconds` with `each` slow clients of each kind."""
    key = installation.demo["publishable_key"]

    def event(connection: http.client.HTTPConnection) -> int:
        message = {"type": "track", "messageId": str(uuid.uuid4()), "eventName": "played", "anonymousId": "slow-0",
                   "eventTimestamp": datetime.now(UTC).isoformat(), "context": CONTEXT}  # fmt: skip
        return _request(connection, "POST", "/v1/audience/messages", json.dumps({"messages": [message]}),
                    {"x-immutable-publishable-key": key})  # fmt: skip

    clients = {
        "event": NormalClient(installation.port, event, 0.02, keep_alive=True),
        "livez": NormalClient(installation.port, lambda connection: _request(connection, "GET", "/livez"), 0.1),
        "page": NormalClient(
            installation.port, lambda connection: _request(connection, "GET", "/accounts/login/"), 0.2
        ),
    }
    for client in clients.values():  # warms up
        client.run_until(time.monotonic() + 1)
        client.seconds.clear()
        client.problems.clear()
    before = resident(installation.processes["web"].pid)
    peak = before
    with SlowTraffic(installation.port, each=each, kinds=kinds or KINDS) as traffic:
        deadline = time.monotonic() + seconds
        threads = [threading.Thread(target=client.run_until, args=(deadline,)) for client in clients.values()]
        for thread in threads:
            thread.start()
        while time.monotonic() < deadline:
            time.sleep(0.25)
            peak = max(peak, resident(installation.processes["web"].pid))
        for thread in threads:
            thread.join()
        opened = dict(traffic.opened)
    return {
        "connections": each * len(kinds or KINDS),
        "seconds": seconds,
        "opened": opened,
        "requests": {name: len(client.seconds) for name, client in clients.items()},
        "p99_s": {name: round(client.p99, 3) for name, client in clients.items()},
        "max_s": {name: round(max(client.seconds), 3) for name, client in clients.items()},
        "problems": {name: dict(client.problems) for name, client in clients.items() if client.problems},
        "memory_mb": round((peak - before) / 1e6, 1),
    }


def violations(figures: dict[str, Any], *, within_s: float = 1.0, memory_mb: float = 100.0) -> list[str]:
    """Return the requirements that are not met."""
    requirements = {
        f"p99 of normal requests below {within_s:g} s": max(figures["p99_s"].values()) < within_s,
        "no normal request was refused": not figures["problems"],
        "events, /livez and pages were requested": min(figures["requests"].values()) >= figures["seconds"],
        f"memory within {memory_mb:g} MB": figures["memory_mb"] < memory_mb,
        "each kind was used": all(figures["opened"].values()),
    }
    return [f"{requirement}: {figures}" for requirement, is_met in requirements.items() if not is_met]


def _request(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: str | None = None,
    headers: dict[str, str] | None = None,
) -> int:
    connection.request(method, path, body, {"Content-Type": "application/json", **(headers or {})})
    answer = connection.getresponse()
    answer.read()
    return answer.status


def resident(leader: int) -> int:
    """Return the resident memory in bytes of all processes in a session."""
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(process.name)) == leader:
                total += int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, ProcessLookupError):
            continue
    return total
