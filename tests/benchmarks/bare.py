"""The speed of the HTTP client alone: postbacks.http.post in threads. `make bench` runs it in a separate process.

Usage: python -m tests.benchmarks.bare URL COUNT THREADS. Sends COUNT Reddit conversions to a sandbox and prints the
number of answers 200 per second.
"""

import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal


def main(url: str, count: int, threads: int) -> None:
    import django

    django.setup()
    from postbacks import http
    from postbacks.networks import NETWORKS
    from postbacks.networks.interface.facts import Facts
    from postbacks.networks.reddit.imitation import ACCOUNTS as REDDIT_ACCOUNTS

    network = NETWORKS["reddit"]
    target = network.target(pixel_id=REDDIT_ACCOUNTS.pixel, credential={"token": REDDIT_ACCOUNTS.token}, base_url=url)
    fields = {"click_id": "click-bench", "value": Decimal("1.00"), "currency": "USD"}
    facts = [
        Facts(trigger="purchase", event_id=str(uuid.uuid4()), event_at=datetime.now(UTC), **fields)  # type: ignore[arg-type]
        for _ in range(count)
    ]
    requests = [network.build(target, item) for item in facts]
    with ThreadPoolExecutor(threads) as pool:
        start = time.monotonic()
        answers = list(pool.map(http.post, requests))
        seconds = time.monotonic() - start
    assert [answer.status for answer in answers] == [200] * count
    sys.stdout.write(f"{count / seconds}\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
