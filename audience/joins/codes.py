"""Claim codes: shown on the claim page, typed in the game, redeemed once by a server of the studio."""

import secrets

from django.db import transaction

from audience.database import clock
from audience.ids.values import canonical
from audience.joins.records import add_join
from audience.models import ClaimCode, Game, JoinKind
from audience.models.joins import CODE_DIGITS, CODE_LENGTH, CODE_LIFETIME
from audience.models.keys import sha256_hex
from audience.models.people import USER


class UnknownCode(Exception):
    """The code does not exist, has expired, or another player has used it. Which of them is not said."""


def digits_of(text: str) -> str:
    """Return a code as typed in the form in which it is compared: capital letters and digits, without separators."""
    return "".join(digit for digit in text.upper() if digit.isalnum())


def shown(code: str) -> str:
    """Return a code with a hyphen in the middle."""
    return f"{code[: CODE_LENGTH // 2]}-{code[CODE_LENGTH // 2 :]}"


@transaction.atomic
def create_code(*, game: Game, anonymous_id: str) -> str:
    """Create a code for a browser, and return it. It replaces an unused code of the same browser."""
    browser = canonical(anonymous_id)
    ClaimCode.objects.filter(game=game, anonymous_id=browser, player_id="").delete()
    code = "".join(secrets.choice(CODE_DIGITS) for _ in range(CODE_LENGTH))
    expires_at = clock.now() + CODE_LIFETIME
    ClaimCode.objects.create(game=game, digest=sha256_hex(code), anonymous_id=browser, expires_at=expires_at)
    return code


@transaction.atomic
def redeem_code(*, game: Game, code: str, player_id: str) -> None:
    """Join the browser that was shown the code with a player. Repeating it with the same player changes nothing.

    Raises UnknownCode, and what records.add_join raises.
    """
    digest = sha256_hex(digits_of(code))
    row = ClaimCode.objects.select_for_update().filter(game=game, digest=digest).first()
    player = canonical(player_id)
    if row is None or (row.player_id != player if row.player_id else row.expires_at <= clock.now()):
        raise UnknownCode
    if row.player_id:
        return
    row.player_id = player
    row.save(update_fields=["player_id"])
    links = [(USER, player_id)]
    add_join(game=game, kind=JoinKind.CODE, anonymous_id=row.anonymous_id, player_id=player_id, key=digest, links=links)
