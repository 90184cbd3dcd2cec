"""After the faults: waits until no work is pending, and lists what is missing or duplicated."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from postbacks.networks import NETWORKS
from tests.faults.installation import Installation
from tests.faults.players import TRIGGERS, Player

# Queries of pending work by name; all counts are 0 in the end.
UNSETTLED = {
    "batches to digest": "SELECT count(*) FROM audience_batch WHERE state = 'pending'",
    "conversions to fan out": "SELECT count(*) FROM audience_conversion WHERE fanned_out_at IS NULL",
    "deliveries waiting": "SELECT count(*) FROM postbacks_delivery WHERE state = 'waiting'",
    "deliveries held": "SELECT count(*) FROM postbacks_delivery WHERE state = 'held'",
    "credentials suspected or on hold": "SELECT count(*) FROM postbacks_postbackconfig "
    "WHERE suspected_at IS NOT NULL OR held_at IS NOT NULL",
    "rows that failed": "SELECT count(*) FROM audience_failedwork",
    "confirmations to query": "SELECT count(*) FROM postbacks_delivery WHERE confirmation = 'awaited'",
    "erasures to do": "SELECT count(*) FROM audience_erasure WHERE state = 'pending'",
}
# Make retries, postponed batches and failed rows due and close the circuit breakers, instead of waiting for minutes.
# Leases expire in time.
MAKE_DUE = (
    "UPDATE postbacks_delivery SET next_attempt_at = now() WHERE state = 'waiting' AND next_attempt_at > now() "
    "AND leased_until IS NULL",
    "UPDATE postbacks_delivery SET confirm_after = now() WHERE confirmation = 'awaited' AND confirm_after > now()",
    "UPDATE postbacks_flow SET open_until = now() WHERE open_until > now()",
    "UPDATE audience_batch SET next_attempt_at = now() WHERE state = 'pending' AND next_attempt_at > now()",
    "UPDATE audience_failedwork SET next_attempt_at = now() WHERE set_aside_at IS NULL AND next_attempt_at > now()",
)
# The only outcomes besides delivered: the network refused the event itself, or a marketer disabled the postback.
STATE = "d.state || CASE WHEN d.state = 'failed' THEN ' ' || d.verdict ELSE '' END"
EXPLAINED = {"delivered", "failed payload", "skipped config_disabled"}
# Calls with an unknown outcome, which were not repeated because a marketer disabled the postback.
UNKNOWN_OUTCOME = (
    "SELECT DISTINCT d.event_id FROM postbacks_delivery d JOIN postbacks_deliveryattempt a ON a.delivery_id = d.id "
    "WHERE d.network = %s AND d.state = 'skipped' AND d.reason = 'config_disabled' "
    "AND a.message LIKE 'The worker stopped before the answer came%%'"
)


def settle(installation: Installation, *, seconds: float) -> float:
    """Wait until no work is pending; return the seconds. Raises AssertionError with the counts of pending work."""
    started = time.monotonic()
    while pending := unsettled(installation):
        assert time.monotonic() - started < seconds, (
            f"after {seconds} s still pending: {pending}\n{_tails(installation)}"
        )
        for statement in MAKE_DUE:
            installation.execute(statement)
        time.sleep(1)
    return time.monotonic() - started


def unsettled(installation: Installation) -> dict[str, int]:
    counts = {name: installation.number(query) for name, query in UNSETTLED.items()}
    return {name: count for name, count in counts.items() if count}


def _tails(installation: Installation) -> str:
    return "\n".join(
        f"{path.name}: {path.read_text(errors='replace')[-1500:]}" for path in installation.folder.glob("*.log")
    )


@dataclass(slots=True)
class Verification:
    """`figures` for the report, and `violations`: empty if no conversion was lost or counted twice."""

    figures: dict[str, Any] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)

    def must_be(self, expected: int, name: str, actual: set[Any] | int) -> None:
        count = actual if isinstance(actual, int) else len(actual)
        self.figures[name] = count
        if count != expected:
            examples = "" if isinstance(actual, int) else f", such as {sorted(map(str, actual))[:3]}"
            self.violations.append(f"{name}: {count} instead of {expected}{examples}")


def verify(installation: Installation, players: Sequence[Player], acknowledged: set[str]) -> Verification:
    """Compare what the players sent with the tables and with what the networks received."""
    verification = Verification()
    remaining, erased = [p for p in players if not p.erased], [p for p in players if p.erased]
    _events(verification, installation, remaining, erased, acknowledged)
    _conversions(verification, installation, remaining, erased)
    _deliveries(verification, installation, remaining)
    for network in NETWORKS:
        _network(verification, installation, network)
    _confirmations(verification, installation)
    _ledger(verification, installation)
    return verification


def _events(
    verification: Verification,
    installation: Installation,
    remaining: Sequence[Player],
    erased: Sequence[Player],
    acknowledged: set[str],
) -> None:
    stored = Counter(message_id for (message_id,) in installation.rows("SELECT message_id FROM audience_event"))
    erased_ids = {message_id for player in erased for message_id in player.ids()}
    verification.figures["players"], verification.figures["players erased"] = len(remaining) + len(erased), len(erased)
    verification.figures["events acknowledged"] = len(acknowledged)
    verification.must_be(0, "acknowledged events missing", acknowledged - erased_ids - stored.keys())
    verification.must_be(0, "events stored twice", {message_id for message_id, count in stored.items() if count > 1})
    verification.must_be(0, "events of erased players", erased_ids & stored.keys())
    verification.must_be(
        0, "batches set aside", installation.number("SELECT count(*) FROM audience_batch WHERE state = 'failed'")
    )


def _conversions(
    verification: Verification, installation: Installation, remaining: Sequence[Player], erased: Sequence[Player]
) -> None:
    stored = Counter(message_id for (message_id,) in installation.rows("SELECT message_id FROM audience_conversion"))
    expected = {message_id for player in remaining for message_id in player.ids(*TRIGGERS)}
    erased_ids = {message_id for player in erased for message_id in player.ids()}
    verification.figures["conversions"] = len(expected)
    verification.must_be(0, "conversions missing", expected - stored.keys())
    verification.must_be(
        0, "conversions counted twice", {message_id for message_id, count in stored.items() if count > 1}
    )
    verification.must_be(0, "conversions of erased players", erased_ids & stored.keys())
    counted = dict(
        installation.rows(
            "SELECT user_id, count(*) FROM audience_conversion WHERE trigger = 'game_launch' "
            "AND reason <> 'repeat_launch' GROUP BY 1"
        )
    )
    verification.must_be(
        0, "players without exactly one counted launch", {p.user_id for p in remaining if counted[p.user_id] != 1}
    )


def _deliveries(verification: Verification, installation: Installation, remaining: Sequence[Player]) -> None:
    """Every conversion after an ad click has one finished delivery, to the ad's network, with an explained outcome."""
    rows = installation.rows(
        f"SELECT c.message_id, {STATE}, d.reason FROM audience_conversion c "
        "JOIN postbacks_delivery d ON d.conversion_id = c.id "
        "WHERE c.reason <> 'repeat_launch' AND c.user_id LIKE 'traffic-%%'"
    )
    deliveries = Counter(message_id for message_id, *_ in rows)
    eligible = _eligible(installation, remaining)
    verification.figures["conversions eligible for a network"] = len(eligible)
    verification.must_be(0, "eligible conversions without their delivery", eligible - deliveries.keys())
    verification.must_be(
        0,
        "eligible conversions with two deliveries",
        {message_id for message_id, count in deliveries.items() if count > 1},
    )
    verification.must_be(0, "deliveries of ineligible conversions", deliveries.keys() - eligible)
    outcomes = Counter(f"{state} {reason}".strip() for _, state, reason in rows)
    verification.figures["outcomes of deliveries"] = dict(outcomes)
    verification.must_be(0, "deliveries without an explained outcome", outcomes.keys() - EXPLAINED)
    erased = "SELECT count(*) FROM postbacks_delivery WHERE state = 'cancelled' AND reason = 'erased'"
    verification.figures["deliveries cancelled by an erasure"] = installation.number(erased)
    open_attempts = installation.number("SELECT count(*) FROM postbacks_deliveryattempt WHERE finished_at IS NULL")
    verification.must_be(0, "attempts left open", open_attempts)


