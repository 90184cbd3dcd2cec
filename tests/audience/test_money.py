"""The amount and currency of an event: read once, as pages, sums, exports and postbacks use them."""

from decimal import Decimal
from typing import Any

import pytest
from django.template import Context, Template

from audience.digest.money import Money, read
from audience.games.keys import NewKey
from audience.models import Batch, BatchState, Conversion, ValueProblem
from tests.audience.test_conversions import conversions, digest, purchase


def amount(value: Any, currency: str = "USD") -> Money:
    return read({"value": value, "currency": currency})


@pytest.mark.parametrize(
    ("value", "read_as"),
    [
        (9.99, "9.99"),
        (10, "10.00"),
        (0, "0.00"),
        (0.0, "0.00"),
        (-0.0, "0.00"),
        (" 9.99 ", "9.99"),
        ("0", "0.00"),
        ("+9.99", "9.99"),
        (".5", "0.50"),
        ("1e3", "1000.00"),
        # A price that went through a 32-bit float, as a number and as text.
        (10.899999618530273, "10.90"),
        ("10.899999618530273", "10.90"),
        # Half to even.
        ("2.675", "2.68"),
        ("2.665", "2.66"),
        ("99999999999998", "99999999999998.00"),
        # As the languages of players write it.
        ("9,99", "9.99"),
        ("9,9", "9.90"),
        ("1,234.50", "1234.50"),
        ("1.234,50", "1234.50"),
        ("1,234,567", "1234567.00"),
        ("1.234.567", "1234567.00"),
        ("12,34,567.00", "1234567.00"),
        ("1 234,50", "1234.50"),
        ("1\u202f234,50", "1234.50"),
        ("1'234.50", "1234.50"),
        ("1’234.50", "1234.50"),
        ("0,999", "1.00"),
        ("1234,567", "1234.57"),
        ("$9.99", "9.99"),
        ("US$ 9.99", "9.99"),
        ("9.99 USD", "9.99"),
        ("usd 9.99", "9.99"),
        # The most that a 64-bit float holds to the cent.
        ("9999999999999.99", "9999999999999.99"),
    ],
    ids=str,
)
def test_an_amount_is_read_where_it_is_clear(value: Any, read_as: str) -> None:
    assert amount(value) == Money(Decimal(read_as), "USD")
    assert str(amount(value).amount) == read_as


@pytest.mark.parametrize(
    "value",
    [
        "1,234",  # a thousand in one country, one in another
        "1.234 €",
        "€ 9.99",  # beside the currency USD
        "9.99 EUR",
        "9,9 9",
        "1,2,3",
        "free",
        "0x10",
        "1_000",
        "٩٫٩٩",
        "--5",
        "(-5)",
        "5 GOLD",
        # Dollars of other countries beside the currency USD.
        "MX$ 9.99",
        "S$9.99",
        "J$9.99",
        # Networks decode a number as a 64-bit float, which would make it ….98.
        "99999999999998.99",
        "nan",
        "Infinity",
        float("nan"),
        float("inf"),
        "1e999",
        10**400,
        "1" * 5000,
        100_000_000_000_000,
        True,
        [9.99],
        {"amount": 9.99},
    ],
    ids=lambda value: str(value)[:20],
)
def test_an_amount_that_is_not_clear_is_not_guessed(value: Any) -> None:
    assert amount(value) == Money(problem=ValueProblem.UNREADABLE)


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_blank_amount_is_none(value: Any) -> None:
    assert amount(value) == Money()


@pytest.mark.parametrize(
    ("properties", "found"),
    [
        ({"revenue": 5, "currency": "USD"}, Money(Decimal(5), "USD")),
        ({"total": "5", "currency": "USD"}, Money(Decimal(5), "USD")),
        ({"value": "", "revenue": None, "total": 5, "currency": "USD"}, Money(Decimal(5), "USD")),
        ({"value": "gratis", "revenue": 5, "currency": "USD"}, Money(Decimal(5), "USD")),
        # 0 is a value: a free order stays free.
        ({"revenue": 0, "total": 100, "currency": "USD"}, Money(Decimal(0), "USD")),
        ({"price": "3.335", "quantity": 3, "currency": "USD"}, Money(Decimal("10.00"), "USD")),
        ({"price": 5, "currency": "USD"}, Money(Decimal(5), "USD")),
        ({"price": 5, "quantity": "two", "currency": "USD"}, Money(problem=ValueProblem.UNREADABLE)),
        ({"price": 1e300, "quantity": 1e300, "currency": "USD"}, Money(problem=ValueProblem.UNREADABLE)),
        ({"value": 5, "price": 7, "quantity": 2, "currency": "USD"}, Money(Decimal(5), "USD")),
        ({"value": "€ 9,99"}, Money(Decimal("9.99"), "EUR")),
        ({"value": "9.99 €", "currency": "eur"}, Money(Decimal("9.99"), "EUR")),
        ({"value": "R$ 9,99"}, Money(Decimal("9.99"), "BRL")),
        ({"value": 5, "currencyCode": "USD"}, Money(Decimal(5), "USD")),
        ({"value": 5, "currency": " usd "}, Money(Decimal(5), "USD")),
        ({"value": 5, "currency": "€"}, Money(Decimal(5), "EUR")),
        ({"value": "$5", "currency": "$", "currency_code": "CAD"}, Money(problem=ValueProblem.NO_CURRENCY)),
        ({"value": 5, "currency": "undefined", "currency_code": "CAD"}, Money(Decimal(5), "CAD")),
        ({"value": "€ 5", "currency": "null"}, Money(Decimal(5), "EUR")),
        ({"value": "MX$ 5"}, Money(Decimal(5), "MXN")),
        ({"value": "J$ 5"}, Money(problem=ValueProblem.UNKNOWN_CURRENCY)),
        ({"currency": "USD"}, Money()),
        ({}, Money()),
        (None, Money()),
        ([], Money()),
        ("5 USD", Money()),
    ],
    ids=str,
)
def test_amount_and_currency_are_read_from_the_first_usable_property(properties: Any, found: Money) -> None:
    assert read(properties) == found


