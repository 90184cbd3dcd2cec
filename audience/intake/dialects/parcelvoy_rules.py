"""The validation rules of the Parcelvoy dialect, which raise the first violation with the text of the original."""

from collections.abc import Mapping
from typing import Any
from zoneinfo import available_timezones

from audience.ids.values import clean, is_storable, length
from audience.intake.requests.body import read_object

MAX_LENGTH = 255
TYPE_NAMES: dict[type, str] = {str: "string", dict: "object", list: "array"}


class InvalidItem(Exception):
    """The first violation. `path` is a JSON pointer without its leading slash, as in the original product."""

    def __init__(self, path: str, text: str) -> None:
        super().__init__(text)
        self.path = path


def check_type(value: Any, kind: type, path: str) -> None:
    if not isinstance(value, kind):
        raise InvalidItem(path, f"The value of `{path}` must be a {TYPE_NAMES[kind]}.")


def required_text(parent: Mapping[str, Any], name: str, path: str = "") -> str:
    """A text without outer spaces; must not be missing or blank."""
    value = optional_text(parent, name, path)
    if not value:
        raise InvalidItem(f"{path}{name}", f"Must have required property '{name}'")
    return value


def optional_text(parent: Mapping[str, Any], name: str, path: str = "") -> str:
    """A text without outer spaces; '' when it is missing or null."""
    value = parent.get(name)
    if value is None:
        return ""
    check_type(value, str, f"{path}{name}")
    if len(value) > MAX_LENGTH:
        raise InvalidItem(
            f"{path}{name}", f"The value of `{path}{name}` must NOT have more than {MAX_LENGTH} characters."
        )
    return str(value.strip())


def read_ids(parent: Mapping[str, Any], path: str = "") -> tuple[str, str]:
    """(anonymous_id, external_id); at least one of them must be present."""
    ids = _optional_id(parent, "anonymous_id", path), _optional_id(parent, "external_id", path)
    if not any(ids):
        raise InvalidItem(f"{path}external_id", "Must have required property 'external_id'")
    return ids


def required_id(parent: Mapping[str, Any], name: str) -> str:
    value = _optional_id(parent, name, "")
    if not value:
        raise InvalidItem(name, f"Must have required property '{name}'")
    return value


def _optional_id(parent: Mapping[str, Any], name: str, path: str) -> str:
    value = clean(optional_text(parent, name, path))
    if not is_storable(value) or length(value) > MAX_LENGTH:
        raise InvalidItem(f"{path}{name}", f"The value of `{path}{name}` has characters that cannot be stored.")
    return value


def optional_object(parent: Mapping[str, Any], name: str, path: str = "") -> dict[str, Any]:
    """An object; {} when it is missing or null."""
    value = parent.get(name)
    if value is None:
        return {}
    check_type(value, dict, f"{path}{name}")
    return dict(value)


def json_object(parent: Mapping[str, Any], name: str, path: str = "") -> dict[str, Any]:
    """Like `optional_object`; also reads an object that the client has sent as JSON within a string."""
    value = parent.get(name)
    if isinstance(value, str) and (value_read := read_object(value)):
        return value_read
    return optional_object(parent, name, path)


def check_fields(parent: Mapping[str, Any], fields: frozenset[str]) -> None:
    if set(parent) - fields:
        raise InvalidItem(sorted(set(parent) - fields)[0], "Must NOT have additional properties")


def check_timezone(parent: Mapping[str, Any], path: str = "") -> None:
    name = optional_text(parent, "timezone", path)
    if name and name not in available_timezones():
        raise InvalidItem(f"{path}timezone", "The timezone value must be in the IANA format.")


def without_bad_timezone(user: Mapping[str, Any]) -> Mapping[str, Any]:
    """The `user` of an event without a time zone that is not in the IANA format: it would refuse all events."""
    name = user.get("timezone")
    is_bad = name is not None and not (isinstance(name, str) and name.strip() in {"", *available_timezones()})
    return {key: value for key, value in user.items() if key != "timezone"} if is_bad else user
