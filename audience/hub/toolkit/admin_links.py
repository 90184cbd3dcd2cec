"""Where a page of the Hub stands in the admin: for staff who may look there."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from audience.models import Game

# A page of one row, by the name of its address; any other leads to its game.
ROWS = {"person": "person", "privacy-person": "person", "conversion": "conversion"}


def admin_url(request: HttpRequest, game: Game, user: Any) -> str:
    """'' for those who are not staff, and for staff without the right to see it."""
    if not user.is_staff:
        return ""
    match = request.resolver_match
    model = ROWS.get(match.url_name or "", "game") if match else "game"
    if not user.has_perm(f"audience.view_{model}"):
        return ""
    pk = game.pk if model == "game" or match is None else match.kwargs["pk"]
    return reverse(f"admin:audience_{model}_change", args=[pk])
