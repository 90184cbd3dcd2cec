"""Joins between a browser and a player of the game, and the claim codes that make some of them."""

from datetime import timedelta

from django.db import models

from audience.database import clock
from audience.models.games import Game
from audience.models.join_kinds import PAGE_KINDS

# The digits of a claim code: without those that are easily confused.
CODE_DIGITS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
CODE_LENGTH = 8
CODE_LIFETIME = timedelta(days=7)
KINDS = [(kind.value, kind.label) for kind in PAGE_KINDS]


class JoinQuerySet(models.QuerySet["Join"]):
    def connecting(self, game_id: int, *, browsers: list[str], players: list[str]) -> "JoinQuerySet":
        """The joins of one of these anonymous ids with one of these players, the newest first."""
        rows = self.filter(game=game_id, anonymous_id__in=browsers, player_id__in=players)
        return rows.order_by("-joined_at", "-pk")


class Join(models.Model):
    """One join of an anonymous id with a player. Its event, an identify, makes it; this row says of which kind it is.

    `player_id` is the id that the event joins: a SteamID64, the player id of a claim code, an email address or a
    Discord name. Both ids are in their canonical form (audience/ids/values.py). `key` is unique per game: what has
    joined once (the nonce of a Steam assertion, a claim code) joins nothing again.
    """

    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="+", db_index=False)
    kind = models.CharField(max_length=8, choices=KINDS)
    anonymous_id = models.CharField(max_length=256)
    player_id = models.CharField(max_length=256)
    key = models.CharField(max_length=128)
    joined_at = models.DateTimeField(default=clock.now)

    objects = JoinQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["game", "key"], name="one_join_per_key")]
        indexes = [
            # The counts of the last days; pruning.
            models.Index(fields=["game", "joined_at"], name="join_by_time"),
            # The joins of a player: on pages of conversions and in erasures. The claim page: those of a browser.
            models.Index(fields=["game", "anonymous_id"], name="join_by_browser"),
            models.Index(fields=["game", "player_id"], name="join_by_player"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} join of {self.anonymous_id}"


class ClaimCode(models.Model):
    """A code that the claim page has shown to a browser. Its digest is stored, not the code.

    `player_id` is '' until a server of the studio has redeemed it.
    """

    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="+", db_index=False)
    digest = models.CharField(max_length=64)
    anonymous_id = models.CharField(max_length=256)
    player_id = models.CharField(max_length=256, blank=True)
    created_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["game", "digest"], name="one_claim_per_code")]
        indexes = [
            # Replacing the code of a browser; erasures.
            models.Index(fields=["game", "anonymous_id"], name="claim_by_browser"),
            models.Index(fields=["game", "player_id"], name="claim_by_player", condition=~models.Q(player_id="")),
            # Pruning.
            models.Index(fields=["game", "expires_at"], name="claim_by_expiry"),
        ]

    def __str__(self) -> str:
        return f"claim code of {self.anonymous_id}"