@pytest.mark.parametrize("currency", ["", None, " ", "$", "undefined", "null"])
def test_an_amount_without_a_currency_cannot_be_sent(currency: Any) -> None:
    assert read({"value": 5, "currency": currency}) == Money(problem=ValueProblem.NO_CURRENCY)
    assert read({"value": "$5"}) == Money(problem=ValueProblem.NO_CURRENCY)


@pytest.mark.parametrize("currency", ["GOLD", "gem", "USDT", "US", "DOLLAR", "ßßß", "12€", 840, ["USD"], "XAU", "XXX"])
def test_a_currency_is_one_of_iso_4217(currency: Any) -> None:
    assert read({"value": 5, "currency": currency}) == Money(problem=ValueProblem.UNKNOWN_CURRENCY)


@pytest.mark.parametrize(
    "properties",
    [
        {"value": -5, "currency": "USD"},
        {"value": "-9,99"},
        {"value": "−€5"},
        {"value": "($9.99)"},
        {"price": -5, "quantity": 2, "currency": "USD"},
        {"price": 5, "quantity": -2, "currency": "USD"},
        {"price": -5, "quantity": -2, "currency": "USD"},
    ],
    ids=str,
)
def test_a_negative_amount_is_recognised_whatever_its_currency(properties: Any) -> None:
    assert read(properties) == Money(problem=ValueProblem.NEGATIVE)


@pytest.mark.parametrize(
    ("currency", "rounded", "shown"),
    [("JPY", "1234", "1,234 JPY"), ("KWD", "1234.567", "1,234.567 KWD"), ("USD", "1234.57", "1,234.57 USD")],
)
def test_an_amount_has_the_digits_of_its_currency(currency: str, rounded: str, shown: str) -> None:
    found = amount("1234.5668", currency) if currency != "JPY" else amount("1234.4", currency)
    assert str(found.amount) == rounded
    text = Template("{% load hub %}{{ value|amount:currency }}").render(
        Context({"value": found.amount, "currency": currency})
    )
    assert text == shown


def test_a_conversion_has_what_was_read(key: NewKey) -> None:
    digest(
        key,
        purchase("user-1", properties={"revenue": "9,99", "currency": "eur"}),
        purchase("user-2", properties={"value": 500, "currency": "gem"}),
    )

    assert [batch.state for batch in Batch.objects.all()] == [BatchState.DONE]
    found = sorted((row.value, row.currency, row.value_problem) for row in conversions("purchase") if row.value)
    assert found == [(Decimal("9.99"), "EUR", "")]
    (other,) = Conversion.objects.filter(value=None)
    assert (other.currency, other.value_problem) == ("", "unknown_currency")


def test_a_purchase_with_a_negative_amount_is_a_refund(key: NewKey) -> None:
    digest(key, purchase("user-1", properties={"value": -9.99, "currency": "USD"}))

    (refund,) = conversions("purchase")
    assert (refund.reason, refund.value, refund.value_problem) == ("refund", None, "negative")


def test_a_refund_of_test_traffic_is_test_traffic(key: NewKey) -> None:
    digest(key, purchase("user-1", properties={"value": -9.99, "currency": "USD"}, test=True))

    assert [refund.reason for refund in conversions("purchase")] == ["test_traffic"]


def test_refunds_of_another_name_make_no_conversion(key: NewKey) -> None:
    names = ("refund", "order_refunded", "Order Refunded")
    digest(key, *(purchase("user-1", eventName=name, properties={"value": 9.99, "currency": "USD"}) for name in names))

    assert Conversion.objects.count() == 0
