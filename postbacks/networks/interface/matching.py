"""How well a network can match events to its users: match keys and their weights."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

from postbacks.networks.interface.facts import Facts

# Whether events had each key, in the network's order -> the number of events.
Combinations = Mapping[tuple[bool, ...], int]
ANY = "*"  # a step of a path: any entry of a list
# The facts that fill the first path of a key, by its name: those that may be in a form that a network does not take.
STATED_FACTS = {
    "email": ("email", "hashes.email", "hashes.canonical_email"),
    "phone": ("phone", "hashes.phone"),
    "connection": ("ip",),
    "browser_id": ("cookies",),
}
# Key -> what the studio should send.
ACCEPTED_FORMS = {
    "email": "Send one address, such as name@example.com, or its SHA-256 if the network accepts that.",
    "phone": "Send the number with + and its country code, such as +442079460958.",
    "connection": "The player's public IP address is needed, not one of a private network.",
    "browser_id": "Send the cookie unchanged.",
}


@dataclass(frozen=True, slots=True)
class MatchKey:
    """A body has the key if it has a value at every one of `paths`, or at one of them if `any_path`; list indexes are
    numbers, or ANY. `weight` is our estimate in points: those of a network add up to 100. `advice` is for the studio.
    STATED_FACTS has the names that have a meaning here.
    """

    name: str
    label: str
    weight: int
    paths: tuple[tuple[str, ...], ...]
    advice: str
    any_path: bool = False


@dataclass(frozen=True, slots=True)
class KeyShare:
    """The share of events that had the key, 0 to 1; `potential` is the score if all of them had it.

    `unusable` is the number of events that stated it in a form that was not sent.
    """

    key: MatchKey
    share: float
    potential: int
    unusable: int = 0

    @property
    def accepted_form(self) -> str:
        """What the studio should send in place of unusable values."""
        return ACCEPTED_FORMS.get(self.key.name, "")

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


def unusable_keys(keys: Iterable[MatchKey], cookies: Iterable[str], facts: Facts, body: Any) -> list[str]:
    """The names of keys that the event states, but in a form that the body could not take.

    `cookies` are the names of those of the network: the cookies of others are no facts of it.
    """
    own = replace(facts, cookies={name: facts.cookies[name] for name in cookies if name in facts.cookies})
    return [
        key.name
        for key in keys
        if any(attrgetter(name)(own) for name in STATED_FACTS.get(key.name, ())) and _at(body, key.paths[0]) is None
    ]


def json_path(path: Sequence[str]) -> str:
    """The path in PostgreSQL's language: `$."identifiers"[*]."twclid"`."""
    steps = (f"[{step}]" if step == ANY or step.isdigit() else f".{json.dumps(step)}" for step in path)
    return f"${''.join(steps)}"


def _at(body: Any, path: Sequence[str]) -> Any:
    for place, step in enumerate(path):
        if isinstance(body, list) and step == ANY:
            values = (_at(entry, path[place + 1 :]) for entry in body)
            return next((value for value in values if value is not None), None)
        if isinstance(body, list):
            body = body[int(step)] if int(step) < len(body) else None
        else:
            body = body.get(step) if isinstance(body, Mapping) else None
    return body


def compute_quality(
    keys: Sequence[MatchKey], combinations: Combinations, unusable: Mapping[str, int] | None = None
) -> MatchQuality:
    """The score of an event is the sum of its keys' weights; the score of all is the mean. `unusable`: by key name."""
    events = sum(combinations.values())
    if not events:
        return MatchQuality(events=0, score=None, shares=[KeyShare(key, 0.0, 0) for key in keys])
    counts = [sum(count for flags, count in combinations.items() if flags[index]) for index in range(len(keys))]
    shares = [(key, count / events) for key, count in zip(keys, counts, strict=True)]
    score = sum(key.weight * share for key, share in shares)
    counted = unusable or {}
    scored = [
        KeyShare(key, share, round(score + key.weight * (1 - share)), counted.get(key.name, 0)) for key, share in shares
    ]
    return MatchQuality(events=events, score=round(score), shares=scored)
