"""Short runs of `make faults`: every fault once, under a small load."""

from postbacks.networks.reddit.imitation import ACCOUNTS as REDDIT_ACCOUNTS
from tests.faults import outage, revoked, suite
from tests.faults.installation import Installation
from tests.faults.scenarios import SCENARIOS


def test_no_fault_loses_a_conversion_or_counts_one_twice(installation: Installation) -> None:
    run = suite.play(installation, rate=3, pause=0.2, events=500, settle_within=90)
    assert run.violations == []
    assert run.verification.figures["conversions"] > 150
    assert [name for name, _, _ in run.injected] == list(SCENARIOS)


def test_a_credential_revoked_under_load_is_detected_and_a_rotation_sends_all_held_deliveries(
    installation: Installation,
) -> None:
    # The scenarios may have rotated the token, or may not have run.
    old, new = REDDIT_ACCOUNTS.token, REDDIT_ACCOUNTS.rotated_token
    installation.control("POST", "tokens/restore", network="reddit", credential=old)
    installation.rotate("reddit", old)
    figures = revoked.revoke(installation, buyers=40, old=old, new=new, recovers=False)
    assert revoked.violations(figures) == []


def test_deliveries_of_an_outage_are_sent_at_the_limiters_rate_and_do_not_delay_the_other_network(
    installation: Installation,
) -> None:
    figures = outage.measure(installation, waiting=150, rate=25, unavailable="reddit", other="tiktok")
    # Other tests run at the same time; `make faults` requires 2 s.
    assert outage.violations(figures, p95_ms=5000) == []
