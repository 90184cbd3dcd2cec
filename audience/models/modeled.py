"""Modeled matches: which ad click a first launch may come from, judged by address, operating system and time."""

from django.db import models

from audience.database import clock
from audience.models.attribution import Conversion, Touch
from audience.models.games import Game
from audience.models.join_kinds import JoinKind


class MatchResult(models.TextChoices):
    MATCHED = "matched", "One visitor could be this player"
    SEVERAL = "several", "Not matched: more than one visitor or player is possible"
    SHARED = "shared", "Not matched: several people use this address"


class ModeledMatchQuerySet(models.QuerySet["ModeledMatch"]):
    def shown(self) -> "ModeledMatchQuerySet":
        """The matches that pages and programs state: of games that have them enabled. Others are not deleted yet."""
        return self.filter(game__joins__contains=[JoinKind.MODELED])


class ModeledMatch(models.Model):
    """The result for one first launch without a click. `touch` is the click of another person for MATCHED, else None.

    It joins no ids and attributes nothing: the conversion itself stays without a click, so that no figure of certain
    clicks counts it and no network receives it. It has no address: these are compared where they are stored already.
    """

    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="+", db_index=False)
    conversion = models.ForeignKey(Conversion, on_delete=models.CASCADE, related_name="modeled_matches")
    touch = models.ForeignKey(Touch, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    launched_at = models.DateTimeField(help_text="The time of the launch, as in its conversion.")
    # Of the click, as the pages of campaigns name them; '' without one. Figures read no other table.
    network = models.CharField(max_length=16, blank=True, default="", db_default="")
    campaign = models.TextField(blank=True, default="", db_default="")
    result = models.CharField(max_length=8, choices=MatchResult.choices)
    decided_at = models.DateTimeField(default=clock.now)
    checked_at = models.DateTimeField(default=clock.now, help_text="When consent was read last.")

    objects = ModeledMatchQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "modeled matches"
        constraints = [models.UniqueConstraint(fields=["game", "conversion"], name="one_modeled_match_per_launch")]
        indexes = [
            # The matches whose consent was read longest ago.
            models.Index(fields=["game", "checked_at"], name="modeled_match_oldest"),
            # The figures of a period, and the matches that are decided again.
            models.Index(fields=["game", "launched_at"], name="modeled_match_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.result} for conversion {self.conversion_id}"
