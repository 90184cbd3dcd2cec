"""The restrictions of a key to events, origins and addresses. Checked for every request, without a query.

A restriction limits what a copied key can be used for. It does not make a public key secret: a browser states its
origin truthfully, any other program can state any origin.
"""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from audience.intake.messages.message import Message, Violation
from audience.intake.requests.caller import is_in_networks, read_network
from audience.intake.requests.host_names import AMBIGUOUS, DEVIATIONS
from audience.models import ApiKey, Kind

EVENT_NOT_ALLOWED = Violation("", "EVENT_NOT_ALLOWED", "this key is not allowed to send events of this name")
ORIGIN_NOT_ALLOWED = Violation("", "ORIGIN_NOT_ALLOWED", "this key is not allowed to be used from this origin")
ADDRESS_NOT_ALLOWED = Violation("", "ADDRESS_NOT_ALLOWED", "this key is not allowed to be used from this IP address")
SUPPRESSED = Violation("", "SUPPRESSED", "the player was erased, and events of this player are refused")
KEY_ENDED = Violation("", "KEY_ENDED", "this key is past its end")
WILDCARD = "*."
HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]")
DEFAULT_PORTS = {"http": 80, "https": 443}


def caller_violation(key: ApiKey, *, origin: str, address: str) -> Violation | None:
    """Why `key` may not be used from this origin and address; None when it may. A missing value is never allowed."""
    if key.allowed_addresses and not is_in_networks(address, tuple(key.allowed_addresses)):
        return ADDRESS_NOT_ALLOWED
    return None if allows_origin(key, origin) else ORIGIN_NOT_ALLOWED


def allows_origin(key: ApiKey, origin: str) -> bool:
    """Whether `key` may be used from this origin. A key without origins allows all."""
    return not key.allowed_origins or any(_matches(origin, allowed) for allowed in key.allowed_origins)


def event_violation(key: ApiKey, message: Message) -> Violation | None:
    """Why `key` may not send this message; None when it may. Applies to track events: others cause no conversions."""
    if key.allowed_events and message.kind == Kind.TRACK and message.name not in key.allowed_events:
        return EVENT_NOT_ALLOWED
    return None


def _matches(origin: str, allowed: str) -> bool:
    """Whether scheme, host and port are equal. `*.` in `allowed` matches one or more subdomains."""
    scheme, _, host = allowed.partition("://")
    if not host.startswith(WILDCARD):
        return origin == allowed
    origin_scheme, _, origin_host = origin.partition("://")
    return origin_scheme == scheme and origin_host.endswith(host[1:]) and len(origin_host) > len(host[1:])


def parse_origin(text: str) -> str:
    """An origin as browsers write it. Raises ValueError with a message for the form.

    In lower case, without the default port of the scheme, with international names in their ASCII form.
    """
    if DEVIATIONS.search(text):
        raise ValueError(f"“{text}” is ambiguous. {AMBIGUOUS}")
    message = f"“{text}” is not an origin. Write the scheme, the host and any port, such as https://game.example."
    try:
        parts = urlsplit(text.strip())
        host, port = (parts.hostname or "").removeprefix(WILDCARD), parts.port
        wildcard = WILDCARD if (parts.hostname or "").startswith(WILDCARD) else ""
        ascii_host = f"[{ip_address(host)}]" if ":" in host else host.encode("idna").decode()
    except (ValueError, UnicodeError):
        raise ValueError(message) from None
    has_more = parts.path.rstrip("/") or parts.query or parts.fragment or parts.username is not None
    if parts.scheme not in DEFAULT_PORTS or has_more or not HOST.fullmatch(ascii_host):
        raise ValueError(message)
    if wildcard and "." not in host:
        raise ValueError(f"“{text}” would allow every site of a top-level domain.")
    suffix = f":{port}" if port is not None and port != DEFAULT_PORTS[parts.scheme] else ""
    return f"{parts.scheme}://{wildcard}{ascii_host}{suffix}"


def parse_network(text: str) -> str:
    """An address or a CIDR range in its canonical form. Raises ValueError with a message for the form."""
    try:
        network = read_network(text.strip())
    except ValueError as error:
        hint = " The part after the prefix must be zero." if "host bits" in str(error) else ""
        raise ValueError(f"“{text}” is not an IP address or a range such as 192.0.2.0/24.{hint}") from None
    return str(network.network_address) if network.num_addresses == 1 else str(network)
