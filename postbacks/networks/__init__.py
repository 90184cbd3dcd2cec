"""The ad networks Afterclick can post to: one line each. docs/adding-a-network.md describes the folder of a network.

The settings read this module, so a network's `network.py` imports no models and no settings.
"""

from django.utils.module_loading import import_string

from postbacks.networks.interface.network import Network

CLASSES = {
    "tiktok": "postbacks.networks.tiktok.network.TikTok",
    "reddit": "postbacks.networks.reddit.network.Reddit",
    "snapchat": "postbacks.networks.snapchat.network.Snapchat",
    "x": "postbacks.networks.x.network.X",
    "meta": "postbacks.networks.meta.network.Meta",
    "google": "postbacks.networks.google.network.Google",
    "custom": "postbacks.networks.custom.network.Custom",
}
NETWORKS: dict[str, Network] = {kind: import_string(path)() for kind, path in CLASSES.items()}
