"""The faults that are injected under load. Each function breaks something, repairs it, and returns a description."""

import contextlib
import os
import re
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from postbacks.networks import NETWORKS
from postbacks.networks.interface.imitation import imitation_of
from postbacks.sandbox.control import FAULTS
from tests.faults import slow
from tests.faults.installation import Installation
from tests.faults.players import OLD

# A second refusal would put the config on hold, which is a fault of its own (revoked.py).
TIMES = {"unauthorized": 1, "forbidden": 1}
ACCOUNTS = {kind: imitation_of(network).accounts for kind, network in NETWORKS.items()}
TOKENS = {kind: (accounts.token, accounts.rotated_token) for kind, accounts in ACCOUNTS.items()}

SUSPECTED = "SELECT count(*) FROM postbacks_postbackconfig WHERE suspected_at IS NOT NULL"
# Seconds for what has to follow; generous, since a breaker rests for a quarter of a minute and more.
PATIENCE = 120

Fault = Callable[[Installation, float], str]


def web_killed(installation: Installation, seconds: float) -> str:
    installation.kill("web")
    time.sleep(seconds / 4)
    installation.start_web()
    installation.wait_for(lambda: installation.answers(f"{installation.url}/readyz"))
    return "kill -9, started again"


def web_worker_killed(installation: Installation, seconds: float) -> str:
    """Kills a serving process, which the supervising one replaces."""
    before = installation.web_workers()
    os.kill(before[0], signal.SIGKILL)
    installation.wait_for(lambda: set(installation.web_workers()) - set(before), seconds=PATIENCE)
    installation.wait_for(lambda: installation.answers(f"{installation.url}/readyz"), seconds=PATIENCE)
    return "kill -9, replaced"


def slow_senders(installation: Installation, seconds: float) -> str:
    """Ten of each kind for a moment; `make faults` has two hundred for half a minute besides."""
    figures = slow.withstand(installation, each=10, seconds=max(2 * seconds, 3))
    # In the middle of a test run; held to a second by `make faults`.
    assert slow.violations(figures, within_s=5) == []
    return f"{figures['connections']} connections; an event took {figures['p99_s']['event']} s at the 99th percentile"


def worker_killed(installation: Installation, seconds: float) -> str:
    """Kills the workers while calls are in flight: the networks answer slowly."""
    for network in NETWORKS:
        installation.control("POST", "latency", network=network, ms=100)
    time.sleep(seconds / 2)
    installation.kill_workers()
    under_way = installation.number("SELECT count(*) FROM postbacks_deliveryattempt WHERE finished_at IS NULL")
    for network in NETWORKS:
        installation.control("POST", "latency", network=network, ms=0)
    installation.start_workers()
    return f"both, kill -9 with {under_way} calls under way"


def beat_killed(installation: Installation, seconds: float) -> str:
    installation.kill("beat")
    time.sleep(seconds)
    installation.start_beat()
    return "kill -9, started again"


def broker_killed(installation: Installation, seconds: float) -> str:
    installation.kill_broker()
    time.sleep(seconds / 2)
    before = installation.env["REDIS_URL"]
    assert installation.start_broker() == before, "the broker came back elsewhere"
    return "kill -9, empty and back on its port"


def broker_flushed(installation: Installation, seconds: float) -> str:
    for _ in range(3):
        installation.flush_broker()
        time.sleep(seconds / 3)
    return "FLUSHALL, three times"


def database_killed(installation: Installation, seconds: float) -> str:
    installation.kill_postgres()
    time.sleep(seconds / 4)
    before, started = installation.env["DATABASE_URL"], time.monotonic()
    assert installation.start_postgres() == before, "the database came back elsewhere"
    return f"kill -9, recovered in {time.monotonic() - started:.1f} s"


