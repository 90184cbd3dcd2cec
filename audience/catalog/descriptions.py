"""Describing the events of a game, with the properties that they should have. Each change leaves an audit log entry."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from audience.database import clock
from audience.models import DescribedEvent, Game, PropertyType
from audience.models.described_events import MAX_DESCRIPTION
from audience.models.event_counts import MAX_PATH

MAX_DESCRIBED = 500  # of a game
MAX_REQUIRED = 50  # of an event
MAX_NAME = 256
CHANGED = "This description was changed by someone else, so nothing was saved. Open it and save again."


class DescriptionRefused(Exception):
    """Why a description cannot be saved, as a sentence for the form. `field` is name, description or required."""

    def __init__(self, sentence: str, *, field: str = "") -> None:
        super().__init__(sentence)
        self.field = field


def description_of(*, game: Game, name: str) -> DescribedEvent | None:
    return DescribedEvent.objects.filter(game=game, name=name).first()


@transaction.atomic
def describe_event(
    *,
    game: Game,
    name: str,
    description: str,
    required: Mapping[str, PropertyType],
    described_by: Any,
    version: int | None = None,
) -> DescribedEvent:
    """Create or change the description of a track event. `required`: {path of a property: its type}.

    `version` is the one that the editor saw, 0 if there was no description, None to skip this check. Raises
    DescriptionRefused; nothing is changed then.
    """
    name, description = name.strip(), " ".join(description.split())
    _refuse_invalid(name, description, required)
    # Also serializes the creation of two descriptions.
    Game.objects.select_for_update(no_key=True).get(pk=game.pk)
    row = description_of(game=game, name=name) or DescribedEvent(game=game, name=name, version=0)
    if version is not None and row.version != version:
        raise DescriptionRefused(CHANGED)
    if row.version == 0 and DescribedEvent.objects.filter(game=game).count() >= MAX_DESCRIBED:
        raise DescriptionRefused(f"A game has at most {MAX_DESCRIBED} descriptions.")
    entries = [f"{path}: {kind.value}" for path, kind in sorted(required.items())]
    if row.version and (row.description, row.required) == (description, entries):
        return row
    row.description, row.required = description, entries
    row.version, row.updated_at, row.updated_by = row.version + 1, clock.now(), described_by
    row.save()
    return row


@transaction.atomic
def forget_description(*, game: Game, name: str) -> bool:
    """Delete the description of an event; return whether there was one. The event itself stays in the catalog."""
    row = DescribedEvent.objects.select_for_update().filter(game=game, name=name).first()
    if row is None:
        return False
    row.delete()
    return True


def _refuse_invalid(name: str, description: str, required: Mapping[str, PropertyType]) -> None:
    if not name:
        raise DescriptionRefused("Enter the name of the event.", field="name")
    if len(name) > MAX_NAME or "\x00" in name:
        raise DescriptionRefused(f"An event name has at most {MAX_NAME} characters.", field="name")
    if len(description) > MAX_DESCRIPTION or "\x00" in description:
        raise DescriptionRefused(f"A description has at most {MAX_DESCRIPTION} characters.", field="description")
    if not description and not required:
        raise DescriptionRefused("Enter a description or a required property.", field="description")
    if len(required) > MAX_REQUIRED:
        raise DescriptionRefused(f"An event has at most {MAX_REQUIRED} required properties.", field="required")
    for path in required:
        if not path.strip() or path != path.strip() or len(path) > MAX_PATH or "\x00" in path:
            raise DescriptionRefused(f"A property has 1 to {MAX_PATH} characters.", field="required")
