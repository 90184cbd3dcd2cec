"""Examples of players for the document."""

from typing import Any

from audience.api.consent.serializers import EXAMPLE as DECISION
from postbacks.api.conversions.examples import CONVERSION

PERSON: dict[str, Any] = {
    "id": "b0f6e1d2-0c6b-4a3e-8f5a-1d2c3b4a5f60",
    "name": "Ada",
    "email": "ada@studio.example",
    "ids": [{"namespace": "user", "value": "player-42"}],
    "first_seen_at": "2026-11-02T09:30:00Z",
    "last_seen_at": "2026-11-20T08:12:44Z",
}
DETAIL: dict[str, Any] = {
    "id": PERSON["id"],
    "first_seen_at": PERSON["first_seen_at"],
    "last_seen_at": PERSON["last_seen_at"],
    "traits": {"name": "Ada", "email": "ada@studio.example"},
    "trait_times": {"name": "2026-11-02T09:30:00Z", "email": "2026-11-02T09:30:00Z"},
    "ids": [
        {
            "namespace": "user",
            "value": "player-42",
            "first_seen_at": "2026-11-02T09:30:00Z",
            "is_shared": False,
            "note": "",
        }
    ],
    "has_more_ids": False,
    "linked_ids": [
        {
            "event_at": "2026-11-02T09:30:00Z",
            "ids": [{"namespace": "user", "value": "player-42"}],
            "description": "first seen",
            "user_id": "",
            "event": {"id": 70001, "day": "2026-11-02"},
        }
    ],
    "devices": [{"device_id": "6f2c1f0b7a55", "has_push_token": True, "updated_at": "2026-11-03T10:00:00Z"}],
    "groups": [{"group_id": "guild-7", "updated_at": "2026-11-03T10:00:00Z"}],
    "clicks": [{**CONVERSION["click"], "page_url": "https://game.example/?ScCid=4f1c-9a2b"}],
    "conversions": [CONVERSION],
    "events": [
        {
            "id": 88123,
            "day": "2026-11-20",
            "kind": "track",
            "name": "purchase",
            "event_at": "2026-11-20T08:12:44Z",
            "received_at": "2026-11-20T08:12:45.102Z",
            "dialect": "immutable",
            "test": False,
        }
    ],
    "consent": {"level": "full", "decisions": [DECISION]},
}
