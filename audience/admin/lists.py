"""Lists of the admin that open as fast with a million rows as with a few.

A list shows the newest rows, to which its filters apply; a search reads the whole table, by an index for each field.
Rows are counted up to a limit.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import get_fields_from_path
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from audience.admin.newest_rows import MAX_LISTED, Listed, NewestRows
from audience.ids.values import canonical
from audience.models import Game

# Rows that a search finds at most with each field.
MAX_FOUND = 200


class BoundedPaginator(Paginator[Any]):
    """Counts at most MAX_LISTED rows, since counting a table of events takes too long."""

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        return rows.order_by().values("pk")[:MAX_LISTED].count() if isinstance(rows, QuerySet) else len(rows)


class NewestFirst(ChangeList):
    """A list of the newest rows; of all rows for a search that an index serves, and for selected rows."""

    model_admin: Any

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        rows = super().get_queryset(request, exclude_parameters)
        self.listed = Listed(rows)
        # The rows of an action are selected by their ids. They may be older than the newest ones by now.
        is_selected = ACTION_CHECKBOX_NAME in request.POST and request.POST.get("select_across") != "1"
        if not is_selected and not (self.query and self.model_admin.is_search_indexed):
            self.listed = self._newest(rows, request)
        return self.listed.rows

    def _newest(self, rows: QuerySet[Any], request: HttpRequest) -> Listed:
        try:
            return self.model_admin.newest_of(rows, request)  # type: ignore[no-any-return]
        except (ValueError, ValidationError) as error:  # a filter with one choice ignores its value
            raise IncorrectLookupParameters(error) from error

    @property
    def note(self) -> str:
        """What the list shows, '' for all rows."""
        if not self.listed.at_most:
            return ""
        each = " of each game" if self.listed.is_shared else ""
        older = " A search finds older ones too." if self.model_admin.is_search_indexed else ""
        return f"Lists and filters the newest {self.listed.at_most:,} rows{each}.{older}"


class FastList:
    """A ModelAdmin whose list opens as fast with a million rows as with a few.

    `newest` are the ways to read the newest rows, of which the first that serves the chosen filters is used; empty for
    a table that stays small. With `is_search_indexed` every field of `search_fields` ends with `__exact`, or
    `__contains` for an array, and has an index on (game, column) or on the column alone; those of `searched_in_newest`
    have none, and are searched in the newest rows.
    """

    paginator: Any = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    newest: Sequence[NewestRows] = (NewestRows(),)
    is_search_indexed = False
    searched_in_newest: Sequence[str] = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return NewestFirst

    def newest_of(self, rows: QuerySet[Any], request: HttpRequest) -> Listed:
        """Return the newest of these rows, for the filters of the request."""
        chosen = {name: str(value) for name, value in request.GET.items()}
        source = next((source for source in self.newest if source.serves(chosen)), None)
        return source.limit(rows, chosen) if source else Listed(rows)

    def get_search_results(
        self: Any, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not self.is_search_indexed or not search_term:
            return admin.ModelAdmin.get_search_results(self, request, queryset, search_term)
        ids: set[Any] = set()
        for rows in self.lookups(request, search_term.strip()):
            ids.update(rows.order_by().values_list("pk", flat=True)[:MAX_FOUND])
        return queryset.filter(pk__in=ids), False

    def lookups(self: Any, request: HttpRequest, term: str) -> Iterator[QuerySet[Any]]:
        """Yield the rows that each field of the search finds."""
        games = list(Game.objects.values_list("pk", flat=True))
        for path in self.search_fields:
            column, _, lookup = path.rpartition("__")
            rows = self.model._base_manager.all()
            rows = self.newest_of(rows, request).rows if path in self.searched_in_newest else rows
            if lookup == "contains":
                yield rows.filter(**{path: [term]})
            elif values := values_of(get_fields_from_path(self.model, column)[-1], term):
                yield rows.filter(**{f"{column}__in": values}, **_of_games(self.model, column, games))


def values_of(field: Any, term: str) -> list[Any]:
    """Return the values of the column that a search for `term` finds: an id as it is, and in its canonical form."""
    column = field.target_field if field.is_relation else field
    if column.get_internal_type() in ("CharField", "TextField", "EmailField"):
        return list(dict.fromkeys((term, canonical(term))))
    try:
        value = column.to_python(term)
        column.run_validators(value)
    except ValidationError:
        return []
    return [value]


def _of_games(model: Any, path: str, games: list[int]) -> dict[str, Any]:
    """Return the lookup of the game, which is the first column of most indexes; {} for a table without a game."""
    *steps, _ = path.split("__")
    for step in steps:
        model = model._meta.get_field(step).related_model
    columns = {field.attname for field in model._meta.concrete_fields}
    return {"__".join([*steps, "game_id", "in"]): games} if "game_id" in columns and path != "id" else {}


def values_filter(path: str, title: str, values: Callable[[], Iterable[str]]) -> type[admin.SimpleListFilter]:
    """Return a filter of a column by these values. Django's own would read all values of the table."""

    class ValuesFilter(admin.SimpleListFilter):
        parameter_name = path

        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
            return [(value, value) for value in values()]

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            return queryset.filter(**{path: self.value()}) if self.value() else queryset

    ValuesFilter.title = title
    return ValuesFilter


class GameFilter(admin.SimpleListFilter):
    """A filter by game of a table without a foreign key."""

    title = "game"
    parameter_name = "game_id"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        return [(pk, name) for pk, name in Game.objects.order_by("name").values_list("pk", "name")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if value and not value.isdecimal():
            raise IncorrectLookupParameters
        return queryset.filter(game_id=value) if value else queryset
