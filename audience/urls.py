"""The wire table: every route that backends and SDKs call. `//` and a trailing `/` are taken without a redirect."""

from django.urls import URLPattern, re_path

from audience.intake.dialects.base import IngestView
from audience.intake.dialects.immutable import MessagesView
from audience.intake.dialects.immutable_privacy import DataView, TrackingConsentView


def wire(route: str, view: type[IngestView]) -> URLPattern:
    return re_path(rf"^[/]*{route}/?$", view.as_view())


urlpatterns = [
    wire("v1/audience/messages", MessagesView),
    wire("v1/audience/tracking-consent", TrackingConsentView),
    wire("v1/audience/data", DataView),
]
