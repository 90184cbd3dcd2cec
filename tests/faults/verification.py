"""After the faults: waits until no work is pending, and lists what is missing or exists twice."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from postbacks.networks import NETWORKS
from tests.faults.installation import Installation
from tests.faults.players import TRIGGERS, Player

# What is still under way, by a name; all of these are empty in the end.
UNSETTLED = {
    "batches to digest": "SELECT count(*) FROM audience_batch WHERE state = 'pending'",
    "conversions to fan out": "SELECT count(*) FROM audience_conversion WHERE fanned_out_at IS NULL",
    "deliveries waiting": "SELECT count(*) FROM postbacks_delivery WHERE state = 'waiting'",
    "deliveries held": "SELECT count(*) FROM postbacks_delivery WHERE state = 'held'",
    "credentials suspected or on hold": "SELECT count(*) FROM postbacks_postbackconfig "
    "WHERE suspected_at IS NOT NULL OR held_at IS NOT NULL",
    "rows that failed": "SELECT count(*) FROM audience_failedwork",
    "erasures to do": "SELECT count(*) FROM audience_erasure WHERE state = 'pending'",
}
# Retries, rests of the breaker, batches put off and rows that failed come due now instead of minutes later. Leases run
# out by themselves.
HURRY = (
    "UPDATE postbacks_delivery SET next_attempt_at = now() WHERE state = 'waiting' AND next_attempt_at > now() "
    "AND leased_until IS NULL",
    "UPDATE postbacks_flow SET open_until = now() WHERE open_until > now()",
    "UPDATE audience_batch SET next_attempt_at = now() WHERE state = 'pending' AND next_attempt_at > now()",
    "UPDATE audience_failedwork SET next_attempt_at = now() WHERE set_aside_at IS NULL AND next_attempt_at > now()",
)
# The network refused the event itself, or a marketer had switched the postback off: the only ends but delivered.
STATE = "d.state || CASE WHEN d.state = 'failed' THEN ' ' || d.verdict ELSE '' END"
EXPLAINED = {"delivered", "failed payload", "skipped config_disabled"}
# Its log says that nobody knows whether the call arrived, and a marketer has forbidden to ask again.
UNHEARD = (
    "SELECT DISTINCT d.event_id FROM postbacks_delivery d JOIN postbacks_deliveryattempt a ON a.delivery_id = d.id "
    "WHERE d.network = %s AND d.state = 'skipped' AND d.reason = 'config_disabled' "
    "AND a.message LIKE 'The worker stopped before the answer came%%'"
)


def settle(installation: Installation, *, seconds: float) -> float:
    """Wait until nothing is under way any more; the seconds it took. AssertionError with what is left."""
    started = time.monotonic()
    while left := unsettled(installation):
        assert time.monotonic() - started < seconds, (
            f"after {seconds} s still under way: {left}\n{_tails(installation)}"
        )
        for statement in HURRY:
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
    """`figures` for the report; `violations` is empty when no conversion was lost and none counted twice."""

    figures: dict[str, Any] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)

    def must_be(self, wanted: int, name: str, found: set[Any] | int, hint: str = "") -> None:
        count = found if isinstance(found, int) else len(found)
        self.figures[name] = count
        if count != wanted:
            some = "" if isinstance(found, int) else f", such as {sorted(map(str, found))[:3]}"
            self.violations.append(f"{name}: {count} and not {wanted}{some}{hint}")


def verify(installation: Installation, players: Sequence[Player], acknowledged: set[str]) -> Verification:
    """Compare what the players sent with what the tables and the networks hold."""
    verification = Verification()
    kept, erased = [p for p in players if not p.erased], [p for p in players if p.erased]
    _events(verification, installation, kept, erased, acknowledged)
    _conversions(verification, installation, kept, erased)
    _deliveries(verification, installation, kept)
    for network in NETWORKS:
        _network(verification, installation, network)
    _ledger(verification, installation)
    return verification


def _events(
    verification: Verification,
    installation: Installation,
    kept: Sequence[Player],
    erased: Sequence[Player],
    acknowledged: set[str],
) -> None:
    stored = Counter(message_id for (message_id,) in installation.rows("SELECT message_id FROM audience_event"))
    gone = {message_id for player in erased for message_id in player.ids()}
    verification.figures["players"], verification.figures["players erased"] = len(kept) + len(erased), len(erased)
    verification.figures["events acknowledged"] = len(acknowledged)
    verification.must_be(0, "acknowledged events missing", acknowledged - gone - stored.keys())
    verification.must_be(0, "events stored twice", {message_id for message_id, count in stored.items() if count > 1})
    verification.must_be(0, "events of erased players", gone & stored.keys())
    verification.must_be(
        0, "batches set aside", installation.number("SELECT count(*) FROM audience_batch WHERE state = 'failed'")
    )


def _conversions(
    verification: Verification, installation: Installation, kept: Sequence[Player], erased: Sequence[Player]
) -> None:
    found = Counter(message_id for (message_id,) in installation.rows("SELECT message_id FROM audience_conversion"))
    expected = {message_id for player in kept for message_id in player.ids(*TRIGGERS)}
    gone = {message_id for player in erased for message_id in player.ids()}
    verification.figures["conversions"] = len(expected)
    verification.must_be(0, "conversions missing", expected - found.keys())
    verification.must_be(
        0, "conversions counted twice", {message_id for message_id, count in found.items() if count > 1}
    )
    verification.must_be(0, "conversions of erased players", gone & found.keys())
    counted = dict(
        installation.rows(
            "SELECT user_id, count(*) FROM audience_conversion WHERE trigger = 'game_launch' "
            "AND reason <> 'repeat_launch' GROUP BY 1"
        )
    )
    verification.must_be(
        0, "players without exactly one counted launch", {p.user_id for p in kept if counted[p.user_id] != 1}
    )


def _deliveries(verification: Verification, installation: Installation, kept: Sequence[Player]) -> None:
    """Every conversion that an ad brought has its delivery to that ad's network, ended and explained."""
    rows = installation.rows(
        f"SELECT c.message_id, {STATE}, d.reason FROM audience_conversion c "
        "JOIN audience_touch t ON t.id = c.touch_id JOIN postbacks_delivery d ON d.conversion_id = c.id "
        "AND d.network = t.network WHERE c.reason <> 'repeat_launch' AND c.user_id LIKE 'traffic-%%'"
    )
    ends = Counter(message_id for message_id, *_ in rows)
    eligible = _eligible(installation, kept)
    verification.figures["conversions eligible for a network"] = len(eligible)
    verification.must_be(0, "eligible conversions without their delivery", eligible - ends.keys())
    verification.must_be(
        0, "eligible conversions with two", {message_id for message_id, count in ends.items() if count > 1}
    )
    verification.must_be(0, "deliveries beyond the eligible", ends.keys() - eligible)
    outcomes = Counter(f"{state} {reason}".strip() for _, state, reason in rows)
    verification.figures["ends of deliveries"] = dict(outcomes)
    verification.must_be(0, "deliveries without an explained end", outcomes.keys() - EXPLAINED)
    erased = "SELECT count(*) FROM postbacks_delivery WHERE state = 'cancelled' AND reason = 'erased'"
    verification.figures["deliveries cancelled by an erasure"] = installation.number(erased)
    lost = installation.number("SELECT count(*) FROM postbacks_deliveryattempt WHERE finished_at IS NULL")
    verification.must_be(0, "attempts left open", lost)


