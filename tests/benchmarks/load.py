"""The load generator, a separate process: each keep-alive connection sends the next request after an answer.

Usage: python -m tests.benchmarks.load PORT KEY CONNECTIONS SECONDS MESSAGES_PER_REQUEST [DIALECT [RATE]]
RATE limits the messages per second of all connections together. Prints one JSON object: accepted requests and messages,
seconds, p50_ms, p99_ms, refused requests by status, cpu_s (CPU time of the generator).
"""

import asyncio
import json
import random
import sys
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

PLAYERS = 20_000
PROPERTIES = {"status": "complete", "world": "forest", "level": 7, "score": 18250, "duration_sec": 241}
LIBRARY = {"library": "bench", "libraryVersion": "1.0.0", "locale": "en-US", "screen": "1920x1080"}


@dataclass(frozen=True)
class Dialect:
    """A message with the placeholders MESSAGE-ID, PERSON and NOW, the routes of single messages and batches, the header
    with the key, and the texts before and after the messages in a body.
    """

    message: dict[str, Any]
    single: str
    batch: str
    header: Callable[[str], str]
    single_envelope: tuple[str, str]
    batch_envelope: tuple[str, str]


def _basic(key: str) -> str:
    return "Authorization: Basic " + b64encode(f"{key}:".encode()).decode()


SEGMENT = {
    "type": "track",
    "messageId": "MESSAGE-ID",
    "anonymousId": "PERSON",
    "event": "progression",
    "originalTimestamp": "NOW",
    "timestamp": "NOW",
    "sentAt": "NOW",
    "properties": PROPERTIES,
    "context": {"library": {"name": "bench", "version": "1.0.0"}, "locale": "en-US"},
}
DIALECTS = {
    "immutable": Dialect(
        {
            "type": "track",
            "messageId": "MESSAGE-ID",
            "eventTimestamp": "NOW",
            "eventName": "progression",
            "anonymousId": "PERSON",
            "surface": "unity",
            "properties": PROPERTIES,
            "context": LIBRARY,
        },
        "/v1/audience/messages",
        "/v1/audience/messages",
        lambda key: f"x-immutable-publishable-key: {key}",
        ('{"messages":[', "]}"),
        ('{"messages":[', "]}"),
    ),
    "rudderstack": Dialect(SEGMENT, "/v1/track", "/v1/batch", _basic, ("", ""), ('{"batch":[', "]}")),
    "metarouter": Dialect(SEGMENT, "/v1/t", "/v1/b", _basic, ("", ""), ('{"batch":[', "]}")),
    "parcelvoy": Dialect(
        {
            "name": "progression",
            "anonymous_id": "PERSON",
            "message_id": "MESSAGE-ID",
            "created_at": "NOW",
            "data": PROPERTIES,
        },
        "/api/client/events",
        "/api/client/events",
        lambda key: f"Authorization: Bearer {key}",
        ("[", "]"),
        ("[", "]"),
    ),
}


class RequestSource(Protocol):
    def next(self) -> bytes:
        """The next request."""


class Requests:
    """Builds requests from a text template, to use little CPU, since the server runs on the same machine."""

    def __init__(self, port: int, key: str, count: int, dialect: Dialect) -> None:
        text = json.dumps(dialect.message, separators=(",", ":")).replace("%", "%%")
        text = text.replace("MESSAGE-ID", "%(id)s").replace("PERSON", "anon-%(person)d")
        self._message, self._count = text, count
        self._start, self._end = dialect.single_envelope if count == 1 else dialect.batch_envelope
        path = dialect.single if count == 1 else dialect.batch
        self._head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{dialect.header(key)}\r\nContent-Length: "

    def next(self) -> bytes:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        message = self._message.replace("NOW", now)
        messages = ",".join(message % {"id": _uuid(), "person": random.randrange(PLAYERS)} for _ in range(self._count))
        body = f"{self._start}{messages}{self._end}".encode()
        return f"{self._head}{len(body)}\r\n\r\n".encode() + body


def _uuid() -> str:
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"


async def connection(
    port: int, requests: RequestSource, until: float, times: list[float], refused: Counter[str], interval: float
) -> None:
    """Send requests until `until`. `interval`: seconds between two requests; late ones are made up for."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    due = time.monotonic() + random.random() * interval
    while time.monotonic() < until:
        if due > time.monotonic():
            await asyncio.sleep(due - time.monotonic())
        due += interval
        payload = requests.next()
        start = time.monotonic()
        try:
            writer.write(payload)
            status = await _status(reader)
        except (asyncio.IncompleteReadError, ConnectionError):
            # A server may close an idle connection between two requests.
            refused["closed"] += 1
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            continue
        if status.startswith(("2", "3")):
            times.append(time.monotonic() - start)
        else:
            refused[status] += 1
    writer.close()


async def _status(reader: asyncio.StreamReader) -> str:
    """Read an answer; return its status."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"content-length:" in head:
        await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
    return head.split(b" ", 2)[1].decode()


async def main(
    port: int, key: str, connections: int, seconds: float, count: int, dialect: str = "immutable", rate: str = "0"
) -> dict[str, Any]:
    requests = Requests(port, key, count, DIALECTS[dialect])
    interval = connections * count / float(rate) if float(rate) else 0.0
    figures = await measure(port, requests, connections, seconds, interval)
    return {**figures, "messages": figures["requests"] * count}


async def measure(
    port: int, requests: RequestSource, connections: int, seconds: float, interval: float = 0.0
) -> dict[str, Any]:
    times: list[float] = []
    refused: Counter[str] = Counter()
    start, cpu = time.monotonic(), time.process_time()
    await asyncio.gather(
        *(connection(port, requests, start + seconds, times, refused, interval) for _ in range(connections))
    )
    elapsed = time.monotonic() - start
    times.sort()
    return {
        "requests": len(times),
        "seconds": round(elapsed, 2),
        "p50_ms": round(times[len(times) // 2] * 1000, 1) if times else -1,
        "p99_ms": round(times[int(len(times) * 0.99)] * 1000, 1) if times else -1,
        "refused": dict(refused),
        "cpu_s": round(time.process_time() - cpu, 2),
    }


if __name__ == "__main__":
    _, port, key, connections, seconds, count, *dialect = sys.argv
    figures = asyncio.run(main(int(port), key, int(connections), float(seconds), int(count), *dialect))
    sys.stdout.write(json.dumps(figures) + "\n")
