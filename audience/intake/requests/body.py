"""Decodes the body of a request to plain Python values that PostgreSQL can store; common to all dialects."""

import json
import math
import re
import zlib
from decimal import Decimal
from typing import Any

import orjson
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, UnreadablePostError

from audience.ids.values import FIRST_INEXACT

# No SDK nests deeper, and JSON serializers have limits.
MAX_NESTING = 64
# `\u0000` after an even number of backslashes; after an odd number it is an escaped backslash and "u0000".
ESCAPED_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
# zlib's window bits with a gzip header, a zlib header, and none (RFC 1952, 1950, 1951).
GZIP, ZLIB, RAW = 16 + 15, 15, -15
GZIP_MAGIC = b"\x1f\x8b"
# Bytes decompressed at once: zlib copies what follows a gzip member each time.
CHUNK_BYTES = 64 * 1024
# The maximum number of members of a gzip body. Clients write one, or two when they append; an empty one has 20 bytes.
MAX_MEMBERS = 1000
SURROGATE = re.compile("[\ud800-\udfff]")
MAX_DIGITS = 18  # of an integer that surely fits 64 bits
# How often an object may have been encoded as JSON before it is in a body.
MAX_ENCODINGS = 3
# Values of `members`: the body itself is the list of messages; any JSON with NaN is read.
WHOLE, ANYTHING = "", "*"
UTF_8_BOM = b"\xef\xbb\xbf"
OTHER_BOMS = (b"\xff\xfe", b"\xfe\xff")


class TooLarge(Exception):
    """The body is larger than the limit of the route, before or after decompression."""


class Malformed(Exception):
    """The body does not have the stated format. The text of the error is for the client."""


def read(request: HttpRequest, *, limit: int) -> bytes:
    """The decompressed body, at most `limit` bytes. Raises `TooLarge` and `Malformed`; decompression stops at the
    limit.

    Content-Type is ignored: clients send JSON as text/plain and as a form.
    """
    try:
        if sent_size(request) > limit:
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
        return _decompress(body, encoding, limit)
    if encoding not in {"", "identity"}:
        raise Malformed(f"Content-Encoding {encoding[:20]!r} is not supported: use gzip, deflate or none.")
    return body


def sent_size(request: HttpRequest) -> int:
    """The number of bytes of the body as it was sent; of a body that is too large, as its header states it."""
    stated = str(request.META.get("CONTENT_LENGTH") or "")
    if not stated.isdecimal():
        return 0
    return int(stated) if len(stated) <= MAX_DIGITS else 10**MAX_DIGITS


def _window_bits(body: bytes, encoding: str) -> int:
    """The window bits for the format that the first bytes show: some clients (.NET) send `deflate` without a header."""
    if body.startswith(GZIP_MAGIC):
        return GZIP
    has_zlib_header = len(body) > 1 and body[0] & 15 == 8 and int.from_bytes(body[:2], "big") % 31 == 0
    return ZLIB if has_zlib_header or encoding != "deflate" else RAW


def _decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """Decompress all members of a gzip body (RFC 1952, section 2.2), or the single stream of another format."""
    name, window_bits = encoding.removeprefix("x-"), _window_bits(body, encoding)
    plain, members = bytearray(), 1
    decompressor = zlib.decompressobj(window_bits)
    for start in range(0, len(body), CHUNK_BYTES):
        chunk = body[start : start + CHUNK_BYTES]
        while chunk:
            if decompressor.eof:
                members += 1
                if window_bits != GZIP or members > MAX_MEMBERS:
                    raise Malformed(f"There are bytes after the end of the {name} body.")
                decompressor = zlib.decompressobj(GZIP)
            try:
                plain += decompressor.decompress(chunk, limit + 1 - len(plain))
            except zlib.error:
                raise Malformed(f"The body is not valid {name}.") from None
            if len(plain) > limit:
                raise TooLarge
            chunk = decompressor.unused_data
    if not decompressor.eof:
        raise Malformed(f"The {name} body is incomplete.")
    return bytes(plain)


