"""Every list of the admin reads its rows by an index: the newest ones, and those that a search finds."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.db.models import Model

from audience.admin.newest_rows import NewestRows
from audience.models import Event
from tests.postbacks.test_index_readers import READERS

pytestmark = pytest.mark.django_db
# Tables with a row for something that a user made, or one per user, game or process, and the reason.
SMALL = {
    "audience.game": "users add games",
    "auth.user": "a row per person of the studio",
    "auth.group": "users add groups",
    "postbacks.postbackconfig": "users add postbacks",
    "postbacks.gamegoal": "users add goals",
    "postbacks.replay": "users start replays",
}
# The columns of every index, expressions as '', with its condition.
INDEXES = """
SELECT array(
    SELECT coalesce(attname, '') FROM unnest(indkey::int2[]) WITH ORDINALITY AS key (number, place)
    LEFT JOIN pg_attribute ON attrelid = indrelid AND attnum = number AND number > 0 ORDER BY place
  ), coalesce(pg_get_expr(indpred, indrelid), '')
FROM pg_index WHERE indrelid = %s::regclass AND indisvalid
"""


def pages() -> Iterator[tuple[str, Any]]:
    for model, page in admin.site._registry.items():
        yield model._meta.label_lower, page


def indexes(model: type[Model]) -> list[tuple[list[str], str]]:
    with connection.cursor() as cursor:
        cursor.execute(INDEXES, [model._meta.db_table])
        return list(cursor.fetchall())


def is_first(model: type[Model], *columns: str, condition: str = "") -> bool:
    """Whether an index begins with these columns. One with a condition is used only for `condition`, or for its column
    not being blank."""
    for found, predicate in indexes(model):
        bare = re.sub(r"::\w+|[()]", "", predicate)
        is_usable = not condition and bare in ("", f"{columns[-1]} <> ''", f"NOT {columns[-1]} = ''")
        if (is_usable or (condition and predicate == condition)) and found[: len(columns)] == list(columns):
            return True
    return False


def is_served(model: type[Model], path: str) -> bool:
    """Whether an index finds the value, with the game or alone, and the way back to the rows of the list."""
    *steps, name, _ = path.split("__")
    way = []
    for step in steps:
        field: Any = model._meta.get_field(step)
        if field.concrete:
            way.append(is_first(model, field.column))
        model = field.related_model
    column = model._meta.get_field(name).column  # type: ignore[union-attr]
    is_small = model._meta.label_lower in SMALL
    return all(way) and (is_small or is_first(model, column) or is_first(model, "game_id", column))


def test_every_search_is_served_by_an_index_or_reads_the_newest_rows() -> None:
    unserved = [
        f"{label}: {path}"
        for label, page in pages()
        if page.is_search_indexed
        for path in page.search_fields
        if path not in page.searched_in_newest and not is_served(page.model, path)
    ]
    assert unserved == []
    unbounded = {label for label, page in pages() if not page.newest}
    assert unbounded <= set(SMALL)


def test_every_large_table_that_can_be_searched_is_searched_by_an_index() -> None:
    large = {label: page for label, page in pages() if page.model._meta.db_table in READERS}
    assert len(large) > 8
    searched = {label for label, page in large.items() if page.search_fields}
    # Of a rejection only the message id could be searched, and nothing else reads an index of it.
    assert {label for label in searched if not large[label].is_search_indexed} == {"audience.rejection"}
    assert large["postbacks.delivery"].searched_in_newest == ["event_id__exact"]


def sources() -> Iterator[tuple[str, Any, NewestRows]]:
    for label, page in pages():
        for source in page.newest:
            yield label, page.model, source


CONDITIONS = {
    "audience.batch": "((state)::text = 'failed'::text)",
    "audience.erasure": "((state)::text = 'pending'::text)",
    "audience.conversion": "(fanned_out_at IS NULL)",
    "failed": "((state)::text = 'failed'::text)",
    "held": "((state)::text = 'held'::text)",
    "waiting": "((state)::text = 'waiting'::text)",
}


def test_every_way_to_read_the_newest_rows_has_an_index() -> None:
    missing = []
    for label, model, source in sources():
        column = model._meta.pk.column if source.by == "pk" else model._meta.get_field(source.by).column
        condition = CONDITIONS.get(label) or CONDITIONS.get(str(source.where.get("state"))) if source.where else ""
        columns = [f"{source.of}_id", column] if source.of else [column]
        if not is_first(model, *columns, condition=condition or ""):
            missing.append(f"{label} by {columns}")
    assert missing == []


def test_a_table_without_an_index_of_the_game_reads_the_newest_of_all_games() -> None:
    """The last way of each list has no condition, so that there is one for every filter."""
    for label, page in pages():
        if page.newest:
            assert (page.newest[-1].if_chosen, page.newest[-1].when) == (False, {}), label


@pytest.mark.parametrize(
    ("path", "expected"),
    [("message_id__exact", True), ("surface__exact", False), ("raw__exact", False), ("user_id__exact", True)],
)
def test_a_lookup_without_an_index_is_detected(path: str, expected: bool) -> None:
    assert is_served(Event, path) is expected
