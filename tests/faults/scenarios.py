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

# A second refusal would put the config on hold, which revoked.py tests.
TIMES = {"unauthorized": 1, "forbidden": 1}
ACCOUNTS = {kind: imitation_of(network).accounts for kind, network in NETWORKS.items()}
TOKENS = {kind: (accounts.token, accounts.rotated_token) for kind, accounts in ACCOUNTS.items()}

SUSPECTED = "SELECT count(*) FROM postbacks_postbackconfig WHERE suspected_at IS NOT NULL"
# Seconds that each effect may take: a circuit breaker alone is open for 15 s or more.
MAX_SECONDS = 120
CLOSE_BREAKERS = "UPDATE postbacks_flow SET open_until = now() WHERE open_until > now()"

Fault = Callable[[Installation, float], str]


def web_killed(installation: Installation, seconds: float) -> str:
    installation.kill("web")
    time.sleep(seconds / 4)
    installation.start_web()
    installation.wait_for(lambda: installation.answers(f"{installation.url}/readyz"))
    return "kill -9, started again"


def web_worker_killed(installation: Installation, seconds: float) -> str:
    """Kill a serving process, which granian's parent process replaces."""
    before = installation.web_workers()
    os.kill(before[0], signal.SIGKILL)
    installation.wait_for(lambda: set(installation.web_workers()) - set(before), seconds=MAX_SECONDS)
    installation.wait_for(lambda: installation.answers(f"{installation.url}/readyz"), seconds=MAX_SECONDS)
    return "kill -9, replaced"


def slow_clients(installation: Installation, seconds: float) -> str:
    """Ten of each kind for a few seconds; `make faults` also runs 200 of each for 30 s."""
    figures = slow.measure(installation, each=10, seconds=max(2 * seconds, 3))
    # Other tests run at the same time; `make faults` requires a second.
    assert slow.violations(figures, within_s=5) == []
    return f"{figures['connections']} connections; an event took {figures['p99_s']['event']} s at the 99th percentile"


def worker_killed(installation: Installation, seconds: float) -> str:
    """Kill the workers while calls are in flight, since the networks answer slowly."""
    for network in NETWORKS:
        installation.control("POST", "latency", network=network, ms=100)
    time.sleep(seconds / 2)
    installation.kill_workers()
    in_flight = installation.number("SELECT count(*) FROM postbacks_deliveryattempt WHERE finished_at IS NULL")
    for network in NETWORKS:
        installation.control("POST", "latency", network=network, ms=0)
    installation.start_workers()
    return f"both, kill -9 with {in_flight} calls in flight"


def beat_killed(installation: Installation, seconds: float) -> str:
    installation.kill("beat")
    time.sleep(seconds)
    installation.start_beat()
    return "kill -9, started again"


def broker_killed(installation: Installation, seconds: float) -> str:
    installation.kill_broker()
    time.sleep(seconds / 2)
    before = installation.env["REDIS_URL"]
    assert installation.start_broker() == before, "the broker has another address"
    return "kill -9, restarted empty on the same port"


def broker_flushed(installation: Installation, seconds: float) -> str:
    for _ in range(3):
        installation.flush_broker()
        time.sleep(seconds / 3)
    return "FLUSHALL, three times"


def database_killed(installation: Installation, seconds: float) -> str:
    installation.kill_postgres()
    time.sleep(seconds / 4)
    before, started = installation.env["DATABASE_URL"], time.monotonic()
    assert installation.start_postgres() == before, "the database has another address"
    return f"kill -9, recovered in {time.monotonic() - started:.1f} s"


def disk_full(installation: Installation, seconds: float) -> str:
    """Fill the file system of the table of batches, then free it."""
    with installation.small_disk("audience_batch") as disk:
        if disk is None:
            return "skipped: no file system can be mounted"
        refused = (installation.folder / "web.log").read_text(errors="replace").count("No space left on device")
        filler = disk / "filler"
        fill(filler)
        installation.wait_for(
            lambda: (
                (installation.folder / "web.log").read_text(errors="replace").count("No space left on device") > refused
            ),
            seconds=MAX_SECONDS,
        )
        time.sleep(seconds)
        assert installation.answers(f"{installation.url}/livez"), "the web process did not survive a full disk"
        filler.unlink()
        stored = installation.number("SELECT count(*) FROM audience_batch")
        installation.wait_for(
            lambda: installation.number("SELECT count(*) FROM audience_batch") > stored, seconds=MAX_SECONDS
        )
    return "requests answered 503 until space was freed"


