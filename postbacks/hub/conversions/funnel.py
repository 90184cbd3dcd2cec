"""The funnel as bars: per step the conversions that continue, then the losses by status."""

from dataclasses import dataclass, field

from postbacks.reporting.conversion_status import Status
from postbacks.reporting.funnel import LABELS, FunnelStep, Tally

# The length of a full bar in thousandths, and of the shortest visible piece.
BAR_LENGTH, MIN_PIECE = 1000, 6
# Patterns of pieces, so that they are not distinguished by colour alone.
TONES: dict[str, str] = {
    Status.FAILED: "failed",
    Status.HELD: "held",
    Status.WAITING: "going",
    Status.UNDECIDED: "going",
}


@dataclass(frozen=True, slots=True)
class BarPiece:
    """A part of a bar: conversions that continue (`key` is the next step's) or have one status."""

    key: str
    tally: Tally
    tone: str
    # In thousandths of the bar.
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
    """One step; `share` is in per cent of the step before, None where it has no meaning."""

    step: FunnelStep
    share: int | None
    kept: BarPiece | None
    lost: list[BarPiece] = field(default_factory=list)

    @property
    def pieces(self) -> list[BarPiece]:
        return [*([self.kept] if self.kept else []), *self.lost]


def draw_bars(steps: list[FunnelStep]) -> list[FunnelBar]:
    """Return the bars of the steps, all on one scale."""
    most = max((step.tally.count for step in steps), default=0)
    return [_bar(steps, number, most) for number in range(len(steps))]


def _bar(steps: list[FunnelStep], number: int, most: int) -> FunnelBar:
    step, before = steps[number], steps[number - 1] if number else None
    after = steps[number + 1] if number + 1 < len(steps) else step
    # There is no list of events seen: the bar is one piece.
    parts = [(after.key, after.tally if number else step.tally, "kept")]
    parts += [(place, tally, TONES.get(place, "lost")) for place, tally in step.lost]
    pieces, x = [], 0
    for key, tally, tone in parts:
        width = max(MIN_PIECE, round(BAR_LENGTH * tally.count / most)) if tally.count else 0
        if width:
            pieces.append(BarPiece(key, tally, tone, min(x, BAR_LENGTH - MIN_PIECE), width))
            x += width
    kept = next((piece for piece in pieces if piece.tone == "kept"), None)
    return FunnelBar(step, _share(step, before), kept, [piece for piece in pieces if piece is not kept])


def _share(step: FunnelStep, before: FunnelStep | None) -> int | None:
    if before is None or before.at_least or not before.tally.count:
        return None
    return round(100 * step.tally.count / before.tally.count)
