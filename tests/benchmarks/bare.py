"""What the socket alone can do: postbacks.http.post in threads, with nothing around it. `make bench` runs it apart.

Usage: python -m tests.benchmarks.bare URL COUNT THREADS. Sends COUNT Reddit conversions to a sandbox, prints how many
were answered with 200 per second.
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
    requests = [network.build(target, each) for each in facts]
    with ThreadPoolExecutor(threads) as pool:
        start = time.monotonic()
        answers = list(pool.map(http.post, requests))
        took = time.monotonic() - start
    assert [answer.status for answer in answers] == [200] * count
    sys.stdout.write(f"{count / took}\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
