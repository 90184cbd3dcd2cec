"""The catalog of networks: what a postback of each one needs and accepts."""

from django.http import Http404
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from audience.api.toolkit.operations import reads
from audience.api.toolkit.pagination import WholeList, answer
from audience.api.toolkit.views import ApiViewSet
from audience.models import Scope
from postbacks.api.networks.serializers import NetworkSerializer
from postbacks.networks import NETWORKS

# A real one, so that the document does not contradict it.
EXAMPLE = NetworkSerializer(next(iter(NETWORKS.values()))).data


class NetworkViewSet(ApiViewSet):
    tag = "Networks"
    operations = {"list": reads(Scope.POSTBACKS, None), "retrieve": reads(Scope.POSTBACKS, None)}
    # All networks are one page.
    list_actions = frozenset()
    pagination_class = WholeList
    serializer_class = NetworkSerializer
    lookup_value_regex = "[a-z]+"
    id_schema = {"type": "string", "enum": list(NETWORKS)}

    @extend_schema(filters=False, examples=[OpenApiExample("Network", EXAMPLE, response_only=True)])
    def list(self, request: Request) -> Response:
        """List the networks. Each has the fields, limits and defaults of its postbacks, all on one page."""
        return answer(request, list(NetworkSerializer(list(NETWORKS.values()), many=True).data), older="")

    @extend_schema(examples=[OpenApiExample("Network", EXAMPLE, response_only=True)])
    def retrieve(self, request: Request, id: str) -> Response:
        """Return a network by its kind."""
        if id not in NETWORKS:
            raise Http404
        return Response(NetworkSerializer(NETWORKS[id]).data)
