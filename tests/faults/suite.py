"""The crowd plays while one mishap after another happens; then everything drains and is counted."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.faults import mishaps, proof
from tests.faults.crowd import Crowd
from tests.faults.house import House
from tests.faults.proof import Proof


@dataclass(slots=True)
class Run:
    """What happened, in order, and what it came to."""

    happened: list[tuple[str, float, str]] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    proof: Proof = field(default_factory=Proof)

    @property
    def violations(self) -> list[str]:
        return self.proof.violations


def play(
    house: House,
    *,
    rate: float,
    pause: float,
    events: int,
    settle_within: float,
    seed: int = 0,
    tell: Callable[[str], object] = lambda line: None,
) -> Run:
    """`rate` players a second, `pause` seconds to each mishap, at least `events` acknowledged events.

    AssertionError when the load itself was refused, or when the house does not come to rest within `settle_within` s.
    """
    run, started = Run(), time.monotonic()
    mishaps.drop_partitions(house)
    crowd = Crowd(house, now=datetime.now(UTC), rate=rate, seed=seed)
    crowd.start()
    time.sleep(pause)
    for name, happen in mishaps.MISHAPS.items():
        began = time.monotonic()
        words = happen(house, pause)
        seconds = time.monotonic() - began
        run.happened.append((name, seconds, words))
        tell(f"  {seconds:5.1f} s  {name}: {words} ({crowd.events} events so far)")
        time.sleep(pause)
    while crowd.events < events and not crowd.problems:
        time.sleep(0.5)
    crowd.stop()
    assert crowd.problems == [], crowd.problems
    run.figures |= {"load_s": round(time.monotonic() - started, 1), "requests": dict(crowd.counts)}
    run.figures["drained_s"] = round(house.patiently(lambda: proof.settle(house, seconds=settle_within)), 1)
    run.proof = proof.prove(house, crowd.played, crowd.acknowledged)
    return run
