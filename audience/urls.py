"""The wire table: every route that backends and SDKs call."""

from django.urls import URLPattern, path, re_path

from audience.intake.dialects.base import IngestView
from audience.intake.dialects.immutable import MessagesView
from audience.intake.dialects.immutable_privacy import DataView, TrackingConsentView


def wire(route: str, view: type[IngestView]) -> list[URLPattern]:
    """The route, and its twin that takes `//` before and `/` behind without a redirect, as real SDKs write them."""
    return [path(route, view.as_view()), re_path(rf"^[/]*{route}/*$", view.as_view())]


urlpatterns = [
    *wire("v1/audience/messages", MessagesView),
    *wire("v1/audience/tracking-consent", TrackingConsentView),
    *wire("v1/audience/data", DataView),
]
