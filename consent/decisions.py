"""Recording, reading, applying and deleting consent decisions."""

from datetime import datetime

from consent.models import ConsentDecision, Level


def record_decision(*, game_id: int, anonymous_id: str, level: Level, source: str, decided_at: datetime) -> None:
    """Store a decision. Raises django.db.OperationalError when the database is unavailable."""
    ConsentDecision.objects.create(
        game_id=game_id, anonymous_id=anonymous_id, level=level, source=source, decided_at=decided_at
    )


def current_level(*, game_id: int, anonymous_id: str) -> Level:
    """Return the newest decision of an anonymous id, or NOT_SET, as `GET tracking-consent` answers it."""
    newest = ConsentDecision.objects.for_ids(game_id, [anonymous_id]).first()
    return Level(newest.level) if newest else Level.NOT_SET


def effective_level(*, stated: str, recorded: Level | None, strict: bool) -> Level:
    """Return the consent level of a conversion: the message's own, else the newest recorded, else the game's default.

    `stated` is '' when the message states no level. A stated not_set counts as none, as Immutable documents it.
    `strict` is the game's setting for players without any stated or recorded level: none instead of full.
    """
    if stated == Level.NOT_SET:
        return Level.NONE
    if stated:
        return Level(stated)
    if recorded is not None:
        return recorded
    return Level.NONE if strict else Level.FULL


def delete_decisions(*, game_id: int, anonymous_ids: list[str]) -> int:
    """Delete the decisions of these anonymous ids and return their number."""
    return ConsentDecision.objects.filter(game_id=game_id, anonymous_id__in=anonymous_ids).delete()[0]
