"""The result of an audit, as a table and as JSON."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from postbacks.models import DeliveryState
from postbacks.reporting.balance import BalanceRow
from postbacks.reporting.invariants import Finding
from postbacks.reporting.labels import short_duration

STATES = (
    DeliveryState.DELIVERED,
    DeliveryState.WAITING,
    DeliveryState.HELD,
    DeliveryState.FAILED,
    DeliveryState.SKIPPED,
    DeliveryState.CANCELLED,
)
HEADING = ("game", "network", "day", "eligible", *(state.value for state in STATES), "")
TEXT_COLUMNS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedWork:
    """Work that is still in a queue; `age` is that of the oldest row."""

    game: str
    what: str
    count: int
    age: timedelta

    def as_json(self) -> dict[str, Any]:
        return {
            "game": self.game,
            "what": self.what,
            "count": self.count,
            "oldest_seconds": round(self.age.total_seconds()),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`since` is None for the whole history; `repeats` are launches fanned out before a merge made them repeats."""

    games: list[str]
    taken_at: datetime
    since: datetime | None
    lines: list[BalanceRow]
    repeats: int
    findings: list[Finding]
    undecided: list[QueuedWork]

    @property
    def violations(self) -> list[str]:
        """The names of violated invariants; empty if the ledger balances."""
        unbalanced = ["balance"] if any(not line.balances for line in self.lines) else []
        return unbalanced + [finding.name for finding in self.findings if finding.count]

    def as_json(self) -> dict[str, Any]:
        return {
            "ok": not self.violations,
            "violations": self.violations,
            "taken_at": self.taken_at.isoformat(),
            "since": self.since.isoformat() if self.since else None,
            "games": self.games,
            "balance": [line.as_json() for line in self.lines],
            "repeats_handed_over": self.repeats,
            "checks": [finding.as_json() for finding in self.findings],
            "undecided": [row.as_json() for row in self.undecided],
        }

    def text(self) -> str:
        if not self.games:
            return "Nothing to audit yet."
        return "\n".join([*self._opening(), *self._table(), *self._checks(), *self._undecided(), *self._end()])

    def _opening(self) -> Iterator[str]:
        span = f"events since {self.since:%Y-%m-%d} (UTC)" if self.since else "every event"
        games = self.games[0] if len(self.games) == 1 else f"{len(self.games)} games"
        yield f"Ledger of {games}, {span}, as of {self.taken_at:%Y-%m-%d %H:%M:%S} UTC"
        yield ""

    def _table(self) -> Iterator[str]:
        if not self.lines:
            yield "No conversion was due to a postback in this time."
        else:
            yield from aligned([HEADING, *map(_row, self.lines)])
        if erased := sum(line.erased for line in self.lines):
            yield f"{erased} of the eligible belong to erased players: their delivery is the only trace left."
        if self.repeats:
            yield f"Besides: {self.repeats} for launches that a merge made repeats after they were handed over."
        yield ""

    def _checks(self) -> Iterator[str]:
        off = [line for line in self.lines if not line.balances]
        yield _verdict("balance", "Eligible is the sum of what became of them.", len(off))
        for finding in self.findings:
            yield _verdict(finding.name, finding.sentence, finding.count)
            if finding.examples:
                yield f"           for example {', '.join(finding.examples)}"
        yield ""

    def _undecided(self) -> Iterator[str]:
        for row in self.undecided:
            yield f"Undecided: {row.count} {row.what} of {row.game}, the oldest for {short_duration(row.age)}."

    def _end(self) -> Iterator[str]:
        broken = len(self.violations)
        yield f"{broken} of {len(self.findings) + 1} checks found violations." if broken else "The ledger balances."


def _row(line: BalanceRow) -> tuple[str, ...]:
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(line.skipped.items()))
    unknown = f"may have arrived: {line.may_have_arrived}" if line.may_have_arrived else ""
    remark = "; ".join(filter(None, (f"skipped: {reasons}" if reasons else "", unknown)))
    if not line.balances:
        remark = f"VIOLATION: {line.eligible} eligible, {line.accounted} accounted for; {remark}".rstrip("; ")
    counts = (str(line.states.get(state, 0)) for state in STATES)
    return (line.game, line.network, line.day.isoformat(), str(line.eligible), *counts, remark)


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Format rows of equal length as lines: text left-aligned, numbers right-aligned, the last column unchanged."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        words = [
            cell.ljust(width) if column < TEXT_COLUMNS else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row[:-1], widths[:-1], strict=True))
        ]
        yield "  ".join([*words, row[-1]]).rstrip()


def _verdict(name: str, sentence: str, count: int) -> str:
    return f"{f'VIOLATION  {name}: {count}.' if count else f'ok         {name}.'} {sentence}"
