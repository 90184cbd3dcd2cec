"""A goal's condition on one property of the event: what may be asked, and whether an event's properties meet it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

PROPERTY_MAX = 100
VALUE_MAX = 200
CHOICES_MAX = 50

# op -> what the pages call it, in the order in which they offer it.
OPS = {
    "gt": "is more than",
    "gte": "is at least",
    "lt": "is less than",
    "lte": "is at most",
    "eq": "is",
    "ne": "is not",
    "in": "is one of",
    "exists": "is there",
}
COMPARED: dict[str, Callable[[Decimal, Decimal], bool]] = {
    "gt": lambda left, right: left > right,
    "gte": lambda left, right: left >= right,
    "lt": lambda left, right: left < right,
    "lte": lambda left, right: left <= right,
}


class GoalRefused(ValueError):
    """Why a goal cannot be kept, as a sentence for the form. `field` is a key of its JSON, `row` counts from 0."""

    def __init__(self, sentence: str, *, field: str = "", row: int | None = None) -> None:
        super().__init__(sentence)
        self.field, self.row = field, row


@dataclass(frozen=True, slots=True)
class Condition:
    """`values` are text as they were typed: none for `exists`, one or more for `in`, one for every other op."""

    property: str
    op: str
    values: tuple[str, ...] = ()

    def holds(self, properties: Any) -> bool:
        """Whether these properties meet it. Never raises: what is not there, or of another type, does not."""
        found = looked_up(properties, self.property)
        if found is None or found == "":
            return False
        if self.op == "exists":
            return True
        if self.op in COMPARED:
            left, right = number(found), number(self.values[0])
            return left is not None and right is not None and COMPARED[self.op](left, right)
        said = text(found)
        if said is None:
            return False
        same = any(_same(said, value) for value in self.values)
        return not same if self.op == "ne" else same

    def as_json(self) -> dict[str, Any]:
        """`{"property", "op", "value"}`; the value a list for `in`, left out for `exists`."""
        kept: dict[str, Any] = {"property": self.property, "op": self.op}
        if self.op != "exists":
            kept["value"] = list(self.values) if self.op == "in" else self.values[0]
        return kept

    @classmethod
    def from_json(cls, raw: Any) -> "Condition":
        """Raises GoalRefused. Numbers and booleans are taken as the text they are written as."""
        if not isinstance(raw, Mapping):
            raise GoalRefused("A condition names a property, an operator and a value.", field="property")
        name, op = raw.get("property"), raw.get("op")
        if not isinstance(name, str) or not name.strip():
            raise GoalRefused("Enter the property that the condition reads.", field="property")
        if len(name.strip()) > PROPERTY_MAX or "\x00" in name:
            raise GoalRefused(f"A property has at most {PROPERTY_MAX} characters.", field="property")
        if not isinstance(op, str) or op not in OPS:
            raise GoalRefused("Select one of the offered operators.", field="op")
        return cls(name.strip(), op, _values(op, raw.get("value")))

    def __str__(self) -> str:
        return " ".join(filter(None, (self.property, OPS[self.op], ", ".join(self.values))))


def _values(op: str, raw: Any) -> tuple[str, ...]:
    if op == "exists":
        return ()
    given = raw if op == "in" and isinstance(raw, Sequence) and not isinstance(raw, str) else [raw]
    values = tuple(dict.fromkeys(value for one in given if (value := text(one))))
    if not values:
        raise GoalRefused("Enter the value to compare with.", field="value")
    if len(values) > CHOICES_MAX:
        raise GoalRefused(f"List at most {CHOICES_MAX} values.", field="value")
    if any(len(value) > VALUE_MAX or "\x00" in value for value in values):
        raise GoalRefused(f"A value has at most {VALUE_MAX} characters.", field="value")
    if op in COMPARED and number(values[0]) is None:
        raise GoalRefused(f"Enter a number: “{OPS[op]}” compares numbers.", field="value")
    return values


def looked_up(properties: Any, path: str) -> Any:
    """The property of that name, or, by dots, one inside another (`cart.total`); None when there is none."""
    if not isinstance(properties, Mapping):
        return None
    if path in properties:
        return properties[path]
    first, dot, rest = path.partition(".")
    return looked_up(properties.get(first), rest) if dot else None


def number(value: Any) -> Decimal | None:
    """A number, or a string that is one; None for booleans, nan, infinity and everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        found = Decimal(str(value).strip())
    except (ArithmeticError, ValueError):
        return None
    return found if found.is_finite() else None


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


def _same(said: str, wanted: str) -> bool:
    left, right = number(said), number(wanted)
    return said == wanted if left is None or right is None else left == right
