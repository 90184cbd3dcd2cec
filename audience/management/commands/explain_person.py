"""`manage.py explain_person`: print which events joined which ids of a player, and when."""

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Q

from audience.digest import id_history, pruned_ids
from audience.digest.id_history import Joining
from audience.digest.owned_ids import OwnedId, owned_ids
from audience.ids.values import canonical
from audience.management import game_option
from audience.models import Game, Identity, Ownership, Person
from audience.wording import dates

# Maximum number of printed players; an id of a shared device may belong to more.
MAX_PLAYERS = 100


class Command(BaseCommand):
    help = "Print the IDs of a player, which events linked them and when, and which of them other players also used."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", metavar="ID", help="a user ID, an anonymous ID, or the ID of the player's page")
        game_option.add_game_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        game = game_option.selected_game(options["game"])
        players = _players([game] if game else Game.objects.all(), options["id"])
        if not players:
            raise CommandError(f"No player has the ID “{options['id']}”.")
        for person in players:
            ids = owned_ids(person)
            self.stdout.write("\n".join([*_head(person), *_ids(ids), *_joinings(id_history.joinings(person, ids)), ""]))


def _players(games: Iterable[Game], value: str) -> list[Person]:
    persons = Person.objects.filter(game__in=games).select_related("game").order_by("first_seen_at", "pk")
    identities = Identity.objects.filter(value=canonical(value), game__in=games)
    owners = Ownership.objects.filter(identity__in=identities).values("user__person")
    matches = Q(pk__in=identities.values("person")) | Q(pk__in=owners) | Q(pk=_uuid(value))
    if players := list(persons.filter(matches)[:MAX_PLAYERS]):
        return players
    return list(persons.filter(pk__in=[pk for game in games for pk in pruned_ids.players(game, value)])[:MAX_PLAYERS])


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _head(person: Person) -> list[str]:
    seen = f"first seen {_time(person.first_seen_at)}, last seen {_time(person.last_seen_at)}"
    return [f"Player {person.pk} of {person.game.slug}: {seen}"]


def _ids(ids: Iterable[OwnedId]) -> list[str]:
    lines = [(" ".join(owned.key), id_history.sharing_note(owned)) for owned in ids]
    return ["IDs:", *(f"  {key}{f': {note}' if note else ''}" for key, note in lines)]


def _joinings(joinings: Iterable[Joining]) -> list[str]:
    return ["How the IDs were linked:", *map(_joining, joinings)]


def _joining(joining: Joining) -> str:
    ids = ", ".join(" ".join(key) for key in joining.keys)
    user = f" {joining.user_id}" if joining.user_id else ""
    event = f"{joining.event.kind}, message {joining.event.message_id}" if joining.event else "event no longer stored"
    return f"  {_time(joining.event_at)}  {ids}: {joining.description}{user} ({event})"


def _time(moment: datetime) -> str:
    return dates.moment(moment)
