"""The ingestion routes, which backends and SDKs call."""

from typing import Any

from django.urls import URLPattern, path, re_path

from audience.intake.dialects import parcelvoy, pixels
from audience.intake.dialects.base import IngestView
from audience.intake.dialects.bootstrap import MetricsView, ProjectSettingsView, SourceConfigView
from audience.intake.dialects.immutable import MessagesView
from audience.intake.dialects.immutable_privacy import DataView, TrackingConsentView
from audience.intake.dialects.segment_views import BATCH, MetaRouterView, SegmentView

# Routes with full names are answered in the key's dialect; short ones and import always in MetaRouter's.
KINDS = ("identify", "track", "page", "screen", "group", "alias", "merge", BATCH)
SHORT = {
    "i": "identify",
    "t": "track",
    "p": "page",
    "s": "screen",
    "g": "group",
    "a": "alias",
    "b": BATCH,
    "import": BATCH,
}
PIXELS = ("track", "page", "alias", "identify", "group")


def wire(address: str, view: type[IngestView], **attributes: Any) -> list[URLPattern]:
    """The route, and a pattern that accepts leading `//` and a trailing `/`, which SDKs send, without a redirect."""
    pattern = address.replace("<str:key>", "(?P<key>[^/]+)")
    return [path(address, view.as_view(**attributes)), re_path(rf"^[/]*{pattern}/*$", view.as_view(**attributes))]


urlpatterns = [
    *wire("v1/audience/messages", MessagesView),
    *wire("v1/audience/tracking-consent", TrackingConsentView),
    *wire("v1/audience/data", DataView),
    *(url for kind in KINDS for url in wire(f"v1/{kind}", SegmentView, route=kind)),
    *(url for short, kind in SHORT.items() for url in wire(f"v1/{short}", MetaRouterView, route=kind)),
    *(url for kind in PIXELS for url in wire(f"v1/pixel/{kind}", pixels.DataPixelView, route=kind)),
    *wire("v1/webhook", pixels.WebhookView),
    *wire("v1/w", pixels.WebhookView),
    *wire("beacon/v1/batch", pixels.BeaconView),
    *(url for kind in ("track", "page") for url in wire(f"pixel/v1/{kind}", pixels.QueryPixelView, route=kind)),
    *wire("sourceConfig", SourceConfigView),
    *wire("rsaMetrics", MetricsView),
    *wire("v1/projects/<str:key>/settings", ProjectSettingsView),
    *wire("api/client/alias", parcelvoy.AliasView),
    *wire("api/client/identify", parcelvoy.IdentifyView),
    *wire("api/client/devices", parcelvoy.DevicesView),
    *wire("api/client/events", parcelvoy.EventsView),
    *wire("devices", parcelvoy.DevicesView),
    *wire("events", parcelvoy.EventsView),
]