def fill(filler: Path) -> None:
    """Write until the disk is full."""
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def network_fault(installation: Installation, seconds: float, *, fault: str) -> str:
    """Order the fault, and wait until the networks have answered with all of it."""
    times = TIMES.get(fault, 4)
    for network in NETWORKS:
        installation.fault(network, fault, times)
    deadline = time.monotonic() + MAX_SECONDS
    while left := installation.control("GET", "faults"):
        assert time.monotonic() < deadline, f"not answered within {MAX_SECONDS} s: {left}"
        time.sleep(1)
        # The traffic of one network is so low that faults follow each other without a success between them.
        installation.retrying(lambda: installation.execute(CLOSE_BREAKERS))
    return f"{times} on each network"


def credential_fault(installation: Installation, seconds: float, *, fault: str) -> str:
    """Refuse a credential once, and wait until the check that follows has passed."""
    refused = "SELECT count(*) FROM postbacks_deliveryattempt WHERE verdict = 'credential'"
    before = installation.number(refused)
    description = network_fault(installation, seconds, fault=fault)
    # A refused access token is replaced at once, without a refusal of the credential.
    noticed = [kind for kind, each in NETWORKS.items() if fault != "unauthorized" or not each.uses_access_token]
    installation.wait_for(lambda: installation.number(refused) >= before + len(noticed), seconds=MAX_SECONDS)
    time.sleep(1)  # the suspicion is written after the attempt
    installation.wait_for(lambda: not installation.number(SUSPECTED), seconds=MAX_SECONDS)
    return description


def clock_skewed(installation: Installation, seconds: float, *, skew: timedelta) -> str:
    """Run a single worker with a wrong clock. It runs until the next fault kills it."""
    installation.kill_workers()
    delivered = "SELECT count(*) FROM postbacks_delivery WHERE state = 'delivered'"
    before = installation.number(delivered)
    installation.start_skewed_worker(seconds=round(skew.total_seconds()))
    installation.wait_for(lambda: installation.number(delivered) > before, seconds=MAX_SECONDS)
    assert _is_logged(installation, skew), "the worker's clock was not wrong, or the worker did not log it"
    time.sleep(seconds * 2)
    return f"the only worker's clock is wrong by {skew.total_seconds():+.0f} s, and it delivers"


def _is_logged(installation: Installation, skew: timedelta) -> bool:
    """Whether a worker has logged that its clock is ahead of the database's by `skew` (behind, if negative)."""
    behind = re.findall(
        r'"seconds_behind_database": (-?\d+)', (installation.folder / "worker.log").read_text(errors="replace")
    )
    return any(abs(int(seconds) + skew.total_seconds()) < 60 for seconds in behind)


def rotated(installation: Installation, seconds: float) -> str:
    """Rotate each token in the Hub and revoke the old one at once: nothing may still be sent with it."""
    for network in NETWORKS:
        old, new = TOKENS[network]
        installation.retrying(lambda network=network, new=new: installation.rotate(network, new))  # type: ignore[misc]
        installation.control("POST", "tokens/revoke", network=network, credential=old)
    time.sleep(seconds)
    return f"{' and '.join(NETWORKS)}, the old tokens revoked at once"


def disabled_and_enabled(installation: Installation, seconds: float) -> str:
    for network in NETWORKS:
        installation.switch(network, "disable")
    time.sleep(seconds)
    for network in NETWORKS:
        installation.switch(network, "enable")
    return f"both postbacks disabled for {seconds:.0f} s"


def partitions_created(installation: Installation, seconds: float) -> str:
    """Create the partition of a day whose events are arriving, by many tasks at once."""
    partition = f"audience_event_{datetime.now(UTC).date() + timedelta(days=1):%Y%m%d}"
    in_default = installation.number("SELECT count(*) FROM audience_event_default")
    installation.send_task("audience.tasks.make_partitions", 16)
    installation.wait_for(lambda: installation.number("SELECT count(to_regclass(%s))", partition), seconds=MAX_SECONDS)
    return f"{partition} created while its events arrived, {in_default} of them in the default partition"


def two_beats(installation: Installation, seconds: float) -> str:
    installation.start_beat("beat-2")
    time.sleep(max(seconds * 2, 2.5))
    installation.kill("beat-2")
    return "a second beat for some seconds"


def tasks_duplicated(installation: Installation, seconds: float) -> str:
    tasks = installation.send_task("", 40)
    return f"each of the {tasks} tasks of the beat 40 times at once"


