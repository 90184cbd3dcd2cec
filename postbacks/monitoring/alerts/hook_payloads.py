"""The bodies of messages about alerts and of tests.

They have the keys of earlier versions, and beside them `type`, `timestamp` and `data`, as Standard Webhooks recommends.
`text` is one line for chat servers; times are ISO 8601 in UTC.
"""

from typing import Any

from postbacks.models import Alert, Notice
from postbacks.monitoring.alerts import labels


def event(notice: Notice) -> str:
    """Return `alert.opened`, `alert.recovered` (for every end; `ending` in the body says which) or `test`."""
    return notice.kind if notice.alert is None else f"alert.{notice.kind}"


def payload(notice: Notice) -> dict[str, Any]:
    game = {"slug": notice.game.slug, "name": notice.game.name}
    content = {"game": game, **(_test(notice) if notice.alert is None else _alert(notice.alert, notice.kind))}
    created_at = notice.created_at.isoformat()
    return {
        "id": str(notice.pk),
        "event": event(notice),
        "created_at": created_at,
        **content,
        "type": event(notice),
        "timestamp": created_at,
        "data": content,
    }


def _test(notice: Notice) -> dict[str, Any]:
    text = f"{notice.game}: this is a test from Afterclick."
    return {"text": text, "url": labels.page_url("alerts", notice.game)}


def _alert(alert: Alert, kind: str) -> dict[str, Any]:
    config, recovered = alert.config, alert.recovered_at
    return {
        "text": f"{labels.headline(alert, kind)}. {labels.ending(alert) if kind == 'recovered' else alert.cause}",
        "url": labels.integration_url(alert),
        "postback": {"id": str(config.pk), "network": config.network, "pixel_id": config.pixel_id},
        "alert": {
            "id": str(alert.pk),
            "health": alert.health,
            "cause": alert.cause,
            "next_step": alert.next_step,
            "opened_at": alert.opened_at.isoformat(),
            "recovered_at": recovered.isoformat() if recovered else None,
            "ending": alert.ending or None,
        },
    }
