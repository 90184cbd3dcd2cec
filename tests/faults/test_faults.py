"""The short forms of `make faults`: every kind of mishap once, under a small load."""

from postbacks.networks.reddit.imitation import ACCOUNTS as REDDIT_ACCOUNTS
from tests.faults import outage, revoked, suite
from tests.faults.house import House
from tests.faults.mishaps import MISHAPS


def test_no_fault_loses_a_conversion_or_counts_one_twice(house: House) -> None:
    run = suite.play(house, rate=3, pause=0.2, events=500, settle_within=90)
    assert run.violations == []
    assert run.proof.figures["conversions"] > 150
    assert [name for name, _, _ in run.happened] == list(MISHAPS)


def test_a_credential_revoked_under_load_is_noticed_and_a_rotation_releases_everything(house: House) -> None:
    # The mishaps may have come before, or not when the tests run apart.
    old, new = REDDIT_ACCOUNTS.token, REDDIT_ACCOUNTS.rotated_token
    house.control("POST", "tokens/restore", network="reddit", credential=old)
    house.rotate("reddit", old)
    figures = revoked.revoke(house, buyers=40, old=old, new=new, recovers=False)
    assert revoked.violations(figures) == []


def test_what_an_outage_piles_up_drains_at_the_limiters_rate_and_the_other_network_does_not_wait(house: House) -> None:
    figures = outage.outlast(house, waiting=150, rate=25, away="reddit", other="tiktok")
    # Under the whole test run on a busy machine; `make faults` holds it to 2 s.
    assert outage.violations(figures, p95_ms=5000) == []
