"""The page of the web pixel: writes its code, and shows what it sends."""

from django.conf import settings
from django.http import HttpResponse

from audience.hub.pixel import received
from audience.hub.pixel.forms import DEFAULT_CONSENT, PixelForm
from audience.hub.toolkit.access import HubRequest, game_view, is_partial_request, page
from audience.models import Membership
from audience.pixel.snippet import snippet


@game_view()
def pixel(request: HubRequest, membership: Membership) -> HttpResponse:
    """For htmx, which refreshes the list, only the rows."""
    rows = received.rows(membership)
    if is_partial_request(request):
        return page(request, "hub/pixel/_rows.html", membership, rows=rows)
    keys = PixelForm(None, game=membership.game).fields["key"].queryset  # type: ignore[attr-defined]
    first = keys.first()
    # Without parameters, the code has the defaults.
    form = PixelForm(
        request.GET if "key" in request.GET else {"key": first and first.pk, "consent": DEFAULT_CONSENT},
        game=membership.game,
    )
    made = None
    if first and form.is_valid():
        made = snippet(base=form.cleaned_data["path"] or settings.PUBLIC_URL, config=form.config())
    context = {"form": form, "has_key": first is not None, "made": made, "rows": rows}
    return page(request, "hub/pixel/page.html", membership, **context)