def _eligible(installation: Installation, remaining: Sequence[Player]) -> set[str]:
    """Return the message ids of the conversions of players with a click; of several launches, the one that counts."""
    repeats = {
        message_id
        for (message_id,) in installation.rows(
            "SELECT message_id FROM audience_conversion WHERE reason = 'repeat_launch'"
        )
    }
    return {message_id for player in remaining if player.network for message_id in player.ids(*TRIGGERS)} - repeats


def _network(verification: Verification, installation: Installation, network: str) -> None:
    """The events that the network accepted as new are those that the tables have as delivered, each once."""
    counts = installation.summary(network)
    names = ("requests", "by_code", "by_status", "by_fault", "accepted_as_new", "duplicates", "peak_per_second")
    verification.figures[network] = {name: counts[name] for name in names}
    verification.must_be(0, f"{network}: event ids accepted twice as new", counts["ids_accepted_twice"])
    accepted_ids = {event_id for request in installation.received(network) for event_id in accepted(request)}
    by_state = "SELECT event_id FROM postbacks_delivery WHERE network = %s AND state = ANY(%s) AND event_id <> ''"
    delivered = {event_id for (event_id,) in installation.rows(by_state, network, ["delivered"])}
    cancelled = {event_id for (event_id,) in installation.rows(by_state, network, ["cancelled"])}
    checks = {str(check) for (check,) in installation.rows("SELECT id FROM postbacks_credentialcheck")}
    unknown = {event_id for (event_id,) in installation.rows(UNKNOWN_OUTCOME, network)}
    verification.figures[f"{network}: accepted with an unknown outcome, then disabled"] = len(accepted_ids & unknown)
    verification.must_be(0, f"{network}: delivered in the tables only", delivered - accepted_ids)
    # The deliveries of erased players have no event ids any more. Some of the canceled ones were accepted.
    unaccounted = len(accepted_ids - delivered - cancelled - checks - unknown)
    erased = "SELECT count(*) FROM postbacks_delivery WHERE network = %s AND state = %s AND event_id = ''"
    forgotten = {state: installation.number(erased, network, state) for state in ("delivered", "cancelled")}
    verification.must_be(0, f"{network}: accepted by the network only", max(0, unaccounted - sum(forgotten.values())))
    verification.must_be(
        0, f"{network}: delivered and erased in the tables only", max(0, forgotten["delivered"] - unaccounted)
    )


