"""The side panel of the integration page (static/js/panel.js); its pages also work alone."""

from audience.hub.toolkit.access import HubRequest

PANEL = "panel"


def frame(request: HubRequest) -> str:
    """Return the template that the page extends: the whole Hub, or the panel."""
    return "hub/side_panel.html" if request.htmx and request.htmx.target == PANEL else "hub/base.html"
