"""The fields that messages and batches of Segment's format have in common: texts, objects, keys, and the context."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from audience.intake.requests.body import read_object
from audience.models import ApiKey, Dialect

# A megabyte of `{},` is a kilobyte of gzip and takes minutes to process. A message of an SDK has at least 200 bytes.
MAX_BATCH_MEMBERS = 20_000
# The prefix of keys that are not public, and the maximum number of their characters that are stored.
SECRET_PREFIX = "sk_"
MAX_PREFIX_LENGTH = 24
# The client's names -> the names in message.Message.
PAGE = {"url": "page_url", "path": "page_path", "title": "page_title", "referrer": "page_referrer"}
PAGE |= {"search": "page_search"}
RENAMED = {"userAgent": "user_agent", "pageUrl": "page_url", "pageReferrer": "page_referrer"}
# Stored in other fields of the message. Traits are not: a message may have others of its own.
OMITTED = frozenset({"page", "library", "sessionId"})


def mapping(parent: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The object with this name inside of another; {} for any other value."""
    value = parent.get(name)
    return dict(value) if isinstance(value, Mapping) else {}


def json_mapping(parent: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Like `mapping`; also reads an object that the client has sent as JSON within a string."""
    value = parent.get(name)
    return read_object(value) if isinstance(value, str) else mapping(parent, name)


def text_of(value: Any) -> str:
    """A value as text: numbers and objects as JSON, null as '', without control characters and outer spaces.

    '' for a text that consists of replacement characters, by which body.decode replaces NUL characters.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        value = orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    if not value.isprintable():
        value = "".join(c for c in value if unicodedata.category(c) != "Cc")
    value = str(value.strip())
    return value if value.strip("\ufffd ") else ""


def without_secret(raw: dict[str, Any]) -> dict[str, Any]:
    """The message as it is stored: a `writeKey` that is not public is cut to half, or to MAX_PREFIX_LENGTH characters.

    Only the digest of such a key may be stored (audience/models/keys.py).
    """
    value = text_of(raw.get("writeKey"))
    if not value.startswith(SECRET_PREFIX):
        return raw
    return {**raw, "writeKey": f"{value[: min(MAX_PREFIX_LENGTH, len(value) // 2)]}…"}


def key_values(payload: Any) -> list[str]:
    """The distinct values of `writeKey` in a body: of the body itself, then of a batch's members in their order."""
    if not isinstance(payload, Mapping):
        return []
    members: Sequence[Any] = payload["batch"] if isinstance(payload.get("batch"), list) else []
    objects = [payload, *(member for member in members[:MAX_BATCH_MEMBERS] if isinstance(member, Mapping))]
    return list(dict.fromkeys(filter(None, (text_of(item.get("writeKey")) for item in objects))))


def canonical_context(context: Mapping[str, Any]) -> dict[str, Any]:
    """`page{url,...}` -> page_url ..., `library{name,version}` -> library, library_version, `screen` -> "1920x1080".
    Unknown keys are kept."""
    canonical = {
        RENAMED.get(name, name): value for name, value in context.items() if name not in OMITTED and value is not None
    }
    page, library, screen = mapping(context, "page"), context.get("library"), mapping(context, "screen")
    canonical |= {name: page[key] for key, name in PAGE.items() if isinstance(page.get(key), str)}
    if isinstance(library, Mapping):
        names = {"library": library.get("name"), "library_version": library.get("version")}
        canonical |= {name: str(value) for name, value in names.items() if value}
    elif isinstance(library, str):
        canonical["library"] = library
    if screen.get("width") and screen.get("height"):
        canonical["screen"] = f"{screen['width']}x{screen['height']}"
    return canonical


def device_id(context: Mapping[str, Any]) -> Any:
    return mapping(context, "device").get("id")


def follows_metarouter(key: ApiKey) -> bool:
    """Whether MetaRouter's document applies to the messages of a key where it differs from RudderStack's."""
    return key.dialect != Dialect.RUDDERSTACK
