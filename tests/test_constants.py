"""The real values of limits that other tests lower, as documented."""

import importlib
from datetime import timedelta

import pytest

MEGABYTE = 1024 * 1024

REAL_VALUES = {
    # How long and how large a request or an answer may be.
    "audience.intake.bodies.BODY_SECONDS": 20.0,
    "audience.intake.bodies.MIN_BYTES_PER_SECOND": 8192,
    "audience.intake.bodies.MAX_HELD_BYTES": 8 * MEGABYTE,
    "audience.intake.asgi.MAX_IN_FLIGHT_BYTES": 8 * MEGABYTE,
    "audience.intake.storing.write_queue.MAX_WAITING_EVENTS": 20_000,
    "config.pages.READ_SECONDS": 20.0,
    "config.pages.MIN_BYTES_PER_SECOND": 8192,
    "config.pages.MAX_HELD_BYTES": 8 * MEGABYTE,
    # Lengths that a dialect's document names.
    "audience.intake.dialects.immutable_rules.MAX_LENGTH": 256,
    "audience.intake.dialects.parcelvoy_rules.MAX_LENGTH": 255,
    "audience.intake.dialects.segment_ids.MAX_ID_LENGTH": 512,
    # A rate limit is exceeded by at most what a process has taken ahead.
    "audience.intake.requests.limit.LEASE_SIZE_SECONDS": 0.05,
    "audience.intake.requests.limit.LEASE_EXPIRY_SECONDS": 1.0,
    # Rejections that are kept.
    "audience.intake.dialects.refusing.EXPIRED_KEY_INTERVAL_SECONDS": 60.0,
    "audience.intake.storing.allowance.MAX_PER_GAME": 10_000,
    "audience.intake.storing.allowance.MAX_PER_KEY": 1_000,
    # How long a suppression takes to be in force in every process, which read keys again within a second.
    "audience.privacy.suppression.TAKES_EFFECT": timedelta(seconds=2),
    # How long a player waits for a commit, and a changed or archived link is used, and a click may not be counted.
    "audience.intake.links.views.MAX_WAIT_SECONDS": 1.0,
    "audience.intake.links.lookup.LINK_CACHE_SECONDS": 1.0,
    "audience.intake.links.counting.SAVE_SECONDS": 0.5,
    "audience.intake.links.pace.WINDOW_SECONDS": 60.0,
    "audience.intake.links.pace.MAX_NETWORKS": 100_000,
    "audience.intake.requests.visitor_cookies.MAX_AGE_SECONDS": 400 * 86_400,
    # What the event catalog stores of a client's own texts.
    "audience.digest.count_limits.MAX_NAMES": 500,
    "audience.digest.count_limits.MAX_SENDERS": 20,
    "audience.digest.count_limits.MAX_PROPERTIES": 100,
    "audience.digest.count_limits.MAX_PROPERTY_ROWS": 5_000,
    "audience.digest.event_shapes.MAX_READ": 100,
    "audience.digest.event_counts.MAX_TEXT": 32 * 1024,
    "audience.catalog.descriptions.MAX_DESCRIBED": 500,
    # Uses of the claim page.
    "audience.claims.views.MAX_USES_AN_HOUR": 60,
    "audience.claims.steam_views.MAX_SIGN_INS_AN_HOUR": 600,
    "audience.claims.redeeming.MAX_UNKNOWN_AN_HOUR": 3_000,
    "audience.claims.redeeming.MAX_UNKNOWN_OF_PLAYER": 30,
    # A call to a network, which a lease of 30 seconds covers.
    "postbacks.delivery.sending.TIMEOUT_SECONDS": 10.0,
    # Rows that a page reads before it says that there are more.
    "audience.hub.events.selection.SCAN_LIMIT": 20_000,
    "postbacks.reporting.attempt_log.SCAN_LIMIT": 2_000,
    "postbacks.reporting.funnel.SCAN_LIMIT": 20_000,
}


@pytest.mark.parametrize("name", REAL_VALUES)
def test_a_limit_has_its_documented_value(name: str) -> None:
    module, _, constant = name.rpartition(".")
    assert getattr(importlib.import_module(module), constant) == REAL_VALUES[name]
