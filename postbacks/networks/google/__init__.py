"""Google Ads, Data Manager API v1."""
