"""Soft checks of what a game sends, as sentences. Nothing is refused because of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from audience.catalog import predefined
from audience.catalog.figures import EventFigures, PropertyFigures
from audience.catalog.predefined import PredefinedProperty
from audience.digest import money
from audience.models import Kind, PropertyType, Trigger, ValueProblem, ValueProblemCount

LABELS = {
    PropertyType.TEXT: "text",
    PropertyType.NUMBER: "a number",
    PropertyType.BOOLEAN: "true or false",
    PropertyType.LIST: "a list",
    PropertyType.OBJECT: "an object",
}
# Of conversion events without an amount: what follows "12 purchases".
PROBLEMS = {
    ValueProblemCount.NO_AMOUNT: "without an amount",
    ValueProblem.NO_CURRENCY: "without a currency",
    ValueProblem.UNKNOWN_CURRENCY: "with a currency that is not in ISO 4217",
    ValueProblem.UNREADABLE: "with an amount that cannot be read",
    ValueProblem.NEGATIVE: "with a negative amount, which is a refund",
}
AMOUNTS = (*money.AMOUNT, "price")


class CheckCode(StrEnum):
    VALUE = "value"
    AMOUNT_IS_TEXT = "amount_is_text"
    MISSING = "missing_property"
    TYPE = "unexpected_type"
    SEVERAL_TYPES = "several_types"
    SIMILAR_NAME = "similar_name"
    TOO_MANY = "too_many_properties"
    # Found where the goals are known (postbacks/reporting/catalog/goal_uses.py).
    NOT_SENT = "not_sent"
    GOAL_NEVER_COUNTS = "goal_never_counts"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is probably wrong. `path` is the property, '' for none; `number` of events, 0 for all."""

    code: CheckCode
    sentence: str
    path: str = ""
    number: int = 0


def counted(number: int, name: str) -> str:
    """Return "1 purchase", "412 purchases", "3 level_up events"."""
    if name == Trigger.PURCHASE:
        return f"{number:,} purchase{'' if number == 1 else 's'}"
    return f"{number:,} {name} event{'' if number == 1 else 's'}".replace("  ", " ")


def of_event(event: EventFigures, required: Mapping[str, PropertyType] | None = None) -> list[Check]:
    """Return what is wrong with the properties of an event that was sent; `required` are those of its description."""
    if event.key.kind != Kind.TRACK or not event.number:
        return []
    known = predefined.EVENTS.get(event.key.name)
    found = [*_value_problems(event), *_required(event, required or {})]
    if known:
        found += [check for one in known.properties for check in _predefined(event, one)]
    named = {check.path for check in found if check.code == CheckCode.TYPE}
    found += _several_types(event, except_for=named)
    if event.has_further_properties:
        sentence = f"{_subject(event)} have more properties than are counted. The others are not listed."
        found.append(Check(CheckCode.TOO_MANY, sentence))
    return list(dict.fromkeys(found))


def unlike(event: EventFigures, earlier: EventFigures) -> list[Check]:
    """Return the properties of an event whose type none of the earlier events had."""
    found = []
    for path, figures in event.properties.items():
        usual = earlier.properties.get(path)
        for kind in figures.types if usual and usual.filled else ():
            if usual and kind not in usual.types:
                known = " or ".join(LABELS[one] for one, _ in _most(usual))
                text = f"{path} is {LABELS[kind]}. In other {event.key.name} events it is {known}."
                found.append(Check(CheckCode.TYPE, text, path, 1))
    return found


def _subject(event: EventFigures) -> str:
    return f"{event.key.name} events" if event.key.name != Trigger.PURCHASE else "Purchases"


def _value_problems(event: EventFigures) -> Iterator[Check]:
    name = event.key.name
    for problem, text in PROBLEMS.items():
        if number := event.problems.get(problem):
            yield Check(CheckCode.VALUE, f"{counted(number, name)} {text}.", "", number)
    for path in AMOUNTS if name == Trigger.PURCHASE else ():
        number = event.properties[path].types.get(PropertyType.TEXT, 0) if path in event.properties else 0
        if number:
            yield Check(
                CheckCode.AMOUNT_IS_TEXT,
                f"{counted(number, name)} in which {path} is text, not a number. Send amounts as numbers.",
                path,
                number,
            )


def _required(event: EventFigures, required: Mapping[str, PropertyType]) -> Iterator[Check]:
    for path, kind in required.items():
        yield from _missing(event, path, event.filled(path))
        if kind != PropertyType.ANY:
            yield from _other_types(event, event.properties.get(path), (kind,))


def _predefined(event: EventFigures, one: PredefinedProperty) -> Iterator[Check]:
    is_amount = event.key.name == Trigger.PURCHASE and one.required  # _value_problems has these
    if one.required and not is_amount:
        yield from _missing(event, one.name, event.filled(*one.names))
    yield from _other_types(event, event.properties.get(one.name), one.types)


def _missing(event: EventFigures, path: str, filled: int) -> Iterator[Check]:
    missing = event.number - filled
    if missing <= 0 or (event.has_further_properties and path not in event.properties):
        return
    sentence = f"{counted(missing, event.key.name)} without {path}."
    if missing == event.number:
        sentence = f"No {event.key.name} event has {path}."
    yield Check(CheckCode.MISSING, sentence, path, missing)


def _other_types(
    event: EventFigures, figures: PropertyFigures | None, types: tuple[PropertyType, ...]
) -> Iterator[Check]:
    others = {kind: number for kind, number in figures.types.items() if kind not in types} if figures else {}
    for kind, number in others.items():
        assert figures is not None
        expected = " or ".join(LABELS[one] for one in types)
        text = f"{counted(number, event.key.name)} in which {figures.path} is {LABELS[kind]}, not {expected}."
        yield Check(CheckCode.TYPE, text, figures.path, number)


def _several_types(event: EventFigures, *, except_for: set[str]) -> Iterator[Check]:
    for path, figures in sorted(event.properties.items()):
        if len(figures.types) > 1 and path not in except_for and not _is_amount(event, path):
            parts = [f"{LABELS[kind]} in {number:,}" for kind, number in _most(figures)]
            text = f"{path} has several types: {', '.join(parts[:-1])} and {parts[-1]} {event.key.name} events."
            yield Check(CheckCode.SEVERAL_TYPES, text, path, min(figures.types.values()))


def _is_amount(event: EventFigures, path: str) -> bool:
    """Whether _value_problems has the types of the property."""
    return path in AMOUNTS and event.key.name == Trigger.PURCHASE


def _most(figures: PropertyFigures) -> list[tuple[PropertyType, int]]:
    return sorted(figures.types.items(), key=lambda pair: -pair[1])
