"""The rows of a figure by its key in a URL."""

from django.db.models import Q, QuerySet

from audience.models import Conversion, Reason, ValueProblem
from postbacks.reporting import event_figures, figures, headline_figures
from postbacks.reporting.conversion_status import ConversionFilter, selected
from postbacks.reporting.figure_registry import FIGURES, Figure
from postbacks.reporting.funnel import LABELS

# Before the key of a figure of deliveries.
POSTBACK = "postback_"
# The modules whose functions are figures.
DEFINITIONS = (figures, event_figures, headline_figures)


def find(name: str) -> Figure | None:
    """Return the figure of a function of DEFINITIONS; None for any other name."""
    return FIGURES.get(name) if any(hasattr(module, name) for module in DEFINITIONS) else None


def conversions_of(key: str, filters: ConversionFilter) -> QuerySet[Conversion]:
    """Return the conversions of a figure; of a status without one, and of ALL, by its key."""
    figure = find(key)
    return figure.define(filters) if figure else selected(filters, key)


def postback_figure(key: str) -> tuple[str, Q] | None:
    """Return the label of a figure of deliveries, a Reason or a ValueProblem, and the condition of its rows; None for
    any other key."""
    if figure := find(f"{POSTBACK}{key}"):
        return (figure.label, figure.define()) if key != "without_value" else None
    if key in Reason.values:
        return f"Not sent: {LABELS[key]}", figures.postback_skipped(key)
    if key in ValueProblem.values:
        problem = ValueProblem(key)
        return f"Sent without a value: {problem.label}", figures.postback_without_value(problem)
    return None
