"""The consent in force for a conversion, and its source, as sentences."""

from dataclasses import dataclass
from datetime import datetime

from audience.models import Conversion
from consent.models import Level
from postbacks.outbox import consent_levels, privacy_flags


@dataclass(frozen=True, slots=True)
class ConsentInForce:
    """The consent in force; `explanation` names its source. `decided_at` is None if it was not decided."""

    level: Level
    explanation: str
    decided_at: datetime | None = None


def consent_of(conversion: Conversion) -> ConsentInForce:
    """Return the level that the gate applies now, with its source."""
    decisions = consent_levels.decisions([conversion]).get(conversion.pk, consent_levels.Decisions())
    level, later = consent_levels.level(conversion, decisions), decisions.later
    explanation, decided_at = _consent_at_event(conversion, decisions.at_event)
    if later and level != consent_levels.level(conversion, consent_levels.Decisions(decisions.at_event)):
        return ConsentInForce(level, f"{explanation} Withdrawn later, {later.origin}.", later.decided_at)
    return ConsentInForce(level, explanation, decided_at)


def _consent_at_event(conversion: Conversion, decision: consent_levels.Decision | None) -> tuple[str, datetime | None]:
    """Return the source of the level at the event's time, and when it was decided (None if it was not)."""
    stated = conversion.consent_level
    if stated and stated not in Level.values:
        return f"The message states “{stated}”, which is not a valid level and counts as none.", None
    if stated == Level.NOT_SET:
        return "The message states “not_set”, which counts as none.", None
    if stated:
        return "Stated in the message.", None
    if decision:
        return f"The player’s decision at the time of the event, {decision.origin}.", decision.decided_at
    if conversion.game.strict_consent:
        return "No level was stated or recorded until then. In this game, this counts as no consent.", None
    return "No level was stated or recorded until then. In this game, this counts as consent.", None


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
