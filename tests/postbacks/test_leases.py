"""The rows of a claim, read as one document each: the same rows, with the same values, as through the ORM."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from audience.models import Conversion, Game
from postbacks.delivery import leases
from postbacks.models import Delivery, DeliveryState, PostbackConfig
from tests import factories

pytestmark = pytest.mark.django_db
NOW = timezone.now()
MINUTE = timedelta(minutes=1)
ODD = {"order_id": 12345678901234567890123, "note": 'é "\\ \u2028', "price": 0.1, "deep": [{"a": None}], "yes": True}


@pytest.fixture
def config() -> PostbackConfig:
    return factories.config(factories.game())


def waiting(config: PostbackConfig, **given: Any) -> Delivery:
    return factories.delivery(config, **{"next_attempt_at": NOW - MINUTE, **given})


def conversion(game: Game, **given: Any) -> Conversion:
    person = factories.person(game, traits={"email": "a@example.com"})
    return factories.conversion(person, **given)


def due(config: PostbackConfig, most: int = 10) -> list[Delivery]:
    with transaction.atomic():
        return leases.due(config, now=NOW, most=most)


def test_the_values_are_those_that_the_orm_reads(
    config: PostbackConfig, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    person = factories.person(config.game, traits={"email": "a@example.com"})
    touch = factories.touch(person, browser_id="ttp")
    bought = factories.conversion(
        person, touch=touch, user_id="u-1", value=Decimal("12345678901234.560001"), currency="EUR", properties=ODD
    )
    taken = {"first_attempt_at": NOW - 2 * MINUTE, "safe_until": NOW + MINUTE, "leased_until": NOW - MINUTE}
    waiting(config, conversion=bought, attempts_made=2, attempts_counted=1, verdict="transient", **taken)

    [row] = due(config)
    with django_assert_num_queries(0):
        assert row.config is config
        assert row.conversion
        assert row.conversion.touch
        assert row.conversion.game is config.game
        found = {type(each): each for each in (row, row.conversion, row.conversion.touch, row.conversion.person)}
        read = {model: [getattr(found[model], name) for name in names] for model, names in leases.READ.items()}
    for model, values in read.items():
        [stored] = model._default_manager.all()
        assert values == [getattr(stored, name) for name in leases.READ[model]]
        assert [type(value) for value in values] == [type(getattr(stored, name)) for name in leases.READ[model]]


def test_a_goal_that_counts_events_from_a_server_only_asks_for_nothing_more(
    config: PostbackConfig, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for from_server in (True, False, None):
        waiting(config, conversion=conversion(config.game, from_server=from_server))
    found = [row.conversion for row in due(config)]
    with django_assert_num_queries(0):
        read = [one.from_server for one in found if one is not None]
    assert sorted(read, key=str) == [False, None, True]


def test_what_is_not_read_is_fetched_and_a_row_can_be_saved(config: PostbackConfig) -> None:
    made = waiting(config, conversion=conversion(config.game))

    [row] = due(config)
    assert row.trigger == made.trigger
    row.reason = "erased"
    row.save(update_fields=["reason"])
    made.refresh_from_db()
    assert (made.reason, made.trigger, made.state) == ("erased", "purchase", "waiting")


def test_without_a_click_and_without_a_player(config: PostbackConfig) -> None:
    waiting(config, conversion=conversion(config.game), next_attempt_at=NOW - 2 * MINUTE)
    Delivery.objects.filter(pk=waiting(config).pk).update(conversion=None)

    unpaid, erased = due(config)
    assert unpaid.conversion
    assert unpaid.conversion.touch is None
    assert unpaid.conversion.person.traits == {"email": "a@example.com"}
    assert erased.conversion is None


def test_they_are_the_rows_that_are_due(config: PostbackConfig) -> None:
    for minutes in (3, 1, 2):
        waiting(config, conversion=conversion(config.game), next_attempt_at=NOW - minutes * MINUTE)
    waiting(config, conversion=conversion(config.game), leased_until=NOW - MINUTE)
    waiting(config, conversion=conversion(config.game), leased_until=NOW + MINUTE)
    waiting(config, conversion=conversion(config.game), next_attempt_at=NOW + MINUTE)
    waiting(config, conversion=conversion(config.game), state=DeliveryState.DELIVERED)
    waiting(factories.config(config.game, network="reddit"), conversion=conversion(config.game))

    expected = list(Delivery.objects.due(NOW).filter(config=config))
    assert len(expected) == 4
    assert {row.pk for row in due(config)} == {row.pk for row in expected}
    oldest = [row.next_attempt_at for row in Delivery.objects.filter(pk__in=[row.pk for row in due(config, most=2)])]
    assert sorted(filter(None, oldest)) == [NOW - 3 * MINUTE, NOW - 2 * MINUTE]
    assert due(config, most=0) == []
