"""What the two browser SDKs ask for before they send: answered here, so that they run with no cloud."""

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from audience.intake.dialects import rudderstack
from audience.intake.dialects.base import IngestView, basic_user
from audience.intake.dialects.words import Problem, Refusal, as_json
from audience.intake.requests.auth import find_key
from audience.intake.storing.accept import note_use
from audience.models import ApiKey, Dialect, KeyKind

OFF = {"enabled": False}


class BootstrapView(IngestView):
    """Nothing here is restricted by origin or address: the answers hold what whoever has the key knows."""

    dialect = Dialect.RUDDERSTACK

    def refuse(self, problem: Problem, detail: str = "") -> Refusal:
        return Refusal(rudderstack.WORDS.problem(problem, batch=False))

    def known(self, value: str) -> ApiKey:
        """The live publishable key with this value, its use noted; refused when there is none."""
        key = find_key(value, kind=KeyKind.PUBLISHABLE)
        if key is None:
            refusal = Refusal(as_json({"message": "Invalid write key"}, status=400))
            raise self.of_ended(refusal, value, route="settings")
        note_use(key)
        return key


class SourceConfigView(BootstrapView):
    """GET /sourceConfig: what a RudderStack SDK may do with a key; HEAD is its ad-blocker probe."""

    def get(self, request: HttpRequest) -> HttpResponseBase:
        named = basic_user(request) or request.GET.get("writeKey", "")
        if not named:
            return as_json({"message": "Writekey not found in basic auth"}, status=401)
        key = self.known(named)
        return as_json(source_config(key, named))

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
            "config": {"statsCollection": {"errors": OFF, "metrics": OFF}},
            "dataplanes": {},
            "destinations": [],
        },
        "updatedAt": updated_at,
    }


class MetricsView(BootstrapView):
    """POST /rsaMetrics: the SDK's word about itself, not asked for and thanked for, whatever its key."""

    def post(self, request: HttpRequest) -> HttpResponseBase:
        named = basic_user(request)
        if key := find_key(named, kind=KeyKind.PUBLISHABLE) if named else None:
            note_use(key)
        return as_json({})


class ProjectSettingsView(BootstrapView):
    """GET /v1/projects/<key>/settings: where Segment's browser SDK sends to, which is us."""

    def get(self, request: HttpRequest, key: str) -> HttpResponseBase:
        self.known(key)
        protocol = "https" if request.is_secure() else "http"
        sender = {"apiKey": key, "apiHost": f"{request.get_host()}/v1", "protocol": protocol}
        return as_json(
            {
                "integrations": {"Segment.io": {**sender, "addBundledMetadata": True, "unbundledIntegrations": []}},
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
