"""Which level of consent is in force for a conversion. Pure."""

from consent.models import Level


def effective_level(*, stated: str, recorded: Level | None, strict: bool) -> Level:
    """The message's own level wins, else the newest recorded decision, else the game's setting.

    `stated` is '' when the message states none, as in a dialect without levels. A stated not_set says that the player
    was asked and has not answered, or was not asked yet, and counts as none (Immutable's document). `strict` is the
    game's setting for players of whom nothing was ever stated: none, instead of full.
    """
    if stated == Level.NOT_SET:
        return Level.NONE
    if stated:
        return Level(stated)
    if recorded is not None:
        return recorded
    return Level.NONE if strict else Level.FULL
