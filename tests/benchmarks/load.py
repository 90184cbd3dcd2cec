"""The load generator, a process of its own: keep-alive connections that each send the next request when answered.

Usage: python -m tests.benchmarks.load PORT KEY CONNECTIONS SECONDS MESSAGES_PER_REQUEST
Prints one JSON object: requests, messages, seconds, p50_ms, p99_ms, refused.
"""

import asyncio
import json
import sys
import time
import uuid
from datetime import UTC, datetime


def request(port: int, key: str, count: int) -> bytes:
    now = datetime.now(UTC).isoformat()
    messages = [
        {
            "type": "track",
            "messageId": str(uuid.uuid4()),
            "eventTimestamp": now,
            "eventName": "progression",
            "anonymousId": f"anon-{uuid.uuid4().int % 20_000}",
            "surface": "unity",
            "properties": {"status": "complete", "world": "forest", "level": 7, "score": 18250, "duration_sec": 241},
            "context": {"library": "bench", "libraryVersion": "1.0.0", "locale": "en-US", "screen": "1920x1080"},
        }
        for _ in range(count)
    ]
    body = json.dumps({"messages": messages}).encode()
    head = (
        f"POST /v1/audience/messages HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"x-immutable-publishable-key: {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def connection(port: int, key: str, until: float, count: int, times: list[float], refused: list[int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.monotonic() < until:
        payload = request(port, key, count)
        start = time.monotonic()
        writer.write(payload)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        if b" 200 " in head.split(b"\r\n")[0]:
            times.append(time.monotonic() - start)
        else:
            refused.append(1)
    writer.close()


async def main(port: int, key: str, connections: int, seconds: float, count: int) -> dict[str, float]:
    times: list[float] = []
    refused: list[int] = []
    start = time.monotonic()
    await asyncio.gather(*(connection(port, key, start + seconds, count, times, refused) for _ in range(connections)))
    took = time.monotonic() - start
    times.sort()
    return {
        "requests": len(times),
        "messages": len(times) * count,
        "seconds": round(took, 2),
        "p50_ms": round(times[len(times) // 2] * 1000, 1),
        "p99_ms": round(times[int(len(times) * 0.99)] * 1000, 1),
        "refused": len(refused),
    }


if __name__ == "__main__":
    _, port, key, connections, seconds, count = sys.argv
    sys.stdout.write(json.dumps(asyncio.run(main(int(port), key, int(connections), float(seconds), int(count)))) + "\n")
