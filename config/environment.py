"""Reads and checks the variables of .env.example for config/settings.py.

A bad or missing value ends the process at start with one line on stderr and exit code 1.
"""

import sys
from collections.abc import Iterable
from email.utils import parseaddr
from ipaddress import ip_network
from typing import Any, NoReturn
from urllib.parse import urlsplit

import environ
from cryptography.fernet import Fernet
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from postbacks.networks.interface.network import Network

# Django's deploy check security.W009 warns of shorter keys.
SECRET_KEY_LENGTH = 50

_env = environ.Env()


def _stop(name: str, problem: str) -> NoReturn:
    sys.exit(f"Afterclick cannot start: {name} {problem} (see .env.example).")


def text(name: str, default: str = "") -> str:
    """Return the value without spaces around it; an empty variable counts as unset."""
    return str(_env.str(name, default="")).strip() or default


def items(name: str) -> list[str]:
    """Return the comma-separated values, without empty ones."""
    return [item.strip() for item in text(name).split(",") if item.strip()]


def hosts(name: str) -> frozenset[str]:
    """Return the comma-separated host names in lower case."""
    return frozenset(item.lower() for item in items(name))


def flag(name: str) -> bool:
    value = text(name, "0").lower()
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    return _stop(name, f"must be true or false, not {value!r}")


def json_logs() -> bool:
    """LOG_FORMAT; unset, text with DEBUG or on a terminal, else JSON."""
    value = text("LOG_FORMAT").lower()
    if value not in {"", "json", "text"}:
        _stop("LOG_FORMAT", f"must be json or text, not {value!r}")
    return value == "json" if value else not (flag("DEBUG") or sys.stderr.isatty())


def port() -> int:
    value = text("PORT", "8000")
    if not value.isdigit() or not 0 < int(value) < 65536:
        _stop("PORT", f"must be a port number from 1 to 65535, not {value!r}")
    return int(value)


def url(name: str, default: str = "", *, schemes: tuple[str, ...] = ("http", "https")) -> str:
    """Return the URL without a slash at its end."""
    value = text(name, default) or _stop(name, "is not set")
    try:
        parts = urlsplit(value)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in schemes or not (parts.netloc or parts.path):
        _stop(name, f"must be a URL that starts with {' or '.join(f'{s}://' for s in schemes)}")
    return value.rstrip("/")


def token_urls(networks: Iterable[Network]) -> dict[str, str]:
    """Return the address that issues access tokens by kind of network, for those that have one."""
    issuing = [network for network in networks if network.default_token_url]
    return {network.kind: url(network.token_url_variable, network.default_token_url) for network in issuing}


def network_rate(network: Network) -> float:
    name = network.rate_variable
    value = text(name) or network.default_rate
    try:
        rate = float(value)
    except ValueError:
        rate = 0.0
    return rate if 0.1 <= rate <= 10_000 else _stop(name, f"must be 0.1 to 10000 requests a second, not {value!r}")


def trusted_proxies() -> list[str]:
    proxies = items("TRUSTED_PROXIES")
    for value in proxies:
        try:
            ip_network(value)
        except ValueError:
            _stop("TRUSTED_PROXIES", f"must be addresses or networks such as 10.0.0.0/8, not {value!r}")
    return proxies


def email() -> dict[str, Any]:
    """Django's EMAIL_* settings from EMAIL_URL; unset, mail is written to the worker's output."""
    try:
        config = _env.email_url_config(text("EMAIL_URL", "consolemail://"))
    except (ValueError, environ.ImproperlyConfigured):
        _stop("EMAIL_URL", "cannot be read: expected smtp+tls://user:password@host:587, smtp+ssl://… or smtp://…")
    if "smtp" in config["EMAIL_BACKEND"] and not config["EMAIL_HOST"]:
        _stop("EMAIL_URL", "has no mail server: expected smtp+tls://user:password@host:587")
    settings = {name: value for name, value in config.items() if name.startswith("EMAIL_") and value is not None}
    # In seconds; shorter than the lease of a message (postbacks/monitoring/alerts/notices.py).
    return {**settings, "EMAIL_TIMEOUT": 10}


def from_email() -> str:
    value = text("DEFAULT_FROM_EMAIL", "Afterclick <afterclick@localhost>")
    if "@" not in parseaddr(value)[1] or "\n" in value:
        _stop("DEFAULT_FROM_EMAIL", f"must be an email address, such as Afterclick <alerts@example.com>, not {value!r}")
    return value


def operators_email() -> list[str]:
    addresses = items("OPERATORS_EMAIL")
    for value in addresses:
        try:
            validate_email(value)
        except ValidationError:
            _stop("OPERATORS_EMAIL", f"must be email addresses, comma-separated, not {value!r}")
    return list(dict.fromkeys(addresses))


def database() -> dict[str, Any]:
    """Return an entry of Django's DATABASES."""
    value = url("DATABASE_URL", schemes=("postgres", "postgresql"))
    try:
        return dict(_env.db_url_config(value))
    except (ValueError, environ.ImproperlyConfigured):
        return _stop("DATABASE_URL", "cannot be read: expected postgres://user:password@host:port/name")


def secret_key() -> str:
    key = text("SECRET_KEY") or _stop("SECRET_KEY", "is not set")
    if len(key) < SECRET_KEY_LENGTH:
        _stop("SECRET_KEY", f"must have at least {SECRET_KEY_LENGTH} characters")
    return key


def secret_key_fallbacks() -> list[str]:
    keys = items("SECRET_KEY_FALLBACKS")
    for position, key in enumerate(keys, 1):
        if len(key) < SECRET_KEY_LENGTH:
            problem = f"has a key of fewer than {SECRET_KEY_LENGTH} characters at position {position}"
            _stop("SECRET_KEY_FALLBACKS", problem)
    return keys


def audit_log_kept_days() -> int | None:
    """Return whole days; None for no limit."""
    value = text("AUDIT_LOG_KEPT_DAYS")
    if not value:
        return None
    if not (value.isascii() and value.isdigit() and 1 <= int(value) <= 36_500):
        _stop("AUDIT_LOG_KEPT_DAYS", f"must be a number of days from 1 to 36500, or empty for no limit, not {value!r}")
    return int(value)


def requests_per_minute() -> int:
    """API_REQUESTS_PER_MINUTE: how many requests to the management API a token may send; 600 by default."""
    return _number("API_REQUESTS_PER_MINUTE", "600", lowest=1)


def link_clicks_per_minute() -> int:
    """LINK_CLICKS_PER_MINUTE: how many clicks of one address a web process stores; 120 by default, 0 for no limit."""
    return _number("LINK_CLICKS_PER_MINUTE", "120", lowest=0)


def _number(name: str, default: str, *, lowest: int) -> int:
    value = text(name, default)
    if not (value.isascii() and value.isdecimal() and lowest <= int(value) <= 1_000_000):
        _stop(name, f"{value!r} is not a number from {lowest} to 1000000.")
    return int(value)


def credential_keys() -> tuple[str, ...]:
    keys = items("CREDENTIAL_KEYS") or _stop("CREDENTIAL_KEYS", "is not set")
    for position, key in enumerate(keys, 1):
        try:
            Fernet(key)
        except ValueError:
            _stop("CREDENTIAL_KEYS", f"has no Fernet key at position {position}: 32 bytes in url-safe base64")
    return tuple(keys)
