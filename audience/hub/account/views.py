"""The account page: sign-in, sessions, and accessible games."""

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from audience.accounts import second_factor
from audience.hub.toolkit.access import HubRequest
from audience.models import AddressChange, Membership


@never_cache
@require_safe
@login_required
def account(request: HubRequest) -> HttpResponse:
    found = list(Authenticator.objects.filter(user=request.user))
    codes = next((row for row in found if row.type == Authenticator.Type.RECOVERY_CODES), None)
    context = {
        "change": AddressChange.objects.filter(user=request.user).first(),
        "totp": any(row.type == Authenticator.Type.TOTP for row in found),
        "passkeys": sum(row.type == Authenticator.Type.WEBAUTHN for row in found),
        "codes_left": len(codes.wrap().get_unused_codes()) if codes else None,
        "sessions": len(UserSession.objects.purge_and_list(request.user)),
        "memberships": Membership.objects.filter(user=request.user).select_related("game").order_by("game__name"),
        "is_missing": second_factor.is_missing_for_admin(request.user),
    }
    return render(request, "account/overview.html", context)
