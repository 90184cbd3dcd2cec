"""The ingestion routes, for backends and SDKs."""

from typing import Any

from django.urls import URLPattern, path, re_path

from audience.intake.dialects import parcelvoy, pixels
from audience.intake.dialects.base import IngestView
from audience.intake.dialects.bootstrap import MetricsView, ProjectSettingsView, SourceConfigView
from audience.intake.dialects.immutable import MessagesView
from audience.intake.dialects.immutable_privacy import DataView, TrackingConsentView
from audience.intake.dialects.route import Route
from audience.intake.dialects.segment_requests import BATCH
from audience.intake.dialects.segment_views import SegmentView, ShortView

# These answer in the key's dialect. For keys of other dialects, and until the key is known, full routes answer in
# RudderStack's, short routes and import in MetaRouter's.
FULL_ROUTES = ("identify", "track", "page", "screen", "group", "alias", "merge", BATCH)
SHORT_ROUTES = {
    "i": "identify",
    "t": "track",
    "p": "page",
    "s": "screen",
    "g": "group",
    "a": "alias",
    "b": BATCH,
    "import": BATCH,
}
# Parcelvoy's SDKs for Android and iOS add `/api/client` to a base URL that, as its documents say, ends with `/api`.
CLIENT_ROUTES: dict[str, type[IngestView]] = {
    "alias": parcelvoy.AliasView,
    "identify": parcelvoy.IdentifyView,
    "devices": parcelvoy.DevicesView,
    "events": parcelvoy.EventsView,
    "track": parcelvoy.TrackView,
}
PIXEL_ROUTES = ("track", "page", "alias", "identify", "group")


def routes(address: str, view: type[Route], **attributes: Any) -> list[URLPattern]:
    """The route, and a pattern that accepts a leading `//` and a trailing `/`, which SDKs send, without a redirect."""
    pattern = address.replace("<str:key>", "(?P<key>[^/]+)")
    return [path(address, view.as_view(**attributes)), re_path(rf"^[/]*{pattern}/*$", view.as_view(**attributes))]


urlpatterns = [
    *routes("v1/audience/messages", MessagesView),
    *routes("v1/audience/tracking-consent", TrackingConsentView),
    *routes("v1/audience/data", DataView),
    *(url for kind in FULL_ROUTES for url in routes(f"v1/{kind}", SegmentView, route=kind)),
    *(url for short, kind in SHORT_ROUTES.items() for url in routes(f"v1/{short}", ShortView, route=kind)),
    *(url for kind in PIXEL_ROUTES for url in routes(f"v1/pixel/{kind}", pixels.DataPixelView, route=kind)),
    *routes("v1/webhook", pixels.WebhookView),
    *routes("v1/w", pixels.WebhookView),
    *routes("beacon/v1/batch", pixels.BeaconView),
    *(url for kind in ("track", "page") for url in routes(f"pixel/v1/{kind}", pixels.QueryPixelView, route=kind)),
    *routes("sourceConfig", SourceConfigView),
    *routes("rsaMetrics", MetricsView),
    *routes("v1/projects/<str:key>/settings", ProjectSettingsView),
    *(url for name, view in CLIENT_ROUTES.items() for url in routes(f"api/client/{name}", view)),
    *(url for name, view in CLIENT_ROUTES.items() for url in routes(f"api/api/client/{name}", view)),
    *routes("devices", parcelvoy.DevicesView),
    *routes("events", parcelvoy.EventsView),
]
