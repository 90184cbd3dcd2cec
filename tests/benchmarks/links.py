"""Redirects of tracking links per second: each stores the event of a click.

`python -m tests.benchmarks.links` measures them alone, with PostgreSQL and two web processes of its own. With
arguments PORT SLUG CONNECTIONS SECONDS it is the load generator.
"""

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from config import services
from tests.benchmarks.load import measure
from tests.benchmarks.output import say
from tests.journeys.product import Product

SECONDS = float(os.environ.get("BENCH_SECONDS", "6"))
CONNECTIONS, TURNS = 8, 3
# All clicks are of one address.
SETTINGS = {"LINK_CLICKS_PER_MINUTE": "0"}
AGENT = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0"
CREATE = """
from audience.games.links import LinkValues, create_link
from audience.models import Game
values = LinkValues(name="Benchmark", destination="https://game.example/play", utm_campaign="May")
create_link(game=Game.objects.get(slug="{game}"), values=values, slug="benchmark")
"""


class Clicks:
    """Clicks of new browsers and of browsers with a cookie, in turn, each with its own click id."""

    def __init__(self, port: int, slug: str) -> None:
        self.start = f"GET /go/{slug}?utm_source=tiktok&ttclid=E.C.P."
        self.end = f" HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: {AGENT}\r\n"

    def next(self) -> bytes:
        cookie = f"Cookie: ac_id={uuid.uuid4()}\r\n" if random.random() < 0.5 else ""
        return f"{self.start}{random.getrandbits(160):x}{self.end}{cookie}\r\n".encode()


def redirects(product: Product, say: Callable[..., None]) -> None:
    """Print redirects per second, the median of TURNS; all clicks have to be stored."""
    product.manage("shell", "-c", CREATE.format(game=product.demo["game"]))
    arguments = [str(product.port), "benchmark", str(CONNECTIONS), str(SECONDS)]
    command = [sys.executable, "-m", "tests.benchmarks.links", *arguments]
    turns = []
    for _ in range(TURNS + 1):  # the first one warms up
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        turns.append(json.loads(result.stdout))
    sent = sum(turn["requests"] for turn in turns)
    query = "SELECT count(*) FROM audience_event WHERE surface = 'link'"
    product.wait_for(lambda: product.rows("SELECT coalesce(sum(clicks), 0) FROM audience_linkcount") == [(sent,)])
    assert product.rows(query) == [(sent,)], "every click is stored"
    turn = sorted(turns[1:], key=lambda one: one["requests"] / one["seconds"])[TURNS // 2]
    more = {name: turn[name] for name in ("p50_ms", "p99_ms", "refused", "cpu_s")}
    say("link_redirects_rps", turn["requests"] / turn["seconds"], connections=CONNECTIONS, **more)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="afterclick-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        clean = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "REDIS_URL"}}
        with services.running(folder / "state", durable=True, environ=clean) as running:
            env = {**clean, **services.secrets(folder / "state")}
            env |= {"DATABASE_URL": running.database_url, "REDIS_URL": running.redis_url}
            env |= SETTINGS
            product = Product(env, folder)
            try:
                product.create_tables()
                product.demo = json.loads(product.manage("demo", "--json"))
                product.start_web(workers=2)
                product.wait_for(lambda: product.answers(f"{product.url}/readyz"))
                redirects(product, say)
            finally:
                product.stop()
        services.delete_database(folder / "state")


def generate(port: str, slug: str, connections: str, seconds: str) -> dict[str, Any]:
    return asyncio.run(measure(int(port), Clicks(int(port), slug), int(connections), float(seconds)))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.stdout.write(json.dumps(generate(*sys.argv[1:])) + "\n")
    else:
        main()
