"""Reads and checks the environment once: every variable of .env.example, as typed values.

A bad or missing value ends the process at start with one line on stderr and exit code 1.
"""

import sys
from dataclasses import dataclass
from email.utils import parseaddr
from ipaddress import ip_network
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import environ
from cryptography.fernet import Fernet
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from postbacks.networks import NETWORKS
from postbacks.networks.interface.network import Network

# Below this, Django's own deploy check (security.W009) calls the key guessable.
SECRET_KEY_LENGTH = 50

_env = environ.Env()


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The settings of the operator, typed. `database` is a Django DATABASES entry; the networks' are by kind."""

    debug: bool
    secret_key: str
    secret_key_fallbacks: list[str]
    credential_keys: tuple[str, ...]
    database: dict[str, Any]
    redis_url: str
    allowed_hosts: list[str]
    public_url: str
    network_urls: dict[str, str]
    network_rates: dict[str, float]
    metrics_token: str
    trusted_proxies: list[str]
    json_logs: bool
    email: dict[str, Any]
    from_email: str
    operators_email: list[str]
    alert_private_hosts: frozenset[str]
    require_mfa_for_admins: bool
    audit_log_kept_days: int | None


def read(base_dir: Path) -> Environment:
    """Read the process environment (and `.env` beside manage.py, which never overrides it)."""
    environ.Env.read_env(base_dir / ".env")
    return Environment(
        debug=_flag("DEBUG"),
        secret_key=_secret_key(),
        secret_key_fallbacks=_secret_key_fallbacks(),
        credential_keys=_credential_keys(),
        database=_database(),
        redis_url=_url("REDIS_URL", "", ("redis", "rediss", "unix")),
        allowed_hosts=_items("ALLOWED_HOSTS") or ["127.0.0.1", "localhost", "[::1]"],
        public_url=_url("PUBLIC_URL", f"http://127.0.0.1:{_port()}", ("http", "https")).rstrip("/"),
        network_urls={
            kind: _url(network.url_variable, network.default_url, ("http", "https")).rstrip("/")
            for kind, network in NETWORKS.items()
        },
        network_rates={kind: _network_rate(network) for kind, network in NETWORKS.items()},
        metrics_token=_text("METRICS_TOKEN"),
        trusted_proxies=_proxies(),
        json_logs=_json_logs(),
        email=_email(),
        from_email=_from_email(),
        operators_email=_operators_email(),
        alert_private_hosts=frozenset(host.lower() for host in _items("ALERT_PRIVATE_HOSTS")),
        require_mfa_for_admins=_flag("REQUIRE_MFA_FOR_ADMINS"),
        audit_log_kept_days=_kept_days("AUDIT_LOG_KEPT_DAYS"),
    )


def _stop(name: str, problem: str) -> NoReturn:
    sys.exit(f"Afterclick cannot start: {name} {problem} (see .env.example).")


def _text(name: str, default: str = "") -> str:
    """Return the value without spaces around it; an empty variable counts as unset."""
    return str(_env.str(name, default="")).strip() or default


def _items(name: str) -> list[str]:
    """Return the comma-separated values, without empty ones."""
    return [item.strip() for item in _text(name).split(",") if item.strip()]


def _flag(name: str) -> bool:
    value = _text(name, "0").lower()
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    return _stop(name, f"must be true or false, not {value!r}")


def _json_logs() -> bool:
    """LOG_FORMAT; unset, text with DEBUG or on a terminal, else JSON."""
    value = _text("LOG_FORMAT").lower()
    if value not in {"", "json", "text"}:
        _stop("LOG_FORMAT", f"must be json or text, not {value!r}")
    return value == "json" if value else not (_flag("DEBUG") or sys.stderr.isatty())


def _port() -> int:
    value = _text("PORT", "8000")
    if not value.isdigit() or not 0 < int(value) < 65536:
        _stop("PORT", f"must be a port number from 1 to 65535, not {value!r}")
    return int(value)


def _network_rate(network: Network) -> float:
    name = network.rate_variable
    value = _text(name) or network.default_rate
    try:
        rate = float(value)
    except ValueError:
        rate = 0.0
    return rate if 0.1 <= rate <= 10_000 else _stop(name, f"must be 0.1 to 10000 requests a second, not {value!r}")


