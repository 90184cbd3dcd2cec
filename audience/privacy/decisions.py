"""Recording consent decisions of anonymous ids."""

from datetime import datetime

from auditlog.models import LogEntry
from django.db import connection, transaction

from audience.accounts import audit_log
from audience.database import clock
from audience.digest import pruned_ids
from audience.digest.queue import lock_game
from audience.ids.values import canonical
from audience.intake.requests import suppressed_ids
from audience.intake.requests.suppressed_ids import SuppressedIds
from audience.models import Game, Person
from audience.models.people import ANONYMOUS
from consent import decisions
from consent.models import ConsentDecision, Level

MAX_SOURCE_LENGTH = 128
ERASED = "The player of this ID was erased, and what arrives later with it is refused. Accept its events again first."
# Waits for a pruning that is deleting the row.
IS_KNOWN = f"""
SELECT 1 FROM audience_identity WHERE (game_id, namespace, value) = (%s, '{ANONYMOUS}', %s) FOR KEY SHARE
"""


class DecisionRefused(Exception):
    """The decision was not stored. The message is shown."""


def record_of_client(
    *, game: Game, anonymous_id: str, level: Level, source: str, decided_at: datetime
) -> ConsentDecision | None:
    """As `record`; None, without storing anything, for an id whose player was erased with a suppression.

    `game` has the suppressed ids that were read with the key of the request.
    """
    suppressed: SuppressedIds | None = game.suppressed_ids
    if suppressed and suppressed.includes_anonymous(anonymous_id):
        return None
    return record(game_id=game.pk, anonymous_id=anonymous_id, level=level, source=source, decided_at=decided_at)


def record(*, game_id: int, anonymous_id: str, level: Level, source: str, decided_at: datetime) -> ConsentDecision:
    """Store a decision, and return it. It binds the player of the id, also if the row of the id was pruned.

    Raises django.db.OperationalError when the database is unavailable.
    """
    decision = decisions.record_decision(
        game_id=game_id, anonymous_id=anonymous_id, level=level, source=source, decided_at=decided_at
    )
    with connection.cursor() as cursor:
        cursor.execute(IS_KNOWN, [game_id, anonymous_id])
        if cursor.fetchone():
            return decision
    game = Game(pk=game_id)
    if pruned_ids.namings(game, [anonymous_id]):
        with transaction.atomic():
            lock_game(game_id, wait=True)
            pruned_ids.recall(game, [anonymous_id])
    return decision


@transaction.atomic
def set_decision(*, game: Game, anonymous_id: str, level: Level, source: str) -> ConsentDecision:
    """Store a decision that a member, or a token, records for a player, and return it.

    The entry in the audit log is about the player, who is known there by no other id, or about the game if the id has
    no player yet. Raises DecisionRefused for an id whose player was erased with a suppression.
    """
    value, suppressed = canonical(anonymous_id), suppressed_ids.read(game)
    if suppressed and suppressed.includes_anonymous(value):
        raise DecisionRefused(ERASED)
    before = decisions.current_level(game_id=game.pk, anonymous_id=value)
    decision = record(game_id=game.pk, anonymous_id=value, level=level, source=source, decided_at=clock.now())
    player = Person.objects.filter(identities__game=game, identities__namespace=ANONYMOUS, identities__value=value)
    changes = {"consent": (str(before.label), str(level.label))}
    action = LogEntry.Action.UPDATE
    audit_log.record(game=game, subject=player.first() or game, action=action, changes=changes)
    return decision
