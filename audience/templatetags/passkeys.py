"""Passkey options as JSON in an attribute, since the pages have no inline scripts."""

import json
from typing import Any

from django import template
from django.core.serializers.json import DjangoJSONEncoder

register = template.Library()


@register.filter
def as_json(value: Any) -> str:
    """Return JSON text, which the template escapes."""
    return json.dumps(value, cls=DjangoJSONEncoder)
