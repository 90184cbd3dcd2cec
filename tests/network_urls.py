"""Points the networks to a server of a test."""

from typing import Any

from postbacks.networks import NETWORKS


def point_at(settings: Any, url: str) -> None:
    """Let every network, and every address that issues access tokens, be at `url`."""
    settings.STEAM_OPENID_URL = f"{url}/openid/login"
    settings.NETWORK_URLS = dict.fromkeys(NETWORKS, url)
    settings.NETWORK_TOKEN_URLS = {
        kind: url + network.token_path for kind, network in NETWORKS.items() if network.default_token_url
    }
