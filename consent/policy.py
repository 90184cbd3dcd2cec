"""Which level of consent is in force for a conversion. Pure."""

from consent.models import Level


def effective(*, stated: str, recorded: Level | None, strict: bool) -> Level:
    """The message's own level wins, else the newest recorded decision, else pass-through.

    `stated` is '' or not_set when the message says nothing. A strict game reads "unknown" as none.
    """
    if stated and stated != Level.NOT_SET:
        return Level(stated)
    if recorded is not None:
        return recorded
    return Level.NONE if strict else Level.FULL
