"""What a page shows twice, drawn once: the navigation stands beside a wide page and in the menu of a narrow one."""

from django import template
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_block_tag
def keep(content: SafeString) -> SafeString:
    """`{% keep as name %}...{% endkeep %}`, then `{{ name }}` wherever it is shown."""
    return content