def _eligible(installation: Installation, kept: Sequence[Player]) -> set[str]:
    """Message ids of what clicked players did, of several launches the one that was counted."""
    repeats = {
        message_id
        for (message_id,) in installation.rows(
            "SELECT message_id FROM audience_conversion WHERE reason = 'repeat_launch'"
        )
    }
    return {message_id for player in kept if player.network for message_id in player.ids(*TRIGGERS)} - repeats


def _network(verification: Verification, installation: Installation, network: str) -> None:
    """What the network took as new is what we call delivered: none twice, none unknown, none only believed."""
    counts = installation.summary(network)
    names = ("requests", "by_code", "by_status", "by_fault", "accepted_as_new", "duplicates", "peak_per_second")
    verification.figures[network] = {name: counts[name] for name in names}
    verification.must_be(0, f"{network}: event ids taken twice as new", counts["ids_accepted_twice"])
    taken = {event_id for request in installation.received(network) for event_id in accepted(request)}
    told = "SELECT event_id FROM postbacks_delivery WHERE network = %s AND state = ANY(%s)"
    delivered = {event_id for (event_id,) in installation.rows(told, network, ["delivered"])}
    cancelled = {event_id for (event_id,) in installation.rows(told, network, ["cancelled"])}
    checks = {str(check) for (check,) in installation.rows("SELECT id FROM postbacks_credentialcheck")}
    unheard = {event_id for (event_id,) in installation.rows(UNHEARD, network)}
    verification.figures[f"{network}: taken, but the worker died before it heard, then switched off"] = len(
        taken & unheard
    )
    verification.must_be(0, f"{network}: delivered by our tables only", delivered - taken)
    verification.must_be(0, f"{network}: taken by the network only", taken - delivered - cancelled - checks - unheard)


def accepted(request: dict[str, Any]) -> list[str]:
    """The ids of the events that one request to the sandbox brought in as new."""
    body, answer = request["body"], request["response"]
    if request["status"] != 200 or request["duplicate"] or not isinstance(body, dict):
        return []
    if request["network"] == "tiktok":
        return [event["event_id"] for event in body["data"]] if answer["code"] == 0 else []
    return [event["metadata"]["conversion_id"] for event in body["data"]["events"]]


def _ledger(verification: Verification, installation: Installation) -> None:
    """`manage.py audit` of the installation itself: it exits with 1 on a violation."""
    code, told = installation.ask("audit", "--json", "--days", "0")
    verification.figures["ledger balances"] = code == 0
    if code != 0:
        verification.violations.append(f"the ledger does not balance: {told[:4000]}")