def disk_full(installation: Installation, seconds: float) -> str:
    """Fills the file system of the table of batches to the last byte, then frees it."""
    with installation.small_disk("audience_batch") as disk:
        if disk is None:
            return "skipped: no file system can be mounted here"
        refused = (installation.folder / "web.log").read_text(errors="replace").count("No space left on device")
        ballast = disk / "ballast"
        fill(ballast)
        installation.wait_for(
            lambda: (
                (installation.folder / "web.log").read_text(errors="replace").count("No space left on device") > refused
            ),
            seconds=PATIENCE,
        )
        time.sleep(seconds)
        assert installation.answers(f"{installation.url}/livez"), "the web process did not survive a full disk"
        ballast.unlink()
        stored = installation.number("SELECT count(*) FROM audience_batch")
        installation.wait_for(
            lambda: installation.number("SELECT count(*) FROM audience_batch") > stored, seconds=PATIENCE
        )
    return "no room for requests, refused with 503, then freed"


def fill(ballast: Path) -> None:
    """Write until the disk takes nothing any more."""
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def network_fault(installation: Installation, seconds: float, *, fault: str) -> str:
    """Ordered, and met: the next fault comes when the networks have answered with all of it."""
    times = TIMES.get(fault, 4)
    for network in NETWORKS:
        installation.fault(network, fault, times)
    installation.wait_for(lambda: not installation.control("GET", "faults"), seconds=PATIENCE)
    return f"{times} on each network"


def credential_fault(installation: Installation, seconds: float, *, fault: str) -> str:
    """Refused once, and right when asked again: a suspicion that is cleared, before anything else goes wrong."""
    refused = "SELECT count(*) FROM postbacks_deliveryattempt WHERE verdict = 'credential'"
    before = installation.number(refused)
    words = network_fault(installation, seconds, fault=fault)
    installation.wait_for(lambda: installation.number(refused) >= before + len(NETWORKS), seconds=PATIENCE)
    time.sleep(1)  # the suspicion is written after the attempt
    installation.wait_for(lambda: not installation.number(SUSPECTED), seconds=PATIENCE)
    return words


def clock_off(installation: Installation, seconds: float, *, off: timedelta) -> str:
    """A worker an hour out does all the work. It stays until the next fault kills it, its leases with it."""
    installation.kill_workers()
    delivered = "SELECT count(*) FROM postbacks_delivery WHERE state = 'delivered'"
    before = installation.number(delivered)
    installation.start_skewed_worker(seconds=round(off.total_seconds()))
    installation.wait_for(lambda: installation.number(delivered) > before, seconds=PATIENCE)
    assert _noticed(installation, off), "the worker's clock was not off, or it did not notice"
    time.sleep(seconds * 2)
    return f"the workers killed; the only one is {off.total_seconds():+.0f} s out, and delivers"


def _noticed(installation: Installation, off: timedelta) -> bool:
    """Whether a worker has logged that its clock is so far ahead of the database's (behind, when negative)."""
    behind = re.findall(
        r'"seconds_behind_database": (-?\d+)', (installation.folder / "worker.log").read_text(errors="replace")
    )
    return any(abs(int(seconds) + off.total_seconds()) < 60 for seconds in behind)


def rotated(installation: Installation, seconds: float) -> str:
    """A new token in the Hub, and the old one revoked at once: nothing may still go out under it."""
    words = []
    for network in NETWORKS:
        old, new = TOKENS[network]
        installation.retrying(lambda network=network, new=new: installation.rotate(network, new))  # type: ignore[misc]
        installation.control("POST", "tokens/revoke", network=network, credential=old)
        words.append(network)
    time.sleep(seconds)
    return f"{' and '.join(words)}, the old tokens revoked at once"


def switched_off_and_on(installation: Installation, seconds: float) -> str:
    for network in NETWORKS:
        installation.switch(network, "disable")
    time.sleep(seconds)
    for network in NETWORKS:
        installation.switch(network, "enable")
    return f"both postbacks off for {seconds:.0f} s"


def partitions_made(installation: Installation, seconds: float) -> str:
    """The partition of a day whose events are coming in, asked for many times at once."""
    partition = f"audience_event_{datetime.now(UTC).date() + timedelta(days=1):%Y%m%d}"
    aside = installation.number("SELECT count(*) FROM audience_event_default")
    installation.wake("audience.tasks.make_partitions", 16)
    installation.wait_for(lambda: installation.number("SELECT count(to_regclass(%s))", partition), seconds=PATIENCE)
    return f"{partition} made while its events came in, {aside} already aside"


def two_beats(installation: Installation, seconds: float) -> str:
    installation.start_beat("beat-2")
    time.sleep(max(seconds * 2, 2.5))
    installation.kill("beat-2")
    return "a second beat beside the first"


