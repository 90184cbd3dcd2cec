"""The registry of the figures (postbacks/reporting/figures.py)."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Figure:
    """`define` returns the rows or, of deliveries, their condition."""

    label: str
    explanation: str
    define: Callable[..., Any]


# By the name of the function.
FIGURES: dict[str, Figure] = {}


def figure(label: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Register a function as the definition of a figure."""

    def register(define: Callable[P, T]) -> Callable[P, T]:
        FIGURES[define.__name__] = Figure(label, " ".join(inspect.cleandoc(define.__doc__ or "").split()), define)
        return define

    return register
