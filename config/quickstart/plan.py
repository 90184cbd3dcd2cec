"""The options of `make run`: ports, addresses, whether to load the demo game."""

from collections.abc import Mapping
from dataclasses import dataclass

from config.quickstart.processes import free_port, is_free
from config.quickstart.state import ServicesError
from postbacks.networks import NETWORKS
from postbacks.sandbox.steam import LOGIN_PATH

STEAM_URL = "https://steamcommunity.com/openid/login"  # as in config/settings.py, which needs the environment
FALSE = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Valid options; the ports were free. `network_urls` maps each variable <KIND>_API_URL and <KIND>_TOKEN_URL,
    and STEAM_OPENID_URL, to an address.

    With none of these variables set, the sandbox serves every network. With at least one, no sandbox starts
    (`sandbox_port` is None), and the other networks have their default addresses.
    """

    host: str
    port: int
    sandbox_port: int | None
    network_urls: Mapping[str, str]
    public_url: str
    allowed_host: str
    demo: bool

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Plan":
        """Read the plan. Raises ServicesError for a bad value or a port in use."""
        host = environ.get("HOST") or "127.0.0.1"
        port = _port(environ, "PORT", 8000)
        if not _free(port, host):
            raise ServicesError(f"Port {port} is taken by another program: stop it, or choose another with PORT=8001.")
        urls = {network.url_variable: environ.get(network.url_variable, "").strip() for network in NETWORKS.values()}
        sandbox_port = None if any(urls.values()) else _sandbox_port(environ, port)
        return cls(
            host=host,
            port=port,
            sandbox_port=sandbox_port,
            network_urls={
                **{
                    network.url_variable: urls[network.url_variable]
                    or _sandbox_url(sandbox_port)
                    or network.default_url
                    for network in NETWORKS.values()
                },
                **_token_urls(environ, sandbox_port),
                "STEAM_OPENID_URL": _steam_url(environ, sandbox_port),
            },
            public_url=(environ.get("PUBLIC_URL") or f"http://127.0.0.1:{port}").rstrip("/"),
            allowed_host=_allowed_host(environ),
            demo=(environ.get("DEMO") or "1").lower() not in FALSE,
        )

    @property
    def address(self) -> str:
        """Return host:port at which this machine reaches the web process; loopback for a wildcard."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    @property
    def sandbox_url(self) -> str:
        """The address of the imitations; '' if none are started."""
        return _sandbox_url(self.sandbox_port)

    def addresses(self) -> dict[str, str]:
        """Return the addresses that children and later commands use, by environment variable."""
        return {**self.network_urls, "PORT": str(self.port), "PUBLIC_URL": self.public_url}


def _sandbox_url(port: int | None) -> str:
    return f"http://127.0.0.1:{port}" if port else ""


def _token_urls(environ: Mapping[str, str], sandbox_port: int | None) -> dict[str, str]:
    """Return the addresses that issue access tokens, by variable."""
    return {
        network.token_url_variable: environ.get(network.token_url_variable, "").strip()
        or (f"{_sandbox_url(sandbox_port)}{network.token_path}" if sandbox_port else network.default_token_url)
        for network in NETWORKS.values()
        if network.default_token_url
    }


def _steam_url(environ: Mapping[str, str], sandbox_port: int | None) -> str:
    """Return the address at which visitors sign in with Steam."""
    own = f"{_sandbox_url(sandbox_port)}{LOGIN_PATH}" if sandbox_port else STEAM_URL
    return environ.get("STEAM_OPENID_URL", "").strip() or own


def _allowed_host(environ: Mapping[str, str]) -> str:
    """Return a Host header that Django accepts; a pattern (`*`, `.example.com`) is not one."""
    hosts = [host.strip() for host in (environ.get("ALLOWED_HOSTS") or "").split(",")]
    return next((host for host in hosts if host and host[0] not in "*."), "127.0.0.1")


def _sandbox_port(environ: Mapping[str, str], web_port: int) -> int:
    port = _port(environ, "SANDBOX_PORT", 8010)
    if port != web_port and _free(port, "127.0.0.1"):
        return port
    if environ.get("SANDBOX_PORT"):
        raise ServicesError(
            f"Port {port} is taken, so the sandbox networks cannot use it: choose another with SANDBOX_PORT=8011."
        )
    return free_port()


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    value = (environ.get(name) or str(default)).strip()
    if not value.isdecimal() or not 0 < int(value) < 65536:
        raise ServicesError(f"{name} must be a port number from 1 to 65535, not {value!r}.")
    return int(value)


def _free(port: int, host: str) -> bool:
    try:
        return is_free(port, host)
    except OSError as error:
        raise ServicesError(f"HOST={host} is not an address of this machine.") from error
