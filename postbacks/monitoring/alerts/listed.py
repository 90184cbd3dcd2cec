"""The alerts of a game, for its page and the management API."""

from datetime import datetime

from django.db.models import Q, QuerySet

from audience.models import Game
from postbacks.models import Alert


def alerts_of(game: Game) -> QuerySet[Alert]:
    """Return all alerts of a game with their postbacks."""
    rows = Alert.objects.filter(game=game).select_related("config", "game")
    return rows.defer("config__credential", "config__previous_credential")


def alerts_between(game: Game, since: datetime, until: datetime) -> QuerySet[Alert]:
    """Return the alerts that were on at any time of [since, until)."""
    still_on = Q(recovered_at=None) | Q(recovered_at__gt=since)
    return alerts_of(game).filter(still_on, opened_at__lt=until)
