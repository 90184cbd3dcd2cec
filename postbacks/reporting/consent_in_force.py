"""The consent in force for a conversion, and its source, as sentences."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from audience.models import Conversion
from consent.models import Level
from postbacks.outbox import consent_levels, privacy_flags


class ConsentSource(StrEnum):
    """Where the level in force comes from, for programs."""

    INVALID = "invalid"
    MESSAGE = "message"
    DECISION = "decision"
    DEFAULT = "default"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class ConsentInForce:
    """The consent in force; `explanation` says where it comes from. `decided_at` is None if it was not decided."""

    level: Level
    source: ConsentSource
    explanation: str
    decided_at: datetime | None = None


def consent_of(conversion: Conversion) -> ConsentInForce:
    """Return the level that the gate applies now, with its source."""
    decisions = consent_levels.decisions([conversion]).get(conversion.pk, consent_levels.Decisions())
    level, later = consent_levels.level(conversion, decisions), decisions.later
    source, explanation, decided_at = _consent_at_event(conversion, decisions.at_event)
    if later and level != consent_levels.level(conversion, consent_levels.Decisions(decisions.at_event)):
        text = f"{explanation} Withdrawn later, {later.origin}."
        return ConsentInForce(level, ConsentSource.WITHDRAWN, text, later.decided_at)
    return ConsentInForce(level, source, explanation, decided_at)


def _consent_at_event(
    conversion: Conversion, decision: consent_levels.Decision | None
) -> tuple[ConsentSource, str, datetime | None]:
    """Return where the level at the event's time comes from, and when it was decided (None if it was not)."""
    stated = conversion.consent_level
    if stated and stated not in Level.values:
        text = f"The message states “{stated}”, which is not a valid level and counts as none."
        return ConsentSource.INVALID, text, None
    if stated == Level.NOT_SET:
        return ConsentSource.MESSAGE, "The message states “not_set”, which counts as none.", None
    if stated:
        return ConsentSource.MESSAGE, "Stated in the message.", None
    if decision:
        text = f"The player’s decision at the time of the event, {decision.origin}."
        return ConsentSource.DECISION, text, decision.decided_at
    counts_as = "no consent" if conversion.game.strict_consent else "consent"
    text = f"No level was stated or recorded until then. In this game, this counts as {counts_as}."
    return ConsentSource.DEFAULT, text, None


def data_use_of(conversion: Conversion) -> str:
    """Return a sentence about limited data use; '' if neither the event nor the game asks for it."""
    always_limited = conversion.game.limited_data_use
    use = privacy_flags.data_use(conversion.context, conversion.properties, always_limited=always_limited)
    if use is None:
        return ""
    if not use.limited:
        return "The event states that networks can use its data without limits."
    source = "as for every conversion of this game" if always_limited else "as the event states"
    return f"Limited data use is requested from networks that support it, {source}."
