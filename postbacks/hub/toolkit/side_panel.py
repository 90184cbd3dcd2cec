"""The side panel of the integration page (static/js/panel.js), whose pages are pages of their own without it."""

from audience.hub.toolkit.access import HubRequest

PANEL = "panel"


def frame(request: HubRequest) -> str:
    """The template that the page extends: the whole Hub, or the panel that asked for it."""
    return "hub/side_panel.html" if request.htmx and request.htmx.target == PANEL else "hub/base.html"
