"""A moment as lists show it: how long ago, with the exact one on hover. A tag, since a busy page shows thirty."""

from datetime import UTC, datetime

from django import template
from django.contrib.humanize.templatetags.humanize import naturaltime
from django.utils.html import format_html

register = template.Library()


@register.simple_tag
def moment(at: datetime) -> str:
    """`<time>` of an aware datetime; '' for none."""
    if not at:
        return ""
    exact = at.astimezone(UTC).replace(microsecond=0)
    title = f"{exact:%Y-%m-%d %H:%M:%S} UTC"
    return format_html('<time datetime="{}" title="{}">{}</time>', exact.isoformat(), title, naturaltime(at))
