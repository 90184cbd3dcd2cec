"""POST /v1/claims: a server of the studio redeems the claim code that a player has typed in the game."""

from typing import Any

from django.http import HttpRequest, HttpResponse

from audience.claims import pace
from audience.ids.values import read_usable_id
from audience.intake.dialects.base import IngestView
from audience.intake.dialects.responses import (
    DEFAULT_CODE,
    ENVELOPE_CODES,
    ENVELOPE_STATUSES,
    Refusal,
    RequestProblem,
    as_json,
    error_envelope,
)
from audience.intake.requests.auth import basic_user, find_key
from audience.joins.codes import UnknownCode, redeem_code
from audience.joins.records import JoinRefused
from audience.models import ApiKey, Dialect, JoinKind, KeyKind

MAX_BODY_BYTES = 4 * 1024
MAX_ID_LENGTH = 256
MAX_CODE_LENGTH = 64  # with separators
# In an hour, of a player and of a game: players mistype codes, and a program that guesses them tries far more. One
# player must not use up the limit of all others. A code is one of 8.5e11.
MAX_UNKNOWN_OF_PLAYER, MAX_UNKNOWN_AN_HOUR = 30, 3_000
NO_KEY = "Send a server key of the game as Authorization: Bearer sk_imapik-server-… or as the user name of HTTP Basic."
UNKNOWN_CODE = "This code does not exist, has expired, or was used by another player."


class RedeemView(IngestView):
    """The body is {"code", "player_id"}. Answers {"joined": true}, also when the same player repeats the request.

    Its errors have the form of all other routes. Nothing tells an unknown code from an expired or used one.
    """

    dialect = Dialect.IMMUTABLE
    route = "claims"

    def refuse(self, problem: RequestProblem, detail: str = "") -> Refusal:
        return self.error(ENVELOPE_STATUSES.get(problem, 400), detail)

    def error(self, status: int, message: str, code: str = "") -> Refusal:
        code = code or ENVELOPE_CODES.get(status, DEFAULT_CODE)
        return Refusal(as_json(error_envelope(self.request, code, message), status=status))

    def post(self, request: HttpRequest) -> HttpResponse:
        key = self.require_key(request)
        if JoinKind.CODE not in key.game.joins:
            raise self.error(403, "Claim codes are off for this game.", "CLAIMS_OFF")
        code, player_id = self.read_claim(request)
        limits = {f"{key.game_id}:{player_id}": MAX_UNKNOWN_OF_PLAYER, str(key.game_id): MAX_UNKNOWN_AN_HOUR}
        if any(pace.is_used_up("unknown", subject, limit=limit) for subject, limit in limits.items()):
            refusal = self.error(429, "Too many unknown codes were sent. Try again in an hour.")
            refusal.response["Retry-After"] = "3600"
            raise refusal
        try:
            redeem_code(game=key.game, code=code, player_id=player_id)
        except UnknownCode:
            for subject, limit in limits.items():
                pace.take("unknown", subject, limit=limit, seconds=3600)
            raise self.error(422, UNKNOWN_CODE, "UNKNOWN_CODE") from None
        except JoinRefused as refused:
            raise self.error(403, str(refused), "NOT_JOINED") from None
        return as_json({"joined": True})

    def require_key(self, request: HttpRequest) -> ApiKey:
        """Raises Refusal unless the request has a live server key that may be used from its address."""
        scheme, _, value = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        value = value.strip() if scheme.lower() == "bearer" else basic_user(request)
        key = find_key(value, kinds=(KeyKind.SERVER,)) if value else None
        if key is None:
            raise self.error(401, NO_KEY)
        self.admit(key)
        if violation := self.caller_violation(key):
            raise self.error(401, violation.message)
        return key

    def read_claim(self, request: HttpRequest) -> tuple[str, str]:
        """Raises Refusal unless the body states a code and a usable player id."""
        body: Any = self.decode(self.read(request, limit=MAX_BODY_BYTES), keep_digits=True)
        code = body.get("code") if isinstance(body, dict) else None
        if not isinstance(code, str) or not 0 < len(code) <= MAX_CODE_LENGTH:
            raise self.error(400, 'The body must be an object: {"code": "ABCD-EFGH", "player_id": "7001"}.')
        player_id = read_usable_id(body.get("player_id"), max_length=MAX_ID_LENGTH)
        if not player_id:
            raise self.error(400, "player_id must be the ID of a player, of at most 256 characters.")
        return code, player_id
