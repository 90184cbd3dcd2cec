"""Events: list, follow, retrieve. The Hub's pages are audience/hub/events/."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from django.http import Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audience.api.events.queries import LATEST, EventQuery, filter_of
from audience.api.events.serializers import (
    DETAIL_EXAMPLE,
    EXAMPLE,
    EventDetailSerializer,
    EventSerializer,
    detail_values,
    event_values,
)
from audience.api.toolkit.operations import reads
from audience.api.toolkit.pagination import CURSOR, INVALID_CURSOR, answer, cursor_of, followed, limit_of
from audience.api.toolkit.views import GameViewSet
from audience.hub.events import following, selection
from audience.models import Event, Scope

# Cursors of `follow`: a position, or the newest one where that was not known yet.
FOLLOW = "follow:"


class EventViewSet(GameViewSet):
    tag = "Events"
    operations = {"list": reads(Scope.POSTBACKS), "retrieve": reads(Scope.POSTBACKS)}
    queries = {"list": EventQuery}
    list_actions = frozenset()
    queryset = Event.objects.none()
    serializer_class = EventSerializer

    @extend_schema(examples=[OpenApiExample("Event", EXAMPLE, response_only=True)])
    def list(self, request: Request, game: str) -> Response:
        """List accepted events. The newest is first.

        A filter reads at most 20,000 events for a page, so that a page may have fewer rows than `limit`, or none, and
        still have a `next`.

        **Follow.** With `follow`, events are in the order of `id`, ascending. `next_cursor` is always there: continue
        with it and the same parameters. When `next` is null, no more events are stored now; wait some seconds, then
        continue. Every event is returned exactly once, and none is missed: an event is returned only once all
        transactions that could store one with a lower `id` have ended, which takes milliseconds. `received_at` may
        differ from this order by seconds; an event that was accepted later by a replay has the time of its first
        receipt. Events that are erased or deleted by the retention before they are read are not returned.
        """
        query = self.query()
        filters = filter_of(query, self.game, status="accepted")
        position = cursor_of(request)
        if query.get("follow"):
            return self._follow(request, query, filters, position)
        if position and selection.parse_cursor(position) == (None, None):
            raise serializers.ValidationError({CURSOR: [INVALID_CURSOR]})
        found = selection.select(
            self.game, filters.starting(before=position), size=limit_of(request), with_payload=True
        )
        return answer(request, self._values(found.rows), older=found.older)

    @extend_schema(
        responses=EventDetailSerializer, examples=[OpenApiExample("Event", DETAIL_EXAMPLE, response_only=True)]
    )
    def retrieve(self, request: Request, game: str, day: str, id: str) -> Response:
        """Return an event with its player, its conversion and the original message."""
        try:
            stored_on = date.fromisoformat(day)
        except ValueError:
            raise Http404 from None
        event = get_object_or_404(Event, game_id=self.game.pk, day=stored_on, pk=id)
        return Response(EventDetailSerializer(detail_values(event, addresses=self.addresses)).data)

    def _follow(self, request: Request, query: Mapping[str, Any], filters: Any, position: str) -> Response:
        if position and not _is_followed(position):
            raise serializers.ValidationError({CURSOR: [INVALID_CURSOR]})
        stated = position.removeprefix(FOLLOW)
        if (stated or query["follow"]) == LATEST:
            newest = following.newest_position()
            return followed(request, [], after=f"{FOLLOW}{LATEST if newest is None else newest}", is_complete=True)
        after = int(stated) if stated else following.first_position(self.game, filters)
        found = following.read(self.game, filters, after=after, size=limit_of(request))
        after_cursor = f"{FOLLOW}{found.after}"
        return followed(request, self._values(found.rows), after=after_cursor, is_complete=found.is_complete)

    def _values(self, rows: Any) -> Any:
        values = [event_values(row, addresses=self.addresses) for row in rows]
        return EventSerializer(values, many=True).data


def _is_followed(position: str) -> bool:
    stated = position.removeprefix(FOLLOW)
    is_number = stated.isascii() and stated.isdecimal() and len(stated) <= 18
    return position.startswith(FOLLOW) and (is_number or stated == LATEST)
