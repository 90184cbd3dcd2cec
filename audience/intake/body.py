"""From the bytes of a request to plain Python values that PostgreSQL can hold; the same for every dialect."""

import json
import re
import zlib
from typing import Any

import orjson
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, UnreadablePostError

# Deeper nesting is a mistake or an attack: no SDK sends it, and serializers fail on it further in.
DEEPEST = 64
# `\u0000` behind an even run of backslashes: behind an odd one it is a backslash and the word u0000.
ESCAPED_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
# zlib window bits: 15, plus 32 to take a gzip or a zlib header, whichever comes.
ANY_HEADER = 15 + 32


class TooLarge(Exception):
    """The body, or what it unpacks to, is larger than the route takes."""


class Malformed(Exception):
    """The body is not what it says it is; the text is a sentence for the sender."""


def read(request: HttpRequest, *, limit: int) -> bytes:
    """The decoded body, at most `limit` bytes; unpacking a bomb stops there too.

    Content-Type is not looked at: real clients send JSON as text/plain and as a form.
    """
    try:
        if int(request.META.get("CONTENT_LENGTH") or 0) > limit:
            raise TooLarge
        body = request.body
        if len(body) > limit:
            raise TooLarge
    except RequestDataTooBig:
        raise TooLarge from None
    except UnreadablePostError:
        raise Malformed("The request ended before its body was complete.") from None
    encoding = request.META.get("HTTP_CONTENT_ENCODING", "identity").strip().lower()
    if encoding in {"gzip", "deflate"}:
        return _unpack(body, limit)
    if encoding not in {"", "identity"}:
        raise Malformed(f"Content-Encoding {encoding[:20]!r} is not supported: use gzip, deflate or none.")
    return body


def _unpack(body: bytes, limit: int) -> bytes:
    unpacker = zlib.decompressobj(ANY_HEADER)
    try:
        plain = unpacker.decompress(body, limit + 1)
    except zlib.error:
        raise Malformed("The body is not valid gzip.") from None
    if len(plain) > limit:
        raise TooLarge
    if not unpacker.eof:
        raise Malformed("The gzip body is incomplete.")
    return plain


def decode(body: bytes) -> Any:
    """JSON to Python values without NUL characters or lone surrogates, which PostgreSQL cannot hold: each
    becomes a replacement character. Raises `Malformed` with a sentence."""
    if b"\\u0000" in body:
        body = ESCAPED_NUL.sub(rb"\1\\ufffd", body)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        value = _decode_leniently(body, str(error))
    # Fewer brackets than levels cannot be too deep.
    if body.count(b"{") + body.count(b"[") > DEEPEST and _deeper_than(value, DEEPEST):
        raise Malformed(f"The JSON is nested deeper than {DEEPEST} levels.")
    return value


def storable(text: str) -> str:
    """A text that came outside JSON, as in a query: what `decode` makes of the same text inside it."""
    return text.replace("\x00", "\ufffd")


def _decode_leniently(body: bytes, complaint: str) -> Any:
    """The second try: browsers cut strings in mid-emoji and send the half as `\\ud83d`, which orjson refuses."""
    try:
        value = json.loads(body.decode("utf-8", "replace"), parse_constant=_refuse_constant)
        return orjson.loads(json.dumps(value, allow_nan=False, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise Malformed(f"The body is not valid JSON: {complaint}.") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _deeper_than(value: Any, levels: int) -> bool:
    """Level by level: a call per value takes over a second for the million of `[],` that fit into 4 MB."""
    level = [value] if isinstance(value, dict | list) else []
    while level and levels:
        inside = (holder.values() if isinstance(holder, dict) else holder for holder in level)
        level = [v for values in inside for v in values if isinstance(v, dict | list)]
        levels -= 1
    return bool(level)
