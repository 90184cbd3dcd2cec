"""Every operation of the management API, as the routers have them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from audience.api.toolkit.operations import Operation
from audience.api.urls import router as audience_router

ROUTERS = (audience_router,)


@dataclass(frozen=True, slots=True)
class Routed:
    """An operation with its address below /api/v1/: `games/{game}/keys/{id}/rotate`."""

    name: str
    method: str
    path: str
    view: Any
    action: str

    @property
    def operation(self) -> Operation:
        found: Operation = self.view.operations[self.action]
        return found

    @property
    def has_game(self) -> bool:
        return "{game}" in self.path

    @property
    def ids(self) -> list[str]:
        """The names of the ids in the address, other than that of the game."""
        return [name for name in re.findall(r"{(\w+)}", self.path) if name != "game"]

    def url(self, **values: Any) -> str:
        return self.path.format(**values)


def routed() -> list[Routed]:
    """Return all operations, sorted by name."""
    return sorted(set(_walk()), key=lambda one: (one.name, one.method))


def _walk() -> Iterator[Routed]:
    for router in ROUTERS:
        for prefix, view, basename in router.registry:
            lookup = router.get_lookup_regex(view)
            for route in router.get_routes(view):
                for method, action in router.get_method_map(view, route.mapping).items():
                    regex = route.url.format(prefix=prefix, lookup=lookup, trailing_slash="")
                    path = re.sub(r"\(\?P<(\w+)>(?:[^()]|\([^()]*\))*\)", r"{\1}", regex).strip("^$")
                    yield Routed(f"{basename}_{action}", method.upper(), path, view, action)
