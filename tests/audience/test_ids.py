"""Valid ids of a player: numbers, invisible characters, placeholders."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience.ids.values import canonical, clean, is_placeholder, read_id


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (7001, "7001"),
        (7001.0, "7001"),
        ("7001", "7001"),
        (7001.5, "7001.5"),
        (-1, "-1"),
        (None, ""),
        (True, "true"),
        (False, "false"),
        ({"a": 1}, "{}"),
        ([1], "[]"),
        ("  a b ", "a b"),
        ("a\u200bb\ufeff", "ab"),
        ("\u00ad\u2060\u200f \t\x07", ""),
        ("\ufffd\ufffd", ""),
        ("a\ufffd", "a\ufffd"),
        ("😀", "😀"),
    ],
)
def test_a_value_is_read_as_an_id(sent: Any, read: str) -> None:
    assert read_id(sent) == read


PLACEHOLDERS = [
    "null",
    "NULL",
    "undefined",
    "none",
    "None",
    "nil",
    "nan",
    "NaN",
    "unknown",
    "guest",
    "anonymous",
    "0",
    "00",
    "-1",
    "-",
    "0000-0000",
    "true",
    "false",
    "{}",
    "[]",
    "not_authenticated",
    "'undefined'",
    '"null"',
    "''",
    "{{userId}}",
    "{userId}",
    "${userId}",
    "#{user_id}",
    "%s",
    "%d",
    "%@",
    "%1$s",
    "<user_id>",
    "%%USER_ID%%",
    "__USER_ID__",
    "00000000-0000-0000-0000-000000000000",
    "{00000000-0000-0000-0000-000000000000}",
    "9774d56d682e549c",
    "id",
    "email",
    "distinct_id",
    "{{ user.id }}",
    "[object Object]",
    "<user id>",
    "not set",
    "{player.uid}",
    "<YOUR-USER-ID>",
    "%%email%%",
]


@pytest.mark.parametrize("value", PLACEHOLDERS)
def test_a_placeholder_is_no_id(value: str) -> None:
    assert is_placeholder(value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "1",
        "01",
        "0x1",
        "-2",
        "nullius",
        "Guest-7",
        "'user'",
        "{8F3C1D2E-AAAA-4BBB-8CCC-123456789ABC}",
        "{'id': 7}",
        "%street",
        "<7>",
        "__x",
        "ünknown",
        # Names that players give themselves.
        "__shadow__",
        "<bob>",
        "{alice}",
        "{david}",
        "%%KING%%",
        "NA",
        "{DEADBEEF00112233DEADBEEF00112233}",
        "__" + "a_" * 30 + "!__",
        "0" * 65,
    ],
)
def test_an_unusual_id_is_an_id(value: str) -> None:
    assert not is_placeholder(value)


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ("8F3C1D2E-AAAA-4BBB-8CCC-123456789ABC", "8f3c1d2e-aaaa-4bbb-8ccc-123456789abc"),
        ("8F3C1D2E-AAAA-4BBB-8CCC-123456789ABG", "8F3C1D2E-AAAA-4BBB-8CCC-123456789ABG"),
        ("8F3C1D2EAAAA4BBB8CCC123456789ABC", "8F3C1D2EAAAA4BBB8CCC123456789ABC"),
        ("User-X", "User-X"),
        ("Jose\u0301", "Jos\u00e9"),
        ("ÀÉ", "ÀÉ"),
    ],
)
def test_ids_are_compared_by_their_canonical_form(value: str, form: str) -> None:
    assert canonical(value) == form


@given(st.text())
def test_reading_an_id_again_changes_nothing(text: str) -> None:
    assert clean(clean(text)) == clean(text)
    assert canonical(canonical(text)) == canonical(text)
