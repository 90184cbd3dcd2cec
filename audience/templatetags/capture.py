"""Markup that a page renders once and shows twice: the navigation is in the rail and in the menu of a narrow page."""

from django import template
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_block_tag
def capture(content: SafeString) -> SafeString:
    """`{% capture as name %}...{% endcapture %}`, then `{{ name }}` wherever it is shown."""
    return content
