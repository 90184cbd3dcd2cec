"""Players: find, list, retrieve, export. The Hub's pages are audience/hub/people/, postbacks/hub/people/ and, of the
export, postbacks/hub/privacy/."""

from django.http import StreamingHttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from audience.api.toolkit.operations import reads, requires
from audience.api.toolkit.patterns import UUID, UUID_SCHEMA
from audience.api.toolkit.queries import PagedQuery
from audience.api.toolkit.views import GameViewSet
from audience.hub.toolkit import spreadsheet
from audience.models import Person, Role, Scope
from audience.reporting.people import matching_people, person_rows
from postbacks.api.people import examples
from postbacks.api.people.serializers import PersonDetailSerializer, PersonSerializer, detail_values, row_values
from postbacks.reporting import person_export
from postbacks.reporting.player import load_player


class PersonQuery(PagedQuery):
    q = serializers.CharField(
        required=False,
        max_length=512,
        help_text="An ID in any namespace, compared exactly, or an email address. Of one with more than 200 players, "
        "200 are found.",
    )


class PersonViewSet(GameViewSet):
    tag = "Players"
    operations = {
        "list": reads(Scope.PRIVACY),
        "retrieve": reads(Scope.PRIVACY),
        "export": requires(Scope.PRIVACY, Role.ADMIN),
    }
    queries = {"list": PersonQuery}
    list_actions = frozenset()
    ordering_field = "first_seen_at"
    id_schema = UUID_SCHEMA
    lookup_value_regex = UUID
    queryset = Person.objects.none()
    serializer_class = PersonSerializer

    @extend_schema(examples=[OpenApiExample("Player", examples.PERSON, response_only=True)])
    def list(self, request: Request, game: str) -> Response:
        """List players, or find them by an ID. The newest is first."""
        rows = self.paginate_queryset(matching_people(self.game, self.query().get("q", ""))) or []
        values = [row_values(row) for row in person_rows(rows, addresses=self.addresses)]
        return self.get_paginated_response(PersonSerializer(values, many=True).data)

    @extend_schema(
        responses=PersonDetailSerializer, examples=[OpenApiExample("Player", examples.DETAIL, response_only=True)]
    )
    def retrieve(self, request: Request, game: str, id: str) -> Response:
        """Return a player with IDs, traits, clicks, conversions, events and consent.

        A player who was merged with another one, or erased, is not found.
        """
        values = detail_values(load_player(self._person(id)), addresses=self.addresses)
        return Response(PersonDetailSerializer(values).data)

    @extend_schema(responses={(200, "application/json"): OpenApiTypes.OBJECT})
    @action(detail=True)
    def export(self, request: Request, game: str, id: str) -> StreamingHttpResponse:
        """Export all data of a player as one JSON file, for a request for access.

        Only keys, tokens and passwords are masked. Each export leaves an entry in the audit log.
        """
        person = self._person(id)
        pieces = person_export.export(person)
        return spreadsheet.streamed(pieces, name=person_export.file_name(person), content_type="application/json")

    def _person(self, id: str) -> Person:
        return get_object_or_404(Person.objects.select_related("game"), game=self.game, pk=id)
