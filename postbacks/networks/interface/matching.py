"""How well a network can match events to its users: match keys and their weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Whether events had each key, in the network's order -> the number of events.
Combinations = Mapping[tuple[bool, ...], int]


@dataclass(frozen=True, slots=True)
class MatchKey:
    """A body has the key if it has a value at every one of `paths`; list indexes are numbers, as for PostgreSQL's #>
    operator. `weight` is our estimate in points: those of a network add up to 100. `advice` is for the studio.
    """

    name: str
    label: str
    weight: int
    paths: tuple[tuple[str, ...], ...]
    advice: str


@dataclass(frozen=True, slots=True)
class KeyShare:
    """The share of events that had the key, 0 to 1; `potential` is the score if all of them had it."""

    key: MatchKey
    share: float
    potential: int

    @property
    def percent(self) -> int:
        """`share` in per cent, rounded so that 0 means none and 100 means all."""
        rounded = round(self.share * 100)
        return min(max(rounded, 1), 99) if 0 < self.share < 1 else rounded


@dataclass(frozen=True, slots=True)
class MatchQuality:
    """`score` is the mean over all events, 0 to 100; None without events."""

    events: int
    score: int | None
    shares: Sequence[KeyShare]

    @property
    def best_improvement(self) -> KeyShare | None:
        """The key that would raise the score most; None if none would."""
        best = max(self.shares, key=lambda share: (share.potential, share.key.weight), default=None)
        return best if best and self.score is not None and best.potential > self.score else None


def compute_quality(keys: Sequence[MatchKey], combinations: Combinations) -> MatchQuality:
    """The score of an event is the sum of its keys' weights; the score of all is the mean."""
    events = sum(combinations.values())
    if not events:
        return MatchQuality(events=0, score=None, shares=[KeyShare(key, 0.0, 0) for key in keys])
    counts = [sum(count for flags, count in combinations.items() if flags[index]) for index in range(len(keys))]
    shares = [(key, count / events) for key, count in zip(keys, counts, strict=True)]
    score = sum(key.weight * share for key, share in shares)
    scored = [KeyShare(key, share, round(score + key.weight * (1 - share))) for key, share in shares]
    return MatchQuality(events=events, score=round(score), shares=scored)
