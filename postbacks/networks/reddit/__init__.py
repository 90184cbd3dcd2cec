"""Reddit Ads, Conversions API v3."""

from postbacks.networks.reddit.network import Reddit

__all__ = ["Reddit"]