def _confirmations(verification: Verification, installation: Installation) -> None:
    """Every event that a network acknowledged has its final result."""
    counted = "SELECT count(*) FROM postbacks_delivery WHERE state = 'delivered' AND confirmation = ANY(%s)"
    verification.figures["deliveries confirmed later"] = installation.number(counted, ["confirmed"])
    verification.must_be(0, "acknowledged without a result", installation.number(counted, ["awaited", "unknown"]))


# Network -> the event ids in the body of a request with events.
EVENT_IDS: dict[str, Callable[[dict[str, Any]], Iterable[str]]] = {
    "custom": lambda body: [body["event_id"]],
    "google": lambda body: [event["transactionId"] for event in body.get("events", ())],
    "meta": lambda body: [event["event_id"] for event in body.get("data", ())],
    "reddit": lambda body: [event["metadata"]["conversion_id"] for event in body["data"]["events"]],
    "snapchat": lambda body: [event["event_id"] for event in body["data"]],
    "tiktok": lambda body: [event["event_id"] for event in body["data"]],
    "x": lambda body: [
        conversion["conversion_id"]
        for conversion in body["conversions"]
        if not conversion["conversion_id"].startswith("afterclick-check-")
    ],
}


def accepted(request: dict[str, Any]) -> list[str]:
    """Return the ids of the events that the sandbox accepted as new in one request."""
    body, answer, network = request["body"], request["response"], request["network"]
    if request["status"] != 200 or request["duplicate"] or not isinstance(body, dict):
        return []
    if network == "tiktok" and answer["code"] != 0:
        return []
    return list(EVENT_IDS[network](body))


def _ledger(verification: Verification, installation: Installation) -> None:
    """Run `manage.py audit`, which exits with 1 on a violation."""
    code, output = installation.run_command("audit", "--json", "--days", "0")
    verification.figures["ledger balances"] = code == 0
    if code != 0:
        verification.violations.append(f"the ledger does not balance: {output[:4000]}")
