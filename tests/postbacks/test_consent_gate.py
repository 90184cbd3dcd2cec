"""What is sent is what the player's consent allows: nothing, the click id, or everything."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from audience.digest import money, orders
from audience.models import Conversion, Game, Owners, Ownership, Person, Touch
from consent.decisions import record_decision
from consent.models import Level
from postbacks.delivery import sending
from postbacks.models import Delivery, DeliveryAttempt
from postbacks.networks import NETWORKS
from postbacks.networks.interface.facts import Facts, Item
from postbacks.outbox import consent_levels, contact_facts, conversion_facts, fan_out, gate
from postbacks.sandbox.server import Sandbox
from tests import factories
from tests.queries import queries_of

AT = timezone.now()
PERSONAL = {"email": "Ada@Example.com", "phone_number": "+15554441234"}


def bought(**given: Any) -> Conversion:
    """A purchase that is in no table, with a click and everything personal."""
    game = Game(pk=1, name="g")
    person = Person(game=game, traits=PERSONAL)
    person.first_user_id = "user-1"
    touch = Touch(
        network="tiktok",
        click_id="E.C.P.click",
        page_url="https://game.example/landing",
        referrer="https://ads.example/",
        ip="203.0.113.7",
        user_agent="Mozilla/5.0 (click)",
        cookies={"_ttp": "ttp-cookie"},
    )
    fields = {
        "trigger": "purchase",
        "event_at": AT,
        "properties": {"transaction_id": "t-1", "item_id": "gem", "quantity": 2},
        "context": {"locale": "en-GB", "ip": "198.51.100.1", "userAgent": "server"},
        "value": Decimal("9.99"),
        "currency": "USD",
        "anonymous_id": "",
    }
    return Conversion(game=game, person=person, touch=touch, **{**fields, **given})


WHAT_WAS_BOUGHT = {
    "trigger": "purchase",
    "event_id": "e-1",
    "event_at": AT,
    "click_id": "E.C.P.click",
    "value": Decimal("9.99"),
    "currency": "USD",
    "items": (Item(id="gem", quantity=2),),
}


def test_anonymous_consent_allows_the_click_id_and_the_purchase() -> None:
    assert conversion_facts.read_facts(bought(), event_id="e-1", level=Level.ANONYMOUS) == Facts(**WHAT_WAS_BOUGHT)


def test_full_consent_allows_everything_with_the_clicks_address_and_user_agent() -> None:
    assert conversion_facts.read_facts(bought(), event_id="e-1", level=Level.FULL) == Facts(
        **WHAT_WAS_BOUGHT,
        has_full_consent=True,
        cookies={"_ttp": "ttp-cookie"},
        email="Ada@example.com",
        phone="+15554441234",
        external_id="user-1",
        ip="203.0.113.7",
        user_agent="Mozilla/5.0 (click)",
        locale="en-GB",
        page_url="https://game.example/landing",
        referrer="https://ads.example/",
        order_id="t-1",
    )


@pytest.mark.parametrize(("context", "ip"), [({"ip": None}, None), ({"ip": ""}, "203.0.113.7"), ({}, "203.0.113.7")])
def test_an_event_with_an_address_of_zeros_is_sent_without_an_address(context: dict[str, Any], ip: str | None) -> None:
    assert conversion_facts.read_facts(bought(context=context), event_id="e-1", level=Level.FULL).ip == ip


def test_values_of_the_event_take_precedence_over_those_of_the_person() -> None:
    known = conversion_facts.read_facts(
        bought(user_id="user-of-the-event", context={"traits": {"email": "new@example.com"}}),
        event_id="e-1",
        level=Level.FULL,
    )
    assert (known.email, known.phone, known.external_id) == ("new@example.com", "+15554441234", "user-of-the-event")


@pytest.mark.django_db
def test_a_player_is_named_by_the_first_user_id(game: Game, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    twice, never = factories.person(game, anonymous="browser-1"), factories.person(game, anonymous="browser-2")
    for value, hours in (("user-b", 2), ("user-a", 2), ("user-0", 1)):
        factories.identity(twice, namespace="user", value=value, first_seen_at=AT - timedelta(hours=hours))
    rows = [factories.conversion(person) for person in (twice, never, twice)]
    named = factories.conversion(never, user_id="of-the-event")
    assert queries_of(lambda: conversion_facts.load_first_user_ids(rows[:1])) == queries_of(
        lambda: conversion_facts.load_first_user_ids([*rows, named])
    )
    with django_assert_num_queries(0):
        known = [
            conversion_facts.read_facts(row, event_id="e-1", level=Level.FULL).external_id for row in (*rows, named)
        ]

    assert known == ["user-a", None, "user-a", "of-the-event"]
    # Of a single one it is looked up when it is asked for.
    alone = Conversion.objects.get(pk=rows[0].pk)
    assert conversion_facts.read_facts(alone, event_id="e-1", level=Level.FULL).external_id == "user-a"


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"itemId": "a", "item_name": "Gem", "price": "1.50"}, (Item(id="a", name="Gem", price=Decimal("1.50")),)),
        ({"product_id": 7, "quantity": "3"}, (Item(id="7", quantity=3),)),
        ({"items": [{"id": "x", "name": "X", "category": "c"}]}, (Item(id="x", name="X", category="c"),)),
        (
            {"products": [{"sku": "x"}, None, 4, {"quantity": 1}, {"name": "y", "quantity": 1.5}]},
            (Item(id="x"), Item(name="y")),
        ),
        ({"id": "order", "name": "not an item"}, ()),
        ({"item_id": " ", "item_name": None}, ()),
        ({"items": "gem"}, ()),
    ],
)
def test_items_are_read_from_a_list_or_from_the_purchase(properties: dict[str, Any], expected: Any) -> None:
    assert conversion_facts.read_facts(bought(properties=properties), event_id="e", level=Level.FULL).items == expected


@pytest.mark.parametrize("value", [9.99, "9.99", 0, -1, "ten"])
def test_the_value_is_that_of_the_conversion_whatever_its_properties_state(value: Any) -> None:
    properties = {"value": value, "currency": "USD"}
    without = conversion_facts.read_facts(
        bought(value=None, currency="", properties=properties), event_id="e", level=Level.FULL
    )
    assert (without.value, without.currency) == (None, None)
    of_conversion = bought(value=Decimal(5), currency="EUR", properties=properties)
    known = conversion_facts.read_facts(of_conversion, event_id="e", level=Level.FULL)
    assert (known.value, known.currency) == (Decimal(5), "EUR")


def test_a_negative_value_of_an_earlier_version_is_none() -> None:
    assert conversion_facts.read_facts(bought(value=Decimal(-1)), event_id="e", level=Level.FULL).value is None


@pytest.mark.parametrize(
    ("price", "currency", "expected"),
    [
        ("10.899999618530273", "USD", "10.90"),
        ("9,99", "EUR", "9.99"),
        ("€ 9.99", "EUR", "9.99"),
        ("€ 9.99", "USD", None),
        ("120.4", "JPY", "120"),
        (1.5, "", "1.500000"),
        (-1, "USD", None),
        ("1,234", "USD", None),
        (10**14, "USD", None),
    ],
)
def test_an_items_price_is_read_as_amounts_are(price: Any, currency: str, expected: str | None) -> None:
    purchase = bought(properties={"items": [{"id": "gem", "price": price}]}, currency=currency)
    (item,) = conversion_facts.read_facts(purchase, event_id="e", level=Level.FULL).items
    assert (None if item.price is None else str(item.price)) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = [
    *contact_facts.EMAIL,
    *contact_facts.CANONICAL_EMAIL,
    *contact_facts.PHONE,
    *contact_facts.COUNTRY,
    *money.AMOUNT,
    *orders.ORDER_ID,
    *conversion_facts.ITEMS,
    *conversion_facts.ITEM_ID,
    *conversion_facts.ITEM_PRICE,
]
FREE_NAMES = [*NAMES, *money.CURRENCY, "quantity", "traits", "locale", "address", "user_data"]
FREE = st.dictionaries(st.sampled_from(FREE_NAMES), JSON, max_size=6) | JSON


@given(properties=FREE, context=FREE, traits=FREE, integrations=FREE)
def test_it_raises_for_no_json(properties: Any, context: Any, traits: Any, integrations: Any) -> None:
    paid = money.read(properties)
    assert paid.amount is None or paid.problem == ""
    conversion = bought(properties=properties, context=context, value=paid.amount, currency=paid.currency)
    conversion.person.traits = traits
    for level in (Level.ANONYMOUS, Level.FULL):
        known = conversion_facts.read_facts(conversion, event_id="e", level=level)
        for config in factories.unsaved_configs():
            config.kind.has_match_key(known)
    assert gate.is_destination_allowed(integrations, "TikTok Ads") in (True, False)


# Which level is in force --------------------------------------------------------------------------


def decide(game: Game, anonymous_id: str, level: Level, *, days_ago: float) -> None:
    at = timezone.now() - timedelta(days=days_ago)
    record_decision(game_id=game.pk, anonymous_id=anonymous_id, level=level, source="test", decided_at=at)


def outcome(game: Game, *, network: str = "tiktok", **of_conversion: Any) -> tuple[str, str]:
    """(state, reason) of the delivery of one purchase by a player known under two anonymous ids."""
    factories.config(game, network=network)
    player = factories.person(game, anonymous="anon-1", user="user-1", traits=PERSONAL)
    factories.identity(player, value="anon-2")
    factories.conversion(player, touch=factories.touch(player, network=network), **of_conversion)
    fan_out.fan_out_due()
    row = Delivery.objects.get()
    return row.state, row.reason


@pytest.mark.django_db
class TestTheLevelInForce:
    def test_without_any_consent_level_it_passes(self, game: Game) -> None:
        assert outcome(game, consent_level="") == ("waiting", "")

    @pytest.mark.parametrize("strict", [False, True])
    @pytest.mark.parametrize("recorded", [None, Level.NONE, Level.ANONYMOUS, Level.FULL])
    @pytest.mark.parametrize(
        ("stated", "sent"),
        [("not_set", "none"), ("none", "none"), ("anonymous", "anonymous"), ("full", "full"), ("", "")],
    )
    def test_each_combination_of_what_was_stated_and_decided(
        self, sandbox: Sandbox, game: Game, stated: str, sent: str, recorded: Level | None, strict: bool
    ) -> None:
        """What reaches the network: nothing, the click alone, or the email too."""
        game.strict_consent = strict
        game.save()
        if recorded:
            decide(game, "anon-2", recorded, days_ago=1)
        expected = sent or (recorded.value if recorded else "none" if strict else "full")

        state, reason = outcome(game, consent_level=stated)
        assert (state, reason) == (("skipped", "consent") if expected == "none" else ("waiting", ""))
        sending.drain(network="tiktok", max_in_flight=1)
        users = [request["body"]["data"][0]["user"] for request in sandbox.received("tiktok")]
        assert [set(user) >= {"email"} for user in users] == {"none": [], "anonymous": [False], "full": [True]}[
            expected
        ]
        assert all(user["ttclid"] == "E.C.P.click" for user in users)

    def test_without_any_consent_level_a_strict_game_sends_nothing(self, game: Game) -> None:
        game.strict_consent = True
        game.save()
        assert outcome(game) == ("skipped", "consent")
        assert Conversion.objects.get().reason == "consent"

    def test_the_level_of_the_event_replaces_an_earlier_decision(self, game: Game) -> None:
        decide(game, "anon-1", Level.NONE, days_ago=1)
        assert outcome(game, consent_level="anonymous") == ("waiting", "")

    def test_a_later_withdrawal_stops_an_event_that_states_full_consent(self, game: Game) -> None:
        decide(game, "anon-1", Level.NONE, days_ago=0)
        assert outcome(game, consent_level="full", event_at=timezone.now() - timedelta(hours=1)) == (
            "skipped",
            "consent",
        )

    def test_consent_that_is_given_later_is_not_retroactive(self, game: Game) -> None:
        decide(game, "anon-1", Level.NONE, days_ago=1)
        decide(game, "anon-1", Level.FULL, days_ago=0)
        assert outcome(game, event_at=timezone.now() - timedelta(hours=1)) == ("skipped", "consent")

    def test_of_an_id_with_several_owners_only_the_decisions_made_in_their_time_count(self, game: Game) -> None:
        player, other = factories.person(game, user="u", anonymous="own"), factories.person(game, user="other")
        shared = factories.identity(player, value="shared", owners=Owners.SEVERAL)
        for person, days in ((other, 5), (player, 3)):
            user, at = person.identities.get(namespace="user"), timezone.now() - timedelta(days=days)
            Ownership.objects.create(game=game, identity=shared, user=user, first_at=at, last_at=at)
        decide(game, "shared", Level.NONE, days_ago=4)
        factories.config(game)
        conversion = factories.conversion(player, touch=factories.touch(player))
        of_other = factories.conversion(other, touch=factories.touch(other))
        assert consent_levels.levels([conversion, of_other]) == {conversion.pk: Level.FULL, of_other.pk: Level.NONE}
        decide(game, "shared", Level.ANONYMOUS, days_ago=2)
        found = consent_levels.levels([conversion, of_other])
        assert found == {conversion.pk: Level.ANONYMOUS, of_other.pk: Level.NONE}

    def test_the_newest_decision_of_any_anonymous_id_counts(self, game: Game) -> None:
        decide(game, "anon-1", Level.FULL, days_ago=2)
        decide(game, "anon-2", Level.NONE, days_ago=1)
        decide(game, "anon-1", Level.FULL, days_ago=3)
        assert outcome(game) == ("skipped", "consent")

    def test_a_decision_in_another_game_or_of_a_user_id_is_not_his(self, game: Game, other_game: Game) -> None:
        decide(other_game, "anon-1", Level.NONE, days_ago=0)
        decide(game, "user-1", Level.NONE, days_ago=0)
        assert outcome(game) == ("waiting", "")


@pytest.mark.django_db
def test_anonymous_consent_without_a_click_id_matches_nobody(game: Game) -> None:
    factories.config(game, network="reddit")
    player = factories.person(game, traits=PERSONAL)
    click = factories.touch(player, network="reddit", click_id="")
    factories.conversion(player, touch=click, consent_level="anonymous")
    fan_out.fan_out_due()
    assert Delivery.objects.values_list("state", "reason").get() == ("skipped", "no_match_key")


@pytest.mark.django_db
def test_nothing_personal_is_on_the_wire_with_anonymous_consent(sandbox: Sandbox, game: Game) -> None:
    assert outcome(game, consent_level="anonymous") == ("waiting", "")
    sending.drain(network="tiktok", max_in_flight=1)
    event = sandbox.received("tiktok")[0]["body"]["data"][0]
    assert event["user"] == {"ttclid": "E.C.P.click"}
    assert event["properties"] == {"value": 9.99, "currency": "USD"}
    assert "page" not in event


@pytest.mark.django_db
@pytest.mark.parametrize("network", NETWORKS)
def test_consent_withdrawn_before_the_retry_stops_it(sandbox: Sandbox, game: Game, network: str) -> None:
    assert outcome(game, network=network) == ("waiting", "")
    Delivery.objects.update(next_attempt_at=timezone.now(), not_before=None)  # some accept no click so young
    sandbox.state.add_fault(network, "unavailable", 1)
    sending.drain(network=network, max_in_flight=1)
    decide(game, "anon-1", Level.NONE, days_ago=0)
    Delivery.objects.update(next_attempt_at=timezone.now())
    sending.drain(network=network, max_in_flight=1)
    row = Delivery.objects.get()
    assert (row.state, row.reason, row.next_attempt_at) == ("skipped", "consent", None)
    assert Conversion.objects.get().reason == "consent"
    assert DeliveryAttempt.objects.count() == 1
    assert len(sandbox.received(network)) == 1


@pytest.mark.parametrize("placeholder", ["null", "UNDEFINED", "0", "00000000-0000-0000-0000-000000000000"])
def test_a_placeholder_that_an_earlier_version_stored_names_no_player(game: Game, placeholder: str) -> None:
    person = factories.person(game, user=placeholder)
    unnamed = factories.conversion(person, user_id=placeholder)
    assert conversion_facts.read_facts(unnamed, event_id="e-1", level=Level.FULL).external_id is None

    factories.identity(person, namespace="user", value="user-b", first_seen_at=timezone.now())
    known = Conversion.objects.get(pk=unnamed.pk)

    assert conversion_facts.read_facts(known, event_id="e-1", level=Level.FULL).external_id == "user-b"
