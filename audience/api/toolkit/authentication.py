"""Tokens of the management API in the Authorization header."""

from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from audience.accounts import audit_log, tokens
from audience.models import ApiToken

REALM = 'Bearer realm="management API"'
MISSING = "Send a token of the management API: Authorization: Bearer aftk_…"
INGESTION_KEY = (
    "This is an API key, which sends events. The management API needs a token: create one on the Hub's page API tokens."
)
UNKNOWN = "This token is not valid. Check that it was copied completely."


class GameAccount:
    """The `user` of a request with a token of a game: no account, and no rights but those of the token."""

    pk = None
    is_authenticated, is_active, is_superuser, is_staff = True, True, False, False


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <token>`; `request.auth` is the ApiToken."""

    def authenticate(self, request: Request) -> tuple[Any, ApiToken]:
        scheme, _, value = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        value = value.strip()
        if scheme.lower() != "bearer" or not value:
            raise AuthenticationFailed(INGESTION_KEY if is_api_key(request, value) else MISSING, "not_authenticated")
        if is_api_key(request, value):
            raise AuthenticationFailed(INGESTION_KEY, "api_key")
        token = tokens.find_token(value)
        if token is None:
            raise AuthenticationFailed(UNKNOWN, "unknown_token")
        _refuse_ended(token)
        tokens.record_use(token)
        if token.user is None:
            audit_log.set_actor(email=audit_log.token_actor(token.name))
            return GameAccount(), token
        audit_log.set_actor(token.user, email=audit_log.member_token_actor(token.user, token.name))
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return REALM


def is_api_key(request: Request, value: str) -> bool:
    """Whether the request has a key of the ingestion routes, as Bearer or in their header."""
    stated = request.META.get("HTTP_X_IMMUTABLE_PUBLISHABLE_KEY", "")
    return value.startswith(("pk_imapik", "sk_imapik")) or bool(stated)


def _refuse_ended(token: ApiToken) -> None:
    if token.revoked_at:
        raise AuthenticationFailed("This token was revoked.", "revoked_token")
    if not token.is_live:
        raise AuthenticationFailed("This token has expired. Rotate tokens before they end.", "expired_token")
    if token.user is not None and not token.user.is_active:
        raise AuthenticationFailed("The account of this token was deactivated.", "inactive_account")
