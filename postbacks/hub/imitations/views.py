"""The imitation networks of this installation, with the credentials that they accept."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from postbacks.sandbox.in_use import replacements


@never_cache
@require_safe
@login_required
def imitations(request: HttpRequest) -> HttpResponse:
    """Show every imitation on this machine, to all users: its accounts are made up and the same everywhere."""
    found = [row for row in replacements() if row.is_local]
    return render(request, "hub/imitations/page.html", {"imitations": found})
