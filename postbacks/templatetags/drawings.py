"""The columns of a chart as SVG and as a table. Tags, since a template takes ten times as long for two dozen of one
thing; and with `html.escape` for each text from outside, since `format_html` takes five times as long."""

from html import escape

from django import template
from django.utils.safestring import SafeString

from postbacks.hub.toolkit.charts import SOLID, Chart, Column

register = template.Library()


@register.simple_tag
def columns(chart: Chart, name: str) -> SafeString:
    """Every column with its label on the axis; `name` is the chart's in the page, which its patterns carry."""
    return SafeString("\n".join(_column(column, chart.place_width, name) for column in chart.columns))


@register.simple_tag
def figures(chart: Chart, unit: str) -> SafeString:
    """A row of the table for every column; `unit` is what the first one is called."""
    return SafeString("\n".join(_row(column, escape(unit)) for column in chart.columns))


def _column(column: Column, width: str, name: str) -> str:
    pieces = "".join(_piece(tone, box, name) for tone, box in column.boxes)
    place = f'<rect class="place" x="{column.place}" y="0" width="{width}" height="120"/>'
    label = f'<text class="{column.tick}" x="{column.x}" y="136">{escape(column.point.label)}</text>'
    return f"<g><title>{escape(column.title)}</title>{place}{pieces}</g>{label if column.tick else ''}"


def _piece(tone: str, box: str, name: str) -> str:
    """Our own words and numbers: there is nothing to escape."""
    pattern = f'<rect fill="url(#{name}-{tone})" {box}/>' if tone != SOLID else ""
    return f'<rect class="tone {tone}" {box}/>{pattern}'


def _row(column: Column, unit: str) -> str:
    cells = [f'<td data-label="{escape(label)}" class="number">{value}</td>' for label, value in column.named]
    return f'<tr><td data-label="{unit}" class="short">{escape(column.point.title)}</td>{"".join(cells)}</tr>'
