"""Players: a Person is a set of Identities that identify and alias messages have joined."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import HashIndex
from django.db import models
from django.db.models import Q, Value
from django.db.models.fields.json import KT
from django.db.models.functions import Lower
from django.db.models.lookups import Exact

from audience.database import clock
from audience.ids.values import canonical
from audience.models.games import Game

# Built-in namespaces of an Identity; the others are names of providers (steam, epic, ...).
ANONYMOUS = "anonymous"
USER = "user"
DEVICE = "device"
# The namespaces of weak ids, which identify a browser or a device and never join two players (docs/identity.md).
WEAK = (ANONYMOUS, DEVICE)


class Owners(models.TextChoices):
    """How many players own a weak id, which are those whose user id was sent together with it.

    An id without an owner belongs to a player without a user id. With OTHER it belongs to no player: each of its events
    has another id that decides the player.
    """

    NONE = "", "No player"
    OTHER = "other", "No player; another ID decides"
    ONE = "one", "One player"
    SEVERAL = "several", "Several players"
    CROWD = "crowd", "Too many players"


class OwnershipSource(models.TextChoices):
    EVENT = "event", "Events"
    # An alias with a previous id that a later event may use as a user id.
    ALIAS = "alias", "An alias"
    # An alias that states the type of its previous id: a weak one.
    TYPED_ALIAS = "typed", "An alias with a type"


class PersonQuerySet(models.QuerySet["Person"]):
    def with_email(self, email: str) -> "PersonQuerySet":
        """Persons whose trait `email` equals this address, ignoring case."""
        # PostgreSQL lower-cases both sides, since Python's rules differ for some letters.
        return self.filter(Exact(Lower(KT("traits__email")), Lower(Value(email))))

    def with_id(self, game: Game, value: str) -> "PersonQuerySet":
        """The game's persons with this id in any namespace."""
        return self.filter(pk__in=Identity.objects.filter(game=game, value=canonical(value)).values("person"))


class Person(models.Model):
    """One player. When two persons are joined, the younger row is merged into the older one and deleted."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="people", db_index=False)
    traits = models.JSONField(default=dict, blank=True)
    # {"<trait>": "<ISO time of the event that set it>"}, so that the later event wins in any order of arrival. It
    # ends with " other" where that was no identify (audience/digest/traits.py).
    trait_times = models.JSONField(default=dict, blank=True, editable=False)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    # Not a column: the player's first user id, set by postbacks/outbox/conversion_facts.py.
    first_user_id: str | None

    objects = PersonQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "people"
        indexes = [
            # The list of players. `last_seen_at` is deliberately in no index: every event updates it, and without an
            # index PostgreSQL makes a heap-only update (3,000 updates write 0.36 MB of WAL instead of 2 MB).
            models.Index(fields=["game", "-first_seen_at"], name="people_newest"),
            # PersonQuerySet.with_email. A hash index, since a trait may exceed the row size of a B-tree.
            HashIndex(Lower(KT("traits__email")), name="people_by_email"),
        ]

    def __str__(self) -> str:
        return str(self.id)


class Identity(models.Model):
    """An id of a Person within a namespace: anonymous, user, device, or a provider such as steam."""

    # No index of the game alone, here and below: while PostgreSQL has no statistics of a new game, the planner assumes
    # it is empty, prefers that index to the longer one, and reads every row of the game for each id.
    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="+", db_index=False)
    # The player of a strong id. For a weak id, by `owners`: its owner, the latest of several, a player without a user
    # id, or for OTHER the player of its first event (docs/identity.md). NULL only within a transaction of the digest.
    person = models.ForeignKey(Person, null=True, on_delete=models.CASCADE, related_name="identities")
    namespace = models.CharField(max_length=64)
    value = models.TextField()
    first_seen_at = models.DateTimeField(default=clock.now)
    owners = models.CharField(max_length=7, choices=Owners.choices, default=Owners.NONE, db_default="", blank=True)
    # The time of the first event that names the owner, or the latest owner, with this weak id; None without an owner.
    named_at = models.DateTimeField(null=True, blank=True)
    # The forms in which the id was sent, except `value`, the canonical form (audience/ids/values.py). Sorted by bytes.
    # The columns of events hold ids as sent.
    spellings = ArrayField(
        models.TextField(), default=list, blank=True, db_default=Value([], ArrayField(models.TextField()))
    )

    class Meta:
        verbose_name_plural = "identities"
        constraints = [models.UniqueConstraint(fields=["game", "namespace", "value"], name="one_person_per_identity")]
        # Erasures and searches look up a value in all namespaces.
        indexes = [models.Index(fields=["game", "value"], name="identity_by_value")]

    def __str__(self) -> str:
        return f"{self.namespace}:{self.as_sent}"

    @property
    def as_sent(self) -> str:
        """A form in which the id was sent."""
        return self.spellings[0] if self.spellings else self.value


class Ownership(models.Model):
    """Consecutive events, by time, that name one user together with a weak id that has several owners.

    `last_at` may be earlier than the last of these events. For an id with the owners CROWD there is one row per user.
    Each alias has its own row, even if the id has one owner.
    """

    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="+", db_index=False)
    identity = models.ForeignKey(Identity, on_delete=models.CASCADE, related_name="ownerships", db_index=False)
    user = models.ForeignKey(Identity, on_delete=models.CASCADE, related_name="+")
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    message_id = models.CharField(max_length=256, blank=True, help_text="Order of aliases with the same time.")
    source = models.CharField(max_length=5, choices=OwnershipSource.choices, default=OwnershipSource.EVENT)

    class Meta:
        indexes = [models.Index(fields=["identity", "first_at"], name="ownership_of_identity")]

    def __str__(self) -> str:
        return f"{self.identity_id} with {self.user_id} since {self.first_at}"


class Device(models.Model):
    """A device of a person, with its push token if a client has registered one."""

    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="+", db_index=False)
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="devices")
    device_id = models.TextField()
    token = models.TextField(blank=True)
    details = models.JSONField(default=dict, blank=True)
    updated_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["game", "device_id"], name="one_row_per_device")]
        # Lookup of a push token's previous device. A hash index, since a B-tree refuses texts over 2,700 bytes.
        indexes = [HashIndex(fields=["token"], name="device_by_token", condition=~Q(token=""))]

    def __str__(self) -> str:
        return self.device_id


class Group(models.Model):
    """A guild, company or team of persons."""

    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="+", db_index=False)
    group_id = models.TextField()
    traits = models.JSONField(default=dict, blank=True)
    members = models.ManyToManyField(Person, through="GroupMembership", related_name="groups", blank=True)
    updated_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["game", "group_id"], name="one_row_per_group")]

    def __str__(self) -> str:
        return self.group_id


class GroupMembership(models.Model):
    """The many-to-many table of Group and Person, declared here because Django's has an index of the group alone."""

    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="+", db_index=False)
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="+")

    class Meta:
        db_table = "audience_group_members"
        constraints = [
            models.UniqueConstraint(
                fields=["group", "person"], name="audience_group_members_group_id_person_id_ba097cfd_uniq"
            )
        ]

    def __str__(self) -> str:
        return f"person {self.person_id} in group {self.group_id}"
