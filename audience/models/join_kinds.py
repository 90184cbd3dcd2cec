"""The kinds of joins between a visit on the web and the player of the game."""

from django.db import models


class JoinKind(models.TextChoices):
    """STEAM is verified by Steam, CODE by a server of the studio. EMAIL and DISCORD are what a visitor has typed.

    REFERRER, the install referrer of Google Play, joins no ids: it is a click of the player who sends it. MODELED
    joins none either: it is an estimate, by address, operating system and time (audience/models/modeled.py).
    """

    STEAM = "steam", "Sign in with Steam"
    CODE = "code", "Claim code"
    EMAIL = "email", "Email address"
    DISCORD = "discord", "Discord name"
    REFERRER = "referrer", "Install referrer"
    MODELED = "modeled", "Modeled match of the first launch"


# The kinds that the claim page of a game offers.
PAGE_KINDS = (JoinKind.STEAM, JoinKind.CODE, JoinKind.EMAIL, JoinKind.DISCORD)
# What a visitor types and nobody verifies.
CONTACT_KINDS = (JoinKind.EMAIL, JoinKind.DISCORD)


def default_kinds() -> list[str]:
    return [JoinKind.REFERRER.value]
