"""An entry of the audit log as text: who did what to what, with every value before and after."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from auditlog.models import LogEntry

# By the model's name in the content types.
KINDS = {
    "apikey": "API key",
    "postbackconfig": "Postback",
    "membership": "Member",
    "invitation": "Invitation",
    "game": "Game settings",
    "erasure": "Erasure",
    "person": "Player’s data",
    "alerthook": "Webhook",
    "replay": "Replay",
}
ACTIONS = {
    LogEntry.Action.CREATE: "Created",
    LogEntry.Action.UPDATE: "Changed",
    LogEntry.Action.DELETE: "Deleted",
    LogEntry.Action.ACCESS: "Exported",
}
# Omitted, as shown elsewhere: the row's id, its game, and users by id.
OMITTED_FIELDS = {
    "id",
    "game",
    "user",
    "config",
    "created_by",
    "created_at",
    "requested_by",
    "requested_at",
    "invited_by",
}
LABELS = {
    "subject_hash": "Keyed hash of the ID",
    "namespace": "Kind of ID",
    "held_at": "On hold since",
    "held_for": "On hold for",
    "held_message": "The network said",
    "revoked_at": "Revoked",
    "expires_at": "Works until",
    "replaced_by": "Replaced by key",
    "allowed_events": "Event names",
    "allowed_origins": "Origins",
    "allowed_addresses": "IP addresses",
    "kept_days": "Days that events are kept",
    "strict_consent": "Nothing is sent of players without a stated consent level",
    "url": "Host",
}
EMPTY_TEXTS = {"", "None", "[]", "{}"}
MOMENT = re.compile(r"(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2}:\d{2})(?:\.\d+)?(?:\+00:00)?")
# auditlog's text for reverse relations of a new row: "audience.Membership.None".
RELATED_MANAGER = re.compile(r"\w+\.\w+\.None")
# A whole secret key that was pasted into a name; stored prefixes are shorter.
WHOLE_KEY = re.compile(r"\b(sk_[\w\-]{16})[\w\-]{16,}")
MAX_VALUE_LENGTH = 300
SYSTEM_NAME = "Afterclick"


@dataclass(frozen=True, slots=True)
class FieldChange:
    label: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class AuditRow:
    """`is_long`: a created or deleted row lists all its values; the page shows them collapsed."""

    pk: int
    at: datetime
    who: str
    address: str
    kind: str
    action: str
    name: str
    changes: list[FieldChange]
    is_long: bool


def audit_row(entry: Any) -> AuditRow:
    """Read an entry with its `actor` and `content_type`."""
    return AuditRow(
        pk=entry.pk,
        at=entry.timestamp,
        who=_who(entry),
        address=entry.remote_addr or "",
        kind=KINDS.get(entry.content_type.model, entry.content_type.name.capitalize()),
        action=ACTIONS[entry.action],
        name=WHOLE_KEY.sub(r"\1…", entry.object_repr),
        changes=list(_changes(entry)),
        is_long=entry.action != LogEntry.Action.UPDATE,
    )


def _who(entry: Any) -> str:
    """Return the user, else the key or command that the entry names, else a worker."""
    if entry.actor:
        return str(entry.actor.email or entry.actor.get_username())
    named = (entry.changes or {}).get("requested_by") if entry.content_type.model == "erasure" else None
    return str(entry.actor_email or (named and named[-1]) or SYSTEM_NAME)


def _changes(entry: Any) -> Iterator[FieldChange]:
    for name, pair in (entry.changes or {}).items():
        if name in OMITTED_FIELDS or not isinstance(pair, list):
            continue
        before, after = (_text(value) for value in pair)
        if before != after:
            yield FieldChange(LABELS.get(name, name.replace("_", " ").capitalize()), before, after)


def _text(value: Any) -> str:
    """Return a value of auditlog as text; '' for none."""
    text = WHOLE_KEY.sub(r"\1…", str(value))
    if text in EMPTY_TEXTS or RELATED_MANAGER.fullmatch(text):
        return ""
    if found := MOMENT.fullmatch(text):
        return f"{found[1]} {found[2]} UTC"
    text = {"True": "Yes", "False": "No"}.get(text, text)
    return text if len(text) <= MAX_VALUE_LENGTH else f"{text[:MAX_VALUE_LENGTH]}…"
