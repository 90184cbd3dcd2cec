"""Postbacks (PostbackConfig), their versions, and the checks of their credentials."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from audience.database import clock
from audience.models import AuditedInGame, Game, Touch, Trigger
from postbacks.models.fields import EncryptedJSONField
from postbacks.networks import NETWORKS
from postbacks.networks.interface.call import Target
from postbacks.networks.interface.network import Network

# In PostbackConfig.click_parameters: every ad click, of whatever network.
EVERY_CLICK = "*"
# In PostbackConfig.held_for: a user put it on hold. Only a user releases it; no check does.
HELD_BY_USER = "user"


class ConfigQuerySet(models.QuerySet["PostbackConfig"]):
    def kept(self) -> "ConfigQuerySet":
        """Configs that are not deleted. Deleted ones remain for the log, without their credential."""
        return self.filter(deleted_at=None)

    def locked(self) -> "ConfigQuerySet":
        """Lock the rows against changes, but not against deliveries that refer to them."""
        return self.select_for_update(of=("self",), no_key=True)


class PostbackConfig(AuditedInGame, models.Model):
    """A postback: reports conversions of one game to one network. Created only after the network accepted its
    credential.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="postback_configs")
    network = models.CharField(max_length=16)
    pixel_id = models.CharField(max_length=64)
    credential = EncryptedJSONField(default=dict, editable=False)
    # Built-in triggers, and further goals (postbacks/outbox/goals.py: Goal.as_json).
    triggers = ArrayField(models.CharField(max_length=16, choices=Trigger.choices), blank=True)
    goals = models.JSONField(default=list, blank=True)
    # What Network.click_parameters_of reads from the credential, which a fan-out does not decrypt.
    click_parameters = ArrayField(
        models.CharField(max_length=32), blank=True, default=list, db_default=[], editable=False
    )
    enabled = models.BooleanField(default=True)
    # The IANA name of the time zone in which the ad account reports days (postbacks/reporting/comparison.py).
    time_zone = models.CharField(max_length=64, default="UTC", db_default="UTC")
    version = models.PositiveIntegerField(default=1, editable=False, help_text="Every change creates a version.")
    validated_at = models.DateTimeField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=clock.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)
    # The credential before the last rotation, for a rollback until then.
    previous_credential = EncryptedJSONField(default=dict, editable=False)
    previous_until = models.DateTimeField(null=True, blank=True, editable=False)
    # The state of its credential (postbacks/configs/hold.py). Suspected: refused once, being checked again; held:
    # refused twice, or put on hold by a user. Nothing is sent in either state.
    suspected_at = models.DateTimeField(null=True, blank=True, editable=False)
    held_at = models.DateTimeField(null=True, blank=True, editable=False)
    # networks.interface.call.Access: "token" or "pixel"; or HELD_BY_USER; blank while not held.
    held_for = models.CharField(max_length=8, blank=True, editable=False)
    held_message = models.TextField(blank=True, editable=False)
    checked_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="The answer of the last check.")
    # Set while a rotation waits for calls in flight; no call starts before this time.
    paused_until = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ConfigQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["game", "network", "pixel_id"], condition=Q(deleted_at=None), name="one_config_per_pixel"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind.label} {self.pixel_id}"

    @property
    def kind(self) -> Network:
        return NETWORKS[self.network]

    @property
    def flow_pixel(self) -> str:
        """The pixel ID of its Flow: its own id where users choose the names of pixels, since games may choose alike."""
        return str(self.pk) if self.kind.pixel_is_name else self.pixel_id

    @property
    def is_held_by_user(self) -> bool:
        return self.held_at is not None and self.held_for == HELD_BY_USER

    def takes_click(self, touch: Touch) -> bool:
        """Whether conversions of this click are for the postback."""
        return self.takes(touch.network, touch.parameter)

    def takes(self, network: str, parameter: str) -> bool:
        """Whether it takes clicks of this network and parameter: those of its own network, and of parameters that it
        names."""
        named = self.click_parameters
        return network == self.network or parameter in named or EVERY_CLICK in named

    def target(self) -> Target:
        """The destination of its deliveries, with the stored credential."""
        return self.kind.target(
            pixel_id=self.pixel_id,
            credential=self.credential,
            base_url=settings.NETWORK_URLS[self.network],
            token_url=settings.NETWORK_TOKEN_URLS.get(self.network, ""),
        )

    @property
    def can_roll_back(self) -> bool:
        """Whether the credential before the last rotation is still stored."""
        return bool(self.previous_until and self.previous_until > clock.now())


class ConfigVersion(models.Model):
    """The settings of a config at one version, and who set them. Never updated."""

    config = models.ForeignKey(PostbackConfig, on_delete=models.CASCADE, related_name="versions", db_index=False)
    number = models.PositiveIntegerField()
    pixel_id = models.CharField(max_length=64)
    triggers = ArrayField(models.CharField(max_length=16), blank=True)
    goals = models.JSONField(default=list, blank=True)
    click_parameters = ArrayField(models.CharField(max_length=32), blank=True, default=list, db_default=[])
    enabled = models.BooleanField()
    change = models.CharField(max_length=120, help_text="What this version changed.")
    set_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    set_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["config", "number"], name="versions_are_numbered")]

    def __str__(self) -> str:
        return f"v{self.number} of {self.pixel_id}: {self.change}"
