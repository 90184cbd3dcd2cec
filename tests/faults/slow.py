"""Senders that are slow on purpose, many of each kind at once, and what honest ones notice of them.

Every connection that the server closes is opened again at once, as somebody who means harm would.
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
# The largest file that anybody may ask for.
FILE = b"/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js"
SMALL_BUFFER = 4096  # bytes that the kernel keeps for a reader


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


def _saying(said: bytes) -> Kind:
    """Says it and waits for whatever comes of it."""

    async def kind(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await reader.read()

    return kind


def _dripping(said: bytes, drop: bytes, *, seconds: float = 0.5) -> Kind:
    async def kind(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        ended = asyncio.create_task(reader.read())
        while not ended.done():
            writer.write(drop)
            await writer.drain()
            await asyncio.wait([ended], timeout=seconds)

    return kind


async def _unread(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD % (b"GET", FILE) + b"\r\n")
    await asyncio.sleep(3600)


async def _hanging_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(WIRE + b"Content-Length: 1000\r\n\r\n{")
    await asyncio.sleep(0.5)


KINDS: dict[str, Kind] = {
    "no request": _silent,
    "half a head": _saying(b"POST /v1/audience/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: "),
    "a head that drips": _dripping(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"X-A: b\r\n"),
    "a head without an end": _saying(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: " + b"x" * 60_000),
    "half a body": _saying(WIRE + b'Content-Length: 1000\r\n\r\n{"messages":['),
    "a body that drips": _dripping(WIRE + b"Content-Length: 100000\r\n\r\n", b"x"),
    "half a chunk": _saying(WIRE + b"Transfer-Encoding: chunked\r\n\r\n100\r\n{"),
    "chunks that drip": _dripping(WIRE + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "a large body, then silence": _saying(WIRE + b"Content-Length: %d\r\n\r\n" % LARGE + b"x" * (LARGE - 1)),
    "large chunks, then silence": _saying(WIRE + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % LARGE + b"x" * LARGE),
    "half a form": _saying(FORM + b"Content-Length: 1000\r\n\r\nlogin="),
    "half an upload": _saying(FORM.replace(b"application/json", b"multipart/form-data; boundary=x")
                              + b"Transfer-Encoding: chunked\r\n\r\n5\r\n--x\r\n\r\n"),
    "an answer that is not read": _unread,
    "many requests at once": _saying((HEAD % (b"GET", b"/livez") + b"\r\n") * 50),
    "idle after a request": _saying(HEAD % (b"GET", b"/livez") + b"\r\n"),
    "gone in the middle": _hanging_up,
    "HTTP/2": _saying(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"),
}  # fmt: skip


def thirds() -> list[dict[str, Kind]]:
    """The kinds in three parts: one after another each is to cost no more memory than the promise says."""
    kinds = list(KINDS.items())
    size = -(-len(kinds) // 3)
    return [dict(kinds[start : start + size]) for start in range(0, len(kinds), size)]


class Traffic:
    """`each` connections of each of `kinds`, for as long as the context lasts."""

    def __init__(self, port: int, *, each: int, kinds: dict[str, Kind]) -> None:
        self._port, self._each, self._kinds = port, each, kinds
        self.opened: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Traffic":
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
        await asyncio.gather(*(self._one(name) for name in self._kinds for _ in range(self._each)))

    async def _one(self, name: str) -> None:
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
class Honest:
    """Asks again and again, over a connection kept or each time over a new one; `seconds` each answer took."""

    port: int
    ask: Callable[[http.client.HTTPConnection], int]
    pause: float
    keeps: bool = False
    seconds: list[float] = field(default_factory=list)
    problems: Counter[str] = field(default_factory=Counter)

    def until(self, deadline: float) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        while time.monotonic() < deadline:
            began = time.monotonic()
            try:
                status = self.ask(connection)
                if status != 200:
                    self.problems[str(status)] += 1
            except (OSError, http.client.HTTPException) as error:
                self.problems[type(error).__name__] += 1
                connection.close()
            self.seconds.append(time.monotonic() - began)
            if not self.keeps:
                connection.close()
            time.sleep(self.pause)
        connection.close()

    @property
    def p99(self) -> float:
        return sorted(self.seconds)[int(0.99 * (len(self.seconds) - 1))]


def withstand(
    installation: Installation, *, each: int, seconds: float, kinds: dict[str, Kind] | None = None
) -> dict[str, Any]:
    """Figures of honest requests while `each` slow senders of each kind are at it for `seconds`."""
    key = installation.demo["publishable_key"]

    def event(connection: http.client.HTTPConnection) -> int:
        message = {"type": "track", "messageId": str(uuid.uuid4()), "eventName": "played", "anonymousId": "slow-0",
                   "eventTimestamp": datetime.now(UTC).isoformat(), "context": CONTEXT}  # fmt: skip
        return _ask(connection, "POST", "/v1/audience/messages", json.dumps({"messages": [message]}),
                    {"x-immutable-publishable-key": key})  # fmt: skip

    asking = {
        "event": Honest(installation.port, event, 0.02, keeps=True),
        "livez": Honest(installation.port, lambda connection: _ask(connection, "GET", "/livez"), 0.1),
        "page": Honest(installation.port, lambda connection: _ask(connection, "GET", "/accounts/login/"), 0.2),
    }
    for each_one in asking.values():  # whatever is made on first use
        each_one.until(time.monotonic() + 1)
        each_one.seconds.clear()
        each_one.problems.clear()
    before = resident(installation.processes["web"].pid)
    most = before
    with Traffic(installation.port, each=each, kinds=kinds or KINDS) as traffic:
        deadline = time.monotonic() + seconds
        threads = [threading.Thread(target=one.until, args=(deadline,)) for one in asking.values()]
        for thread in threads:
            thread.start()
        while time.monotonic() < deadline:
            time.sleep(0.25)
            most = max(most, resident(installation.processes["web"].pid))
        for thread in threads:
            thread.join()
        opened = dict(traffic.opened)
    return {
        "connections": each * len(kinds or KINDS),
        "seconds": seconds,
        "opened": opened,
        "asked": {name: len(one.seconds) for name, one in asking.items()},
        "p99_s": {name: round(one.p99, 3) for name, one in asking.items()},
        "max_s": {name: round(max(one.seconds), 3) for name, one in asking.items()},
        "problems": {name: dict(one.problems) for name, one in asking.items() if one.problems},
        "memory_mb": round((most - before) / 1e6, 1),
    }


def violations(figures: dict[str, Any], *, within_s: float = 1.0, memory_mb: float = 100.0) -> list[str]:
    """What of the promise does not hold; empty when all does."""
    wanted = {
        f"everybody honest was answered {within_s:g} s at the 99th percentile": max(figures["p99_s"].values())
        < within_s,
        "nobody honest was refused": not figures["problems"],
        "events, /livez and pages were asked for": min(figures["asked"].values()) >= figures["seconds"],
        f"memory within {memory_mb:g} MB": figures["memory_mb"] < memory_mb,
        "each kind was tried": all(figures["opened"].values()),
    }
    return [f"{promise}: {figures}" for promise, kept in wanted.items() if not kept]


def _ask(
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
    """Bytes of memory of a process and of those it has started, in its session."""
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(process.name)) == leader:
                total += int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, ProcessLookupError):
            continue
    return total
