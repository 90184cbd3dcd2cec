"""Deletes the attempts of deliveries that ended before the retention period of their game's events, and old messages.

The deliveries stay, and so do all attempts of those that wait, are held, are being sent or ended recently.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from audience.database import clock
from audience.models import Game
from audience.storage import prune_steps
from audience.storage.prune import MAX_SECONDS
from audience.storage.prune_steps import Pruned, PruneStep, StaleRows
from postbacks.models import PostbackConfig

EXPIRED = """config_id = %s AND started_at < %s AND EXISTS (
    SELECT 1 FROM postbacks_delivery delivery WHERE delivery.id = stale.delivery_id AND delivery.finished_at < %s
    AND delivery.state NOT IN ('waiting', 'held'))"""

# Of messages to webhooks, after they ended. Those that no webhook takes have waited longer than any retry does.
MESSAGES_KEPT = timedelta(days=2)
UNTAKEN_MESSAGES_KEPT = timedelta(days=4)
# Of messages about alerts, of which the Alerts page lists the newest.
NOTICES_KEPT = timedelta(days=90)


def prune(*, dry_run: bool = False, seconds: float = MAX_SECONDS) -> list[Pruned]:
    """Delete what is past its retention, or only count it (`dry_run`); return what was deleted."""
    return list(prune_steps.run(steps(clock.now()), dry_run=dry_run, seconds=seconds))


def steps(now: datetime) -> Iterator[PruneStep]:
    yield from _message_steps(now)
    games = {game.pk: game for game in Game.objects.exclude(kept_days=None)}
    for config in PostbackConfig.objects.filter(game__in=games).defer("credential", "previous_credential"):
        game = games[config.game_id]
        ended_before = now - timedelta(days=game.kept_days or 0)
        label = f"attempts of {game}, {config}, ended before {ended_before:%Y-%m-%d}"
        params = [config.pk, ended_before, ended_before]
        yield StaleRows(label, "postbacks_deliveryattempt", EXPIRED, params, f"attempts of {config.pk}", game.pk)


def _message_steps(now: datetime) -> Iterator[PruneStep]:
    for what, table, where, age in (
        ("messages to webhooks", "postbacks_hookmessage", "finished_at < %s", MESSAGES_KEPT),
        ("messages to deleted webhooks", "postbacks_hookmessage", "created_at < %s", UNTAKEN_MESSAGES_KEPT),
        ("messages about alerts", "postbacks_notice", "finished_at < %s", NOTICES_KEPT),
    ):
        yield StaleRows(what, table, where, [now - age], what, id_type="uuid")
