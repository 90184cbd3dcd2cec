"""What Steam counts on a game's store page by UTM parameters: totals without players."""

from django.db import models

from audience.models import Game
from audience.wording import dates
from postbacks.models.campaigns import MAX_NAME_LENGTH
from postbacks.models.uploads import UploadedFile


class SteamVisits(models.Model):
    """The totals of a day for one combination of UTM parameters; '' for a parameter that the link did not have.

    The days are Steam's. A count is None if the file has no such column. Never added to clicks or conversions.
    """

    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="+", db_index=False)
    day = models.DateField()
    campaign = models.CharField(max_length=MAX_NAME_LENGTH, blank=True)
    source = models.CharField(max_length=MAX_NAME_LENGTH, blank=True)
    medium = models.CharField(max_length=MAX_NAME_LENGTH, blank=True)
    content = models.CharField(max_length=MAX_NAME_LENGTH, blank=True)
    term = models.CharField(max_length=MAX_NAME_LENGTH, blank=True)
    visits = models.BigIntegerField()
    trusted_visits = models.BigIntegerField(null=True, blank=True)
    tracked_visits = models.BigIntegerField(null=True, blank=True)
    wishlists = models.BigIntegerField(null=True, blank=True)
    purchases = models.BigIntegerField(null=True, blank=True)
    activations = models.BigIntegerField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "Steam visits"
        constraints = [
            models.UniqueConstraint(
                fields=["game", "day", "campaign", "source", "medium", "content", "term"],
                name="one_row_of_steam_per_day",
            )
        ]

    def __str__(self) -> str:
        return f"{self.campaign}, {dates.day(self.day)}"


class SteamUpload(UploadedFile):
    """An uploaded file of Steam's UTM analytics, for the list of uploads and the audit log."""

    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="steam_uploads", db_index=False)
    replaced = models.PositiveIntegerField(help_text="Earlier rows of these days.")

    class Meta:
        indexes = [models.Index(fields=["game", "-uploaded_at"], name="steam_upload_newest")]
