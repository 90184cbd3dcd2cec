"""Examples of reports for the document."""

from typing import Any

USD = {"amount": "120.50", "currency": "USD"}
TALLY: dict[str, Any] = {"count": 42, "values": [USD], "without_value": []}
DEFINITION = {
    "label": "Conversions",
    "explanation": "Launches, purchases and goals that count, by the time of the event.",
}
FUNNEL: dict[str, Any] = {
    "since": "2026-11-14T00:00:00Z",
    "until": "2026-11-21T00:00:00Z",
    "counted_from": "2026-11-14T00:00:00Z",
    "steps": [
        {
            "key": "conversions",
            "label": "Conversions",
            **TALLY,
            "is_at_least": False,
            "lost": [{"key": "no_click", "label": "No ad click", "count": 7, "values": [], "without_value": []}],
            "parts": [],
        }
    ],
    "definitions": {"conversions": DEFINITION},
}
OVERVIEW: dict[str, Any] = {
    "since": "2026-11-19T09:00:00Z",
    "until": "2026-11-20T09:00:00Z",
    "revenue": {
        "amount": USD,
        "before": {"amount": "98.00", "currency": "USD"},
        "originals": [USD],
        "missing": [],
    },
    "sent": {"count": 35, "before": 31},
    "network_accepted": {"count": 34, "before": 31},
    "events_accepted": 48211,
    "events_rejected": 12,
    "rejections_listed": 12,
    "conversions": TALLY,
    "attributed": 35,
    "clicks": [{"network": "snapchat", **TALLY}],
    "networks": [
        {
            "network": "snapchat",
            "sent": 35,
            "network_accepted": 34,
            "partly_delivered": 0,
            "waiting": 0,
            "held": 0,
            "failed": 1,
            "unmatched": 0,
            "may_have_arrived": 0,
            "success_rate": "97.1%",
            "p95_latency_ms": 412,
            "oldest_due_at": None,
        }
    ],
    "oldest_undigested_at": None,
    "oldest_due_at": None,
    "definitions": {"attributed": DEFINITION},
}
ROW: dict[str, Any] = {
    "names": {"network": "snapchat", "campaign": "autumn"},
    "figures": {"clicks": 310, "players": 120, "revenue": USD, "roas_7": 1.21},
    "before": None,
    "revenue_originals": [USD],
    "spend_originals": [USD],
    "days_with_cost": 30,
    "attribution_window_days": 28,
}
CAMPAIGNS: dict[str, Any] = {
    "first_day": "2026-10-22",
    "last_day": "2026-11-20",
    "time_zone": "Europe/Berlin",
    "currency": "USD",
    "missing": [],
    "columns": [{"key": "clicks", "label": "Clicks", "unit": "count", "model": "by day of click"}],
    "total": {**ROW, "names": {}, "attribution_window_days": None},
    "row_count": 1,
    "rows": [ROW],
    "next_cursor": None,
}
COHORT: dict[str, Any] = {
    "day": "2026-11-01",
    "players": 40,
    "retention": [{"days": 1, "players": 12, "share": 30.0}],
    "revenue": [{"days": 0, "per_player": {"amount": "0.42", "currency": "USD"}}],
}
COHORTS: dict[str, Any] = {
    "first_day": "2026-10-22",
    "last_day": "2026-11-20",
    "time_zone": "Europe/Berlin",
    "currency": "USD",
    "missing": [],
    "total": {**COHORT, "day": None},
    "rows": [COHORT],
}
NUMBERS: dict[str, Any] = {
    "postback_eligible": 40,
    "postback_sent": 36,
    "postback_accepted": 35,
    "postback_confirmed": 0,
    "postback_refused": 1,
    "postback_valued": [USD],
}
EVENT: dict[str, Any] = {"event": "purchase", "event_label": "Purchase"}
COMPARISON: dict[str, Any] = {
    "postback": {
        "postback_id": "0f5cf2a9-5a43-4b6e-8e0e-0c1b6a2c9a11",
        "network": "snapchat",
        "pixel_id": "6f1f2b7d-4d3e",
        "is_deleted": False,
    },
    "first_day": "2026-11-14",
    "last_day": "2026-11-20",
    "time_zone": "America/New_York",
    "total": NUMBERS,
    "by_event": [{**EVENT, **NUMBERS}],
    "by_day": [{"day": "2026-11-20", **EVENT, **NUMBERS}],
    "postback_missing": 5,
    "findings": [
        {
            "key": "consent",
            "count": 4,
            "is_missing": True,
            "text": "not sent: no consent",
            "next_step": "Check which consent level the game sends with its events.",
            "events": [{**EVENT, "count": 4}],
        }
    ],
    "definitions": {"postback_eligible": DEFINITION},
}
