"""Claims: which deliveries are claimed, what is loaded with them, and the attempts written before the calls."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from audience.database import clock
from audience.models import Conversion, Game
from consent.models import Level
from postbacks.delivery import claims, leases
from postbacks.models import AttemptStatus, Delivery, DeliveryAttempt, DeliveryState, Flow, PostbackConfig
from postbacks.outbox import conversion_facts, gate
from tests import factories

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


def waiting(config: PostbackConfig, **given: Any) -> Delivery:
    return factories.delivery(config, **{"next_attempt_at": timezone.now() - MINUTE, **given})


def conversion(game: Game, **given: Any) -> Conversion:
    person = factories.person(game, traits={"email": "ada@example.com"})
    return factories.conversion(person, touch=factories.touch(person), **given)


def test_only_what_is_due_is_claimed_and_the_longest_waiting_first(config: PostbackConfig) -> None:
    now = timezone.now()
    minutes = {number: waiting(config, next_attempt_at=now - number * MINUTE).pk for number in (3, 1, 4)}
    lease_over = waiting(config, leased_until=now - MINUTE, next_attempt_at=now - 2 * MINUTE).pk
    waiting(config, leased_until=now + MINUTE)
    waiting(config, next_attempt_at=now + MINUTE)
    waiting(config, state=DeliveryState.DELIVERED)
    waiting(factories.config(config.game, network="reddit"))

    first, *others = [claim.delivery.pk for claim in claims.claim(network="tiktok", limit=10)]
    assert [first, *others] == [minutes[4], minutes[3], lease_over, minutes[1]]


def test_no_more_than_the_limit_are_claimed_of_all_pixels_together(config: PostbackConfig) -> None:
    other = factories.config(factories.game(), pixel_id="C0THERP1XEL0000000000")
    for each in (config, other):
        for _ in range(3):
            waiting(each)
    assert len(list(claims.claim(network="tiktok", limit=5))) == 5
    assert Delivery.objects.exclude(leased_until=None).count() == 5
    assert len(list(claims.claim(network="tiktok", limit=5))) == 1


def test_the_attempt_is_written_before_the_call_with_the_delivery_leased(config: PostbackConfig) -> None:
    row = waiting(config, attempts_made=2, attempts_counted=1, conversion=conversion(config.game))
    PostbackConfig.objects.update(version=4)
    (claim,) = claims.claim(network="tiktok")
    row.refresh_from_db()
    assert (row.attempts_made, row.attempts_counted, row.config_version) == (3, 2, 4)
    assert row.leased_until == claim.starts_at + timedelta(seconds=leases.LEASE_SECONDS)
    assert row.first_attempt_at is not None
    assert row.safe_until == row.first_attempt_at + timedelta(hours=47)
    attempt = DeliveryAttempt.objects.get()
    assert (attempt.pk, attempt.delivery_id, attempt.config_id) == (claim.attempt_id, row.pk, config.pk)
    assert (attempt.number, attempt.config_version, attempt.status) == (3, 4, AttemptStatus.SENDING)
    assert (attempt.started_at, attempt.finished_at, attempt.payload) == (row.first_attempt_at, None, None)


def test_sending_a_claimed_delivery_makes_no_query(
    config: PostbackConfig, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    waiting(config, conversion=conversion(config.game, user_id="", from_server=True))
    (claim,) = claims.claim(network="tiktok")
    delivery, taken = claim.delivery, claim.delivery.conversion
    assert taken is not None
    with django_assert_num_queries(0):
        assert (
            conversion_facts.read_facts(taken, event_id=delivery.event_id, level=Level.FULL, sent_as="") == claim.facts
        )
        assert gate.reason_not_to_send(taken, delivery.config, level=claim.level, now=clock.now()) is None
        assert (taken.game, taken.from_server) == (config.game, True)
        assert delivery.config.kind.label == "TikTok Ads"


def test_a_claim_costs_as_many_statements_whatever_its_size(config: PostbackConfig) -> None:
    """A statement for each row would cost a worker more than the calls."""
    for _ in range(15):
        waiting(config)
    Flow.objects.create(network=config.network, pixel_id=config.pixel_id)
    counts = []
    for limit in (3, 12):
        with CaptureQueriesContext(connection) as queries:
            assert len(list(claims.claim(network="tiktok", limit=limit))) == limit
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_a_claim_begins_by_its_start_or_the_deadline_of_its_delivery(config: PostbackConfig) -> None:
    soon = timezone.now() + timedelta(seconds=1)
    waiting(config, next_attempt_at=timezone.now() - 2 * MINUTE)
    waiting(config, dead_after=soon)
    free, ending = claims.claim(network="tiktok", limit=2)
    assert free.latest_start == free.starts_at + timedelta(seconds=2.5)
    assert ending.latest_start == soon


@pytest.mark.parametrize("stop", [{"held_at": timezone.now}, {"suspected_at": timezone.now}])
def test_a_config_stopped_after_it_was_found_ready_is_not_claimed(
    config: PostbackConfig, monkeypatch: pytest.MonkeyPatch, stop: dict[str, Callable[[], Any]]
) -> None:
    """The state is read again under the lock."""
    waiting(config)
    found = claims.claim(network="tiktok")
    real = claims.claimable_configs

    def stopped_meanwhile(network: str, now: Any) -> Any:
        ready = list(real(network, now))
        PostbackConfig.objects.update(**{name: value() for name, value in stop.items()})
        return ready

    monkeypatch.setattr(claims, "claimable_configs", stopped_meanwhile)
    assert list(found) == []
    assert DeliveryAttempt.objects.count() == 0
