"""Query parameters of the management API. Unknown and empty ones are refused by name."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive
from django_filters import rest_framework as filters
from django_filters.fields import IsoDateTimeField
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from audience.api.toolkit.pagination import PARAMETERS

FLAGS = {"true": True, "false": False}
NOT_A_FLAG = "This must be true or false."
REPEATED = "This parameter is given more than once. Give it one value."
NO_OFFSET = "Write the time with its offset, such as 2026-11-01T08:00:00Z."
EMPTY = "This parameter is empty. Leave it out, or give it a value."


class QuerySerializer(serializers.Serializer[Any]):
    """The query parameters of an operation that is not a list of rows."""


class FlagParameter(serializers.BooleanField):
    """true or false, in any case. DRF would also accept 1, yes and on."""

    default_error_messages = {"invalid": NOT_A_FLAG}

    def to_internal_value(self, data: Any) -> bool:
        if (flag := FLAGS.get(str(data).lower())) is None:
            self.fail("invalid", input=data)
        return flag


class FlagField(forms.Field):
    """The same as a form field. Its value is None if there is no such parameter."""

    def to_python(self, value: Any) -> bool | None:
        if value in self.empty_values:
            return None
        if (flag := FLAGS.get(str(value).lower())) is None:
            raise ValidationError(NOT_A_FLAG, "invalid")
        return flag


class FlagFilter(filters.BooleanFilter):
    """django-filter's own takes any other text as no filter."""

    field_class = FlagField  # type: ignore[assignment]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"widget": forms.TextInput, **kwargs})


class MomentField(IsoDateTimeField):
    """A time in ISO 8601 with an offset. Its value is in UTC: PostgreSQL refuses offsets of 16 hours and more."""

    def to_python(self, value: Any) -> datetime | None:
        moment = super().to_python(value)
        stated = parse_datetime(str(value).strip()) if moment else None
        if moment and (stated is None or is_naive(stated)):
            raise ValidationError(NO_OFFSET, "no_offset")
        try:
            return moment.astimezone(UTC) if moment else None
        except OverflowError:
            raise ValidationError(self.error_messages["invalid"], "invalid") from None


class MomentFilter(filters.IsoDateTimeFilter):
    field_class = MomentField


class StrictFilterBackend(filters.DjangoFilterBackend):
    """django-filter, which also refuses parameters that the list does not have."""

    def filter_queryset(self, request: Any, queryset: Any, view: Any) -> Any:
        filterset = self.get_filterset(request, queryset, view)
        known = set(filterset.filters) if filterset else set()
        # A range is given by two parameters.
        check_names(request.query_params, known | PARAMETERS)
        return super().filter_queryset(request, queryset, view)


def check_names(params: Mapping[str, Any], known: Collection[str], *, may_be_empty: Collection[str] = ()) -> None:
    """Raise ValidationError for query parameters that are not in `known`, for repeated ones, and for empty ones except
    `may_be_empty`: a script whose variable is not set must not get the rows of all days."""
    names = ", ".join(sorted(known)) or "none"
    message = f"There is no such parameter. The parameters are: {names}."
    unknown = {str(name): [ErrorDetail(message, "unknown_parameter")] for name in params if name not in known}
    # The last one would be applied and the others ignored.
    twice = [str(name) for name in params if isinstance(params, QueryDict) and len(params.getlist(name)) > 1]
    repeated = {name: [ErrorDetail(REPEATED, "repeated")] for name in twice}
    blank = {str(name) for name, value in params.items() if not str(value).strip()}.difference(may_be_empty)
    empty = {name: [ErrorDetail(EMPTY, "blank")] for name in params if name in blank}
    if unknown or empty or repeated:
        raise serializers.ValidationError({**repeated, **empty, **unknown})
