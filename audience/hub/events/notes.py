"""What the intake and the digest noted about an event, in its context."""

from dataclasses import dataclass
from typing import Any

from audience.intake.messages.message import TIME_NOTE
from audience.intake.messages.times import TIME_NOTES
from audience.models import Event
from audience.models.events import MACRO_NOTE, PLACEHOLDER_NOTE


@dataclass(frozen=True, slots=True)
class EventNotes:
    """`time_note` is a times.TimeNote or ''. `placeholders` and `macros` are {field: what was sent}."""

    time_note: str
    placeholders: dict[str, Any]
    macros: dict[str, Any]

    @property
    def time_note_text(self) -> str:
        return TIME_NOTES.get(self.time_note, "")


def take_notes(event: Event) -> EventNotes:
    """Remove the notes from the context of an event, which is not saved, and return them."""
    found = [event.context.pop(name, None) for name in (PLACEHOLDER_NOTE, MACRO_NOTE)]
    placeholders, macros = (note if isinstance(note, dict) else {} for note in found)
    return EventNotes(str(event.context.pop(TIME_NOTE, "")), placeholders, macros)
