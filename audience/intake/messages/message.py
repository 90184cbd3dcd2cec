"""The canonical vocabulary: what a dialect turns its words into. Nothing past this module knows a dialect."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from audience.models import Kind

# The key in an Event's context that says why the event does not have the time that its sender stated.
# A sender's own value of that name is dropped, and no network is sent it.
TIME_NOTE = "_time_note"
# Stands for the content of a request that was refused without a look at it.
NOT_KEPT = {"not_kept": True}


@dataclass(slots=True, kw_only=True)
class Message:
    """One understood message.

    `event_at`, `day` and `time_note` are those of times.Timing: `event_at` is aware and may lie after the receipt, as
    rows.py bounds it; `day` is the UTC date of the client's own unmodified time, None when it gave no readable one.
    `joined`: the sender's one item made this message and the one before it, which happened at the same moment.
    `consent_level` is the level that the message states, not_set included; '' where it states none.
    `links` are further (namespace, value) pairs that are the same player as the ids above.
    `context` uses our keys: ip, user_agent, page_url, page_path, page_title, page_referrer, locale, timezone,
    screen, library, library_version, campaign{name, source, medium, content, term}; unknown keys are kept.
    """

    kind: Kind
    message_id: str
    event_at: datetime
    day: date | None
    time_note: str = ""
    joined: bool = False
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

    def noted_context(self) -> dict[str, Any]:
        """The context as it is stored: with our note about the time, and never with one that the sender wrote."""
        if not self.time_note and TIME_NOTE not in self.context:
            return self.context
        theirs = {name: value for name, value in self.context.items() if name != TIME_NOTE}
        return {**theirs, TIME_NOTE: self.time_note} if self.time_note else theirs


@dataclass(frozen=True, slots=True)
class Violation:
    """One reason why a message was refused: the field as the sender spells it, a code, a sentence that helps."""

    field: str
    code: str
    message: str

    def as_dict(self) -> dict[str, str]:
        return {"field": self.field, "code": self.code, "message": self.message}


@dataclass(slots=True)
class Rejected:
    """A message not taken. `message_id` is echoed verbatim, None when it had none (or no text one).

    `route` and `frame` are what its dialect needs beside `raw` to judge it again; '' and {} where that is nothing.
    """

    message_id: str | None
    errors: list[Violation]
    raw: Any
    route: str = ""
    frame: dict[str, Any] = field(default_factory=dict)
    request_ip: str = ""
    origin: str = ""
