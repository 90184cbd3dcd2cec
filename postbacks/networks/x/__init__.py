"""X Ads, Conversion API for websites, version 12."""
