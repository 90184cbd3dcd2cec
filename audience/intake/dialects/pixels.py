"""Events in the URL of an image: MetaRouter's `?data=<base64 JSON>` and RudderStack's plain query."""

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from audience.intake.dialects import pixel_privacy, segment
from audience.intake.dialects.refusing import too_large
from audience.intake.dialects.responses import RequestProblem
from audience.intake.dialects.segment_fields import text_of
from audience.intake.dialects.segment_requests import BATCH
from audience.intake.dialects.segment_views import MetaRouterView, SegmentView
from audience.intake.messages.message import Message, Rejected
from audience.intake.requests import body
from audience.intake.requests.auth import basic_user, find_key
from audience.intake.requests.visitor_cookies import sends_gpc
from audience.models import ApiKey, KeyKind

# The smallest transparent GIF.
GIF = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
# The query parameters that are fields of the message; all others are properties.
MESSAGE_PARAMETERS = ("userId", "anonymousId", "event", "name", "messageId", "timestamp", "sentAt", "originalTimestamp")


def gif() -> HttpResponse:
    response = HttpResponse(GIF, content_type="image/gif")
    response["Cache-Control"] = "no-store"
    return response


class DataPixelView(MetaRouterView):
    """GET /v1/pixel/<kind>?data=: the event in base64, standard or url-safe, with or without padding."""

    http_method_names = ["get", "head", "options"]
    key_kinds = (KeyKind.PUBLISHABLE,)

    async def get(self, request: HttpRequest) -> HttpResponseBase:
        header_key, query_key = basic_user(request), request.GET.get("writeKey", "")
        outer_key = header_key or query_key
        # Admitted before the data is read, so that an event that cannot be read is listed.
        known = find_key(outer_key, kinds=self.key_kinds) if outer_key else None
        if known:
            self.admit(known)
        payload = self.payload(self.data(request), outer_key)
        body_key = text_of(payload.get("writeKey")) if isinstance(payload, dict) else ""
        key = self.require_key(header_key or body_key or query_key)
        if key != known:
            self.admit(key)
        answer = await self.handle(payload, key, len(self.body))
        return gif() if answer.status_code == 200 else answer

    def data(self, request: HttpRequest) -> bytes:
        # An unescaped `+` of standard base64 arrives as a space.
        text = request.GET.get("data", "").replace(" ", "+").replace("-", "+").replace("_", "/").rstrip("=")
        try:
            data = b64decode(text + "=" * (-len(text) % 4), validate=True)
        except ValueError:
            text = "The parameter `data` is not base64."
            raise self.refuse_content(RequestProblem.BAD_JSON, text) from None
        if len(data) > self.responses.call_limit:
            raise self.refuse_content(RequestProblem.TOO_LARGE, too_large(self.responses.call_limit))
        return data


class QueryPixelView(SegmentView):
    """GET /pixel/v1/<kind>?writeKey=...: 200 and an image even for a refused event: no page reads the status."""

    http_method_names = ["get", "head", "options"]
    key_kinds = (KeyKind.PUBLISHABLE,)

    async def get(self, request: HttpRequest) -> HttpResponseBase:
        key = self.require_key(request.GET.get("writeKey", ""))
        self.admit(key)
        await self.handle_one(read_query(request.GET), key)
        return gif()

    def answer_error(self, error: Exception) -> HttpResponseBase:
        answer = super().answer_error(error)
        return answer if answer.status_code in {405, 500, 503} else gif()


def read_query(parameters: Mapping[str, str]) -> dict[str, Any]:
    """A query as a message. `properties` may be JSON; parameters that are not message fields are properties too."""
    query = {body.replace_nul(name): body.replace_nul(value) for name, value in parameters.items()}
    fields = {name: query[name] for name in MESSAGE_PARAMETERS if query.get(name)}
    properties = {k: v for k, v in query.items() if k not in {*MESSAGE_PARAMETERS, "writeKey", "properties", "type"}}
    try:
        stated = body.decode(query.get("properties", "{}").encode(), members=body.ANYTHING)
    except body.Malformed:
        stated = {"properties": query["properties"]}
    return {**fields, "properties": {**properties, **(stated if isinstance(stated, dict) else {})}}


class BeaconView(SegmentView):
    """POST /beacon/v1/batch?writeKey=: a batch as text/plain, sent while a page is closed, and by the web pixel."""

    key_kinds = (KeyKind.PUBLISHABLE,)

    def parse(self, raw: dict[str, Any], kind: str, key: ApiKey) -> Message | Rejected:
        if sends_gpc(self.request):
            raw = pixel_privacy.limited(raw, self.envelope.context)
        return super().parse(raw, kind, key)


class WebhookView(MetaRouterView):
    """POST /v1/webhook?writeKey=: an event, a batch, or another JSON object, which becomes a track event `webhook`."""

    route = "webhook"

    async def post(self, request: HttpRequest) -> HttpResponseBase:
        # The key of the query takes precedence over a key in the header or the body.
        key, payload, size = self.receive(request.GET.get("writeKey", "") or basic_user(request))
        if not isinstance(payload, dict):
            raise self.refuse_content(RequestProblem.NOT_AN_EVENT, "The body has to be a JSON object.")
        is_batch = isinstance(payload.get("batch"), list)
        kind = BATCH if is_batch else text_of(payload.get("type")).lower()
        if is_batch or kind in segment.TYPES:
            self.route = kind
        return await self.handle(payload, key, size)

    def read_message(self, raw: dict[str, Any], kind: str) -> Message:
        if self.route == WebhookView.route:
            return segment.parse_webhook(raw, self.received_at)
        return super().read_message(raw, kind)
