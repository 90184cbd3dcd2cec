"""How well a network can match what it is sent: the keys it matches by, and what each is worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Which of the keys an event carried, in the network's order, and how many events carried just these.
Combinations = Mapping[tuple[bool, ...], int]


@dataclass(frozen=True, slots=True)
class MatchKey:
    """`paths` lead to what a sent body must hold, all of it, to carry the key; list places are numbers, as PostgreSQL's
    #> takes them. `weight` is ours, in points: those of a network add up to 100. `advice` says how a studio adds it.
    """

    name: str
    label: str
    weight: int
    paths: tuple[tuple[str, ...], ...]
    advice: str


@dataclass(frozen=True, slots=True)
class Share:
    """`share` of events carried the key, 0 to 1; with it on all of them the score would be `lifted`."""

    key: MatchKey
    share: float
    lifted: int


@dataclass(frozen=True, slots=True)
class Quality:
    """`score` is the mean of what the events carried, 0 to 100; None when there were none."""

    events: int
    score: int | None
    shares: Sequence[Share]

    @property
    def best_lift(self) -> Share | None:
        """The key that would raise the score most; None when none would."""
        best = max(self.shares, key=lambda share: (share.lifted, share.key.weight), default=None)
        return best if best and self.score is not None and best.lifted > self.score else None


def judged(keys: Sequence[MatchKey], combinations: Combinations) -> Quality:
    """Weigh what was sent. An event's points are those of its keys, so a key raises the score by what it lacks."""
    events = sum(combinations.values())
    if not events:
        return Quality(events=0, score=None, shares=[Share(key, 0.0, 0) for key in keys])
    shares = [
        sum(times for carried, times in combinations.items() if carried[place]) / events for place in range(len(keys))
    ]
    score = sum(key.weight * share for key, share in zip(keys, shares, strict=True))
    return Quality(
        events=events,
        score=round(score),
        shares=[
            Share(key, share, round(score + key.weight * (1 - share))) for key, share in zip(keys, shares, strict=True)
        ],
    )
