"""The audit log of a game, as JSON and as the CSV of the Hub's page (postbacks/hub/audit_log/)."""

from auditlog.models import LogEntry
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from audience.accounts.audit_log import entries
from audience.api.toolkit.operations import reads
from audience.api.toolkit.parsing import CSVRenderer
from audience.api.toolkit.views import GameViewSet
from audience.models import Role, Scope
from postbacks.api.audit_log.filters import AuditLogFilter
from postbacks.api.audit_log.serializers import EXAMPLE, AuditEntrySerializer
from postbacks.hub.audit_log.views import as_csv


class AuditLogViewSet(GameViewSet):
    tag = "Audit log"
    operations = {"list": reads(Scope.MEMBERS, Role.ADMIN)}
    filterset_class = AuditLogFilter
    ordering_field = "timestamp"
    queryset = LogEntry.objects.none()
    serializer_class = AuditEntrySerializer
    renderer_classes = (JSONRenderer, CSVRenderer)

    @extend_schema(
        responses={
            (200, "application/json"): AuditEntrySerializer(many=True),
            (200, "text/csv"): OpenApiTypes.STR,
        },
        examples=[OpenApiExample("Entry", EXAMPLE, response_only=True, media_type="application/json")],
    )
    def list(self, request: Request, game: str) -> HttpResponseBase:
        """List the changes of a game and the exports of its players' data. The newest is first. As `text/csv` it has
        all entries that match the filters, without pages."""
        rows = entries(self.game).select_related("actor", "content_type")
        if request.accepted_renderer.media_type == CSVRenderer.media_type:
            return as_csv(self.game, self.filter_queryset(rows))
        return self.paginated(rows, AuditEntrySerializer)
