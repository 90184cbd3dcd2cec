"""The bodies and queries of consent and erasure. Errors have the codes and sentences of immutable_rules.py."""

from collections.abc import Callable
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail
from rest_framework.fields import empty

from audience.intake.dialects import immutable_rules as rules
from audience.intake.messages.message import Violation
from audience.intake.messages.times import is_blank
from audience.models.people import ANONYMOUS, USER
from consent.models import Level

MAX_SOURCE_LENGTH = 128
DECISIONS = (Level.NONE, Level.ANONYMOUS, Level.FULL)
# DRF formats its messages with str.format.
NOT_AN_OBJECT = 'The body must be an object: {{"anonymousId", "status", "source"}}.'
ONE_SUBJECT = "The query must contain exactly one of userId and anonymousId."
# Adds the violations of one field of an object to a list.
Check = Callable[[dict[str, Any], str, list[Violation]], None]


class CheckedField(serializers.Field[Any, Any, Any, Any]):
    """A field that `check` validates, also when it is absent, and `read` reads."""

    def __init__(self, check: Check, read: Callable[[dict[str, Any], str], Any]) -> None:
        super().__init__(required=False)
        self.check, self.read = check, read

    def run_validation(self, data: Any = empty) -> Any:
        name = str(self.field_name)
        values, errors = {} if data is empty else {name: data}, list[Violation]()
        self.check(values, name, errors)
        if errors:
            raise serializers.ValidationError([ErrorDetail(error.message, error.code) for error in errors])
        return self.read(values, name)

    def to_representation(self, value: Any) -> Any:
        return value


def id_field() -> CheckedField:
    return CheckedField(_check_id, rules.read_id)


def _check_id(values: dict[str, Any], name: str, errors: list[Violation]) -> None:
    rules.check_id(values, name, errors, required=True)


def _check_status(values: dict[str, Any], name: str, errors: list[Violation]) -> None:
    status = values.get(name)
    if is_blank(status):
        errors.append(rules.missing(name))
    elif status not in DECISIONS:
        code = "INVALID_ENUM" if isinstance(status, str) else "INVALID_FORMAT"
        errors.append(Violation(name, code, f"{name} must be one of {', '.join(DECISIONS)}."))


def _check_source(values: dict[str, Any], name: str, errors: list[Violation]) -> None:
    rules.check_text(values, name, errors, required=True, limit=MAX_SOURCE_LENGTH)


class DecisionSerializer(serializers.Serializer[Any]):
    """The body of PUT: {anonymousId, status, source}; other fields are ignored, as in messages."""

    default_error_messages = {"invalid": NOT_AN_OBJECT, "null": NOT_AN_OBJECT}

    anonymousId = id_field()  # noqa: N815
    status = CheckedField(_check_status, lambda values, name: Level(values[name]))
    source = CheckedField(_check_source, rules.text)  # type: ignore[assignment]


class AnonymousIdSerializer(serializers.Serializer[Any]):
    anonymousId = id_field()  # noqa: N815


class SubjectSerializer(serializers.Serializer[Any]):
    """The query of DELETE. Its value is {namespace, subject}, the arguments of `request_erasure`."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        stated = {name: value for name in (f"{USER}Id", f"{ANONYMOUS}Id") if (value := rules.read_id(data, name))}
        if len(stated) != 1:
            raise serializers.ValidationError({"non_field_errors": [ONE_SUBJECT]})
        [(name, subject)] = stated.items()
        field = id_field()
        field.bind(name, self)
        try:
            return {"namespace": name.removesuffix("Id"), "subject": field.run_validation(subject)}
        except serializers.ValidationError as error:
            raise serializers.ValidationError({name: error.detail}) from None
