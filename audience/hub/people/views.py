"""People: the newest players of a game, and search by id or email address."""

from django.http import HttpResponse

from audience.hub.toolkit.access import HubRequest, game_view, page, sees_addresses
from audience.hub.toolkit.filters import search_text
from audience.hub.toolkit.paging import newest
from audience.models import Membership
from audience.reporting.people import matching_people, person_rows


@game_view()
def people(request: HubRequest, membership: Membership) -> HttpResponse:
    """Show the players with the id or email address `?q=`; without it, the newest players."""
    query, before = search_text(request, "q"), request.GET.get("before", "")
    people_page = newest(matching_people(membership.game, query), by="first_seen_at", before=before)
    rows = person_rows(people_page.rows, addresses=sees_addresses(membership))
    template = "hub/people/_rows.html" if request.htmx else "hub/people/page.html"
    return page(request, template, membership, rows=rows, older=people_page.older, before=before, query=query)
