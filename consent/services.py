"""Recording, reading and deleting consent decisions."""

from datetime import datetime

from consent.models import ConsentDecision, Level


def record_decision(*, game_id: int, anonymous_id: str, level: Level, source: str, decided_at: datetime) -> None:
    """Store a decision. Raises django.db.OperationalError when the database is unavailable."""
    ConsentDecision.objects.create(
        game_id=game_id, anonymous_id=anonymous_id, level=level, source=source, decided_at=decided_at
    )


def newest_level(*, game_id: int, anonymous_ids: list[str]) -> Level | None:
    """Return the newest decision of any of these anonymous ids, or None."""
    newest = ConsentDecision.objects.for_ids(game_id, anonymous_ids).first()
    return Level(newest.level) if newest else None


def current_level(*, game_id: int, anonymous_id: str) -> Level:
    """Return the decision in force for one anonymous id, or NOT_SET, as `GET tracking-consent` answers it."""
    return newest_level(game_id=game_id, anonymous_ids=[anonymous_id]) or Level.NOT_SET


def delete_decisions(*, game_id: int, anonymous_ids: list[str]) -> int:
    """Delete the decisions of these anonymous ids and return their number."""
    return ConsentDecision.objects.filter(game_id=game_id, anonymous_id__in=anonymous_ids).delete()[0]
