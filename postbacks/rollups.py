"""The rollups of what is sent; how they are kept stands in audience/rollups.py."""

from audience.rollups import Rollup

ROLLUPS = (
    Rollup("postbacks_delivery", ("config_id", "starts_at", "state"), ("number",)),
    Rollup("postbacks_attempt", ("config_id", "starts_at", "status", "bucket"), ("number",)),
)
