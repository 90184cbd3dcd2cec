"""A credential revoked under load: how soon that is detected, how often it is tried, and that a rotation loses nothing.

With Reddit, at the rate that it allows per pixel: a network that refuses a token refuses all calls in flight at that
time. At ten per second there are one or two.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.faults.installation import Installation
from tests.faults.load import Buyers, start

HELD = "SELECT count(*) FROM postbacks_postbackconfig WHERE id = %s AND held_at IS NOT NULL"
ALERTS = "SELECT count(*) FROM postbacks_alert WHERE config_id = %s AND opened_at > %s"
RECOVERED = f"{ALERTS} AND recovered_at IS NOT NULL"
REFUSED = (
    "SELECT count(*) FROM postbacks_deliveryattempt WHERE config_id = %s AND started_at > %s AND verdict = 'credential'"
)
NETWORK, LIMIT = "reddit", "10"
RATE = 8.0  # purchases per second, below the limit, so that the queue is not what is measured
AGE_CHECKS = (
    "UPDATE postbacks_credentialcheck SET finished_at = finished_at - interval '2 minutes' WHERE config_id = %s"
)
# Close an alert that an earlier scenario left open, since it recovers only after a minute: this refusal would not open
# another.
CLOSE_ALERTS = (
    "UPDATE postbacks_alert SET recovered_at = clock_timestamp() WHERE config_id = %s AND recovered_at IS NULL"
)
STATES = (
    "SELECT d.state, count(*) FROM postbacks_delivery d JOIN audience_conversion c ON c.id = d.conversion_id "
    "WHERE d.config_id = %s AND c.user_id LIKE %s GROUP BY 1"
)


def revoke(installation: Installation, *, buyers: int, old: str, new: str, recovers: bool = True) -> dict[str, Any]:
    """Revoke the token when a sixth of `buyers` purchases is delivered, and rotate it at the end; return the figures.

    `recovers` waits for the end of the alert too, which takes more than a minute.
    """
    installation.kill_workers()
    installation.start_workers(env={"REDDIT_RATE": LIMIT})
    config, began = installation.config(NETWORK), installation.rows("SELECT clock_timestamp()")[0][0]
    # A passed check of an earlier suspicion is trusted for a minute.
    installation.execute(AGE_CHECKS, config)
    installation.execute(CLOSE_ALERTS, config)
    with loaded(installation, buyers=buyers) as load:
        installation.wait_for(lambda: _states(installation, config, load).get("delivered", 0) >= buyers / 6)
        installation.control("POST", "tokens/revoke", network=NETWORK, credential=old)
        revoked = time.monotonic()
        installation.wait_for(lambda: installation.number(HELD, config), seconds=90)
        figures: dict[str, Any] = {"detected_s": round(time.monotonic() - revoked, 1)}
    figures["purchases"] = len(load.acknowledged)
    installation.wait_for(lambda: not _waiting(installation, config, load), seconds=120)
    figures["while_on_hold"] = _states(installation, config, load)
    installation.wait_for(lambda: installation.number(ALERTS, config, began), seconds=60)
    figures["failed_sends"] = installation.number(REFUSED, config, began)
    rotated = time.monotonic()
    installation.rotate(NETWORK, new)
    installation.wait_for(lambda: _states(installation, config, load) == {"delivered": buyers}, seconds=60 + buyers / 4)
    figures["released_s"] = round(time.monotonic() - rotated, 1)
    figures["in_the_end"] = _states(installation, config, load)
    figures["alerts"] = installation.number(ALERTS, config, began)
    if recovers:
        installation.wait_for(lambda: installation.number(RECOVERED, config, began), seconds=150)
    figures["failed_sends"] = installation.number(REFUSED, config, began)
    installation.control("POST", "tokens/restore", network=NETWORK, credential=old)
    return figures


@contextmanager
def loaded(installation: Installation, *, buyers: int) -> Iterator[Buyers]:
    """Run the load, and wait for its end when the context is left."""
    load = start(installation, network=NETWORK, count=buyers, rate=RATE, prefix="revoked")
    try:
        yield load
    finally:
        load.finish()


def violations(figures: dict[str, Any]) -> list[str]:
    """Return the requirements that are not met."""
    count, on_hold = figures["purchases"], figures["while_on_hold"]
    requirements = {
        "detected within 60 s": figures["detected_s"] <= 60,
        "at most three failed sends": 1 <= figures["failed_sends"] <= 3,
        "one alert": figures["alerts"] == 1,
        "the rest held": "held" in on_hold and on_hold.keys() <= {"delivered", "held"},
        "none lost while on hold": sum(on_hold.values()) == count,
        "all delivered after the rotation": figures["in_the_end"] == {"delivered": count},
    }
    return [f"{requirement}: {figures}" for requirement, is_met in requirements.items() if not is_met]


def _states(installation: Installation, config: str, load: Buyers) -> dict[str, int]:
    return dict(installation.rows(STATES, config, f"{load.prefix}-%"))


def _waiting(installation: Installation, config: str, load: Buyers) -> bool:
    """Whether a purchase has no delivery yet, or one that is waiting."""
    states = _states(installation, config, load)
    return "waiting" in states or sum(states.values()) < len(load.acknowledged)
