"""Recording, reading, applying and deleting consent decisions."""

from datetime import datetime

from consent.models import STATED, ConsentDecision, Level

LOWEST_FIRST = (Level.NONE, Level.ANONYMOUS, Level.FULL)


def record_decision(
    *, game_id: int, anonymous_id: str, level: Level, source: str, decided_at: datetime
) -> ConsentDecision:
    """Store a decision recorded by PUT, and return it.

    Its `source` is free text; STATED, which marks other decisions, is capitalized.

    Raises django.db.OperationalError when the database is unavailable.
    """
    source = source.capitalize() if source == STATED else source
    return ConsentDecision.objects.create(
        game_id=game_id, anonymous_id=anonymous_id, level=level, source=source, decided_at=decided_at
    )


def current_level(*, game_id: int, anonymous_id: str) -> Level:
    """Return the newest recorded decision of an anonymous id, or NOT_SET, as `GET tracking-consent` answers it."""
    newest = ConsentDecision.objects.recorded().for_ids(game_id, [anonymous_id]).first()
    return Level(newest.level) if newest else Level.NOT_SET


def effective_level(*, stated: str, at_event: Level | None, later: Level | None, strict: bool) -> Level:
    """Return the lower of the level at the event's time and the newest decision after it.

    So later consent is not retroactive, but its withdrawal is. The level at the event's time is the level `stated` by
    the message ('' if it states none; not_set counts as NONE, as Immutable documents it), else that of the decision in
    force then, `at_event`, else the game's default: FULL, or NONE if `strict`.
    """
    default = Level.NONE if strict else Level.FULL
    at_time = (Level.NONE if stated == Level.NOT_SET else Level(stated)) if stated else at_event or default
    return min([at_time, later] if later else [at_time], key=LOWEST_FIRST.index)


def delete_decisions(*, game_id: int, anonymous_ids: list[str]) -> int:
    """Delete the decisions of these anonymous ids and return their number."""
    return ConsentDecision.objects.filter(game_id=game_id, anonymous_id__in=anonymous_ids).delete()[0]
