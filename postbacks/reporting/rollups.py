"""The rollup of attempts (see audience/storage/rollups.py)."""

from audience.storage.rollups import Rollup

GAME_QUERY = "SELECT game_id FROM postbacks_postbackconfig WHERE id::text = %s"
ROLLUPS = (Rollup("postbacks_attempt", ("config_id", "starts_at", "status", "bucket"), ("number",), GAME_QUERY),)
