"""What a message says: the same facts for mail and for hooks. Nothing personal and no credential is among them."""

from datetime import datetime

from django.conf import settings
from django.urls import reverse

from audience.models import Game
from postbacks.models import Alert, Ending, NoticeKind
from postbacks.monitoring.health import Health


def moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def one_line(text: str) -> str:
    """A mail's subject holds no line break, whatever a game is called."""
    return " ".join(text.split())


def headline(alert: Alert, kind: str) -> str:
    """`Starfall: TikTok Ads CABC is on hold`"""
    postback = one_line(f"{alert.game}: {alert.config}")
    if kind == NoticeKind.RECOVERED:
        if alert.ending in (Ending.DISABLED, Ending.DELETED):
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
    """Why an alert is over. Of the end itself, whatever became of the postback since."""
    if alert.ending == Ending.DELETED:
        return "The postback was deleted: nothing is sent through it any more."
    if alert.ending == Ending.DISABLED:
        return "The postback was disabled: nothing is sent while it is off."
    return "Conversions go out as they should."


def integration_url(alert: Alert) -> str:
    where = {"slug": alert.game.slug, "network": alert.config.network}
    return settings.PUBLIC_URL + reverse("integration", kwargs=where)


def keys_url(game: Game) -> str:
    return settings.PUBLIC_URL + reverse("keys", kwargs={"slug": game.slug})


def alerts_url(game: Game) -> str:
    return settings.PUBLIC_URL + reverse("alerts", kwargs={"slug": game.slug})
