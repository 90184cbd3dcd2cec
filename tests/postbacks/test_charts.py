"""The geometry of charts: columns, pieces, grid lines, labels and rankings."""

import pytest
from django.template.loader import render_to_string

from postbacks.hub.toolkit import charts
from postbacks.hub.toolkit.charts import HATCHED, SOLID, ColumnPiece, Point, Rank, Series

ACCEPTED, REJECTED = Series("Accepted"), Series("Rejected", HATCHED)


def chart(*values: tuple[int, int]) -> charts.Chart:
    points = [Point(f"{hour}:00", f"Sat 21 Nov, {hour}:00", pair) for hour, pair in enumerate(values)]
    return charts.stacked(points, series=[ACCEPTED, REJECTED])


def render(drawn: charts.Chart, *, unit: str) -> str:
    return render_to_string("hub/parts/chart.html", {"chart": drawn, "id": "events", "unit": unit})


def test_columns_share_the_width_with_gaps_between_them() -> None:
    columns = chart((1, 0), (1, 0), (1, 0), (1, 0)).columns
    assert [column.slot_x for column in columns] == ["0.00%", "25.00%", "50.00%", "75.00%"]
    assert [column.x for column in columns] == ["3.50%", "28.50%", "53.50%", "78.50%"]
    assert {column.width for column in columns} == {"18.00%"}


def test_pieces_of_a_column_are_stacked_from_the_base() -> None:
    drawn = chart((60, 40), (0, 0))
    assert drawn.columns[0].pieces == [ColumnPiece(ACCEPTED, 60, 48.0, 72.0), ColumnPiece(REJECTED, 40, 0.0, 48.0)]
    assert drawn.columns[1].pieces == []


def test_a_columns_title_states_its_values() -> None:
    column = chart((1_200, 0)).columns[0]
    assert column.title == "Sat 21 Nov, 0:00: 1,200 accepted, 0 rejected"
    assert column.cells == [("Accepted", "1,200", ""), ("Rejected", "0", "")]


def test_a_small_value_has_a_minimum_height_and_no_column_exceeds_the_plot() -> None:
    pieces = chart((99_999, 1)).columns[0].pieces
    assert [(piece.y, piece.height) for piece in pieces] == [(0.0, 120.0), (0.0, 2.0)]


def test_the_grid_has_lines_at_the_top_the_middle_and_the_base() -> None:
    assert [(line.value, line.y) for line in chart((90, 31)).lines] == [(200, 0.0), (100, 60.0), (0, 120.0)]


@pytest.mark.parametrize(
    ("most", "top"), [(0, 2), (1, 2), (2, 2), (3, 10), (10, 10), (11, 20), (49, 50), (51, 100), (123_456, 200_000)]
)
def test_the_top_of_the_scale_is_a_round_even_number(most: int, top: int) -> None:
    assert charts.ceiling(most) == top


def test_each_series_has_its_total() -> None:
    drawn = chart((3, 1), (4, 0), (0, 2))
    assert (drawn.series, drawn.total) == ([(ACCEPTED, 7), (REJECTED, 3)], 10)


def test_about_six_columns_have_an_axis_label() -> None:
    columns = chart(*[(1, 0)] * 25).columns
    # The 24th has no room for one to the right.
    assert {place: column.tick for place, column in enumerate(columns) if column.tick} == {
        **dict.fromkeys((0, 8, 16), "major"),
        **dict.fromkeys((4, 12, 20), "minor"),
    }


def test_a_chart_without_points_is_empty() -> None:
    empty = charts.stacked([], series=[ACCEPTED])
    assert (empty.columns, empty.series, empty.total) == ([], [(ACCEPTED, 0)], 0)


def test_bars_of_a_ranking_share_one_scale_and_keep_their_order() -> None:
    rows = [("TikTok Ads", 200, SOLID), ("Reddit Ads", 50, SOLID), ("No paid click", 0, HATCHED), ("X", 1, SOLID)]
    assert charts.ranked(rows) == [
        Rank("TikTok Ads", 200, "100.00%", SOLID),
        Rank("Reddit Ads", 50, "25.00%", SOLID),
        Rank("No paid click", 0, "0.00%", HATCHED),
        Rank("X", 1, "0.50%", SOLID),
    ]


def test_the_template_draws_columns_with_patterns_and_labels() -> None:
    points = [Point("00:00", "Sat 21 Nov, 00:00", (3, 1)), Point("01:00", "<b>", (0, 0))]
    drawn = charts.stacked(points, series=[ACCEPTED, REJECTED])
    first, second = render(drawn, unit="Hour (UTC)").split("<g>")[1:]
    assert "<title>Sat 21 Nov, 00:00: 3 accepted, 1 rejected</title>" in first
    assert '<rect class="tone solid" x="7.00%" y="84.0" width="36.00%" height="36.0"/>' in first
    hatched = 'x="7.00%" y="72.0" width="36.00%" height="12.0"/>'
    assert first.count(f'<rect class="tone hatched" {hatched}') == 1
    assert first.count(f'<rect fill="url(#events-hatched)" {hatched}') == 1
    assert 'y="136">00:00</text>' in first
    assert "<title>&lt;b&gt;: 0 accepted, 0 rejected</title>" in second
    assert 'class="tone' not in second


def test_the_template_shows_the_values_as_a_table_too() -> None:
    points = [Point("00:00", "Sat 21 Nov, 00:00", (3000, 1)), Point("01:00", "<b>", (0, 0))]
    drawn = charts.stacked(points, series=[ACCEPTED, REJECTED])
    first, second = render(drawn, unit='Hour "UTC"').split("<tbody>")[1].split("</tr>")[:2]
    assert '<td data-label="Hour &quot;UTC&quot;" class="short">Sat 21 Nov, 00:00</td>' in first
    assert '<td data-label="Accepted" class="number">3,000</td><td data-label="Rejected" class="number">1</td>' in first
    assert ">&lt;b&gt;</td>" in second
    assert second.count(">0</td>") == 2
