"""Sections of a game's settings, each with an ETag: the base class of their view sets."""

from abc import abstractmethod
from typing import Any, ClassVar

from django.db import transaction
from rest_framework.response import Response

from audience.api.toolkit.preconditions import etag_of, require_match, with_etag
from audience.api.toolkit.serializers import StrictSerializer
from audience.api.toolkit.views import GameViewSet
from audience.games import game_settings


class SettingsViewSet(GameViewSet):
    """`section` is one of game_settings.COLUMNS, whose columns are the values, unless a view set overrides both."""

    tag = "Game settings"
    etag_actions = frozenset({"retrieve", "partial_update", "update"})
    section: ClassVar[str]

    def values(self) -> dict[str, Any]:
        """Return the stored values of the section by name."""
        return {column: getattr(self.game, column) for column in game_settings.COLUMNS[self.section]}

    def version(self) -> str:
        return game_settings.version(self.game, self.section)

    @abstractmethod
    def save(self, values: dict[str, Any], stated: dict[str, Any]) -> None:
        """Store the values; `stated` are those of the body."""

    def shown(self) -> Response:
        return with_etag(Response(self.get_serializer_class()(self.values()).data), etag_of(self.version()))

    def changed(self, serializer: type[StrictSerializer]) -> Response:
        """Store what the body states; other values of the section stay. Raises PreconditionFailed.

        The fields of the serializer are not required. `partial` would make those of the rows in lists optional too.
        """
        stated = self.body(serializer)
        with transaction.atomic():
            game_settings.lock(self.game)
            require_match(self.request, etag_of(self.version()))
            self.save({**self.values(), **stated}, stated)
        return self.shown()
