"""Examples of the event catalog for the document."""

from typing import Any

WARNING = {
    "code": "missing",
    "message": "12 of 412 purchases have no currency.",
    "property": "currency",
    "events": 12,
}
GOAL = {"goal": "purchase", "postback": "6f2f1a34-51c9-4be6-9c2a-0d2d3a6f1b55"}
EVENT: dict[str, Any] = {
    "kind": "track",
    "name": "purchase",
    "description": "A player paid for something.",
    "events": 412,
    "last_at": "2026-11-21T09:58:05Z",
    "is_predefined": True,
    "is_described": False,
    "goals": [GOAL],
    "warnings": [WARNING],
}
DETAIL: dict[str, Any] = {
    **EVENT,
    "properties": [
        {
            "path": "currency",
            "share": 0.97,
            "types": [{"type": "text", "events": 400}],
            "expected": ["text"],
            "is_required": True,
        }
    ],
    "has_further_properties": False,
    "senders": [{"key": "Payment backend", "library": "studio-backend", "version": "1.4.0", "events": 412}],
    "required_properties": {},
}
DESCRIPTION = {"description": "The player reached a new level.", "required_properties": {"level": "number"}}
BATCH = {"dialect": "immutable", "body": {"messages": [{"type": "nothing"}]}}
VALIDATION: dict[str, Any] = {
    "status": 200,
    "answer": '{"success":true,"accepted":0,"rejected":1,"rejections":[]}',
    "messages": [
        {
            "index": 0,
            "status": "rejected",
            "kind": "",
            "name": "",
            "event_at": None,
            "violations": [{"field": "type", "code": "UNSUPPORTED_TYPE", "message": "unsupported message type"}],
            "ignored": [],
            "warnings": [],
            "click": "",
            "conversion": None,
        }
    ],
}