def _url(name: str, default: str, schemes: tuple[str, ...]) -> str:
    value = _text(name, default) or _stop(name, "is not set")
    try:
        parts = urlsplit(value)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in schemes or not (parts.netloc or parts.path):
        _stop(name, f"must be a URL that starts with {' or '.join(f'{s}://' for s in schemes)}")
    return value


def _proxies() -> list[str]:
    found = _items("TRUSTED_PROXIES")
    for value in found:
        try:
            ip_network(value)
        except ValueError:
            _stop("TRUSTED_PROXIES", f"must be addresses or networks such as 10.0.0.0/8, not {value!r}")
    return found


def _email() -> dict[str, Any]:
    """Django's EMAIL_* settings from EMAIL_URL; unset, mail is written to the worker's output."""
    try:
        found = _env.email_url_config(_text("EMAIL_URL", "consolemail://"))
    except (ValueError, environ.ImproperlyConfigured):
        _stop("EMAIL_URL", "cannot be read: expected smtp+tls://user:password@host:587, smtp+ssl://… or smtp://…")
    if "smtp" in found["EMAIL_BACKEND"] and not found["EMAIL_HOST"]:
        _stop("EMAIL_URL", "names no mail server: expected smtp+tls://user:password@host:587")
    known = {name: value for name, value in found.items() if name.startswith("EMAIL_") and value is not None}
    # Longer than any mail server needs to greet; postbacks/monitoring/alerts/notices.py leases a message for longer.
    return {**known, "EMAIL_TIMEOUT": 10}


def _from_email() -> str:
    value = _text("DEFAULT_FROM_EMAIL", "Afterclick <afterclick@localhost>")
    if "@" not in parseaddr(value)[1] or "\n" in value:
        _stop("DEFAULT_FROM_EMAIL", f"must be an email address, such as Afterclick <alerts@example.com>, not {value!r}")
    return value


def _operators_email() -> list[str]:
    found = _items("OPERATORS_EMAIL")
    for value in found:
        try:
            validate_email(value)
        except ValidationError:
            _stop("OPERATORS_EMAIL", f"must be email addresses, comma-separated, not {value!r}")
    return list(dict.fromkeys(found))


def _database() -> dict[str, Any]:
    url = _url("DATABASE_URL", "", ("postgres", "postgresql"))
    try:
        return dict(_env.db_url_config(url))
    except (ValueError, environ.ImproperlyConfigured):
        return _stop("DATABASE_URL", "cannot be read: expected postgres://user:password@host:port/name")


def _secret_key() -> str:
    key = _text("SECRET_KEY") or _stop("SECRET_KEY", "is not set")
    if len(key) < SECRET_KEY_LENGTH:
        _stop("SECRET_KEY", f"must have at least {SECRET_KEY_LENGTH} characters")
    return key


def _secret_key_fallbacks() -> list[str]:
    keys = _items("SECRET_KEY_FALLBACKS")
    for position, key in enumerate(keys, 1):
        if len(key) < SECRET_KEY_LENGTH:
            _stop(
                "SECRET_KEY_FALLBACKS",
                f"holds no former SECRET_KEY at position {position}: at least {SECRET_KEY_LENGTH} characters",
            )
    return keys


def _kept_days(name: str) -> int | None:
    """Whole days; None for no limit."""
    value = _text(name)
    if not value:
        return None
    if not (value.isascii() and value.isdigit() and 1 <= int(value) <= 36_500):
        _stop(name, f"must be a number of days from 1 to 36500, or empty for ever, not {value!r}")
    return int(value)


def _credential_keys() -> tuple[str, ...]:
    keys = _items("CREDENTIAL_KEYS") or _stop("CREDENTIAL_KEYS", "is not set")
    for position, key in enumerate(keys, 1):
        try:
            Fernet(key)
        except ValueError:
            _stop("CREDENTIAL_KEYS", f"holds no Fernet key at position {position}: 32 bytes in url-safe base64")
    return tuple(keys)
