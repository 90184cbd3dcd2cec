"""The CPU time of parsing one message: JSON bytes to plain values, and those to Messages. No server, no database.

`make bench` runs it in a separate process.
"""

import json
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import orjson

MESSAGES = 100
# The fastest round counts, since others may have been interrupted.
ROUNDS = 30

PROPERTIES = {"status": "complete", "world": "forest", "level": 7, "score": 18250, "duration_sec": 241}
PAGE = {"path": "/play", "url": "https://game.example/play?utm_source=tiktok&ttclid=E.C.P.1", "title": "Play"}


def immutable(number: int) -> dict[str, Any]:
    return {
        "type": "track",
        "messageId": str(uuid.UUID(int=number + 1)),
        "eventTimestamp": datetime.now(UTC).isoformat(),
        "eventName": "progression",
        "anonymousId": f"anon-{number}",
        "surface": "web",
        "properties": PROPERTIES,
        "context": {"library": "bench", "libraryVersion": "1.0.0", "locale": "en-US", "pageUrl": PAGE["url"]},
    }


def rudderstack(number: int) -> dict[str, Any]:
    return {
        "type": "track",
        "messageId": f"{number:08d}-{uuid.UUID(int=number + 1)}",
        "originalTimestamp": datetime.now(UTC).isoformat(),
        "sentAt": datetime.now(UTC).isoformat(),
        "event": "progression",
        "anonymousId": f"anon-{number}",
        "userId": None,
        "properties": PROPERTIES,
        "integrations": {"All": True},
        "context": {"library": {"name": "bench", "version": "1.0.0"}, "locale": "en-US", "page": PAGE},
    }


def metarouter(number: int) -> dict[str, Any]:
    return {
        "type": "track",
        "messageId": str(uuid.UUID(int=number + 1)),
        "timestamp": datetime.now(UTC).isoformat(),
        "event": "progression",
        "anonymousId": f"anon-{number}",
        "writeKey": "pk_imapik-bench",
        "properties": PROPERTIES,
        "integrations": {},
        "context": {"active": True, "library": {"name": "bench", "version": "1.0.0"}, "page": PAGE},
    }


def parcelvoy(number: int) -> dict[str, Any]:
    return {
        "name": "progression",
        "anonymous_id": f"anon-{number}",
        "message_id": str(uuid.UUID(int=number)),
        "created_at": datetime.now(UTC).isoformat(),
        "data": {**PROPERTIES, "page": PAGE},
    }


def parsers() -> dict[str, tuple[Callable[[int], dict[str, Any]], Callable[[list[Any]], int]]]:
    """Return by dialect a function that makes a message, and one that parses a list and counts accepted ones."""
    # The dialects import models, for which Django must be set up.
    from audience.intake.dialects import immutable as immutable_dialect
    from audience.intake.dialects import parcelvoy as parcelvoy_dialect
    from audience.intake.dialects import segment

    now = datetime.now(UTC)
    envelope = segment.BatchEnvelope(received_at=now)

    def segment_parse(values: list[Any]) -> int:
        return len([segment.parse(raw, kind=raw["type"], envelope=envelope) for raw in values])

    return {
        "immutable": (immutable, lambda values: len(immutable_dialect.parse(values, now=now)[0])),
        "rudderstack": (rudderstack, segment_parse),
        "metarouter": (metarouter, segment_parse),
        "parcelvoy": (parcelvoy, lambda values: len(parcelvoy_dialect.EventsView().parse(values, now=now))),
    }


def best_us(work: Callable[[], object]) -> float:
    """Return the microseconds per message of the fastest round."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best / MESSAGES * 1e6


def figures() -> Iterator[dict[str, Any]]:
    """Yield a figure per dialect: `value` is parsing alone, `decode_us` decoding the JSON."""
    from audience.intake.requests import body

    for dialect, (make, parse) in parsers().items():
        values = [make(number) for number in range(MESSAGES)]
        data = orjson.dumps(values)
        assert parse(body.decode(data)) == MESSAGES, f"{dialect} refuses the benchmark's messages"
        yield {
            "figure": "parse_us_per_message",
            "value": round(best_us(lambda parse=parse, values=values: parse(values)), 1),
            "dialect": dialect,
            "decode_us": round(best_us(lambda data=data: body.decode(data)), 1),
            "bytes": len(data) // MESSAGES,
        }


def main() -> None:
    import django

    django.setup()
    for figure in figures():
        sys.stdout.write(json.dumps(figure) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
