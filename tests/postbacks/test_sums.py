"""What the pages add up is what was sent, for random purchases."""

import csv
from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audience.digest import money
from audience.models import Conversion, Game, ValueProblem
from postbacks.delivery import sending
from postbacks.hub.overview import figures
from postbacks.outbox import fan_out
from postbacks.reporting import export
from postbacks.reporting.conversion_status import ConversionFilter
from postbacks.reporting.funnel import Tally, count_steps
from postbacks.reporting.statuses import Status
from postbacks.sandbox.server import Sandbox
from tests import factories
from tests.effort import IN_FULL

Sums = dict[str, Decimal]

amounts = st.one_of(
    st.integers(-3, 10_000),
    st.floats(0, 1e6, allow_nan=False),
    st.decimals(0, 1_000_000, places=3).map(str),
    st.decimals(10**11, 10**14, places=2).map(str),
    st.sampled_from(["9,99", "1,234.50", "€ 9.99", "1,234", "free", "", None, True, -1, "0", 10.899999618530273]),
    st.sampled_from(["99999999999998.99", "J$ 5", "(9.99)", "1e-7", "1e13", 2**53, 10**30]),
)
purchases = st.fixed_dictionaries(
    {"currency": st.sampled_from(["USD", "usd", "EUR", "JPY", "KWD", "GEM", "GOLD", "", None])},
    optional={
        "value": amounts,
        "revenue": amounts,
        "price": amounts,
        "quantity": st.one_of(st.integers(-1, 5), st.just("two")),
        "order_id": st.sampled_from(["T-1", "T-2", "undefined", ""]),
    },
)


@pytest.mark.django_db
@settings(
    max_examples=100 if IN_FULL else 10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    print_blob=True,
)
@given(bought=st.lists(st.tuples(st.integers(1, 2), purchases), min_size=1, max_size=10))
def test_the_sums_of_the_pages_are_those_of_the_requests(
    sandbox: Sandbox, bought: list[tuple[int, dict[str, Any]]]
) -> None:
    sandbox.state.delete_requests()
    with transaction.atomic():
        game = factories.game()
        factories.config(game)
        players = {number: factories.person(game, user=f"user-{number}") for number in (1, 2)}
        touches = {number: factories.touch(player) for number, player in players.items()}
        for number, properties in bought:
            reason = "refund" if money.read(properties).problem == ValueProblem.NEGATIVE else ""
            factories.conversion(players[number], touch=touches[number], properties=properties, reason=reason)
        fan_out.fan_out_due()
        sending.drain(network="tiktok", max_in_flight=1)

        sent = in_requests(sandbox)
        assert delivered(game).sums == sent
        assert in_overview(game) == sent
        assert in_export(game) == sent
        transaction.set_rollback(True)


def in_requests(sandbox: Sandbox) -> Sums:
    sums: Sums = defaultdict(Decimal)
    for call in sandbox.received("tiktok"):
        properties = call["body"]["data"][0].get("properties", {})
        assert ("value" in properties) == ("currency" in properties)
        if "value" in properties:
            sums[properties["currency"]] += Decimal(str(properties["value"]))
    return dict(sums)


def delivered(game: Game) -> Tally:
    steps = count_steps(ConversionFilter(game=game, since=timezone.now() - timedelta(days=1)))
    return next(step.tally for step in steps if step.key == Status.DELIVERED)


def in_overview(game: Game) -> Sums:
    found = figures.read_conversions(
        game, since=timezone.now() - timedelta(days=1), until=timezone.now() + timedelta(hours=1)
    )
    return found.get("tiktok", Tally()).sums


def in_export(game: Game) -> Sums:
    rows = csv.DictReader(list(export.lines(Conversion.objects.counted().filter(game=game), addresses=True)))
    sums: Sums = defaultdict(Decimal)
    for row in rows:
        if row["state"] == "delivered" and row["value"]:
            sums[row["currency"]] += Decimal(row["value"])
    return dict(sums)
