"""The funnel as bars: for each step the conversions that reach the next one, then the others by status."""

from dataclasses import dataclass, field

from postbacks.reporting.funnel import LABELS, FunnelStep, Tally
from postbacks.reporting.statuses import Status

# The length of the longest bar, and the minimum length of a piece, in thousandths of the width.
BAR_LENGTH, MIN_PIECE = 1000, 6
# Patterns of pieces, so that they are not distinguished by color alone.
TONES: dict[str, str] = {
    Status.FAILED: "failed",
    Status.HELD: "held",
    Status.WAITING: "going",
    Status.UNDECIDED: "going",
    Status.PARTLY_DELIVERED: "going",
}


@dataclass(frozen=True, slots=True)
class BarPiece:
    """A part of a bar: the conversions that reach the step `key`, or have the status `key`. Lengths in thousandths."""

    key: str
    tally: Tally
    tone: str
    x: int
    width: int

    @property
    def left(self) -> str:
        return f"{self.x / 10}%"

    @property
    def length(self) -> str:
        return f"{self.width / 10}%"

    @property
    def label(self) -> str:
        return LABELS[self.key]


@dataclass(frozen=True, slots=True)
class FunnelBar:
    """One step; `share` is in per cent of the previous step, None if that was not counted completely or is empty."""

    step: FunnelStep
    share: int | None
    continuing: BarPiece | None
    lost: list[BarPiece] = field(default_factory=list)

    @property
    def pieces(self) -> list[BarPiece]:
        return [*([self.continuing] if self.continuing else []), *self.lost]


def draw_bars(steps: list[FunnelStep]) -> list[FunnelBar]:
    """Return the bars of the steps, all on one scale."""
    longest = max((step.tally.count for step in steps), default=0)
    return [_bar(steps, number, longest) for number in range(len(steps))]


def _bar(steps: list[FunnelStep], number: int, longest: int) -> FunnelBar:
    step, previous = steps[number], steps[number - 1] if number else None
    following = steps[number + 1] if number + 1 < len(steps) else step
    parts = [(following.key, following.tally, "kept")]
    parts += [(status, tally, TONES.get(status, "lost")) for status, tally in step.lost]
    pieces, x = [], 0
    for key, tally, tone in parts:
        width = max(MIN_PIECE, round(BAR_LENGTH * tally.count / longest)) if tally.count else 0
        if width:
            pieces.append(BarPiece(key, tally, tone, min(x, BAR_LENGTH - MIN_PIECE), width))
            x += width
    continuing = next((piece for piece in pieces if piece.tone == "kept"), None)
    return FunnelBar(step, _share(step, previous), continuing, [piece for piece in pieces if piece is not continuing])


def _share(step: FunnelStep, previous: FunnelStep | None) -> int | None:
    if previous is None or previous.at_least or not previous.tally.count:
        return None
    return round(100 * step.tally.count / previous.tally.count)
