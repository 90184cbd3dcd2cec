"""The service tokens of a game: its admins list, create, rotate and revoke them.

A token is shown only in the response to the request that created it: no redirect, session or URL contains it.
"""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect

from audience.accounts import tokens
from audience.hub.tokens.forms import GameTokenForm, TokenRotateForm
from audience.hub.tokens.rows import created, listed
from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.hub.toolkit.confirmation import TypedName
from audience.models import ApiToken, Membership, Role


@game_view(role=Role.ADMIN)
def token_list(request: HubRequest, membership: Membership) -> HttpResponse:
    game = membership.game
    rows = listed(
        ApiToken.objects.filter(game=game).select_related("created_by"),
        rotate="token-rotate",
        revoke="token-revoke",
        slug=game.slug,
    )
    return page(request, "hub/tokens/page.html", membership, **rows)


@game_view(role=Role.ADMIN, methods=("GET", "HEAD", "POST"))
def token_new(request: HubRequest, membership: Membership) -> HttpResponse:
    form = GameTokenForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            new = tokens.create_game_token(game=membership.game, created_by=request.user, **form.values())
        except tokens.TokenRefused as refused:
            form.add_error(None, str(refused))
        else:
            # `game_view` sets Cache-Control: no-store.
            return page(request, "hub/tokens/created.html", membership, **created(new))
    return page(request, "hub/tokens/new.html", membership, form=form)


@game_view(role=Role.ADMIN, methods=("GET", "HEAD", "POST"))
def token_rotate(request: HubRequest, membership: Membership, pk: int) -> HttpResponse:
    # A token has one successor: reloading the page must not create another.
    token = get_object_or_404(ApiToken.objects.live(), game=membership.game, pk=pk, replaced_by=None)
    form = TokenRotateForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            new = tokens.rotate_token(token=token, overlap=form.cleaned_data["overlap"], rotated_by=request.user)
        except tokens.TokenRefused as refused:
            form.add_error(None, str(refused))
        else:
            return page(request, "hub/tokens/created.html", membership, **created(new, token))
    return page(request, "hub/tokens/rotate.html", membership, form=form, token=token)


@game_view(role=Role.ADMIN, methods=("GET", "HEAD", "POST"))
def token_revoke(request: HubRequest, membership: Membership, pk: int) -> HttpResponse:
    token = get_object_or_404(ApiToken.objects.live(), game=membership.game, pk=pk)
    posted = request.POST if request.method == "POST" else None
    form = TypedName(posted, expected=token.name, refusal="The token still works.")
    if form.is_valid():
        tokens.revoke_token(token=token)
        messages.success(request, f"{token.name} was revoked. Requests with it are refused from now on.")
        return redirect("tokens", slug=membership.game.slug)
    return page(request, "hub/tokens/revoke.html", membership, form=form, token=token)
