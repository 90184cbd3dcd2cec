"""A moment as lists show it: how long ago, with the exact one on hover. A tag, since a busy page shows thirty."""

from datetime import UTC, datetime
from html import escape

from django import template
from django.contrib.humanize.templatetags.humanize import naturaltime
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_tag
def moment(at: datetime) -> str:
    """`<time>` of an aware datetime; '' for none."""
    if not at:
        return ""
    exact = at.astimezone(UTC).replace(microsecond=0)
    title = f"{exact:%Y-%m-%d %H:%M:%S} UTC"
    # Ours but for the words, which a translation may have put in.
    return SafeString(f'<time datetime="{exact.isoformat()}" title="{title}">{escape(naturaltime(at))}</time>')
