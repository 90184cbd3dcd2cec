"""Examples of conversions for the document."""

from typing import Any

OUTCOME = {
    "delivery_id": "6b0f2f3c-8f5e-4d3e-9a51-0c6a6f1f2b7d",
    "postback_id": "0f5cf2a9-5a43-4b6e-8e0e-0c1b6a2c9a11",
    "network": "snapchat",
    "pixel_id": "6f1f2b7d-4d3e",
    "state": "failed",
    "reason": "",
    "confirmation": "",
    "may_have_arrived": False,
    "attempts_made": 1,
    "finished_at": "2026-11-20T08:12:47Z",
    "label": "Failed",
    "message": "Invalid value for parameter currency",
}
CONVERSION: dict[str, Any] = {
    "id": "5a0a6a3e-5df5-4f0b-9d3a-6f2c1f0b7a55",
    "event": "purchase",
    "event_at": "2026-11-20T08:12:44Z",
    "message_id": "server:order-7001",
    "person_id": "b0f6e1d2-0c6b-4a3e-8f5a-1d2c3b4a5f60",
    "user_id": "player-42",
    "order_id": "7001",
    "repeats_order": False,
    "value": {"amount": "9.99", "currency": "USD"},
    "value_problem": "",
    "test": False,
    "is_processed": True,
    "reason": "",
    "reason_text": "",
    "click": {
        "network": "snapchat",
        "click_id": "4f1c-9a2b",
        "parameter": "ScCid",
        "clicked_at": "2026-11-19T18:02:11Z",
        "campaign": {"utm_source": "snapchat", "utm_campaign": "autumn"},
    },
    "modeled_match": None,
    "outcomes": [OUTCOME],
}
DETAIL: dict[str, Any] = {
    **{name: value for name, value in CONVERSION.items() if name != "outcomes"},
    "properties": {"value": 9.99, "currency": "USD", "order_id": "7001"},
    "remedy": "",
    "problem": "",
    "stored_event": {"id": 88123, "day": "2026-11-20"},
    "sender": {
        "key": {"id": 12, "name": "Payment backend", "prefix": "sk_imapik-server-1f3c9a2", "kind": "server"},
        "description": "Stored on a server.",
        "origin": "",
    },
    "ad": ["snapchat", "autumn"],
    "clicks": [
        {
            "network": "snapchat",
            "click_id": "4f1c-9a2b",
            "page_url": "https://game.example/?ScCid=4f1c-9a2b",
            "clicked_at": "2026-11-19T18:02:11Z",
            "is_attributed": True,
            "result": "attributed",
            "explanation": "Attributed: the last paid click before the event, 14 h before",
        }
    ],
    "joins": [
        {
            "kind": "steam",
            "anonymous_id": "5e0f7d1c-8a3b-4d5e-9f60-718293a4b5c6",
            "joined_at": "2026-11-19T18:05:40Z",
        }
    ],
    "consent": {
        "level": "full",
        "source": "message",
        "explanation": "Stated in the message.",
        "decided_at": None,
        "data_use": "",
    },
    "postbacks": [
        {
            **OUTCOME,
            "verdict": "payload",
            "explanation": "Invalid value for parameter currency",
            "remedy": "Read the response of the network. The event itself was refused, and sending it again without a "
            "change has the same result. Correct the data that the game sends.",
            "event_name": "PURCHASE",
            "goal": "purchase",
            "version": 3,
            "version_set_at": "2026-11-02T09:30:00Z",
            "version_set_by": "marketer",
            "event_id": "5a0a6a3e-5df5-4f0b-9d3a-6f2c1f0b7a55",
            "deadline": "2026-11-27T08:12:44Z",
            "next_attempt_at": None,
            "wait": None,
            "can_send_again": True,
            "attempts": [
                {
                    "id": 4711,
                    "number": 1,
                    "started_at": "2026-11-20T08:12:46Z",
                    "finished_at": "2026-11-20T08:12:47Z",
                    "status": "failed",
                    "verdict": "payload",
                    "http_status": 400,
                    "latency_ms": 312,
                    "provider_code": "40002",
                    "message": "Invalid value for parameter currency",
                    "request_id": "202611200812470101",
                }
            ],
            "attempts_pruned": False,
            "body": {"event_name": "PURCHASE", "properties": {"value": 9.99, "currency": "USD"}},
        }
    ],
    "without_part": [],
    "added_later": [],
}
