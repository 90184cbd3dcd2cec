"""Who it was: a Person is the set of Identities that identify and alias have joined."""

import uuid

from django.contrib.postgres.indexes import HashIndex
from django.db import models
from django.db.models import Q, Value
from django.db.models.fields.json import KT
from django.db.models.functions import Lower
from django.db.models.lookups import Exact

from audience.database import clock
from audience.models.keys import Game

# Provider-free namespaces of an identity; any other is a provider's name (steam, epic, ...).
ANONYMOUS = "anonymous"
USER = "user"
DEVICE = "device"


class PersonQuerySet(models.QuerySet["Person"]):
    def with_email(self, email: str) -> "PersonQuerySet":
        """Those whose trait `email` is this address, whichever its case."""
        # Both sides folded by PostgreSQL: Python's idea of a lower case letter may be another.
        return self.filter(Exact(Lower(KT("traits__email")), Lower(Value(email))))

    def known_as(self, game: Game, value: str) -> "PersonQuerySet":
        """The game's persons with this id, in any namespace."""
        return self.filter(pk__in=Identity.objects.filter(game=game, value=value).values("person"))


class Person(models.Model):
    """One player. Two persons found to be one are merged: the younger row's belongings move, and it goes."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="people", db_index=False)
    traits = models.JSONField(default=dict, blank=True)
    # {"<trait>": "<ISO time of the event that set it>"}: the later event wins, in whatever order they arrive.
    trait_times = models.JSONField(default=dict, blank=True, editable=False)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    # No column: where postbacks/outbox/facts.py has looked it up, the user id the player was first known by.
    first_user_id: str | None

    objects = PersonQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "people"
        indexes = [
            # The list of players. Not by `last_seen_at`: every sighting changes it, and a column in no index is changed
            # in its page, without an entry in any (3,000 sightings: 0.36 MB of log instead of 2).
            models.Index(fields=["game", "-first_seen_at"], name="people_newest"),
            # PersonQuerySet.with_email. Hashed, since a trait may be longer than a row of a B-tree.
            HashIndex(Lower(KT("traits__email")), name="people_by_email"),
        ]

    def __str__(self) -> str:
        return str(self.id)


class Identity(models.Model):
    """An id that a Person is known by, within its namespace: anonymous, user, device, or a provider such as steam."""

    # No index of the game alone, here and below: while a game is not in PostgreSQL's statistics the planner takes it
    # for empty, prefers that index to the longer one, and reads every row of the game for each id.
    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="+", db_index=False)
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="identities")
    namespace = models.CharField(max_length=64)
    value = models.TextField()
    first_seen_at = models.DateTimeField(default=clock.now)

    class Meta:
        verbose_name_plural = "identities"
        constraints = [models.UniqueConstraint(fields=["game", "namespace", "value"], name="one_person_per_identity")]
        # The erasure and the search ask for a value in any namespace.
        indexes = [models.Index(fields=["game", "value"], name="identity_by_value")]

    def __str__(self) -> str:
        return f"{self.namespace}:{self.value}"


class Device(models.Model):
    """A device a person played on, with its push token where a client registered one."""

    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="+", db_index=False)
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="devices")
    device_id = models.TextField()
    token = models.TextField(blank=True)
    details = models.JSONField(default=dict, blank=True)
    updated_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["game", "device_id"], name="one_row_per_device")]
        # Whose device had a push token before; a hash, since a b-tree refuses a text of 2,700 bytes.
        indexes = [HashIndex(fields=["token"], name="device_by_token", condition=~Q(token=""))]

    def __str__(self) -> str:
        return self.device_id


class Group(models.Model):
    """A guild, company or team that persons belong to."""

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
    """That a person belongs to a group. Django would make this table by itself, with an index of the group alone."""

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
