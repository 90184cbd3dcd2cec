"""Permissions of Hub pages: members may see their game (404 for others), and their role decides what they may do.

A page shows its times in the time zone of the member, else of the game.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from audience.accounts import second_factor
from audience.accounts.time_zone import zone_of
from audience.models import Game, Membership, Role
from audience.wording.articles import with_article

# {URL name of a page about one row: its model}, for links to the admin; other pages link to the game.
ADMIN_MODELS = {"person": "person", "privacy-person": "person", "conversion": "conversion"}
RANK = {Role.VIEWER: 0, Role.MARKETER: 1, Role.ADMIN: 2}


class HubRequest(HttpRequest):
    """A request of a signed-in user, with the attributes set by middleware."""

    user: Any
    htmx: HtmxDetails


GameView = Callable[Concatenate[HubRequest, Membership, ...], HttpResponseBase]


def game_view(
    *, role: Role = Role.VIEWER, methods: tuple[str, ...] = ("GET", "HEAD")
) -> Callable[[GameView], Callable[..., HttpResponseBase]]:
    """Allow a view to members of the URL's game with at least `role`; the view receives their Membership."""

    def decorate(view: GameView) -> Callable[..., HttpResponseBase]:
        @never_cache
        @require_http_methods(list(methods))
        @wraps(view)
        def guarded(request: HubRequest, slug: str, **kwargs: Any) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return _to_login(request)
            membership = membership_of(request.user, slug)
            if not has_role(membership, role):
                raise PermissionDenied(
                    f"You are {with_article(membership.get_role_display().lower())} of {membership.game}. This page "
                    f"requires {with_article(role.label.lower())}. An admin of the game can change your role."
                )
            if membership.role == Role.ADMIN and second_factor.is_missing(request.user):
                return to_second_factor(request)
            # Until the end of the request (TimeZoneMiddleware).
            timezone.activate(zone_of(membership.user, membership.game))
            return view(request, membership, **kwargs)

        # Read by config/kept_forms.py, and by the test that compares pages with the management API.
        guarded.methods, guarded.role = methods, role  # type: ignore[attr-defined]
        return guarded

    return decorate


def _to_login(request: HubRequest) -> HttpResponse:
    """Redirect to the sign-in page; for htmx as a full page load, so that the form is not inserted into a list."""
    if request.htmx:
        return HttpResponseClientRedirect(redirect_to_login(request.htmx.current_url_abs_path or "/").url)
    return redirect_to_login(request.get_full_path())


def to_second_factor(request: HubRequest) -> HttpResponse:
    """Redirect to the page on which a second factor is set up."""
    if request.htmx:
        return HttpResponseClientRedirect(reverse("mfa_index"))
    messages.warning(request, second_factor.SETUP_REQUIRED)
    return redirect("mfa_index")


def membership_of(user: Any, slug: str) -> Membership:
    """Return the user's membership; superusers are admins of every game. Raises Http404 for other games."""
    if user.is_superuser:
        game = Game.objects.filter(slug=slug).first()
        membership = Membership(game=game, user=user, role=Role.ADMIN) if game else None
    else:
        members = Membership.objects.select_related("game", "user__account_settings")
        membership = members.filter(user=user, game__slug=slug).first()
    if membership is None:
        raise Http404("This game does not exist, or you are not a member of it.")
    return membership


def has_role(membership: Membership, role: Role) -> bool:
    return RANK[Role(membership.role)] >= RANK[role]


def sees_addresses(membership: Membership) -> bool:
    """Whether the member may see email addresses; viewers see ids only."""
    return has_role(membership, Role.MARKETER)


def is_partial_request(request: HubRequest) -> bool:
    """Whether htmx replaces a part of the page. Boosted links and history restores load the whole page."""
    return bool(request.htmx) and not request.htmx.boosted and not request.htmx.history_restore_request


def page(request: HubRequest, template: str, membership: Membership, **context: Any) -> HttpResponse:
    """Render a page of one game, with the context of its sidebar and buttons."""
    common = {
        "game": membership.game,
        "membership": membership,
        "games": Game.objects.visible_to(request.user),
        "is_marketer": has_role(membership, Role.MARKETER),
        "is_admin": has_role(membership, Role.ADMIN),
        "base_url": settings.PUBLIC_URL,
        "admin_url": admin_url(request, membership.game, request.user),
    }
    return render(request, template, {**common, **context})


def admin_url(request: HttpRequest, game: Game, user: Any) -> str:
    """Return the URL of the page's row in the admin, or '' for users without permission."""
    if not user.is_staff:
        return ""
    match = request.resolver_match
    model = ADMIN_MODELS.get(match.url_name or "", "game") if match else "game"
    if not user.has_perm(f"audience.view_{model}"):
        return ""
    pk = game.pk if model == "game" or match is None else match.kwargs["pk"]
    return reverse(f"admin:audience_{model}_change", args=[pk])
