"""Every operation of the management API, as the URLs have them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver

from audience.api.toolkit.operations import Operation
from config import api_urls

GROUP = re.compile(r"\(\?P<(\w+)>(?:[^()]|\([^()]*\))*\)")


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
    return sorted(set(_walk(api_urls.urlpatterns)), key=lambda one: (one.name, one.method))


def _walk(patterns: list[Any]) -> Iterator[Routed]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            assert str(pattern.pattern) == ""
            yield from _walk(pattern.url_patterns)
        elif isinstance(pattern, URLPattern) and hasattr(pattern.callback, "actions"):
            view: Any = pattern.callback
            path = re.sub(r"[\^$]|\\Z", "", GROUP.sub(r"{\1}", str(pattern.pattern)))
            for method, action in view.actions.items():
                yield Routed(f"{view.initkwargs['basename']}_{action}", method.upper(), path, view.cls, action)
