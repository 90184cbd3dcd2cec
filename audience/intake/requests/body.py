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
# zlib's window bits with a gzip header, a zlib header, and none (RFC 1952, 1950, 1951).
GZIP, ZLIB, RAW = 16 + 15, 15, -15
GZIP_MAGIC = b"\x1f\x8b"
# Bytes unpacked at once: what is behind a gzip member is copied for each of them.
CHUNK = 64 * 1024
# Clients write one, or two where they append; an empty one is 20 bytes.
MAX_MEMBERS = 1000
UTF_8_BOM = b"\xef\xbb\xbf"
OTHER_BOMS = (b"\xff\xfe", b"\xfe\xff")


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
    if encoding in {"gzip", "x-gzip", "deflate"}:
        return _unpack(body, encoding, limit)
    if encoding not in {"", "identity"}:
        raise Malformed(f"Content-Encoding {encoding[:20]!r} is not supported: use gzip, deflate or none.")
    return body


def _window_bits(body: bytes, encoding: str) -> int:
    """Which of the three formats it is, told by its first bytes; some clients of `deflate` send no header (.NET)."""
    if body.startswith(GZIP_MAGIC):
        return GZIP
    has_zlib_header = len(body) > 1 and body[0] & 15 == 8 and int.from_bytes(body[:2], "big") % 31 == 0
    return ZLIB if has_zlib_header or encoding != "deflate" else RAW


def _unpack(body: bytes, encoding: str, limit: int) -> bytes:
    """All members of a gzip body (RFC 1952, section 2.2), or the one stream of another; nothing may follow it."""
    name, window_bits = encoding.removeprefix("x-"), _window_bits(body, encoding)
    plain, members = bytearray(), 1
    unpacker = zlib.decompressobj(window_bits)
    for start in range(0, len(body), CHUNK):
        piece = body[start : start + CHUNK]
        while piece:
            if unpacker.eof:
                members += 1
                if window_bits != GZIP or members > MAX_MEMBERS:
                    raise Malformed(f"There are bytes behind the end of the {name} body.")
                unpacker = zlib.decompressobj(GZIP)
            try:
                plain += unpacker.decompress(piece, limit + 1 - len(plain))
            except zlib.error:
                raise Malformed(f"The body is not valid {name}.") from None
            if len(plain) > limit:
                raise TooLarge
            piece = unpacker.unused_data
    if not unpacker.eof:
        raise Malformed(f"The {name} body is incomplete.")
    return bytes(plain)


def decode(body: bytes) -> Any:
    """JSON to Python values without NUL characters or lone surrogates, which PostgreSQL cannot hold: each
    becomes a replacement character. A byte order mark of UTF-8 is skipped (RFC 8259, section 8.1). Raises `Malformed`
    with a sentence."""
    if body.startswith(OTHER_BOMS):
        raise Malformed("The body is not valid JSON: it is UTF-16 or UTF-32, and has to be UTF-8.")
    body = body.removeprefix(UTF_8_BOM)
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
