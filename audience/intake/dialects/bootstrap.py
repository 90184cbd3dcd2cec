"""The settings that the two browser SDKs request before they send, so that they work without the vendors' servers."""

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from audience.intake.dialects import rudderstack
from audience.intake.dialects.base import IngestView
from audience.intake.dialects.responses import Refusal, RequestProblem, as_json
from audience.intake.requests.auth import basic_user, find_key
from audience.intake.storing.accept import record_use
from audience.models import ApiKey, Dialect, KeyKind
from audience.models.tokens import TOKEN_MARK

DISABLED = {"enabled": False}


class BootstrapView(IngestView):
    """Not restricted by origin or address: the answers contain nothing that is unknown to a client with the key."""

    dialect = Dialect.RUDDERSTACK
    route = "settings"

    def refuse(self, problem: RequestProblem, detail: str = "") -> Refusal:
        return Refusal(rudderstack.RESPONSES.answer_problem(problem, batch=False))

    def require_key(self, value: str) -> ApiKey:
        """The live publishable key with this value; records its use. Raises Refusal when there is none."""
        key = find_key(value, kinds=(KeyKind.PUBLISHABLE,))
        if key is None and value.startswith(TOKEN_MARK):
            raise self.management_token()
        if key is None:
            refusal = Refusal(as_json({"message": "Invalid write key"}, status=400))
            raise self.with_expired_key_rejection(refusal, value)
        record_use(key)
        return key


class SourceConfigView(BootstrapView):
    """GET /sourceConfig: the settings of a RudderStack SDK, which detects ad blockers with HEAD."""

    def get(self, request: HttpRequest) -> HttpResponseBase:
        value = basic_user(request) or request.GET.get("writeKey", "")
        if not value:
            raise Refusal(as_json({"message": "Writekey not found in basic auth"}, status=401))
        key = self.require_key(value)
        return as_json(source_config(key, value))

    def head(self, request: HttpRequest) -> HttpResponseBase:
        return HttpResponse(status=204)


def source_config(key: ApiKey, write_key: str) -> dict[str, object]:
    updated_at = key.created_at.isoformat()
    return {
        "source": {
            "id": str(key.pk),
            "name": key.name,
            "writeKey": write_key,
            "enabled": True,
            "workspaceId": str(key.game_id),
            "updatedAt": updated_at,
            "config": {"statsCollection": {"errors": DISABLED, "metrics": DISABLED}},
            "dataplanes": {},
            "destinations": [],
        },
        "updatedAt": updated_at,
    }


class MetricsView(BootstrapView):
    """POST /rsaMetrics: metrics of the SDK itself. Not stored, and answered 200 with any key."""

    def post(self, request: HttpRequest) -> HttpResponseBase:
        value = basic_user(request)
        if key := find_key(value, kinds=(KeyKind.PUBLISHABLE,)) if value else None:
            record_use(key)
        return as_json({})


class ProjectSettingsView(BootstrapView):
    """GET /v1/projects/<key>/settings: makes Segment's browser SDK send to this host."""

    def get(self, request: HttpRequest, key: str) -> HttpResponseBase:
        self.require_key(key)
        protocol = "https" if request.is_secure() else "http"
        target = {"apiKey": key, "apiHost": f"{request.get_host()}/v1", "protocol": protocol}
        return as_json(
            {
                "integrations": {"Segment.io": {**target, "addBundledMetadata": True, "unbundledIntegrations": []}},
                "plan": {"track": {"__default": {"enabled": True}}, "identify": {"__default": {"enabled": True}}},
                "edgeFunction": {},
                "analyticsNextEnabled": True,
                "middlewareSettings": {},
                "enabledMiddleware": {},
                "metrics": {"sampleRate": 0},
                "legacyVideoPluginsEnabled": False,
                "remotePlugins": [],
            }
        )
