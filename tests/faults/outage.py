"""An outage of one network: waiting deliveries are sent at the limiter's rate, and the other network is not delayed."""

import time
from typing import Any

from tests.faults import load
from tests.faults.installation import Installation

STATES = (
    "SELECT d.state, count(*) FROM postbacks_delivery d JOIN audience_conversion c ON c.id = d.conversion_id "
    "WHERE d.network = %s AND c.user_id LIKE %s GROUP BY 1"
)
OPEN_ATTEMPTS = (
    "SELECT count(*) FROM postbacks_deliveryattempt a JOIN postbacks_delivery d ON d.id = a.delivery_id "
    "WHERE d.network = %s AND a.verdict = '' AND a.finished_at IS NULL"
)
# Make the retries due and close the circuit breaker, instead of waiting.
MAKE_DUE = (
    "UPDATE postbacks_delivery SET next_attempt_at = now() WHERE network = %s AND state = 'waiting' "
    "AND leased_until IS NULL",
    "UPDATE postbacks_flow SET open_until = now() WHERE network = %s AND open_until > now()",
)


def measure(installation: Installation, *, waiting: int, rate: float, unavailable: str, other: str) -> dict[str, Any]:
    """Let one network answer 503 until `waiting` deliveries wait, then send them under a load for the `other`.

    The worker sends `rate` requests per second to the network. Returns the figures.
    """
    installation.kill_workers()
    installation.start_workers(env={f"{unavailable.upper()}_RATE": str(rate)})
    installation.fault(unavailable, "unavailable", 100_000)
    prefix = load.all_at_once(installation, network=unavailable, count=waiting, prefix="outage")
    installation.wait_for(
        lambda: _states(installation, unavailable, prefix) == {"waiting": waiting}, seconds=60 + waiting / 100
    )
    installation.control("DELETE", f"requests?network={unavailable}")
    installation.control("DELETE", "faults")
    # Attempts still open would be retried only after 30 s.
    installation.wait_for(lambda: not installation.number(OPEN_ATTEMPTS, unavailable))
    for statement in MAKE_DUE:
        installation.execute(statement, unavailable)
    began, expected = time.monotonic(), waiting / rate
    buyers = load.start(installation, network=other, count=round(expected * 5), rate=5, prefix="other")
    installation.wait_for(
        lambda: _states(installation, unavailable, prefix) == {"delivered": waiting}, seconds=60 + expected * 2
    )
    figures: dict[str, Any] = {"waiting": waiting, "rate": rate, "drained_s": round(time.monotonic() - began, 1)}
    buyers.finish()
    sent = {"delivered": len(buyers.acknowledged)}
    installation.wait_for(lambda: _states(installation, other, buyers.prefix) == sent, seconds=60)
    counts, waits = installation.summary(unavailable), load.waits_ms(installation, buyers, other)
    figures |= {name: counts[name] for name in ("peak_per_second", "accepted_as_new")}
    percentiles = {f"p{part}_ms": load.percentile(waits, part / 100) for part in (50, 95, 99)}
    figures["other_network"] = {"events": len(waits), **percentiles}
    return figures


def violations(figures: dict[str, Any], *, p95_ms: float = 2000) -> list[str]:
    """Return the requirements that are not met."""
    requirements = {
        "no second above the rate": figures["peak_per_second"] <= figures["rate"],
        "drained at about the rate": figures["drained_s"] <= 2 * figures["waiting"] / figures["rate"] + 20,
        "each accepted once": figures["accepted_as_new"] == figures["waiting"],
        f"the other network within {p95_ms:.0f} ms": figures["other_network"]["p95_ms"] <= p95_ms,
    }
    return [f"{requirement}: {figures}" for requirement, is_met in requirements.items() if not is_met]


def _states(installation: Installation, network: str, prefix: str) -> dict[str, int]:
    return dict(installation.rows(STATES, network, f"{prefix}-%"))
