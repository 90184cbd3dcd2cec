"""Uploading and deleting the costs of a game."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from auditlog.models import LogEntry
from django.db import transaction
from django.db.models import QuerySet

from audience.accounts import audit_log
from audience.models import Game
from postbacks.models import AdCost, CostUpload
from postbacks.reporting.campaigns import cost_files, costs
from postbacks.reporting.campaigns.cost_files import REQUIRED, CostFile, CostsRefused
from postbacks.reporting.labels import network_label


class CostLinesRefused(CostsRefused):
    """Lines of the file cannot be read, and nothing was stored. `errors` are (line, problem), none if there are only
    lines with totals."""

    def __init__(self, errors: list[tuple[int, str]], lines: int) -> None:
        wrong = len(errors)
        verb = "has" if wrong == 1 else "have"
        text = f"Nothing was saved: {wrong:,} of {line_count(lines)} {verb} errors."
        super().__init__(text if errors else "Nothing was saved: the file has only lines with totals.")
        self.errors = errors


@dataclass(frozen=True, slots=True)
class StoredCosts:
    """An upload, and how many lines with totals it left out."""

    upload: CostUpload
    totals: int


def line_count(number: int) -> str:
    return f"{number:,} line{'' if number == 1 else 's'}"


def missing_columns(mapped: Mapping[str, int], defaults: Mapping[str, str]) -> list[str]:
    """Return the required columns that a file does not have, and that no default states."""
    return [column for column in REQUIRED if column not in mapped and not defaults.get(column)]


def store_file(
    *, game: Game, file: CostFile, mapped: Mapping[str, int], defaults: Mapping[str, str], name: str, uploaded_by: str
) -> StoredCosts:
    """Store all lines of a file, in place of those of the same days and campaigns. Raises CostLinesRefused.

    `mapped` is {column: its position}, `defaults` the network and currency of lines without one.
    """
    read = cost_files.read_rows(game, file, mapped, defaults=defaults)
    if read.errors or not read.rows:
        raise CostLinesRefused(read.errors, len(file.lines))
    upload = costs.store(game=game, rows=read.rows, name=name, uploaded_by=uploaded_by)
    return StoredCosts(upload, read.totals)


def stored(game: Game, first: date, last: date, network: str = "") -> QuerySet[AdCost]:
    """Return the costs of the days, of all networks or one."""
    rows = AdCost.objects.filter(game=game, day__range=(first, last))
    return rows.filter(network=network) if network else rows


@transaction.atomic
def delete(*, game: Game, first: date, last: date, network: str = "") -> int:
    """Delete the costs of the days, of all networks or one; return their number. The list of uploads stays."""
    # As in costs.store: one after another.
    Game.objects.select_for_update(no_key=True).get(pk=game.pk)
    number = stored(game, first, last, network).delete()[0]
    if number:
        of = f" of {network_label(network)}" if network else ""
        before = f"{line_count(number)}{of}, {first} to {last}"
        changes = {"costs": (before, "None")}
        audit_log.record(game=game, subject=game, action=LogEntry.Action.UPDATE, changes=changes)
    return number
