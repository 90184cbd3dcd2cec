"""Links from pages of the Hub to the admin, for staff with permission."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from audience.models import Game

# Pages of one row, by URL name; other pages link to the game.
ROWS = {"person": "person", "privacy-person": "person", "conversion": "conversion"}


def admin_url(request: HttpRequest, game: Game, user: Any) -> str:
    """Return the URL, or '' for users without permission."""
    if not user.is_staff:
        return ""
    match = request.resolver_match
    model = ROWS.get(match.url_name or "", "game") if match else "game"
    if not user.has_perm(f"audience.view_{model}"):
        return ""
    pk = game.pk if model == "game" or match is None else match.kwargs["pk"]
    return reverse(f"admin:audience_{model}_change", args=[pk])
