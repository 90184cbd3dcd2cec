"""TikTok Ads, Events API 2.0."""
