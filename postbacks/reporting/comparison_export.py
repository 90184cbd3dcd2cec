"""A comparison with a network as CSV: one row per day of the ad account and event."""

from collections.abc import Iterator
from typing import Any

from audience.digest import money
from audience.hub.toolkit import spreadsheet
from audience.hub.toolkit.masking import masked
from audience.wording.days import Days
from postbacks.models import PostbackConfig
from postbacks.reporting.comparison import COLUMNS, Comparison


def file_name(config: PostbackConfig, days: Days) -> str:
    return f"comparison-{config.network}-{days.first}-{days.last}.csv"


def lines(config: PostbackConfig, days: Days, compared: Comparison, *, addresses: bool) -> Iterator[str]:
    """Yield CSV lines with CRLF: the column names, then the rows, the newest day first. A currency has a column of the
    value that was sent.

    Email addresses, which a sender may put into the name of an event, are masked unless `addresses`.
    """
    currencies = sorted(compared.total.values)
    header = ["day", "event", *COLUMNS, *(f"value_{currency}" for currency in currencies)]

    def cells() -> Iterator[list[Any]]:
        for (day, event), numbers in compared.by_day.items():
            values = [
                money.round_to(numbers.values[code], code) if code in numbers.values else "" for code in currencies
            ]
            counts = [numbers.counts[name] for name in COLUMNS]
            fixed = [config.network, config.pixel_id, days.zone.key]
            yield [day, masked(event, addresses=addresses), *counts, *values, *fixed]

    return spreadsheet.lines([*header, "network", "pixel", "time_zone"], cells())
