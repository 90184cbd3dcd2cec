"""The texts of messages, the same for mail and webhooks. They contain no personal data and no credential."""

from datetime import datetime

from django.conf import settings
from django.urls import reverse

from audience.models import Game
from postbacks.models import Alert, AlertEnding, NoticeKind
from postbacks.monitoring.health.types import Health


def moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def one_line(text: str) -> str:
    """Return the text without line breaks, for the subject of a mail."""
    return " ".join(text.split())


def headline(alert: Alert, kind: str) -> str:
    """Return `Starfall: TikTok Ads CABC is on hold`."""
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
    """Return why an alert ended, as of its end."""
    if alert.ending == AlertEnding.DELETED:
        return "The postback was deleted: nothing is sent through it any more."
    if alert.ending == AlertEnding.DISABLED:
        return "The postback was disabled: nothing is sent while it is off."
    return "Conversions go out as they should."


def integration_url(alert: Alert) -> str:
    return page_url("integration", alert.game, network=alert.config.network)


def page_url(name: str, game: Game, **parts: str) -> str:
    """Return the address of a page of the game; `name` is that of its route, `parts` what the route needs besides."""
    return settings.PUBLIC_URL + reverse(name, kwargs={"slug": game.slug, **parts})
