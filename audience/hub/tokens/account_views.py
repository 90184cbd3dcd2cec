"""A user's own tokens, which act with the user's role in each game. The password is required again before a token is
created or rotated.
"""

from typing import Any

from allauth.account.decorators import reauthentication_required
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from audience.accounts import second_factor, tokens
from audience.hub.tokens.forms import TokenForm, TokenRotateForm
from audience.hub.tokens.rows import created, listed
from audience.hub.toolkit.access import HubRequest, to_second_factor
from audience.hub.toolkit.confirmation import TypedName
from audience.models import ApiToken


@never_cache
@require_safe
@login_required
def account_tokens(request: HubRequest) -> HttpResponse:
    own = ApiToken.objects.filter(user=request.user)
    rows: dict[str, Any] = listed(own, rotate="account_token_rotate", revoke="account_token_revoke")
    return render(request, "account/tokens.html", {**rows, "base_url": settings.PUBLIC_URL})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def account_token_new(request: HubRequest) -> HttpResponse:
    if second_factor.is_missing_for_admin(request.user):
        return to_second_factor(request)
    form = TokenForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        response: HttpResponse = _create(request, form)
        return response
    return render(request, "account/token_new.html", {"form": form})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def account_token_rotate(request: HubRequest, pk: int) -> HttpResponse:
    # A token has one successor: reloading the page must not create another.
    token = get_object_or_404(ApiToken.objects.live(), user=request.user, pk=pk, replaced_by=None)
    if second_factor.is_missing_for_admin(request.user):
        return to_second_factor(request)
    form = TokenRotateForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        response: HttpResponse = _rotate(request, form, token)
        return response
    return render(request, "account/token_rotate.html", {"form": form, "token": token})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def account_token_revoke(request: HubRequest, pk: int) -> HttpResponse:
    token = get_object_or_404(ApiToken.objects.live(), user=request.user, pk=pk)
    posted = request.POST if request.method == "POST" else None
    form = TypedName(posted, expected=token.name, refusal="The token still works.")
    if form.is_valid():
        tokens.revoke_token(token=token)
        messages.success(request, f"{token.name} was revoked. Requests with it are refused from now on.")
        return redirect("account_tokens")
    return render(request, "account/token_revoke.html", {"form": form, "token": token})


@reauthentication_required  # type: ignore[untyped-decorator]  # allauth ships no types
def _create(request: HubRequest, form: TokenForm) -> HttpResponse:
    try:
        new = tokens.create_user_token(user=request.user, **form.values())
    except tokens.TokenRefused as refused:
        form.add_error(None, str(refused))
        return render(request, "account/token_new.html", {"form": form})
    return render(request, "account/token_created.html", created(new))


@reauthentication_required  # type: ignore[untyped-decorator]  # allauth ships no types
def _rotate(request: HubRequest, form: TokenRotateForm, token: ApiToken) -> HttpResponse:
    try:
        new = tokens.rotate_token(token=token, overlap=form.cleaned_data["overlap"], rotated_by=request.user)
    except tokens.TokenRefused as refused:
        form.add_error(None, str(refused))
        return render(request, "account/token_rotate.html", {"form": form, "token": token})
    return render(request, "account/token_created.html", created(new, token))
