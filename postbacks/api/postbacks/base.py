"""What the operations of postbacks share: reading one, its ETag, and the refusals of services."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail
from rest_framework.generics import get_object_or_404
from rest_framework.response import Response

from audience.api.toolkit import patterns
from audience.api.toolkit.preconditions import etag_of, require_match, with_etag
from audience.api.toolkit.problems import Conflict, PreconditionFailed, Refused
from audience.api.toolkit.views import GameViewSet
from postbacks.api.postbacks.serializers import PostbackSerializer
from postbacks.configs.entered_settings import SettingsInvalid
from postbacks.configs.rules import DUPLICATE, SettingsChanged, SettingsRefused
from postbacks.hub.toolkit.config_rows import ConfigRow, rows_of, with_last_delivery
from postbacks.models import PostbackConfig


class PostbackBase(GameViewSet):
    tag = "Postbacks"
    queryset = PostbackConfig.objects.none()
    serializer_class = PostbackSerializer
    lookup_value_regex, id_schema = patterns.UUID, patterns.UUID_SCHEMA

    def config(self, id: str | UUID) -> PostbackConfig:
        """Return a postback of the game. Raises Http404, also for a deleted one."""
        return get_object_or_404(PostbackConfig.objects.kept(), game=self.game, pk=id)

    def row(self, id: str | UUID) -> ConfigRow:
        """Return a postback with its health."""
        found = with_last_delivery(PostbackConfig.objects.kept().filter(game=self.game))
        (row,) = rows_of([get_object_or_404(found, pk=id)])
        return row

    def represent(self, row: ConfigRow) -> Any:
        return PostbackSerializer(row, context=self.get_serializer_context()).data

    def answered(self, id: str | UUID, status: int = 200) -> Response:
        """Return the postback as an answer, with its ETag."""
        row = self.row(id)
        return with_etag(Response(self.represent(row), status=status), etag(row.config))

    def seen_version(self, config: PostbackConfig) -> int:
        """Return the version to which a change is bound. Raises PreconditionFailed for another If-Match."""
        require_match(self.request, etag(config))
        return config.version

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Turn the refusals of services into problems."""
        try:
            yield
        except SettingsInvalid as invalid:
            found = {path: [ErrorDetail(text, "refused")] for path, text in invalid.errors.items()}
            raise serializers.ValidationError(found) from invalid
        except SettingsChanged as changed:
            raise PreconditionFailed from changed if self.request.headers.get("If-Match") else _conflict(changed)
        except SettingsRefused as refused:
            raise _conflict(refused) from refused


def etag(config: PostbackConfig) -> str:
    """Return the ETag of a postback: that of its version."""
    return etag_of("postback", str(config.pk), config.version)


def _conflict(refused: SettingsRefused) -> Refused:
    """Return a conflict with the present state; a value that cannot be accepted is a bad request."""
    is_conflict = not refused.field or str(refused) == DUPLICATE
    return (Conflict if is_conflict else Refused)(str(refused), field=refused.field)
