"""Snapchat Ads, Conversions API v3."""
