"""The columns of the table of campaigns: their figures, the lists behind these, and how they are attributed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal

from audience.models import Game, Trigger, trigger_label
from postbacks.reporting.campaigns.amounts import Converted
from postbacks.reporting.campaigns.cost_report import ROAS_DAYS
from postbacks.reporting.campaigns.report import Report, ReportRow

Value = int | Decimal | float | None
PLAYERS, CONVERSIONS = "campaign-players", "campaign-conversions"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of figures. `unit`: "" for a number, "money", "unit cost" with digits for small ones, or "ratio".

    `list_of`: the URL name of the page with the rows that the figure counts and its parameters, None without one.
    `before`: the figure of the period before. `model`: how it is attributed.
    """

    key: str
    label: str
    value: Callable[[ReportRow], Value]
    unit: str = ""
    list_of: tuple[str, dict[str, str]] | None = None
    before: Callable[[ReportRow], Value] | None = None
    model: str = ""


def columns(report: Report, *, game: Game) -> list[Column]:
    """Return the columns of figures: goals and costs only where there are any."""
    window = "in its window" if game.network_windows else game.window_text
    return [replace(column, model=_model(column.key, window)) for column in _columns(report)]


def _model(key: str, window: str) -> str:
    """Return how a figure is attributed, in a few words."""
    if key == "spend":
        return "uploaded"
    if key in ("clicks", "per_click"):
        return "by day of click"
    return "first click" if key == "players" or key.startswith("roas") else f"last click, {window}"


def _columns(report: Report) -> list[Column]:
    found = [
        Column("clicks", "Clicks", lambda row: row.figures.clicks, before=_before(lambda row: row.clicks)),
        Column("players", "Players", lambda row: row.figures.players, "", (PLAYERS, {}), _before(lambda f: f.players)),
        _events("launches", "Launches", Trigger.GAME_LAUNCH),
        Column(
            "payers",
            "Payers",
            lambda row: row.figures.payers,
            "",
            (CONVERSIONS, {"event": Trigger.PURCHASE.value, "only": "first"}),
            _before(lambda figures: figures.payers),
        ),
        _events("purchases", "Purchases", Trigger.PURCHASE),
        *(_events(f"goal:{name}", trigger_label(name), name) for name in report.goals),
        Column(
            "revenue",
            "Revenue",
            lambda row: _known(row.revenue),
            "money",
            (CONVERSIONS, {}),
            lambda row: row.revenue_before.amount if row.revenue_before else None,
        ),
    ]
    if report.total.cost:
        found += _cost_columns()
    return [*found, _outcome("sent", "Sent"), _outcome("accepted", "Accepted")]


def _known(revenue: Converted) -> Decimal | None:
    """Return the sum; None if none of its currencies has an exchange rate."""
    return None if revenue.missing and not revenue.amount else revenue.amount


def _cost_columns() -> list[Column]:
    names = (("spend", "Spend"), ("per_click", "CPC"), ("per_launch", "Per launch"), ("per_payer", "Per payer"))
    found = [Column(key, label, _cost(key), "money" if key == "spend" else "unit cost") for key, label in names]
    return [*found, *(Column(f"roas_{days}", f"ROAS D{days}", _roas(days), "ratio") for days in ROAS_DAYS)]


def _cost(key: str) -> Callable[[ReportRow], Value]:
    return lambda row: getattr(row.cost, key) if row.cost else None


def _roas(days: int) -> Callable[[ReportRow], Value]:
    return lambda row: row.cost.roas[days] if row.cost else None


def _events(key: str, label: str, trigger: str) -> Column:
    return Column(
        key,
        label,
        lambda row: row.figures.events.get(trigger, 0),
        "",
        (CONVERSIONS, {"event": str(trigger)}),
        _before(lambda figures: figures.events.get(trigger, 0)),
    )


def _outcome(part: str, label: str) -> Column:
    return Column(
        part,
        label,
        lambda row: getattr(row.figures, part),
        "",
        (CONVERSIONS, {"only": part}),
        _before(lambda figures: getattr(figures, part)),
    )


def _before(value: Callable[..., int]) -> Callable[[ReportRow], Value]:
    return lambda row: value(row.before) if row.before else None
