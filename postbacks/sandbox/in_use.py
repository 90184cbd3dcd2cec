"""Which networks conversions do not reach: those at an imitation on this machine, or at another address.

An operator sets the addresses in the variables <KIND>_API_URL.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings

from postbacks.networks import NETWORKS
from postbacks.networks.interface.imitation import imitation_of
from postbacks.networks.interface.network import Network

LOCAL_HOSTS = {"127.0.0.1", "localhost", "::1"}


@dataclass(frozen=True, slots=True)
class Replacement:
    """A network whose conversions go to `url` instead. `is_local`: that is an imitation on this machine."""

    network: Network
    url: str
    is_local: bool

    @property
    def shown_url(self) -> str:
        """The URL without a user name and a password."""
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    @property
    def accepted(self) -> list[tuple[str, str]]:
        """The account that the imitation accepts, as (label in the form of a postback, value)."""
        accounts = imitation_of(self.network).accounts
        stored = accounts.stored_credential()
        parts = [(part.label, stored[part.name]) for part in self.network.credential_fields if part.name in stored]
        label = self.network.object_id.label if self.network.object_id else ""
        ids = [(f"{label}: {trigger}", object_id) for trigger, object_id in accounts.object_ids.items()]
        return [(self.network.pixel_label, accounts.pixel), *parts, *ids]


def is_local(url: str) -> bool:
    """Whether the URL is one of this machine."""
    return urlsplit(url).hostname in LOCAL_HOSTS


def replacements() -> list[Replacement]:
    """Return the networks that are replaced, in the order of NETWORKS."""
    return [found for network in NETWORKS.values() if (found := replacement_of(network))]


def replacement_of(network: Network) -> Replacement | None:
    """Return what replaces a network; None if conversions reach the network itself."""
    url = settings.NETWORK_URLS.get(network.kind, network.default_url)
    if url.rstrip("/") == network.default_url.rstrip("/"):
        return None
    return Replacement(network, url, is_local(url))


def steam_is_replaced() -> bool:
    """Whether visitors of claim pages sign in at another address than Steam's."""
    return settings.STEAM_OPENID_URL != settings.STEAM_OPENID_DEFAULT_URL
