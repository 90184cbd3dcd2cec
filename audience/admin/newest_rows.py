"""The newest rows of a large table, read by an index: what a list of the admin shows, filters, sorts and counts.

So a page takes as long with a million rows as with ten thousand, whatever is filtered.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Func, OuterRef, QuerySet

# Rows that a list shows at most, and of several games or postbacks together, which are read and sorted for each page.
MAX_LISTED, MAX_OF_SEVERAL = 5_000, 2_000
# {parameter of the URL: value}
Chosen = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Listed:
    """The rows of a list, and how many there are at most: of each parent if `is_shared`. `at_most` is 0 for all."""

    rows: QuerySet[Any]
    at_most: int = 0
    is_shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NewestRows:
    """Rows in descending order of the column `by`, with an index on (`of`, `by`).

    `of` is a foreign key to a small table, or '' for an index on `by` alone. With `if_chosen` the rows are read in this
    way only if a filter chooses a row of that table. `where` is the condition of a partial index; its filter is chosen
    by `when`, {parameter of the URL: value}.
    """

    by: str = "pk"
    of: str = ""
    if_chosen: bool = False
    when: Chosen = field(default_factory=dict)
    where: Mapping[str, Any] = field(default_factory=dict)

    def serves(self, chosen: Chosen) -> bool:
        is_chosen = not self.if_chosen or self._parent(chosen) is not None
        return is_chosen and all(chosen.get(name) == value for name, value in self.when.items())

    def limit(self, rows: QuerySet[Any], chosen: Chosen) -> Listed:
        """Return the newest of these rows; of several parents the newest of each."""
        rows, table = rows.filter(**self.where), rows.model._base_manager.filter(**self.where)
        if not self.of:
            return self._newest_of_all(rows, table)
        parents = self._parents(rows, chosen)
        if len(parents) == 1:
            of_parent = {f"{self.of}_id": parents[0]}
            return self._newest_of_all(rows.filter(**of_parent), table.filter(**of_parent))
        share = max(MAX_OF_SEVERAL // max(len(parents), 1), 1)
        newest = table.filter(**{self.of: OuterRef("pk")}).order_by(f"-{self.by}").values("pk")[:share]
        unnested = Func(ArraySubquery(newest), function="unnest", output_field=type(rows.model._meta.pk)())
        ids = self._related(rows)._base_manager.filter(pk__in=parents).values_list(unnested)
        return Listed(rows.filter(pk__in=ids), share, is_shared=True)

    def _newest_of_all(self, rows: QuerySet[Any], table: QuerySet[Any]) -> Listed:
        """Return the rows that are not older than the last one to be listed."""
        newest = table.order_by(f"-{self.by}").values_list(self.by, flat=True)
        last = newest[MAX_LISTED - 1 : MAX_LISTED].first()
        return Listed(rows) if last is None else Listed(rows.filter(**{f"{self.by}__gte": last}), MAX_LISTED)

    def _parents(self, rows: QuerySet[Any], chosen: Chosen) -> list[Any]:
        """Return the ids of the rows of the small table: the chosen one, those of the chosen game, or all."""
        parent = self._parent(chosen)
        if parent is not None:
            return [parent]
        parents, game = self._related(rows)._base_manager.order_by("pk"), chosen.get("game__id__exact")
        if game is not None and self.of != "game":
            parents = parents.filter(game=game)
        return list(parents.values_list("pk", flat=True)[:MAX_OF_SEVERAL])

    def _parent(self, chosen: Chosen) -> str | None:
        return chosen.get(f"{self.of}__id__exact") or chosen.get(f"{self.of}_id")

    def _related(self, rows: QuerySet[Any]) -> Any:
        return rows.model._meta.get_field(self.of).related_model
