"""The condition of a goal on one property of the event."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

MAX_PROPERTY = 100
MAX_VALUE = 200
MAX_CHOICES = 50

# Operator -> label, in the order of the form.
OPERATORS = {
    "gt": "is more than",
    "gte": "is at least",
    "lt": "is less than",
    "lte": "is at most",
    "eq": "is",
    "ne": "is not",
    "in": "is one of",
    "exists": "is present",
}
COMPARISONS: dict[str, Callable[[Decimal, Decimal], bool]] = {
    "gt": lambda left, right: left > right,
    "gte": lambda left, right: left >= right,
    "lt": lambda left, right: left < right,
    "lte": lambda left, right: left <= right,
}


class GoalRefused(ValueError):
    """Why a goal is invalid, as a sentence for the form. `field` is a key of its JSON, `row` counts from 0."""

    def __init__(self, sentence: str, *, field: str = "", row: int | None = None) -> None:
        super().__init__(sentence)
        self.field, self.row = field, row


@dataclass(frozen=True, slots=True)
class Condition:
    """`values` are texts as entered: none for `exists`, one or more for `in`, one for every other operator."""

    property: str
    op: str
    values: tuple[str, ...] = ()

    def is_met(self, properties: Any) -> bool:
        """Whether these properties meet the condition; False if the property is missing or of another type."""
        value = property_at(properties, self.property)
        if value is None or value == "":
            return False
        if self.op == "exists":
            return True
        if self.op in COMPARISONS:
            left, right = number(value), number(self.values[0])
            return left is not None and right is not None and COMPARISONS[self.op](left, right)
        actual = text(value)
        if actual is None:
            return False
        same = any(_same(actual, expected) for expected in self.values)
        return not same if self.op == "ne" else same

    def as_json(self) -> dict[str, Any]:
        """`{"property", "op", "value"}`; the value is a list for `in` and absent for `exists`."""
        raw: dict[str, Any] = {"property": self.property, "op": self.op}
        if self.op != "exists":
            raw["value"] = list(self.values) if self.op == "in" else self.values[0]
        return raw

    @classmethod
    def from_json(cls, raw: Any) -> "Condition":
        """The condition of such an object; GoalRefused if invalid. Numbers and booleans become text."""
        if not isinstance(raw, Mapping):
            raise GoalRefused("A condition needs a property, an operator and a value.", field="property")
        name, op = raw.get("property"), raw.get("op")
        if not isinstance(name, str) or not name.strip():
            raise GoalRefused("Enter the property that the condition reads.", field="property")
        if len(name.strip()) > MAX_PROPERTY or "\x00" in name:
            raise GoalRefused(f"A property has at most {MAX_PROPERTY} characters.", field="property")
        if not isinstance(op, str) or op not in OPERATORS:
            raise GoalRefused("Select one of the offered operators.", field="op")
        return cls(name.strip(), op, _values(op, raw.get("value")))

    def __str__(self) -> str:
        return " ".join(filter(None, (self.property, OPERATORS[self.op], ", ".join(self.values))))


def _values(op: str, raw: Any) -> tuple[str, ...]:
    if op == "exists":
        return ()
    entries = raw if op == "in" and isinstance(raw, Sequence) and not isinstance(raw, str) else [raw]
    values = tuple(dict.fromkeys(value for entry in entries if (value := text(entry))))
    if not values:
        raise GoalRefused("Enter the value to compare with.", field="value")
    if len(values) > MAX_CHOICES:
        raise GoalRefused(f"Enter at most {MAX_CHOICES} values.", field="value")
    if any(len(value) > MAX_VALUE or "\x00" in value for value in values):
        raise GoalRefused(f"A value has at most {MAX_VALUE} characters.", field="value")
    if op in COMPARISONS and number(values[0]) is None:
        raise GoalRefused(f"Enter a number: “{OPERATORS[op]}” compares numbers.", field="value")
    return values


def property_at(properties: Any, path: str) -> Any:
    """The property of this name or dotted path (`cart.total`); None if there is none."""
    if not isinstance(properties, Mapping):
        return None
    if path in properties:
        return properties[path]
    first, dot, rest = path.partition(".")
    return property_at(properties.get(first), rest) if dot else None


def number(value: Any) -> Decimal | None:
    """The Decimal of a number or a numeric string; None for booleans, nan, infinity and everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        decimal = Decimal(str(value).strip())
    except (ArithmeticError, ValueError):
        return None
    return decimal if decimal.is_finite() else None


def text(value: Any) -> str | None:
    """A string, number or boolean as trimmed text ("true", "false"); None for blanks, lists and objects."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float | Decimal):
        return None
    try:
        return str(value).strip() or None
    except ValueError:  # an integer of more than 4,300 digits
        return None


def _same(actual: str, expected: str) -> bool:
    left, right = number(actual), number(expected)
    return actual == expected if left is None or right is None else left == right
