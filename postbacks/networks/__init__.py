"""The ad networks Afterclick can post to. A new one is a folder beside these and one line here."""

from postbacks.networks.interface.network import Network
from postbacks.networks.reddit import Reddit
from postbacks.networks.tiktok import TikTok

NETWORKS: dict[str, Network] = {
    "tiktok": TikTok(),
    "reddit": Reddit(),
}
