"""How well a network can match events to its users: match keys and their weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Which of the keys an event carried, in the network's order, and how many events carried just these.
Combinations = Mapping[tuple[bool, ...], int]


@dataclass(frozen=True, slots=True)
class MatchKey:
    """A body carries the key when it has a value at every one of `paths`; list indexes are numbers, as for PostgreSQL's
    #> operator. `weight` is our own estimate in points: those of a network add up to 100. `advice` is for the studio.
    """

    name: str
    label: str
    weight: int
    paths: tuple[tuple[str, ...], ...]
    advice: str


@dataclass(frozen=True, slots=True)
class KeyShare:
    """`share` of events carried the key, 0 to 1; with it on all of them the score would be `lifted`."""

    key: MatchKey
    share: float
    lifted: int

    @property
    def percent(self) -> int:
        """`share` in per cent, rounded so that 0 means none and 100 means all."""
        rounded = round(self.share * 100)
        return min(max(rounded, 1), 99) if 0 < self.share < 1 else rounded


@dataclass(frozen=True, slots=True)
class MatchQuality:
    """`score` is the mean of what the events carried, 0 to 100; None when there were none."""

    events: int
    score: int | None
    shares: Sequence[KeyShare]

    @property
    def best_lift(self) -> KeyShare | None:
        """The key that would raise the score most; None when none would."""
        best = max(self.shares, key=lambda share: (share.lifted, share.key.weight), default=None)
        return best if best and self.score is not None and best.lifted > self.score else None


def judge(keys: Sequence[MatchKey], combinations: Combinations) -> MatchQuality:
    """An event scores the weights of its keys; the score is the mean over all events."""
    events = sum(combinations.values())
    if not events:
        return MatchQuality(events=0, score=None, shares=[KeyShare(key, 0.0, 0) for key in keys])
    carriers = [sum(times for carried, times in combinations.items() if carried[place]) for place in range(len(keys))]
    shares = [(key, count / events) for key, count in zip(keys, carriers, strict=True)]
    score = sum(key.weight * share for key, share in shares)
    lifted = [KeyShare(key, share, round(score + key.weight * (1 - share))) for key, share in shares]
    return MatchQuality(events=events, score=round(score), shares=lifted)
