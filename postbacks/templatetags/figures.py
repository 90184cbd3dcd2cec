"""Tags for the figures of pages (postbacks/reporting/figures.py)."""

from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from postbacks.reporting import figure_rows

register = template.Library()


@register.inclusion_tag("hub/parts/explain.html")
def explain(name: str, label: str = "") -> dict[str, Any]:
    """`{% explain "delivered" %}` shows the "i" with the definition of a figure, if the figure has one."""
    figure = figure_rows.find(name)
    return {"figure": figure, "label": label or (figure.label if figure else "")}


@register.simple_tag
def figure(count: int, href: str, prefix: str = "") -> SafeString:
    """`{% figure 12 href %}` shows a number as a link to the list of the rows that it counts."""
    return format_html('<a class="figure" data-figure="{}" href="{}">{}{}</a>', count, href, prefix, f"{count:,}")