def decode(body: bytes, *, keep_digits: bool = False, members: str | None = None) -> Any:
    """Parse JSON. Raises `Malformed`.

    NaN and Infinity, which Python and Godot write, are not JSON. With `members`, the name of the body's list of
    messages, or WHOLE if the body is that list, they become null, so that one of them does not lose all other messages
    of the batch.

    NUL characters and lone surrogates, which PostgreSQL cannot store, become replacement characters. A byte order mark
    of UTF-8 is skipped (RFC 8259, section 8.1). An integer of more than 64 bits becomes a float; with `keep_digits`,
    which is slower, it becomes the text of its digits.
    """
    if body.startswith(OTHER_BOMS):
        raise Malformed("The body is not valid JSON: it is UTF-16 or UTF-32 and must be UTF-8.")
    body = body.removeprefix(UTF_8_BOM)
    if b"\\u0000" in body:
        body = ESCAPED_NUL.sub(rb"\1\\ufffd", body)
    try:
        value = orjson.loads(body) if not keep_digits else _decode_leniently(body, "", members)
    except orjson.JSONDecodeError as error:
        value = _decode_leniently(body, str(error), members)
    if is_nested_deeper(body, value):
        raise Malformed(f"The JSON is nested deeper than {MAX_NESTING} levels.")
    return value


def is_nested_deeper(body: bytes, value: Any) -> bool:
    """Whether the value of a JSON body has more than MAX_NESTING levels."""
    # JSON with fewer brackets than levels is not nested too deeply.
    return body.count(b"{") + body.count(b"[") > MAX_NESTING and _is_deeper_than(value, MAX_NESTING)


def read_object(text: str) -> dict[str, Any]:
    """The object that a string contains as JSON, also encoded as a string again; {} when it contains anything else.

    NaN and Infinity become null: what else the object states is not lost with them.
    """
    value: Any = text
    for _ in range(MAX_ENCODINGS):
        if not value.lstrip().startswith(("{", '"')):
            return {}
        try:
            [value] = decode(b"[%s]" % value.encode("utf-8", "replace"), members=ANYTHING)
        except (Malformed, ValueError):
            return {}
        if not isinstance(value, str):
            break
    return value if isinstance(value, dict) else {}


def replace_nul(text: str) -> str:
    """A text that is not from a JSON body, such as a query parameter, with NUL characters replaced as in `decode`."""
    return text.replace("\x00", "\ufffd")


def _decode_leniently(body: bytes, error: str, members: str | None) -> Any:
    """Parse JSON that orjson refuses or rounds: with large numbers, with lone surrogates such as `\ud83d`, which
    browsers send when they cut a string within an emoji, or with NaN in a batch."""
    constants: list[str] = []
    try:
        text = body.decode("utf-8", "replace")
        value = json.loads(
            text, parse_constant=constants.append, parse_int=_number_or_digits, parse_float=_number_or_digits
        )
        if constants and not _has_objects(value, members):
            raise ValueError
        canonical = json.dumps(value, allow_nan=False, ensure_ascii=False)
        return orjson.loads(SURROGATE.sub("\ufffd", canonical))
    except (ValueError, RecursionError):
        reason = f"it contains {constants[0]}" if constants else error
        raise Malformed(f"The body is not valid JSON: {reason}.") from None


def _has_objects(value: Any, members: str | None) -> bool:
    """Whether the value has the list of objects that `members` names (see `decode`)."""
    if members == ANYTHING:
        return True
    listed = value.get(members) if isinstance(value, dict) else value if members == WHOLE else None
    return isinstance(listed, list) and all(isinstance(member, dict) for member in listed)


def _number_or_digits(text: str) -> float | str:
    """A number, or the text of its digits if a float or 64 bits would lose some. ValueError beyond float."""
    number = float(text)
    if math.isinf(number):
        raise ValueError("The number is outside the range of a float.")
    if text.lstrip("-").isdecimal():
        return int(text) if len(text) <= MAX_DIGITS else text
    return number if abs(number) < FIRST_INEXACT else str(int(Decimal(text)))


def _is_deeper_than(value: Any, levels: int) -> bool:
    """Iterates by level: a recursive call for each value takes over a second for the million of `[],` in 4 MB."""
    level = [value] if isinstance(value, dict | list) else []
    while level and levels:
        children = (container.values() if isinstance(container, dict) else container for container in level)
        level = [child for values in children for child in values if isinstance(child, dict | list)]
        levels -= 1
    return bool(level)
