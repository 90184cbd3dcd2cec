"""Reddit Ads, Conversions API v3."""