def woken_again_and_again(installation: Installation, seconds: float) -> str:
    tasks = installation.wake_everything(40)
    return f"each of the {tasks} tasks of the beat 40 times at once"


# The database refuses a quarter of the rows, always the same ones.
REFUSING = """
CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql
  AS $$ BEGIN RAISE data_exception USING MESSAGE = 'poisoned'; END $$;
CREATE TRIGGER {name} BEFORE {on} ON {table} FOR EACH ROW
  WHEN (get_byte(decode(md5(NEW.{column}::text), 'hex'), 0) BETWEEN {least} AND {least} + 63) EXECUTE FUNCTION {name}();
"""


def poisoned(
    installation: Installation, seconds: float, *, triggers: dict[str, tuple[str, str, str, int]], passed: str
) -> str:
    """Rows that a queue cannot get past, by queue: its neighbours go on; `passed` counts them. Then it can again.

    What failed is tried again when verification.settle says that its time has come.
    """
    failed = "SELECT count(*) FROM audience_failedwork WHERE queue = %s"
    for queue, (on, table, column, least) in triggers.items():
        name = f"poison_{queue}"
        installation.execute(REFUSING.format(name=name, on=on, table=table, column=column, least=least))
    for queue in triggers:
        installation.wait_for(lambda queue=queue: installation.number(failed, queue), seconds=PATIENCE)  # type: ignore[misc]
    before = installation.number(passed)
    installation.wait_for(lambda: installation.number(passed) > before, seconds=PATIENCE)
    time.sleep(seconds)
    counts = [f"{installation.number(failed, queue)} in {queue}" for queue in triggers]
    for queue, (_, table, _, _) in triggers.items():
        drop = f"DROP TRIGGER poison_{queue} ON {table}; DROP FUNCTION poison_{queue}()"
        installation.retrying(lambda drop=drop: installation.execute(drop))  # type: ignore[misc]
    return f"a quarter of the rows refused: {', '.join(counts)}; the others went on"


POISONED_FAN_OUT = partial(
    poisoned,
    triggers={"fan_out": ("INSERT", "postbacks_delivery", "conversion_id", 0)},
    passed="SELECT count(*) FROM audience_conversion WHERE fanned_out_at IS NOT NULL",
)
POISONED_SENDING = partial(
    poisoned,
    triggers={
        "sending": ("INSERT", "postbacks_deliveryattempt", "delivery_id", 0),
        "closing": ("UPDATE", "postbacks_deliveryattempt", "delivery_id", 64),
    },
    passed="SELECT count(*) FROM postbacks_delivery WHERE state = 'delivered'",
)


# The partition before anything else that may make it; the rotation while no call of a killed worker is waited for; and
# the kill of the worker after those whose clock is off.
SCENARIOS: dict[str, Fault] = {
    "partition boundary": partitions_made,
    "credential rotated": rotated,
    "network: unauthorized": partial(credential_fault, fault="unauthorized"),
    **{f"network: {fault}": partial(network_fault, fault=fault) for fault in FAULTS if fault not in TIMES},
    "network: forbidden": partial(credential_fault, fault="forbidden"),
    "poisoned rows in fan-out": POISONED_FAN_OUT,
    "poisoned rows in sending": POISONED_SENDING,
    "clock an hour ahead": partial(clock_off, off=timedelta(hours=1)),
    "clock an hour behind": partial(clock_off, off=timedelta(hours=-1)),
    "worker killed": worker_killed,
    "web killed": web_killed,
    "web worker killed": web_worker_killed,
    "slow senders": slow_senders,
    "broker killed": broker_killed,
    "broker flushed": broker_flushed,
    "database killed": database_killed,
    "disk full": disk_full,
    "beat killed": beat_killed,
    "two beats": two_beats,
    "duplicate wake-ups": woken_again_and_again,
    "switched off and on": switched_off_and_on,
}


def drop_partitions(installation: Installation) -> None:
    """As if the beat had been away: tomorrow and one day of the past have no partition."""
    today = datetime.now(UTC).date()
    for day in (today + timedelta(days=1), today - OLD):
        installation.execute(f"DROP TABLE audience_event_{day:%Y%m%d}")
