"""What a browser's passkey ceremony takes, in an attribute: the pages carry no script of their own."""

import json
from typing import Any

from django import template
from django.core.serializers.json import DjangoJSONEncoder

register = template.Library()


@register.filter
def as_json(value: Any) -> str:
    """JSON text; the template escapes it as any other."""
    return json.dumps(value, cls=DjangoJSONEncoder)
