"""The sender of a conversion: its API key and web page."""

from dataclasses import dataclass

from audience.models import ApiKey, Conversion, Event


@dataclass(frozen=True, slots=True)
class Sender:
    """`key` is None if it was deleted or not stored, `description` a text about it; `origin` is the web page or ''."""

    key: ApiKey | None
    description: str
    origin: str


def sender_of(conversion: Conversion, event: Event | None) -> Sender:
    """Return the sender of a conversion; for old conversions it is read from the event."""
    key_id = conversion.key_id or (event.key_id if event else None)
    origin = conversion.origin or (event.origin if event else "")
    key = ApiKey.objects.filter(game=conversion.game_id, pk=key_id or 0).first()
    if key is not None:
        description = (
            "Stored on a server" if key.is_server else "Public: anyone who opens your game or site can read it"
        )
    elif key_id is not None:
        description = "A deleted server key" if conversion.from_server else "A deleted key"
    else:
        description = "Not recorded"
    if conversion.from_server is None:
        description += ". The event is older than this record, and counts as sent with a public key"
    return Sender(key, description, origin)