# The database refuses a quarter of the rows, always the same ones.
REFUSE_ROWS = """
CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql
  AS $$ BEGIN RAISE data_exception USING MESSAGE = 'poisoned'; END $$;
CREATE TRIGGER {name} BEFORE {on} ON {table} FOR EACH ROW
  WHEN (get_byte(decode(md5(NEW.{column}::text), 'hex'), 0) BETWEEN {least} AND {least} + 63) EXECUTE FUNCTION {name}();
"""


def poisoned(
    installation: Installation, seconds: float, *, triggers: dict[str, tuple[str, str, str, int]], passed: str
) -> str:
    """Refuse a quarter of a queue's rows, by queue, until other rows were processed; `passed` counts those.

    verification.settle makes the failed rows due again.
    """
    failed = "SELECT count(*) FROM audience_failedwork WHERE queue = %s"
    for queue, (on, table, column, least) in triggers.items():
        name = f"poison_{queue}"
        installation.execute(REFUSE_ROWS.format(name=name, on=on, table=table, column=column, least=least))
    for queue in triggers:
        installation.wait_for(lambda queue=queue: installation.number(failed, queue), seconds=MAX_SECONDS)  # type: ignore[misc]
    before = installation.number(passed)
    installation.wait_for(lambda: installation.number(passed) > before, seconds=MAX_SECONDS)
    time.sleep(seconds)
    counts = [f"{installation.number(failed, queue)} in {queue}" for queue in triggers]
    for queue, (_, table, _, _) in triggers.items():
        drop = f"DROP TRIGGER poison_{queue} ON {table}; DROP FUNCTION poison_{queue}()"
        installation.retrying(lambda drop=drop: installation.execute(drop))  # type: ignore[misc]
    return f"a quarter of the rows refused: {', '.join(counts)}; the others were processed"


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


def killed_while_confirming(installation: Installation, seconds: float) -> str:
    """Kill the workers between the receipts of networks and their final results, which arrive slowly."""
    networks = [kind for kind, network in NETWORKS.items() if network.confirms_later]
    awaited = "SELECT count(*) FROM postbacks_delivery WHERE confirmation = 'awaited'"
    installation.wait_for(lambda: installation.number(awaited) >= 5, seconds=MAX_SECONDS)
    for network in networks:
        installation.control("POST", "latency", network=network, ms=300)
    installation.execute("UPDATE postbacks_delivery SET confirm_after = now() WHERE confirmation = 'awaited'")
    confirmed = "SELECT count(*) FROM postbacks_delivery WHERE confirmation = 'confirmed'"
    installation.wait_for(lambda: installation.number(confirmed) > 0, seconds=MAX_SECONDS)
    installation.kill_workers()
    queried = f"{awaited} AND confirm_after < now() + interval '10 minutes'"  # others came since
    pending, in_flight = installation.number(queried), installation.number(f"{queried} AND confirm_after > now()")
    assert pending, "the workers were killed after the last result"
    for network in networks:
        installation.control("POST", "latency", network=network, ms=0)
    installation.start_workers()
    return f"both, kill -9 with {pending} events without their result, {in_flight} of them in a query"


# The partition comes before any other task that may create it, the rotation before a worker is killed with open calls,
# and the kill of the worker after the workers with a wrong clock.
SCENARIOS: dict[str, Fault] = {
    "partition boundary": partitions_created,
    "credential rotated": rotated,
    "network: unauthorized": partial(credential_fault, fault="unauthorized"),
    **{f"network: {fault}": partial(network_fault, fault=fault) for fault in FAULTS if fault not in TIMES},
    "network: forbidden": partial(credential_fault, fault="forbidden"),
    "poisoned rows in fan-out": POISONED_FAN_OUT,
    "poisoned rows in sending": POISONED_SENDING,
    "clock an hour ahead": partial(clock_skewed, skew=timedelta(hours=1)),
    "clock an hour behind": partial(clock_skewed, skew=timedelta(hours=-1)),
    "worker killed": worker_killed,
    "web killed": web_killed,
    "web worker killed": web_worker_killed,
    "slow clients": slow_clients,
    "broker killed": broker_killed,
    "broker flushed": broker_flushed,
    "database killed": database_killed,
    "disk full": disk_full,
    "beat killed": beat_killed,
    "two beats": two_beats,
    "duplicate wake-ups": tasks_duplicated,
    "disabled and enabled": disabled_and_enabled,
    # The last one, since its queries would use up faults that are meant for events.
    "worker killed while confirming": killed_while_confirming,
}


def drop_partitions(installation: Installation) -> None:
    """Drop the partitions of tomorrow and of one past day, as if the beat had not run."""
    today = datetime.now(UTC).date()
    for day in (today + timedelta(days=1), today - OLD):
        installation.execute(f"DROP TABLE audience_event_{day:%Y%m%d}")
