"""Sends events while one fault after another is injected; then waits until all work is done and verifies the result."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.faults import scenarios, verification
from tests.faults.installation import Installation
from tests.faults.traffic import Traffic
from tests.faults.verification import Verification


@dataclass(slots=True)
class Run:
    """The faults in order as (name, seconds, description), figures of the load, and the verification."""

    injected: list[tuple[str, float, str]] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    verification: Verification = field(default_factory=Verification)

    @property
    def violations(self) -> list[str]:
        return self.verification.violations


def play(
    installation: Installation,
    *,
    rate: float,
    pause: float,
    events: int,
    settle_within: float,
    seed: int = 0,
    report: Callable[[str], object] = lambda line: None,
) -> Run:
    """Inject every fault once, for `pause` seconds and with the same pause after it, under a load of `rate` players per
    second and at least `events` events. `report` receives a line per fault.

    Raises AssertionError when the load was refused, or when work is still pending after `settle_within` seconds.
    """
    run, started = Run(), time.monotonic()
    scenarios.drop_partitions(installation)
    traffic = Traffic(installation, now=datetime.now(UTC), rate=rate, seed=seed)
    traffic.start()
    time.sleep(pause)
    for name, inject in scenarios.SCENARIOS.items():
        began = time.monotonic()
        description = inject(installation, pause)
        seconds = time.monotonic() - began
        run.injected.append((name, seconds, description))
        report(f"  {seconds:5.1f} s  {name}: {description} ({traffic.events} events so far)")
        time.sleep(pause)
    while traffic.events < events and not traffic.problems:
        time.sleep(0.5)
    traffic.stop()
    assert traffic.problems == [], traffic.problems
    run.figures |= {"load_s": round(time.monotonic() - started, 1), "requests": dict(traffic.counts)}
    run.figures["drained_s"] = round(
        installation.retrying(lambda: verification.settle(installation, seconds=settle_within)), 1
    )
    run.verification = verification.verify(installation, traffic.played, traffic.acknowledged)
    return run
