"""The consent level in force for a conversion. Pure functions."""

from consent.models import Level


def effective_level(*, stated: str, recorded: Level | None, strict: bool) -> Level:
    """Return the message's own level, else the newest recorded decision, else the game's default.

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
