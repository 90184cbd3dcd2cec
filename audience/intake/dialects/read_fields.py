"""The fields of a message that each dialect reads. Others are stored with the original message and not used."""

from collections.abc import Mapping
from typing import Any

from audience.intake.messages.message_ids import is_placeholder
from audience.models import Dialect

IMMUTABLE = frozenset(
    (
        *("type", "messageId", "eventTimestamp", "eventName", "surface", "consentLevel", "test", "context"),
        *("userId", "anonymousId", "deviceId", "sessionId", "properties", "traits"),
        *("fromId", "fromType", "toId", "toType", "identityType"),
    )
)
SEGMENT = frozenset(
    (
        *("type", "messageId", "timestamp", "originalTimestamp", "sentAt", "event", "eventName", "name", "writeKey"),
        *("userId", "anonymousId", "groupId", "previousId", "mergeProperties", "consentLevel", "test"),
        *("properties", "traits", "context", "integrations"),
    )
)
PARCELVOY = frozenset(
    (
        *("message_id", "created_at", "anonymous_id", "external_id", "name", "event", "data", "properties", "user"),
        *("email", "phone", "timezone", "locale", "device_id", "token", "os", "os_version", "model"),
        *("app_build", "app_version"),
    )
)
FIELDS = {
    Dialect.IMMUTABLE: IMMUTABLE,
    Dialect.RUDDERSTACK: SEGMENT,
    Dialect.METAROUTER: SEGMENT,
    Dialect.PARCELVOY: PARCELVOY,
}
MESSAGE_ID = {
    Dialect.RUDDERSTACK: "messageId",
    Dialect.METAROUTER: "messageId",
    Dialect.PARCELVOY: "message_id",
}


def unread_fields(raw: Mapping[str, Any], dialect: Dialect) -> list[str]:
    return sorted(set(raw) - FIELDS[dialect])


def lacks_message_id(raw: Mapping[str, Any], dialect: Dialect) -> bool:
    """Whether a new id is assigned to the message, since it states none, or a placeholder."""
    if dialect not in MESSAGE_ID:
        return False  # the id is required
    stated = raw.get(MESSAGE_ID[dialect])
    return stated is None or is_placeholder(str(stated))
