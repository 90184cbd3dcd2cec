"""Query parameters of the management API. Unknown ones are refused by name."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ValidationError
from django_filters import rest_framework as filters
from django_filters.fields import IsoDateTimeField
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from audience.api.toolkit.pagination import PARAMETERS


class QuerySerializer(serializers.Serializer[Any]):
    """The query parameters of an operation that is not a list of rows."""


class MomentField(IsoDateTimeField):
    """A time in ISO 8601. Its value is in UTC: PostgreSQL refuses offsets of 16 hours and more."""

    def to_python(self, value: Any) -> datetime | None:
        moment = super().to_python(value)
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
        refuse_unknown(request.query_params, known | PARAMETERS)
        return super().filter_queryset(request, queryset, view)


def refuse_unknown(params: Mapping[str, Any], known: Collection[str]) -> None:
    """Raise ValidationError for query parameters that are not in `known`."""
    names = ", ".join(sorted(known)) or "none"
    message = f"There is no such parameter. The parameters are: {names}."
    unknown = {str(name): [ErrorDetail(message, "unknown_parameter")] for name in params if name not in known}
    if unknown:
        raise serializers.ValidationError(unknown)
