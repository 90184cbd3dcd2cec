"""TikTok Ads, Events API 2.0."""

from postbacks.networks.tiktok.network import TikTok

__all__ = ["TikTok"]
