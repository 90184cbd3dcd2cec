"""The options of `make run`: ports, addresses, whether to load the demo game."""

from collections.abc import Mapping
from dataclasses import dataclass

from config.quickstart.processes import free_port, is_free
from config.quickstart.state import ServicesError
from postbacks.networks import NETWORKS

FALSE = frozenset({"0", "false", "no", "off"})
URL_VARIABLES = tuple(network.url_variable for network in NETWORKS.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Checked when read: the ports are free. `sandbox_port` is None if the environment names real networks."""

    host: str
    port: int
    sandbox_port: int | None
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
        return cls(
            host=host,
            port=port,
            sandbox_port=_sandbox_port(environ, port) if _needs_sandbox(environ) else None,
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
    def sandbox_url(self) -> str | None:
        return f"http://127.0.0.1:{self.sandbox_port}" if self.sandbox_port else None

    def addresses(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the addresses that children and later commands use; network addresses that are set are not changed."""
        networks = {name: environ.get(name) or self.sandbox_url or "" for name in URL_VARIABLES}
        sandbox = {"SANDBOX_PORT": str(self.sandbox_port)} if self.sandbox_port else {}
        return {**networks, **sandbox, "PORT": str(self.port), "PUBLIC_URL": self.public_url}


def _needs_sandbox(environ: Mapping[str, str]) -> bool:
    return not all(environ.get(name) for name in URL_VARIABLES)


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
