"""`make bench-api`: server time of the lists of the management API with a million rows each, one JSON line per list.

All rows are of one game and of 23 days. `value` is the 95th percentile in milliseconds over the requests of a list, by
Django's test client: the whole time with each value of each filter alone and with none, pages of 200 rows, and the page
after. `slowest` names the request with the greatest median. API_ROWS=... sets another number of rows, API_LISTS=events
other lists. A list over LIMIT_MS is an error at the end.
"""

import os
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from statistics import median, quantiles
from typing import Any
from urllib.parse import urlencode

from tests.benchmarks import pages
from tests.benchmarks.output import say

ROWS = int(os.environ.get("API_ROWS", "1000000"))
ONLY = set(filter(None, os.environ.get("API_LISTS", "").split(",")))
LIMIT_MS = 100
# Requests of a query, and at least those of a list: after the fill single ones are slow.
MEASURED, LIST_MEASURED = 10, 200
# Tables that are filled together, and the lists that read them.
GROUPS = [
    (
        ["audience.person", "audience.identity", "audience.touch", "audience.conversion", "postbacks.delivery"]
        + ["postbacks.deliveryattempt"],
        ["attempts", "deliveries", "conversions"],
    ),
    (["audience.event"], ["events"]),
    (["audience.rejection"], ["rejections"]),  # of which a game has at most 10,000
    (["audience.erasure", "audience.suppression"], ["erasures", "suppressions"]),
    (["postbacks.alert"], ["alerts"]),
    (["auditlog.logentry"], ["audit-log"]),
]
MAX_REJECTIONS = 10_000
NOT_CHOICES = {"cursor", "limit", "follow", "range"}


def main() -> None:
    pages.in_new_database("tests.benchmarks.api_lists")


def measure() -> None:
    import django

    django.setup()
    from django.conf import settings

    from tests.benchmarks import admin_lists, admin_rows
    from tests.management_api import game_api

    settings.API_REQUESTS_PER_MINUTE = 1_000_000_000
    _, small = admin_lists.prepare(games=1)
    game = admin_rows.model_of("audience.game").objects.get()
    api, over = game_api(game), []
    assert api.get("games").status_code == 200  # which imports the views
    pages.collect_as_a_web_process()
    for models, lists in GROUPS:
        if ONLY and not ONLY & set(lists):
            continue
        started = time.monotonic()
        for label in models:
            rows = min(ROWS, MAX_REJECTIONS) if label == "audience.rejection" else ROWS
            admin_rows.insert(admin_rows.model_of(label), rows, small)
        say("fill_s", time.monotonic() - started, tables=models)
        over += [name for name in lists if not _is_fast(api, f"games/{game.slug}/{name}", name)]
        for label in models:
            admin_rows.truncate(admin_rows.model_of(label))
    if over:
        sys.exit(f"Over {LIMIT_MS} ms: {', '.join(over)}")


def _is_fast(api: Any, path: str, name: str) -> bool:
    queries = list(_queries(api, path, name))
    number = max(MEASURED, LIST_MEASURED // len(queries))
    times = {query: _timed(api, f"{path}?{query}", number) for query in queries}
    slowest = max(times, key=lambda query: median(times[query]))
    value = quantiles([each for found in times.values() for each in found], n=20)[-1]
    more = {"median": round(median(median(found) for found in times.values()), 1), "requests": len(times)}
    say("api_list_ms", value, list=name, **more, slowest=slowest, slowest_ms=round(median(times[slowest]), 1))
    return value <= LIMIT_MS


def _queries(api: Any, path: str, name: str) -> Iterator[str]:
    """Yield the queries of a list: as it is called without parameters, of all times, and with every choice."""
    from config.api_document import CachedGenerator

    document = CachedGenerator().get_schema(public=True)
    parameters = document["paths"][f"/api/v1/games/{{game}}/{name}"]["get"]["parameters"]
    schemas = {each["name"]: each["schema"] for each in parameters if each["in"] == "query"}
    period = _period(schemas)
    yield ""
    yield urlencode({**period, "limit": 200})
    answer: Any = api.get(f"{path}?{urlencode(period)}")
    assert answer.status_code == 200, answer.content
    if answer.json()["next_cursor"]:
        yield urlencode({**period, "cursor": answer.json()["next_cursor"]})
    for parameter, schema in schemas.items():
        values = [] if parameter in NOT_CHOICES else schema.get("enum", [])
        yield from (urlencode({**period, parameter: value}) for value in values)
    if "event" in schemas:
        yield from (urlencode({**period, "event": event}) for event in ("purchase", "level_up", "nothing"))
    if "q" in schemas:
        yield urlencode({"q": "user_i-777"})


def _period(schemas: dict[str, Any]) -> dict[str, str]:
    """Return the parameters of the whole time of the rows."""
    from audience.database import clock

    since = (clock.now() - timedelta(days=80)).date().isoformat()
    return {"from": since} if "from" in schemas else {}


def _timed(api: Any, path: str, number: int) -> list[float]:
    """Return the milliseconds of so many requests, after one that is not measured."""
    times = []
    for _ in range(number + 1):
        started = time.perf_counter()
        answer = api.get(path)
        times.append(1000 * (time.perf_counter() - started))
        assert answer.status_code == 200, (path, answer.status_code, answer.content[:300])
    return times[1:]


if __name__ == "__main__":
    main()
