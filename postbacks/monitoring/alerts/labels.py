"""Texts of messages, used by mail and webhooks. They contain no personal data and no credentials."""

from datetime import datetime

from django.conf import settings
from django.urls import reverse

from audience.models import Game
from audience.wording import dates
from audience.wording.durations import short_duration
from postbacks.models import Alert, AlertEnding, NoticeKind
from postbacks.monitoring.health.types import Health


def one_line(text: str) -> str:
    """Return the text without line breaks, for the subject of a mail."""
    return " ".join(text.split())


def headline(alert: Alert, kind: str) -> str:
    """Return a subject such as `Starfall: TikTok Ads CABC is on hold`."""
    postback = one_line(f"{alert.game}: {alert.config}")
    if kind == NoticeKind.RECOVERED:
        if alert.ending in (AlertEnding.DISABLED, AlertEnding.DELETED):
            return f"{postback}: {alert.get_ending_display()}"
        return f"{postback} has recovered"
    state = {
        Health.ON_HOLD: "is on hold",
        Health.CREDENTIAL_PROBLEM: "has a credential problem",
        Health.RATE_LIMITED: "is rate limited",
        Health.SILENT: "is silent",
    }
    return f"{postback} {state.get(Health(alert.health), 'is degraded')}"


def ending(alert: Alert) -> str:
    """Return a sentence about how an alert ended."""
    if alert.ending == AlertEnding.DELETED:
        return "The postback was deleted. Nothing more is sent."
    if alert.ending == AlertEnding.DISABLED:
        return "The postback was disabled. Nothing is sent while it is disabled."
    return "Back to normal: conversions are sent again."


def period(alert: Alert, now: datetime) -> str:
    """Return `Nov 21, 22:10 – Nov 22, 01:40 CET, 3 h 30 min`, or `since Nov 21, 2026, 22:10 CET, still on (5 min)`."""
    length = short_duration((alert.recovered_at or now) - alert.opened_at)
    if alert.recovered_at is None:
        return f"since {dates.moment(alert.opened_at)}, still on ({length})"
    return f"{dates.between(alert.opened_at, alert.recovered_at)}, {length}"


def integration_url(alert: Alert) -> str:
    return page_url("integration", alert.game, network=alert.config.network)


def page_url(name: str, game: Game, **kwargs: str) -> str:
    """Return the URL of a page of the game; `name` and `kwargs` are those of its route."""
    return settings.PUBLIC_URL + reverse(name, kwargs={"slug": game.slug, **kwargs})
