"""Recording and reading what players decided."""

from datetime import datetime

from consent.models import ConsentDecision, Level


def record_decision(*, game_id: int, anonymous_id: str, level: Level, source: str, decided_at: datetime) -> None:
    """Add a decision; the last write wins. Raises `django.db.OperationalError` when the database is away."""
    ConsentDecision.objects.create(
        game_id=game_id, anonymous_id=anonymous_id, level=level, source=source, decided_at=decided_at
    )


def newest_level(*, game_id: int, anonymous_ids: list[str]) -> Level | None:
    """The newest decision of any of a person's anonymous ids; None when none was ever recorded."""
    newest = ConsentDecision.objects.for_ids(game_id, anonymous_ids).first()
    return Level(newest.level) if newest else None


def current_level(*, game_id: int, anonymous_id: str) -> Level:
    """What a client is told: the decision in force, or not_set."""
    return newest_level(game_id=game_id, anonymous_ids=[anonymous_id]) or Level.NOT_SET


def delete_decisions(*, game_id: int, anonymous_ids: list[str]) -> int:
    """Delete the decisions of these ids; how many there were."""
    return ConsentDecision.objects.filter(game_id=game_id, anonymous_id__in=anonymous_ids).delete()[0]
