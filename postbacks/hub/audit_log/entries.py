"""The rows of the audit log: actor, action and subject of an entry, and each changed field before and after."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from auditlog.models import LogEntry

from audience.accounts.audit_log import member_token
from audience.wording import dates
from postbacks.hub.audit_log.actors import SYSTEM_NAME, actor_id

# By the name of the model, as in its content type.
KINDS = {
    "apikey": "API key",
    "apitoken": "API token",
    "postbackconfig": "Postback",
    "membership": "Member",
    "invitation": "Invitation",
    "game": "Game settings",
    "erasure": "Erasure",
    "suppression": "Suppression",
    "person": "Player’s data",
    "alerthook": "Webhook",
    "replay": "Replay",
    "gamegoal": "Goal",
    "exchangerate": "Exchange rate",
    "describedevent": "Event description",
    "trackinglink": "Tracking link",
    "costupload": "Upload of costs",
    "steamupload": "Upload of Steam’s numbers",
}
ACTIONS = {
    LogEntry.Action.CREATE: "Created",
    LogEntry.Action.UPDATE: "Changed",
    LogEntry.Action.DELETE: "Deleted",
    LogEntry.Action.ACCESS: "Exported",
}
# The id of the row, and fields that the page shows otherwise: the game, the actor, and the time.
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
    "held_message": "Cause of the hold",
    "revoked_at": "Revoked",
    "expires_at": "Works until",
    "replaced_by": "Replaced by key",
    "allowed_events": "Event names",
    "allowed_origins": "Origins",
    "allowed_addresses": "IP addresses",
    "suppress": "Refuse later events",
    "kept_days": "Days to keep events",
    "strict_consent": "Do not send conversions of players without a stated consent level",
    "untagged_fbclid_is_paid": "Count an fbclid without UTM tags as a paid click",
    "limited_data_use": "Limited data use for every conversion",
    "required": "Required properties",
    "url": "Host",
    "disabled_because": "Disabled because",
    "previous_secret_until": "Earlier secret signs until",
    "time_zone": "Time zone of the ad account",
    "once": "Once per player",
    "server_only": "Only from a server key",
    "repeat_orders": "Every event of an order",
}
# Of fields that mean something else in this kind of row.
LABELS_OF = {
    "game": {
        "time_zone": "Time zone",
        "joins": "Joins to the game",
        "match_hours": "Hours of modeled matches",
        "reward_text": "Text of the claim page",
        "return_addresses": "Return addresses",
        "attribution_window_days": "Attribution window in days",
        "network_windows": "Attribution windows in days by ad network",
        "steam_numbers": "Steam’s numbers",
    },
    "apitoken": {"replaced_by": "Replaced by token", "prefix": "Begins with"},
}
EMPTY_TEXTS = {"", "None", "[]", "{}"}
DAY = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])")
MOMENT = re.compile(r"(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2}:\d{2})(?:\.\d+)?(?:\+00:00)?")
MOMENT_IN_ISO = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
# A stored list of plain texts: "['read', 'keys']".
LIST = re.compile(r"\['[\w\-]+'(?:, '[\w\-]+')*\]")
TEXT_IN_LIST = re.compile(r"[\w\-]+")
# The text that auditlog stores for a reverse relation of a new row: "audience.Membership.None".
RELATED_MANAGER = re.compile(r"\w+\.\w+\.None")
# A secret key that was pasted into a name; the stored prefixes of keys are shorter.
SECRET_KEY = re.compile(r"\b(sk_[\w\-]{16})[\w\-]{16,}")
MAX_VALUE_LENGTH = 300


@dataclass(frozen=True, slots=True)
class FieldChange:
    """`before` and `after` are texts of the page; `stored` are both values for programs, '' for none."""

    field: str
    label: str
    before: str
    after: str
    stored: tuple[str, str]


@dataclass(frozen=True, slots=True)
class AuditRow:
    """`actor_id` is the actor for a filter (actors.py), `token` the name of the member's token that was used or '',
    `address` the IP address or ''. `is_long`: a created or deleted row, whose many values the page collapses."""

    pk: int
    recorded_at: datetime
    actor: str
    actor_id: str
    token: str
    address: str
    kind: str
    action: str
    name: str
    changes: list[FieldChange]
    is_long: bool


def audit_row(entry: Any) -> AuditRow:
    """Return the row of a LogEntry, which needs its `actor` and `content_type`."""
    return AuditRow(
        pk=entry.pk,
        recorded_at=entry.timestamp,
        actor=_actor(entry),
        actor_id=actor_id(entry),
        token=member_token(entry.actor_email) if entry.actor else "",
        address=entry.remote_addr or "",
        kind=KINDS.get(entry.content_type.model, entry.content_type.name.capitalize()),
        action=ACTIONS[entry.action],
        name=SECRET_KEY.sub(r"\1…", entry.object_repr),
        changes=list(_changes(entry)),
        is_long=entry.action != LogEntry.Action.UPDATE,
    )


def _actor(entry: Any) -> str:
    """Return the user, else the key or command that requested an erasure, else SYSTEM_NAME."""
    if entry.actor:
        return str(entry.actor.email or entry.actor.get_username())
    requester = (entry.changes or {}).get("requested_by") if entry.content_type.model == "erasure" else None
    return str(entry.actor_email or (requester and requester[-1]) or SYSTEM_NAME)


def _changes(entry: Any) -> Iterator[FieldChange]:
    labels = {**LABELS, **LABELS_OF.get(entry.content_type.model, {})}
    for name, pair in (entry.changes or {}).items():
        if name in OMITTED_FIELDS or not isinstance(pair, list):
            continue
        before, after = (_stored(value) for value in pair)
        if before != after:
            label = labels.get(name, name.replace("_", " ").capitalize())
            yield FieldChange(name, label, _text(before), _text(after), (before, after))


def _stored(value: Any) -> str:
    """Return a stored value without secrets, times in ISO 8601; '' if it is empty."""
    text = SECRET_KEY.sub(r"\1…", str(value))
    if text in EMPTY_TEXTS or RELATED_MANAGER.fullmatch(text):
        return ""
    if match := MOMENT.fullmatch(text):
        return f"{match[1]}T{match[2]}Z"
    return text if len(text) <= MAX_VALUE_LENGTH else f"{text[:MAX_VALUE_LENGTH]}…"


def _text(stored: str) -> str:
    """Return a value of `_stored` as the page shows it."""
    if MOMENT_IN_ISO.fullmatch(stored):
        return dates.exact(datetime.fromisoformat(stored))
    if DAY.fullmatch(stored):
        return dates.day(date.fromisoformat(stored))
    if LIST.fullmatch(stored):
        return ", ".join(TEXT_IN_LIST.findall(stored))
    return {"True": "Yes", "False": "No"}.get(stored, stored)
