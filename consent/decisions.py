"""Recording, reading, applying and deleting consent decisions."""

from datetime import datetime

from consent.models import STATED, ConsentDecision, Level

LOWEST_FIRST = (Level.NONE, Level.ANONYMOUS, Level.FULL)


def record_decision(*, game_id: int, anonymous_id: str, level: Level, source: str, decided_at: datetime) -> None:
    """Store a decision. STATED as its `source`, which is free text, is stored with a capital letter.

    Raises django.db.OperationalError when the database is unavailable.
    """
    recorded = source.capitalize() if source == STATED else source
    ConsentDecision.objects.create(
        game_id=game_id, anonymous_id=anonymous_id, level=level, source=recorded, decided_at=decided_at
    )


def current_level(*, game_id: int, anonymous_id: str) -> Level:
    """Return the newest recorded decision of an anonymous id, or NOT_SET, as `GET tracking-consent` answers it."""
    newest = ConsentDecision.objects.recorded().for_ids(game_id, [anonymous_id]).first()
    return Level(newest.level) if newest else Level.NOT_SET


def effective_level(*, stated: str, at_event: Level | None, later: Level | None, strict: bool) -> Level:
    """Return the lower of the level at the event's time and the newest decision after it.

    So consent that is given later is not retroactive, and its withdrawal is. The level at the event's time is the one
    that the message states ('' for none; not_set counts as none, as Immutable documents it), else the decision in force
    then, else the game's default. `strict` is the game's setting for players without any level: none instead of full.
    """
    default = Level.NONE if strict else Level.FULL
    at_time = (Level.NONE if stated == Level.NOT_SET else Level(stated)) if stated else at_event or default
    return min([at_time, later] if later else [at_time], key=LOWEST_FIRST.index)


def delete_decisions(*, game_id: int, anonymous_ids: list[str]) -> int:
    """Delete the decisions of these anonymous ids and return their number."""
    return ConsentDecision.objects.filter(game_id=game_id, anonymous_id__in=anonymous_ids).delete()[0]
