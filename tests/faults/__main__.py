"""`make faults`: the long run, at most 20 minutes. Prints a report and one JSON line per check; exits with 1 on a
violation. Everything runs on this machine, with a separate PostgreSQL and Valkey.

Set FAULTS_EVENTS (default 20000) for a shorter run.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from postbacks.networks.reddit.imitation import ACCOUNTS as REDDIT_ACCOUNTS
from tests.faults import installation as installations
from tests.faults import load, outage, revoked, slow, suite
from tests.faults.installation import Installation

EVENTS = int(os.environ.get("FAULTS_EVENTS", "20000"))
RATE = 8.0  # players per second, each with eight events
# Connections of each kind of slow client, and how long they last.
SLOW_EACH, SLOW_SECONDS = 200, 30.0
PAUSE = 5.0  # seconds that a fault lasts, and between two faults


def main() -> int:
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="afterclick-faults-") as folder,
        installations.running(Path(folder), **load.RATES) as installation,
    ):
        violations = [*_scenarios(installation), *_revoked(installation), *_outage(installation), *_slow(installation)]
    say(f"{time.monotonic() - began:.0f} s in all.")
    for violation in violations:
        say(f"VIOLATION  {violation}")
    say("" if violations else "Nothing was lost or counted twice, and every outcome is explained.")
    return int(bool(violations))


def _scenarios(installation: Installation) -> list[str]:
    say("Faults under load:")
    run = suite.play(installation, rate=RATE, pause=PAUSE, events=EVENTS, settle_within=300, report=say)
    figures = {**run.figures, **run.verification.figures}
    for name, value in figures.items():
        say(f"  {name}: {value}")
    _say_json("scenarios", run.violations, kinds=[name for name, _, _ in run.injected], **figures)
    return run.violations


def _revoked(installation: Installation) -> list[str]:
    say("A credential revoked under load:")
    # The scenarios have rotated Reddit's token once.
    old, new = REDDIT_ACCOUNTS.rotated_token, REDDIT_ACCOUNTS.token
    installation.control("POST", "tokens/restore", network="reddit", credential=new)
    figures = revoked.revoke(installation, buyers=max(EVENTS // 30, 40), old=old, new=new)
    violations = revoked.violations(figures)
    _say_json("revoked", violations, **figures)
    return violations


def _outage(installation: Installation) -> list[str]:
    say("An outage of a network:")
    figures = outage.measure(installation, waiting=max(EVENTS // 2, 100), rate=50, unavailable="reddit", other="tiktok")
    violations = outage.violations(figures)
    _say_json("outage", violations, **figures)
    return violations


def _slow(installation: Installation) -> list[str]:
    say("Slow clients:")
    violations = []
    for kinds in slow.thirds():
        installation.kill("web")
        installation.start_web(workers=2)
        installation.wait_for(lambda: installation.answers(f"{installation.url}/readyz"))
        figures = slow.measure(installation, each=SLOW_EACH, seconds=SLOW_SECONDS, kinds=kinds)
        violations += slow.violations(figures)
        _say_json("slow clients", slow.violations(figures), **figures)
    return violations


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _say_json(figure: str, violations: Sequence[str], **more: Any) -> None:
    say(json.dumps({"figure": figure, "ok": not violations, **more}))


if __name__ == "__main__":
    sys.exit(main())
