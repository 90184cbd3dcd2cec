"""Figures of ads, computed from clicks and conversions (postbacks/reporting/campaigns/refresh.py), and what ads cost.

Each row of figures can be computed again at any time. Tables of quarter hours add up to the days of any time zone;
those of days are in the time zone of the game, and are read for whole days.
"""

from django.db import models

from audience.models import Game
from audience.wording import dates
from postbacks.models.uploads import UploadedFile

MAX_NAME_LENGTH = 200  # that of audience_tag() in the database


class Advert(models.Model):
    """An ad as its clicks name it; '' for a level that they do not name."""

    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="+", db_index=False)
    network = models.CharField(max_length=16)
    campaign = models.CharField(max_length=MAX_NAME_LENGTH)
    ad_group = models.CharField(max_length=MAX_NAME_LENGTH)
    ad = models.CharField(max_length=MAX_NAME_LENGTH)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["game", "network", "campaign", "ad_group", "ad"], name="one_row_per_ad"),
        ]

    def __str__(self) -> str:
        return " / ".join(filter(None, (self.network, self.campaign, self.ad_group, self.ad)))


class CampaignId(models.Model):
    """The ID beside the name of a campaign in clicks: files of costs may have either. Rows are never removed."""

    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="+", db_index=False)
    network = models.CharField(max_length=16)
    campaign_id = models.CharField(max_length=MAX_NAME_LENGTH)
    campaign = models.CharField(max_length=MAX_NAME_LENGTH)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["game", "network", "campaign_id", "campaign"], name="one_row_per_campaign_id"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.network} {self.campaign_id}: {self.campaign}"


class AdvertFigures(models.Model):
    """Clicks (`trigger` '') or conversions of an ad.

    `players` are those whose first click or first attributed conversion of this trigger is among them. `sent` and
    `accepted` are conversions that a network was sent, and that one accepted.
    """

    game_id = models.BigIntegerField()
    advert_id = models.BigIntegerField()
    trigger = models.CharField(max_length=256)
    currency = models.CharField(max_length=3)
    number = models.IntegerField()
    players = models.IntegerField()
    sent = models.IntegerField()
    accepted = models.IntegerField()
    value = models.DecimalField(max_digits=38, decimal_places=6)

    class Meta:
        abstract = True


class AdvertQuarter(AdvertFigures):
    """By quarter hour. `advert_id` 0 is the sum of all ads."""

    pk = models.CompositePrimaryKey("game_id", "starts_at", "advert_id", "trigger", "currency")
    starts_at = models.DateTimeField()

    class Meta:
        # The sums of all ads, and the quarter hours of one ad.
        indexes = [models.Index(fields=["game_id", "advert_id", "starts_at"], name="advert_quarter_of_ad")]

    def __str__(self) -> str:
        return f"{self.number} of ad {self.advert_id} from {self.starts_at:%Y-%m-%d %H:%M}"


class AdvertDay(AdvertFigures):
    """By day in the game's time zone. `advert_id` 0 is the sum of all ads."""

    pk = models.CompositePrimaryKey("game_id", "day", "advert_id", "trigger", "currency")
    day = models.DateField()

    def __str__(self) -> str:
        return f"{self.number} of ad {self.advert_id} on {self.day}"


class CohortFigures(models.Model):
    """Players by their first click. Rows without a currency count players and how many were active on the first,
    seventh and thirtieth day after; rows with one have the revenue until the end of a day after it."""

    game_id = models.BigIntegerField()
    advert_id = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    players = models.IntegerField()
    active_1 = models.IntegerField()
    active_7 = models.IntegerField()
    active_30 = models.IntegerField()
    revenue_0 = models.DecimalField(max_digits=38, decimal_places=6)
    revenue_1 = models.DecimalField(max_digits=38, decimal_places=6)
    revenue_7 = models.DecimalField(max_digits=38, decimal_places=6)
    revenue_30 = models.DecimalField(max_digits=38, decimal_places=6)
    revenue_90 = models.DecimalField(max_digits=38, decimal_places=6)

    class Meta:
        abstract = True


class CohortQuarter(CohortFigures):
    """By the quarter hour of the first click."""

    pk = models.CompositePrimaryKey("game_id", "starts_at", "advert_id", "currency")
    starts_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.players} players of ad {self.advert_id} from {self.starts_at:%Y-%m-%d %H:%M}"


class CohortDay(CohortFigures):
    """By the day of the first click in the game's time zone."""

    pk = models.CompositePrimaryKey("game_id", "day", "advert_id", "currency")
    day = models.DateField()

    def __str__(self) -> str:
        return f"{self.players} players of ad {self.advert_id} of {self.day}"


class AdCost(models.Model):
    """What a campaign cost on a day, as the ad network reports it; clicks and impressions are the network's too."""

    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="+", db_index=False)
    day = models.DateField()
    network = models.CharField(max_length=16)
    campaign = models.CharField(max_length=MAX_NAME_LENGTH)
    campaign_id = models.CharField(max_length=MAX_NAME_LENGTH, blank=True)
    spend = models.DecimalField(max_digits=20, decimal_places=6)
    currency = models.CharField(max_length=3)
    clicks = models.BigIntegerField(null=True, blank=True)
    impressions = models.BigIntegerField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["game", "day", "network", "campaign", "campaign_id"], name="one_cost_per_campaign_and_day"
            )
        ]

    def __str__(self) -> str:
        return f"{self.network} {self.campaign}, {dates.day(self.day)}"


class CostUpload(UploadedFile):
    """An uploaded file of costs, for the list of uploads and the audit log."""

    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="cost_uploads", db_index=False)
    replaced = models.PositiveIntegerField(help_text="Earlier rows of these days and campaigns.")

    class Meta:
        indexes = [models.Index(fields=["game", "-uploaded_at"], name="cost_upload_newest")]
