"""Base classes of the management API's serializers."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from audience.api.toolkit.problems import MORE_UNKNOWN_FIELDS
from audience.digest import money

# The JSON types of a field's value. DRF would also accept "yes" for true, and numbers for text.
JSON_TYPES: tuple[tuple[type["serializers.Field[Any, Any, Any, Any]"], tuple[type, ...], str], ...] = (
    (serializers.BooleanField, (bool,), "true or false"),
    (serializers.IntegerField, (int,), "a whole number"),
    (serializers.ChoiceField, (str,), "text"),
    (serializers.CharField, (str,), "text"),
    (serializers.DateTimeField, (str,), "text"),
    (serializers.DateField, (str,), "text"),
    (serializers.UUIDField, (str,), "text"),
)
# Of an object, each with a message. A body of 5 MB has room for half a million of them.
MAX_UNKNOWN_FIELDS = 20
# Of a list or object without a limit of its own.
MAX_ITEMS = 1_000


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields that it does not have, values of another JSON type, and lists that are too long."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            self._refuse_long(data)
        errors = self._shape_errors(data) if isinstance(data, Mapping) else {}
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            detail = error.detail if isinstance(error.detail, dict) else {"non_field_errors": error.detail}
            raise serializers.ValidationError({**detail, **errors}) from None
        if errors:
            raise serializers.ValidationError(errors)
        return value

    def _refuse_long(self, data: Mapping[str, Any]) -> None:
        """Raise ValidationError for lists and objects with too many items. DRF would first validate each item, which
        takes a minute for a body of 5 MB."""
        errors = {}
        for name, field in self.fields.items():
            has_items = isinstance(field, (serializers.ListField, serializers.ListSerializer, serializers.DictField))
            limit = getattr(field, "max_length", None) or MAX_ITEMS
            if has_items and isinstance(data.get(name), (list, dict)) and len(data[name]) > limit:
                text = f"Ensure this field has no more than {limit} elements."
                errors[name] = [ErrorDetail(text, "max_length")]
        if errors:
            raise serializers.ValidationError(errors)

    def _shape_errors(self, data: Mapping[str, Any]) -> dict[str, list[ErrorDetail]]:
        writable = {name: field for name, field in self.fields.items() if not field.read_only}
        errors = _unknown_fields([str(name) for name in data if name not in writable], list(writable))
        for name, field in writable.items():
            if name in data and (wrong := _wrong_type(field, data[name])) is not None:
                errors[name] = [wrong]
        return errors


class ReadSerializer(serializers.Serializer[Any]):
    """A representation that is only read; every field is read-only and always present."""

    def get_fields(self) -> dict[str, serializers.Field]:  # type: ignore[type-arg]
        fields = super().get_fields()
        for field in fields.values():
            field.read_only = True
        return fields


class MoneySerializer(ReadSerializer):
    """An amount as a decimal string with the currency's digits, and its currency (ISO 4217)."""

    amount = serializers.CharField()
    currency = serializers.CharField()


def as_money(amount: Decimal | None, currency: str) -> dict[str, str] | None:
    """Return {amount, currency} as in answers; None without an amount."""
    return None if amount is None else {"amount": str(money.round_to(amount, currency)), "currency": currency}


def _unknown_fields(names: list[str], known: list[str]) -> dict[str, list[ErrorDetail]]:
    """Return an error for each of the first MAX_UNKNOWN_FIELDS names, and one with the number of the others."""
    message = f"There is no such field. The fields are: {', '.join(known) or 'none'}."
    errors = {name: [ErrorDetail(message, "unknown_field")] for name in names[:MAX_UNKNOWN_FIELDS]}
    if (more := len(names) - MAX_UNKNOWN_FIELDS) > 0:
        text = f"{more:,} more fields do not exist." if more > 1 else "One more field does not exist."
        errors["non_field_errors"] = [ErrorDetail(text, MORE_UNKNOWN_FIELDS)]
    return errors


def _wrong_type(field: "serializers.Field[Any, Any, Any, Any]", value: Any) -> ErrorDetail | None:
    if value is None:
        return None  # allow_null decides
    for kind, types, text in JSON_TYPES:
        if isinstance(field, kind) and not isinstance(field, serializers.MultipleChoiceField):
            is_right = isinstance(value, types) and (bool in types or not isinstance(value, bool))
            # JSON has one type of numbers: 24.0 is a whole one.
            is_right = is_right or (int in types and isinstance(value, float) and value.is_integer())
            return None if is_right else ErrorDetail(f"This must be {text}.", "invalid_type")
    return None
