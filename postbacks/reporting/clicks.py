"""Explains why each click of a conversion's player was attributed or not."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from audience.digest import repeated_clicks
from audience.hub.toolkit.masking import masked
from audience.models import Conversion, Touch
from audience.models.attribution import UNCOUNTED_REASONS
from audience.wording.durations import duration
from postbacks.reporting import labels

# Maximum number of clicks shown, besides the attributed one.
MAX_CLICKS = 50
REPEATED = "Not counted: the browser sent the click of an earlier player again"


class ClickResult(StrEnum):
    """Why a click was attributed or not, for programs."""

    ATTRIBUTED = "attributed"
    REPEATED = "repeated"
    AFTER_EVENT = "after_event"
    NOT_USED = "not_used"
    OUTSIDE_WINDOW = "outside_window"
    EARLIER = "earlier"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class ConsideredClick:
    """A click of the player. `explanation` is the reason why it was attributed or not, as a sentence."""

    touch: Touch
    network: str
    click_id: str
    page_url: str
    is_attributed: bool
    result: ClickResult
    explanation: str


def touches_of(conversion: Conversion) -> list[Touch]:
    """Return the newest clicks of the player, and the attributed one."""
    newest = list(conversion.person.touches.order_by("-clicked_at", "pk")[:MAX_CLICKS])
    attributed = conversion.touch
    return newest if attributed is None or attributed in newest else [*newest, attributed]


def considered_clicks(conversion: Conversion, *, addresses: bool) -> list[ConsideredClick]:
    """Return the player's clicks, explained. The last paid click before the event, in the window, is attributed."""
    touches = touches_of(conversion)
    left_out = repeated_clicks.left_out(conversion.game, touches)
    return [
        ConsideredClick(
            touch=touch,
            network=labels.network_label(touch.network),
            click_id=masked(touch.click_id, addresses=addresses),
            page_url=masked(touch.page_url, addresses=addresses),
            is_attributed=touch.pk == conversion.touch_id,
            result=result,
            explanation=explanation,
        )
        for touch in touches
        for result, explanation in [
            _result(conversion, touch) if touch.pk not in left_out else (ClickResult.REPEATED, REPEATED)
        ]
    ]


def _result(conversion: Conversion, touch: Touch) -> tuple[ClickResult, str]:
    age, winner = conversion.event_at - touch.clicked_at, conversion.touch
    window = conversion.game.window_of(touch.network)
    if touch.pk == conversion.touch_id:
        return ClickResult.ATTRIBUTED, f"Attributed: the last paid click before the event, {_age_text(age)}"
    if age < timedelta(0):
        return ClickResult.AFTER_EVENT, f"After the event, by {duration(-age)}"
    if conversion.reason in UNCOUNTED_REASONS and winner is None:
        return ClickResult.NOT_USED, "Not used: this conversion does not count"
    if age > window:
        return ClickResult.OUTSIDE_WINDOW, f"Outside the {window.days}-day window, {_age_text(age)}"
    if winner is not None and (touch.clicked_at, touch.network, touch.click_key) < (
        winner.clicked_at,
        winner.network,
        winner.click_key,
    ):
        earlier = duration(winner.clicked_at - touch.clicked_at)
        return ClickResult.EARLIER, f"Earlier than the attributed click, by {earlier}"
    return ClickResult.LATE, "Received after this conversion was processed"


def _age_text(age: timedelta) -> str:
    return f"{duration(age)} before" if age >= timedelta(seconds=1) else "at the same time"
