"""The retention of delivery attempts."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audience.games import game_settings
from audience.models import Role
from postbacks import tasks
from postbacks.delivery import prune
from postbacks.models import Delivery, DeliveryAttempt, PostbackConfig
from postbacks.reporting import audit
from tests import factories, hub

pytestmark = pytest.mark.django_db
AGO = timedelta(days=40)


@pytest.fixture
def config() -> PostbackConfig:
    return factories.config(factories.game(name="Starfall"))


def ended(config: PostbackConfig, ago: timedelta = AGO, state: str = "delivered", **given: Any) -> Delivery:
    """A delivery with a retried and a successful attempt."""
    row = factories.delivery(
        config, state=state, finished_at=timezone.now() - ago, next_attempt_at=None, attempts_made=2, **given
    )
    factories.attempt(row, ago=ago + timedelta(hours=1), status="retried", verdict="transient")
    factories.attempt(row, ago=ago)
    return row


def left() -> set[Any]:
    return set(DeliveryAttempt.objects.values_list("delivery", flat=True))


def test_by_default_attempts_are_kept_forever(config: PostbackConfig) -> None:
    ended(config, timedelta(days=4000))

    assert prune.prune() == []
    assert DeliveryAttempt.objects.count() == 2


def test_attempts_are_deleted_after_the_retention_of_their_game(config: PostbackConfig) -> None:
    other = factories.config(factories.game())
    game_settings.set_kept_days(game=config.game, days=31)
    gone, young, theirs = ended(config), ended(config, timedelta(days=30)), ended(other)
    (would,) = prune.prune(dry_run=True)
    assert (would.rows, would.what.partition(", ended")[0]) == (2, f"attempts of Starfall, {config}")
    assert len(left()) == 3
    assert [(one.what, one.rows) for one in prune.prune()] == [(would.what, 2)]

    assert left() == {young.pk, theirs.pk}
    assert Delivery.objects.filter(pk=gone.pk, state="delivered").exists()


def test_a_delivery_that_is_not_over_keeps_its_attempts(config: PostbackConfig) -> None:
    game_settings.set_kept_days(game=config.game, days=31)
    kept = [ended(config, state="waiting"), ended(config, state="held")]
    late = ended(config)
    Delivery.objects.filter(pk=late.pk).update(finished_at=timezone.now() - timedelta(days=1))
    Delivery.objects.filter(pk=kept[0].pk).update(finished_at=None)
    tasks.prune()

    assert left() == {late.pk, *(row.pk for row in kept)}


def test_the_audit_accepts_that_attempts_were_deleted(config: PostbackConfig) -> None:
    game_settings.set_kept_days(game=config.game, days=31)
    ended(config)
    assert broken() == 0
    tasks.prune()
    assert broken() == 0

    # Attempts that all are there, none of them accepted, are a violation however old.
    wrong = ended(config, timedelta(days=90))
    wrong.attempts.update(status="failed")
    assert broken() == 1


def broken() -> int:
    report = audit.run(game=None, days=0).as_json()
    (found,) = (check for check in report["checks"] if check["check"] == "delivered_were_accepted")
    return int(found["violations"])


def test_the_page_of_a_conversion_says_where_the_calls_are(config: PostbackConfig) -> None:
    row = ended(config)
    address = f"/g/{config.game.slug}/conversions/{row.conversion_id}/"
    marketer: Client = hub.member(config.game, Role.MARKETER)
    gone = "The attempts were deleted"
    assert gone not in marketer.get(address).content.decode()
    game_settings.set_kept_days(game=config.game, days=31)
    prune.prune()

    assert gone in marketer.get(address).content.decode()
