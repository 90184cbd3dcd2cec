"""`make bench-admin`: server time of the lists of the admin with a million rows each, one JSON line per list.

`value` is the median in milliseconds of the list as it opens, by Django's test client; `slowest_ms` is that of the
slowest of its filters, sorting by each column, last page and searches, which `slowest` names. The fastest of their
requests is the better figure on a busy machine. ADMIN_ROWS=... sets another number of rows, ADMIN_LISTS=audience.event
other lists. A list over LIMIT_MS is an error at the end.
"""

import os
import sys
import time
from collections.abc import Iterator
from statistics import median
from typing import Any

from tests.benchmarks import pages
from tests.benchmarks.output import say

ROWS = int(os.environ.get("ADMIN_ROWS", "1000000"))
ONLY = set(filter(None, os.environ.get("ADMIN_LISTS", "").split(",")))
LIMIT_MS = 200
MEASURED = 7
# Tables that are filled together, the large ones that lists and searches join first.
TOGETHER = [
    ["audience.identity", "audience.person", "audience.ownership", "audience.touch", "audience.conversion"],
    ["audience.conversion", "postbacks.delivery"],
]
# Lists that stay small: a table with a row per game, user or process.
SMALL = {"audience.game", "auth.user", "auth.group", "audience.receiptkey", "audience.accountsettings"}
SMALL |= {
    "audience.exchangerate",
    "mfa.authenticator",
    "postbacks.postbackconfig",
    "postbacks.gamegoal",
    "postbacks.replay",
}
GAMES, CONFIGS = 5, 10


def main() -> None:
    pages.in_new_database("tests.benchmarks.admin_lists")


def measure() -> None:
    import django

    django.setup()
    from django.contrib import admin

    client, small = prepare()
    assert client.get("/admin/").status_code == 200  # which imports the views
    pages.collect_as_a_web_process()
    labels = [model._meta.label_lower for model in admin.site._registry if model._meta.label_lower not in SMALL]
    over = []
    for group in [*TOGETHER, *([label] for label in labels if not any(label in group for group in TOGETHER))]:
        if ONLY and not ONLY & set(group):
            continue
        over += measured(client, group, labels, small)
    if over:
        sys.exit(f"Over {LIMIT_MS} ms: {', '.join(over)}")


def prepare(games: int = GAMES) -> tuple[Any, dict[str, list[Any]]]:
    """Return a client of a superuser, and the ids of the rows of small tables by model."""
    from datetime import timedelta

    from django.contrib.contenttypes.models import ContentType

    from audience.database import clock
    from audience.storage import partitions
    from tests import factories, hub
    from tests.benchmarks import admin_rows

    today = clock.now().date()
    for table in partitions.TABLES:
        for start in sorted({table.start(today - timedelta(days=days)) for days in range(40)}):
            partitions.create_partition(table, start)
    root: Any = hub.user("root", is_staff=True, is_superuser=True)
    made = [factories.game() for _ in range(games)]
    configs = [factories.config(made[n % games], pixel_id=f"C{n:019}") for n in range(CONFIGS)]
    admin_rows.without_checks()
    kinds = [ContentType.objects.get_for_model(row).pk for row in (made[0], root)]
    ids = {"audience.game": [game.pk for game in made], "auth.user": [root.pk], "contenttypes.contenttype": kinds}
    return hub.signed_in(root), {**ids, "postbacks.postbackconfig": [config.pk for config in configs]}


def measured(client: Any, group: list[str], labels: list[str], small: dict[str, list[Any]]) -> list[str]:
    """Fill the tables, print a line per list, and return the lists that are too slow. The tables are empty again."""
    from tests.benchmarks import admin_rows

    started = time.monotonic()
    for label in group:
        admin_rows.insert(admin_rows.model_of(label), ROWS, small)
    say("fill_s", time.monotonic() - started, tables=group)
    over = [label for label in group if label in labels and not _is_fast(client, label)]
    for label in group:
        admin_rows.truncate(admin_rows.model_of(label))
    return over


def _is_fast(client: Any, label: str) -> bool:
    app, name = label.split(".")
    url = f"/admin/{app}/{name}/"
    opened, times = timed(client, url), {query: timed(client, url + query) for query in queries(client, url)}
    slowest = max(times, key=lambda query: median(times[query]))
    worst = median(times[slowest])
    more = {"fastest": round(min(opened)), "slowest": slowest, "slowest_ms": round(worst), "requests": len(times)}
    say("admin_list_ms", median(opened), list=label, **more, slowest_fastest=round(min(times[slowest])))
    return max(median(opened), worst) <= LIMIT_MS


def queries(client: Any, url: str) -> Iterator[str]:
    """Yield the queries of every filter, alone and with a game, of every column, of a late page and of searches."""
    changelist = _changelist(client, url)
    games = [query for query in _choices(changelist) if "game__id__exact" in query or "game_id" in query]
    for query in _choices(changelist):
        yield query
        if games and query not in games:
            yield f"{query}&{games[-1].removeprefix('?')}"
    for column in range(1, len(changelist.list_display) + 1):
        yield f"?o=-{column}"
    yield f"?p={changelist.paginator.num_pages}"
    if changelist.search_fields:
        row = changelist.result_list[0]
        texts = [str(getattr(row, name, "")) for name in ("pk", "message_id", "user_id", "click_id", "anonymous_id")]
        yield from (f"?q={text}" for text in dict.fromkeys([*filter(None, texts), "user-777", "nobody-at-all"]))


def _changelist(client: Any, url: str) -> Any:
    """Return what Django's view of the list gives to its template."""
    request = client.get(url).wsgi_request
    return request.resolver_match.func.model_admin.get_changelist_instance(request)


def _choices(changelist: Any) -> list[str]:
    return [
        str(choice["query_string"])
        for spec in changelist.filter_specs
        for choice in spec.choices(changelist)
        if not choice["selected"]
    ]


def timed(client: Any, path: str) -> list[float]:
    """Return the milliseconds of some requests, without the first."""
    times = []
    for _ in range(MEASURED + 1):
        started = time.perf_counter()
        answer = client.get(path)
        times.append(1000 * (time.perf_counter() - started))
        assert answer.status_code == 200, (path, answer.status_code)
    return times[1:]


if __name__ == "__main__":
    main()
