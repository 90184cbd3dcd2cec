"""The script of the web pixel: its content, its address with a hash of the content, and its integrity value.

Comments, indentation and spaces are removed here, not by a library: an upgrade of a minifier would change the hash, and
browsers would then refuse the script on every page that states the earlier integrity value. Scripts of earlier releases
are kept in static/pixel/earlier/ for the same reason.
"""

import gzip
import hashlib
import re
from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.conf import settings

FOLDER: Path = settings.BASE_DIR / "static" / "pixel"
SOURCE = FOLDER / "site.js"
EARLIER = FOLDER / "earlier"
HASH_LENGTH = 16
BLOCK_COMMENT = re.compile(r"/\*\*.*?\*/", re.DOTALL)
LINE_COMMENT = re.compile(r"(^|\s)// .*$")
# Spaces of the source's formatting that may be left out. No text in the source has these sequences.
SPACES = (
    (re.compile(r" (=>|[=!]==|[=?:<>*/+-]|&&|\|\||<<|[+>]=) "), r"\1"),
    (re.compile(r" =>\n"), "=>"),
    (re.compile(r'(?<=[\w\])}"/]), '), ","),
    (re.compile(r'(?<=[\w"]): '), ":"),
    (re.compile(r'\{ (?=["\w.])'), "{"),
    (re.compile(r'(?<=[\w\])}"]) \}'), "}"),
    (re.compile(r"\b(if|for|catch|try|return) (?=[({])"), r"\1"),
    # Texts that are joined only because of the length of a line.
    (re.compile(r'" \+\n"'), ""),
    (re.compile(r"(?<![\w.])\((\w+)\)=>"), r"\1=>"),
    (re.compile(r"(\)|=>|\}) (?=[{a-z])"), r"\1"),
    (re.compile(r"(?<=[{(,\[])\n|,?\n(?=[})\]])"), ""),
)


@dataclass(frozen=True, slots=True)
class Script:
    """`name` is the first half of the file name, a part of the SHA-256 in hex; `integrity` a value for SRI."""

    name: str
    content: bytes
    compressed: bytes
    integrity: str

    @property
    def path(self) -> str:
        """The path below the address of this server, or below the proxied path."""
        return f"/s/{self.name}.js"


@cache
def current() -> Script:
    """Return the script of this release. Read once per process."""
    return _script(minified(SOURCE.read_text(encoding="utf-8")).encode())


@cache
def by_name() -> dict[str, Script]:
    """Return the scripts of this release and of earlier ones, by name."""
    return {script.name: script for script in (*scripts_in(EARLIER), current())}


def scripts_in(folder: Path) -> list[Script]:
    """Return the scripts of a folder as they are."""
    return [_script(path.read_bytes()) for path in sorted(folder.glob("*.js"))]


def minified(source: str) -> str:
    """Return the source without comments, indentation, blank lines and most spaces."""
    lines = (LINE_COMMENT.sub("", line).strip() for line in BLOCK_COMMENT.sub("", source).splitlines())
    text = "\n".join(filter(None, lines))
    for pattern, replacement in SPACES:
        text = pattern.sub(replacement, text)
    return text


def _script(content: bytes) -> Script:
    return Script(
        name=hashlib.sha256(content).hexdigest()[:HASH_LENGTH],
        content=content,
        compressed=gzip.compress(content, 9, mtime=0),
        integrity=f"sha384-{b64encode(hashlib.sha384(content).digest()).decode()}",
    )
