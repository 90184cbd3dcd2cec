"""The canonical message, to which each dialect converts its messages. Code after the parser depends on no dialect."""

import uuid
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from audience.ids.values import is_placeholder
from audience.models import Kind
from audience.models.events import MACRO_NOTE, PLACEHOLDER_NOTE

# The key in an Event's context for a times.TimeNote. A client's value of this key is dropped, and the key is never sent
# to a network.
TIME_NOTE = "_time_note"
ID_FIELDS = ("user_id", "anonymous_id", "device_id")
# Types of linked ids by which a player can be reached -> the trait that they are.
CONTACT_TRAITS = {"email": "email", "phone": "phone", "mobile": "phone"}
# In `Message.placeholders`: the field of the ids in `links`.
LINKED_ID = "linked_id"
# The prefix of stored message ids of server keys.
SERVER_ID_PREFIX = "server:"
MAX_MESSAGE_ID_LENGTH = 256
# The code of the rejection of a message whose id another event has.
MESSAGE_ID_REUSED = "MESSAGE_ID_REUSED"
# Stored in place of the content of a request that was refused as a whole.
NOT_KEPT = {"not_kept": True}
# Stored in place of the content of a message that names an erased player whose events are refused.
SUPPRESSED_RAW = {"suppressed": True}
# What may be stored with NOT_KEPT: the size of the body, and the id of the request (request_id.py).
NOT_KEPT_FIELDS = {*NOT_KEPT, "bytes", "request"}


@dataclass(slots=True, kw_only=True)
class Message:
    """One valid message.

    `event_at`, `day` and `time_note` are those of times.Timing: `event_at` is aware and may be after the receipt, to
    which rows.py limits it; `day` is the UTC date of the client's unmodified time, None if it states no readable time.
    `is_joined`: this message and the previous one are from one item of the request, and happened at the same time.
    `consent_level` is the stated level, including `not_set`; '' when none is stated.
    `placeholders` are the texts that were sent in place of ids, by field (move_placeholders).
    `time_fields` are the fields of `raw` in which the dialect states a time, the preferred one first.
    `links` are further (namespace, value) pairs that identify the same player as the ids above.
    `traits` are the message's own: of a group those of the group. `context` may have further `traits`, of the player.
    `context` uses these keys: ip, user_agent, page_url, page_path, page_search, page_title, page_referrer, locale,
    timezone, screen, library, library_version, campaign{name, source, medium, content, term}; unknown keys are kept.
    """

    kind: Kind
    message_id: str
    event_at: datetime
    day: date | None
    time_note: str = ""
    is_joined: bool = False
    name: str = ""
    user_id: str = ""
    anonymous_id: str = ""
    device_id: str = ""
    session_id: str = ""
    group_id: str = ""
    links: list[tuple[str, str]] = field(default_factory=list)
    surface: str = ""
    request_ip: str = ""
    origin: str = ""
    consent_level: str = ""
    test: bool = False
    properties: dict[str, Any] = field(default_factory=dict)
    traits: dict[str, Any] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)
    integrations: dict[str, Any] = field(default_factory=dict)
    raw: dict[str, Any] = field(default_factory=dict)
    placeholders: dict[str, str] = field(default_factory=dict)
    time_fields: tuple[str, ...] = ()

    def move_placeholders(self) -> None:
        """Move placeholders from the ids and links to `placeholders`."""
        for name in ID_FIELDS:
            if is_placeholder(value := getattr(self, name)):
                setattr(self, name, "")
                self.placeholders[name] = value
        if self.links:
            for _, value in self.links:
                if is_placeholder(value) and value not in self.placeholders.values():
                    self.placeholders[LINKED_ID] = value
            self.links = [link for link in self.links if not is_placeholder(link[1])]

    def add_linked_contacts(self) -> None:
        """Add linked emails and phone numbers to the traits, unless these state others."""
        for namespace, value in self.links:
            if trait := CONTACT_TRAITS.get(namespace):
                self.traits = {trait: value, **self.traits}

    def context_with_notes(self) -> dict[str, Any]:
        """The context as it is stored: with our notes, and without a client's values of their keys."""
        notes = {TIME_NOTE: self.time_note, PLACEHOLDER_NOTE: self.placeholders, MACRO_NOTE: None}
        if not any(notes.values()) and notes.keys().isdisjoint(self.context):
            return self.context
        stated = {name: value for name, value in self.context.items() if name not in notes}
        return stated | {name: note for name, note in notes.items() if note}


@dataclass(frozen=True, slots=True)
class Violation:
    """One reason why a message was rejected: the field under the client's name for it, a code, and a sentence."""

    field: str
    code: str
    message: str

    def as_dict(self) -> dict[str, str]:
        return {"field": self.field, "code": self.code, "message": self.message}


@dataclass(slots=True)
class Rejected:
    """A message that was rejected. `message_id` is as sent, None if it is missing or not a text.

    Its dialect uses `route` and `envelope` besides `raw` to validate it again; '' and {} if it does not.
    `suppressed_by` is the erasure of the player whom it names, if its events are refused.
    """

    message_id: str | None
    errors: list[Violation]
    raw: Any
    route: str = ""
    envelope: dict[str, Any] = field(default_factory=dict)
    request_ip: str = ""
    origin: str = ""
    suppressed_by: uuid.UUID | None = None

    @property
    def is_suppressed(self) -> bool:
        """Whether nothing of it may be stored but its id and why it was rejected."""
        return self.raw is SUPPRESSED_RAW

    def forget(self) -> None:
        """Remove the content."""
        self.raw, self.envelope, self.request_ip = SUPPRESSED_RAW, {}, ""


def is_not_kept(raw: Any) -> bool:
    """Whether this is stored in place of the content of a request that was refused as a whole."""
    return isinstance(raw, dict) and raw.get("not_kept") is True and raw.keys() <= NOT_KEPT_FIELDS


def stored_id(message_id: str, *, is_server: bool) -> str:
    """The message id as it is stored: "server:<id>" for messages of a server key.

    Otherwise anyone could send an event with a public key, which clients contain, under the id that a server will use,
    and the server's event would be dropped as a duplicate. An id that a public key sends with the prefix, or that would
    be too long with it, is replaced by a UUID derived from it.
    """
    max_length = MAX_MESSAGE_ID_LENGTH - len(SERVER_ID_PREFIX)
    if len(message_id) > max_length if is_server else message_id.startswith(SERVER_ID_PREFIX):
        message_id = str(uuid.uuid5(uuid.NAMESPACE_OID, message_id))
    return SERVER_ID_PREFIX + message_id if is_server else message_id
