"""An outage of one network: what piled up drains at the limiter's rate, and the other network notices nothing."""

import time
from typing import Any

from tests.faults import load
from tests.faults.installation import Installation

STATES = (
    "SELECT d.state, count(*) FROM postbacks_delivery d JOIN audience_conversion c ON c.id = d.conversion_id "
    "WHERE d.network = %s AND c.user_id LIKE %s AND d.reason <> 'other_network' GROUP BY 1"
)
UNDER_WAY = (
    "SELECT count(*) FROM postbacks_deliveryattempt a JOIN postbacks_delivery d ON d.id = a.delivery_id "
    "WHERE d.network = %s AND a.verdict = '' AND a.finished_at IS NULL"
)
# As time itself would: the retries and the breaker's rest are over.
OVER = (
    "UPDATE postbacks_delivery SET next_attempt_at = now() WHERE network = %s AND state = 'waiting' "
    "AND leased_until IS NULL",
    "UPDATE postbacks_flow SET open_until = now() WHERE network = %s AND open_until > now()",
)


def outlast(installation: Installation, *, waiting: int, rate: float, away: str, other: str) -> dict[str, Any]:
    """`away` answers 503 until `waiting` deliveries have piled up, then they drain while `other` is bought on.

    The worker runs with `rate` requests a second for `away`. Figures.
    """
    installation.kill_workers()
    installation.start_workers(env={f"{away.upper()}_RATE": str(rate)})
    installation.fault(away, "unavailable", 100_000)
    piled = load.all_at_once(installation, network=away, count=waiting, prefix="outage")
    installation.wait_for(
        lambda: _states(installation, away, piled) == {"waiting": waiting}, seconds=60 + waiting / 100
    )
    installation.control("DELETE", f"requests?network={away}")
    installation.control("DELETE", "faults")
    # What was refused a moment ago would be tried again half a minute from now.
    installation.wait_for(lambda: not installation.number(UNDER_WAY, away))
    for statement in OVER:
        installation.execute(statement, away)
    began, expected = time.monotonic(), waiting / rate
    beside = load.start(installation, network=other, count=round(expected * 5), rate=5, prefix="beside")
    installation.wait_for(
        lambda: _states(installation, away, piled) == {"delivered": waiting}, seconds=60 + expected * 2
    )
    figures: dict[str, Any] = {"waiting": waiting, "rate": rate, "drained_s": round(time.monotonic() - began, 1)}
    beside.finish()
    sent = {"delivered": len(beside.acknowledged)}
    installation.wait_for(lambda: _states(installation, other, beside.prefix) == sent, seconds=60)
    counts, waits = installation.summary(away), load.waits_ms(installation, beside, other)
    figures |= {name: counts[name] for name in ("peak_per_second", "accepted_as_new")}
    percentiles = {f"p{part}_ms": load.share(waits, part / 100) for part in (50, 95, 99)}
    figures["other_network"] = {"events": len(waits), **percentiles}
    return figures


def violations(figures: dict[str, Any], *, p95_ms: float = 2000) -> list[str]:
    """What of the promise does not hold; empty when all does."""
    wanted = {
        "no second above the rate": figures["peak_per_second"] <= figures["rate"],
        "drained at about the rate": figures["drained_s"] <= 2 * figures["waiting"] / figures["rate"] + 20,
        "each taken once": figures["accepted_as_new"] == figures["waiting"],
        f"the other network within {p95_ms:.0f} ms": figures["other_network"]["p95_ms"] <= p95_ms,
    }
    return [f"{promise}: {figures}" for promise, kept in wanted.items() if not kept]


def _states(installation: Installation, network: str, prefix: str) -> dict[str, int]:
    return dict(installation.rows(STATES, network, f"{prefix}-%"))
