"""The pages of a studio to which a sign-in on the claim page may return: a list, so that it redirects nowhere else."""

import re
from collections.abc import Collection, Iterable
from urllib.parse import SplitResult, urlencode, urlsplit

from audience.models.games import MAX_RETURN_ADDRESS_LENGTH

MAX_ADDRESSES = 20
MAX_LENGTH = 2000  # of an address with its query
# Browsers read a backslash as a slash, and leave out tabs and line breaks.
PLAIN = re.compile(r"[!-\[\]-~]+")
LOCAL_HOSTS = {"127.0.0.1", "localhost", "::1"}


def cleaned(texts: Iterable[str]) -> list[str]:
    """Return the addresses in the form in which they are compared, without repetitions.

    Raises ValueError, with a sentence that names the address.
    """
    found = list(dict.fromkeys(cleaned_address(text.strip()) for text in texts if text.strip()))
    if len(found) > MAX_ADDRESSES:
        raise ValueError(f"At most {MAX_ADDRESSES} return addresses are possible.")
    return found


def is_allowed(address: str, allowed: Collection[str]) -> bool:
    """Whether an address, which may have a query, is one of the list: scheme, host, port and path are equal."""
    parts = _parts(address)
    return parts is not None and len(address) <= MAX_LENGTH and _base(parts) in allowed


def with_result(address: str, **result: str) -> str:
    """Return the address with these parameters added to its query."""
    parts = urlsplit(address)
    query = "&".join(filter(None, [parts.query, urlencode(result)]))
    return parts._replace(query=query).geturl()


def cleaned_address(text: str) -> str:
    """Return an address of the list. Raises ValueError, with a sentence."""
    parts = _parts(text)
    if parts is None or parts.query or len(text) > MAX_RETURN_ADDRESS_LENGTH:
        raise ValueError(f"“{text[:80]}” is not a return address. Use https://, a host and a path, without a query.")
    if parts.scheme != "https" and parts.hostname not in LOCAL_HOSTS:
        raise ValueError(
            f"“{text[:80]}” must start with https://. Only an address of your own machine may use http://."
        )
    return _base(parts)


def _parts(text: str) -> SplitResult | None:
    """Return the parts of a plain http or https address; None for anything else."""
    if not PLAIN.fullmatch(text):
        return None
    try:
        parts = urlsplit(text)
        is_plain = parts.port != 0 and "@" not in parts.netloc and not parts.fragment
    except ValueError:
        return None
    return parts if is_plain and parts.scheme in ("http", "https") and parts.hostname else None


def _base(parts: SplitResult) -> str:
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path or '/'}"
