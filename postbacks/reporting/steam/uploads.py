"""Uploading and deleting Steam's UTM analytics of a game."""

from dataclasses import dataclass
from datetime import date

from auditlog.models import LogEntry
from django.db import transaction
from django.db.models import QuerySet

from audience.accounts import audit_log
from audience.database import clock
from audience.models import Game
from postbacks.models import SteamUpload, SteamVisits
from postbacks.reporting.campaigns.cost_files import CostFile
from postbacks.reporting.campaigns.cost_uploads import CostLinesRefused, line_count
from postbacks.reporting.steam import files


@dataclass(frozen=True, slots=True)
class StoredVisits:
    """An upload, and how many lines with totals it left out."""

    upload: SteamUpload
    totals: int


def stored(game: Game, first: date, last: date) -> QuerySet[SteamVisits]:
    """Return the rows of the days."""
    return SteamVisits.objects.filter(game=game, day__range=(first, last))


@transaction.atomic
def store_file(*, game: Game, file: CostFile, name: str, uploaded_by: str) -> StoredVisits:
    """Store all lines of a file, in place of all rows of its days; nothing if a line has an error.

    Raises CostLinesRefused.
    """
    read = files.read_rows(game, file)
    if read.errors or not read.rows:
        raise CostLinesRefused(read.errors, len(file.lines))
    # One upload after another: two files may have the same days.
    Game.objects.select_for_update(no_key=True).get(pk=game.pk)
    days = sorted({row.day for row in read.rows})
    replaced = SteamVisits.objects.filter(game=game, day__in=days).delete()[0]
    SteamVisits.objects.bulk_create(read.rows)
    upload = SteamUpload.objects.create(
        game=game,
        name=name[:200],
        rows=len(read.rows),
        replaced=replaced,
        first_day=days[0],
        last_day=days[-1],
        uploaded_by=uploaded_by[:254],
        uploaded_at=clock.now(),
    )
    return StoredVisits(upload, read.totals)


@transaction.atomic
def delete(*, game: Game, first: date, last: date) -> int:
    """Delete the rows of the days; return their number. The list of uploads stays."""
    Game.objects.select_for_update(no_key=True).get(pk=game.pk)
    number = stored(game, first, last).delete()[0]
    if number:
        changes = {"steam_numbers": (f"{line_count(number)}, {first} to {last}", "None")}
        audit_log.record(game=game, subject=game, action=LogEntry.Action.UPDATE, changes=changes)
    return number
