"""Tracking links: list, create, change, archive, restore. The Hub's pages are postbacks/hub/links/."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from audience.api.toolkit.operations import reads, requires
from audience.api.toolkit.preconditions import etag_of, require_match, with_etag
from audience.api.toolkit.problems import Conflict, PreconditionFailed, Refused
from audience.api.toolkit.views import GameViewSet
from audience.games import links
from audience.models import Role, Scope, TrackingLink
from postbacks.api.links.serializers import (
    ARCHIVED_EXAMPLE,
    EXAMPLE,
    GAME,
    WRITABLE_EXAMPLE,
    TrackingLinkChangeSerializer,
    TrackingLinkCreateSerializer,
    TrackingLinkSerializer,
    values_of,
)


class LinkFilter(filters.FilterSet):
    archived = filters.BooleanFilter(method="filter_archived", label="Whether the link is archived.")

    def filter_archived(self, rows: Any, name: str, value: bool) -> Any:
        return rows.filter(archived_at__isnull=not value)


class LinkViewSet(GameViewSet):
    tag = "Tracking links"
    operations = {
        "list": reads(Scope.POSTBACKS),
        "retrieve": reads(Scope.POSTBACKS),
        "create": requires(Scope.POSTBACKS, Role.MARKETER),
        "partial_update": requires(Scope.POSTBACKS, Role.MARKETER),
        "archive": requires(Scope.POSTBACKS, Role.MARKETER),
        "restore": requires(Scope.POSTBACKS, Role.MARKETER),
    }
    without_body = frozenset({"archive", "restore"})
    etag_actions = frozenset({"retrieve", "partial_update", "archive", "restore"})
    filterset_class = LinkFilter
    queryset = TrackingLink.objects.none()
    serializer_class = TrackingLinkSerializer

    @extend_schema(examples=[OpenApiExample("Link", EXAMPLE, response_only=True)])
    def list(self, request: Request, game: str) -> Response:
        """List the tracking links of a game with their clicks. The newest is first."""
        return self.paginated(TrackingLink.objects.filter(game=self.game).with_clicks(), TrackingLinkSerializer)

    @extend_schema(examples=[OpenApiExample("Link", EXAMPLE, response_only=True)])
    def retrieve(self, request: Request, game: str, id: str) -> Response:
        """Return a tracking link."""
        return self._answered(self._link(id))

    @extend_schema(
        request=TrackingLinkCreateSerializer,
        responses={201: TrackingLinkSerializer},
        examples=[
            OpenApiExample("Link to Steam", WRITABLE_EXAMPLE, request_only=True),
            OpenApiExample("Created", EXAMPLE, response_only=True, status_codes=["201"]),
        ],
    )
    def create(self, request: Request, game: str) -> Response:
        """Create a tracking link. It redirects from this moment on; its slug cannot be changed."""
        data = self.body(TrackingLinkCreateSerializer)
        with _refusals(request):
            link = links.create_link(
                game=self.game, values=values_of(data), slug=data.get("slug", ""), created_by=self.user
            )
        return self._answered(self._link(link.pk), status.HTTP_201_CREATED)

    @extend_schema(
        request=TrackingLinkChangeSerializer,
        examples=[
            OpenApiExample("Campaign", {"utm_campaign": "launch"}, request_only=True),
            OpenApiExample("Changed", {**EXAMPLE, "utm_campaign": "launch", "version": 2}, response_only=True),
        ],
    )
    def partial_update(self, request: Request, game: str, id: str) -> Response:
        """Change a tracking link. It applies to clicks within a second."""
        link = self._link(id)
        require_match(request, etag(link))
        data = self.body(TrackingLinkChangeSerializer, partial=True)
        present = asdict(links.LinkValues.of(link))
        present["consent"] = link.consent or GAME
        with _refusals(request):
            links.change_link(link=link, values=values_of({**present, **data}), version=_version(request, link))
        return self._answered(self._link(id))

    @extend_schema(request=None, examples=[OpenApiExample("Archived", ARCHIVED_EXAMPLE, response_only=True)])
    @action(detail=True, methods=["post"])
    def archive(self, request: Request, game: str, id: str) -> Response:
        """Archive a tracking link. Its address answers 404 from then on. Archiving it again changes nothing."""
        link = self._link(id)
        require_match(request, etag(link))
        with _refusals(request):
            links.archive_link(link=link, version=_version(request, link))
        return self._answered(self._link(id))

    @extend_schema(request=None, examples=[OpenApiExample("Restored", EXAMPLE, response_only=True)])
    @action(detail=True, methods=["post"])
    def restore(self, request: Request, game: str, id: str) -> Response:
        """Make an archived tracking link redirect again. Restoring it again changes nothing."""
        link = self._link(id)
        require_match(request, etag(link))
        with _refusals(request):
            links.restore_link(link=link, version=_version(request, link))
        return self._answered(self._link(id))

    def _link(self, id: str | int) -> TrackingLink:
        return get_object_or_404(TrackingLink.objects.with_clicks(), game=self.game, pk=id)

    def _answered(self, link: TrackingLink, code: int = status.HTTP_200_OK) -> Response:
        return with_etag(Response(TrackingLinkSerializer(link).data, status=code), etag(link))


def etag(link: TrackingLink) -> str:
    """Return the ETag of a link: that of its version, since clicks are no edits."""
    return etag_of("link", link.pk, link.version)


def _version(request: Request, link: TrackingLink) -> int | None:
    """Return the version that must not have changed; None without If-Match."""
    return link.version if request.headers.get("If-Match") else None


@contextmanager
def _refusals(request: Request) -> Iterator[None]:
    """Turn the refusals of services into problems."""
    try:
        yield
    except links.LinkChanged as changed:
        raise PreconditionFailed from changed
    except links.LinkRefused as refused:
        if not refused.field or str(refused) == links.TAKEN:
            raise Conflict(str(refused), field=refused.field) from refused
        raise Refused(str(refused), field=refused.field) from refused
