"""The ids in messages of RudderStack, Segment and MetaRouter. The functions raise InvalidMessage for unusable ids."""

from collections.abc import Mapping
from typing import Any

from audience.ids.values import is_placeholder, is_storable, length, read_id
from audience.intake.dialects.segment_fields import text_of
from audience.intake.messages.message import Message, Violation
from audience.models.people import ANONYMOUS, USER

# Ids are index keys, whose size PostgreSQL limits. Ids of SDKs are much shorter.
MAX_ID_LENGTH = 512


class InvalidMessage(Exception):
    """A message is rejected, with the violation as the reason."""

    def __init__(self, field: str, code: str, message: str) -> None:
        super().__init__(message)
        self.violation = Violation(field, code, message)


def stated_id(raw: Mapping[str, Any], name: str) -> str:
    """Return the id in a field of the message, '' without one."""
    return checked_id(raw.get(name), name)


def checked_id(value: Any, name: str) -> str:
    """Return a value of the field `name` as an id, '' for none."""
    text = read_id(value)
    _check_id(text, name)
    return text


def _check_id(value: str, name: str) -> None:
    if length(value) > MAX_ID_LENGTH:
        raise InvalidMessage(name, "INVALID_VALUE", f"{name} is longer than {MAX_ID_LENGTH} characters")
    if not is_storable(value):
        raise InvalidMessage(name, "INVALID_VALUE", f"{name} has characters that cannot be stored")


def context_group(context: Mapping[str, Any]) -> str:
    """The group that the player is in during any call. A value that is no id does not reject the message."""
    value = read_id(context.get("groupId"))
    is_usable = length(value) <= MAX_ID_LENGTH and is_storable(value) and not is_placeholder(value)
    return value if is_usable else ""


def required_id(raw: Mapping[str, Any], name: str, kind: str) -> str:
    """Return the id in a field that messages of this kind must have."""
    value = stated_id(raw, name)
    if not value:
        raise InvalidMessage(name, "MISSING_REQUIRED_FIELD", f"{name} is required for {kind}")
    return value


def set_previous_id(raw: Mapping[str, Any], message: Message, *, is_metarouter: bool) -> None:
    """Check and set the ids of an alias.

    MetaRouter's SDK for iOS sends `previousId` within the properties, and those for Android and React Native not at
    all: they link the anonymous id to the user, as an identify does.
    """
    previous = stated_id(raw, "previousId")
    if not previous and is_metarouter:
        previous = stated_id(message.properties, "previousId")
        if not previous and message.user_id and message.anonymous_id:
            return
    previous = previous or required_id(raw, "previousId", "alias")
    message.links = [(ANONYMOUS, previous), (USER, previous)]
    message.links += [(USER, message.user_id)] if message.user_id else []
    # Also in the column, so that an erasure of the previous id finds the event.
    message.anonymous_id = message.anonymous_id or previous


def merge_links(raw: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the (type, id) pairs of a merge."""
    listed = raw.get("mergeProperties")
    if not isinstance(listed, list) or not listed:
        raise InvalidMessage("mergeProperties", "MISSING_REQUIRED_FIELD", "mergeProperties is required for merge")
    links = []
    for item in listed:
        pair = (text_of(item.get("type")), read_id(item.get("value"))) if isinstance(item, dict) else ("", "")
        if not all(pair):
            text = "mergeProperties must be a list of objects with type and value"
            raise InvalidMessage("mergeProperties", "INVALID_FORMAT", text)
        _check_id(pair[1], "mergeProperties")
        links.append((pair[0].lower()[:64], pair[1]))
    return links
