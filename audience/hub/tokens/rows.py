"""The rows of the lists of tokens."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.urls import reverse

from audience.accounts.tokens import NewToken
from audience.database import clock
from audience.games.key_usage import time_left
from audience.models import ApiToken

# The colors of the states; ended ones have none.
COLORS = {"live": "good", "rotating": "warn"}


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token; `remaining` is the time until its end as text or ''."""

    token: ApiToken
    color: str
    remaining: str
    rotate_url: str
    revoke_url: str


def listed(tokens: Iterable[ApiToken], *, rotate: str, revoke: str, **kwargs: Any) -> dict[str, list[TokenRow]]:
    """Return {"working": rows, "ended": rows}. `rotate` and `revoke` are URL names, `kwargs` their arguments."""
    now = clock.now()
    rows = [
        TokenRow(
            token=token,
            color=COLORS.get(token.state, ""),
            remaining=time_left(token.expires_at, now) if token.is_live and token.expires_at else "",
            rotate_url=reverse(rotate, kwargs={**kwargs, "pk": token.pk}) if token.state == "live" else "",
            revoke_url=reverse(revoke, kwargs={**kwargs, "pk": token.pk}),
        )
        for token in tokens
    ]
    return {
        "working": [row for row in rows if row.token.is_live],
        "ended": [row for row in rows if not row.token.is_live],
    }


def created(new: NewToken, old: ApiToken | None = None) -> dict[str, Any]:
    """Return the context of the page that shows a new token once; `old` is the token that it replaces."""
    remaining = time_left(old.expires_at, clock.now()) if old and old.expires_at else ""
    return {
        "token": new.token,
        "value": new.value,
        "old": old,
        "remaining": remaining,
        "base_url": settings.PUBLIC_URL,
    }
