"""Meta Ads (Facebook and Instagram), Conversions API."""
