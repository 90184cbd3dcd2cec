"""The modeled match of a conversion, as pages and programs state it."""

from dataclasses import dataclass

from django.db.models import Prefetch, QuerySet

from audience.hub.toolkit.masking import masked
from audience.models import Conversion, MatchResult, ModeledMatch, Touch
from audience.wording.durations import duration
from postbacks.reporting import labels


@dataclass(frozen=True, slots=True)
class ExplainedMatch:
    """`touch` is the click of the visitor, None unless the launch is matched; `explanation` is a sentence."""

    result: MatchResult
    touch: Touch | None
    network: str
    click_id: str
    explanation: str


def with_matches(conversions: QuerySet[Conversion]) -> QuerySet[Conversion]:
    """Return the conversions with everything that `modeled_match_of` reads."""
    return conversions.prefetch_related(
        Prefetch("modeled_matches", ModeledMatch.objects.shown().select_related("touch").order_by("pk"))
    )


def modeled_match_of(conversion: Conversion, *, addresses: bool) -> ExplainedMatch | None:
    """Return the match of a conversion of `with_matches`; None if there is none."""
    row = next(iter(conversion.modeled_matches.all()), None)
    if row is None or conversion.touch_id is not None:
        return None
    result, touch = MatchResult(row.result), row.touch
    if touch is None:
        return ExplainedMatch(result, None, "", "", f"{result.label}.")
    earlier = duration(conversion.event_at - touch.clicked_at)
    return ExplainedMatch(
        result=result,
        touch=touch,
        network=labels.network_label(touch.network),
        click_id=masked(touch.click_id, addresses=addresses),
        explanation=f"The only visitor with this address and operating system, {earlier} before. This is an estimate.",
    )
