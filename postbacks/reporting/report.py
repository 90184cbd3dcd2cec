"""The result of an audit, as text and as JSON."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from audience.wording.durations import short_duration
from postbacks.models import DeliveryState
from postbacks.reporting.balance import BalanceRow
from postbacks.reporting.invariants import Finding

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
    queue: str
    count: int
    age: timedelta

    def as_json(self) -> dict[str, Any]:
        return {
            "game": self.game,
            "what": self.queue,
            "count": self.count,
            "oldest_seconds": round(self.age.total_seconds()),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`since` is None for the whole history; `repeats` are deliveries outside the balance (balance.count_repeats)."""

    games: list[str]
    taken_at: datetime
    since: datetime | None
    rows: list[BalanceRow]
    repeats: int
    findings: list[Finding]
    undecided: list[QueuedWork]

    @property
    def violations(self) -> list[str]:
        """The names of violated invariants; empty if the ledger balances."""
        unbalanced = ["balance"] if any(not row.balances for row in self.rows) else []
        return unbalanced + [finding.name for finding in self.findings if finding.count]

    def as_json(self) -> dict[str, Any]:
        return {
            "ok": not self.violations,
            "violations": self.violations,
            "taken_at": self.taken_at.isoformat(),
            "since": self.since.isoformat() if self.since else None,
            "games": self.games,
            "balance": [row.as_json() for row in self.rows],
            "repeats_handed_over": self.repeats,
            "checks": [finding.as_json() for finding in self.findings],
            "undecided": [row.as_json() for row in self.undecided],
        }

    def text(self) -> str:
        if not self.games:
            return "Nothing to audit yet."
        return "\n".join([*self._heading(), *self._table(), *self._checks(), *self._undecided(), *self._summary()])

    def _heading(self) -> Iterator[str]:
        period = f"events since {self.since:%Y-%m-%d} (UTC)" if self.since else "every event"
        games = self.games[0] if len(self.games) == 1 else f"{len(self.games)} games"
        yield f"Ledger of {games}, {period}, as of {self.taken_at:%Y-%m-%d %H:%M:%S} UTC"
        yield ""

    def _table(self) -> Iterator[str]:
        if not self.rows:
            yield "No conversions were eligible for a postback in this period."
        else:
            yield from aligned([HEADING, *map(_row, self.rows)])
        if erased := sum(row.erased for row in self.rows):
            yield f"{erased} of the eligible conversions are of erased players, of whom only the delivery is stored."
        if self.repeats:
            yield f"Not counted: {self.repeats} launches that became repeats by a merge of players after their fan-out."
        yield ""

    def _checks(self) -> Iterator[str]:
        unbalanced = [row for row in self.rows if not row.balances]
        yield _result_line("balance", "Eligible is the sum of the outcomes.", len(unbalanced))
        for finding in self.findings:
            yield _result_line(finding.name, finding.sentence, finding.count)
            if finding.examples:
                yield f"           for example {', '.join(finding.examples)}"
        yield ""

    def _undecided(self) -> Iterator[str]:
        for row in self.undecided:
            yield f"Undecided: {row.count} {row.queue} of {row.game}, the oldest for {short_duration(row.age)}."

    def _summary(self) -> Iterator[str]:
        violated = len(self.violations)
        yield f"{violated} of {len(self.findings) + 1} checks found violations." if violated else "The ledger balances."


def _row(row: BalanceRow) -> tuple[str, ...]:
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(row.skipped.items()))
    unknown = f"may have arrived: {row.may_have_arrived}" if row.may_have_arrived else ""
    later = f"accepted {row.accepted}, confirmed {row.confirmed}" if row.accepted or row.confirmed else ""
    remark = "; ".join(filter(None, (later, f"skipped: {reasons}" if reasons else "", unknown)))
    if not row.balances:
        remark = f"VIOLATION: {row.eligible} eligible, {row.accounted} accounted for; {remark}".rstrip("; ")
    counts = (str(row.states.get(state, 0)) for state in STATES)
    return (row.game, row.network, row.day.isoformat(), str(row.eligible), *counts, remark)


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Format rows of equal length as lines: text left-aligned, numbers right-aligned, the last column unchanged."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.ljust(width) if column < TEXT_COLUMNS else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row[:-1], widths[:-1], strict=True))
        ]
        yield "  ".join([*cells, row[-1]]).rstrip()


def _result_line(name: str, sentence: str, count: int) -> str:
    return f"{f'VIOLATION  {name}: {count}.' if count else f'ok         {name}.'} {sentence}"
