"""Renders markup once to show it twice: the navigation is in the sidebar and in the menu of narrow pages."""

from django import template
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_block_tag
def capture(content: SafeString) -> SafeString:
    """`{% capture as name %}...{% endcapture %}`, then `{{ name }}` wherever it is shown."""
    return content
