"""The start page with the user's games, and creating a game."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from audience.games.new_game import ADMINISTRATORS_ONLY, GameRefused, create_game, free_slug, may_create
from audience.models import Game


class GameForm(forms.ModelForm[Game]):
    """A name, and a slug that is derived from it if left blank."""

    class Meta:
        model = Game
        fields = ["name", "slug"]
        labels = {"slug": "URL name"}
        help_texts = {
            "name": "The name that your players know.",
            "slug": "Lowercase letters, digits and hyphens. It is part of the URL of every page: /g/<name>/. If "
            "you leave it empty, it is created from the name of the game.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["slug"].required = False

    def clean_slug(self) -> str:
        try:
            return free_slug(name=self.cleaned_data.get("name", ""), slug=self.cleaned_data["slug"])
        except GameRefused as refused:
            raise forms.ValidationError(str(refused)) from None


@never_cache
@require_safe
@login_required
def games(request: HttpRequest) -> HttpResponse:
    """List the games of the user, or redirect to the only one."""
    visible = list(Game.objects.visible_to(request.user))
    if len(visible) == 1:
        return redirect("overview", slug=visible[0].slug)
    return render(request, "hub/games/page.html", {"games": visible, "may_create": may_create(request.user)})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def game_new(request: HttpRequest) -> HttpResponse:
    """Create a game with the user as admin, and redirect to the guide."""
    if not may_create(request.user):
        raise PermissionDenied(ADMINISTRATORS_ONLY)
    form = GameForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        game = create_game(name=data["name"], slug=data["slug"], created_by=request.user)
        if game.slug != data["slug"]:
            messages.info(request, f"The URL name {data['slug']} was just taken. This game has {game.slug}.")
        return redirect("guide", slug=game.slug)
    return render(request, "hub/games/new.html", {"form": form})
