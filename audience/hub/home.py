"""Where one lands: the games of the user."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from audience.models import Game


@never_cache
@require_safe
@login_required
def games(request: HttpRequest) -> HttpResponse:
    """The games of the user; somebody with one game goes straight to it."""
    found = list(Game.objects.visible_to(request.user))
    if len(found) == 1:
        return redirect("overview", slug=found[0].slug)
    return render(request, "hub/games.html", {"games": found})
