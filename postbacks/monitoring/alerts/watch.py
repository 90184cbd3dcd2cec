"""Opens and ends alerts by the health of postbacks, by these rules:

1. An alert opens when a config is on hold, its credential is refused, or it is degraded; when it has been rate limited
   for MIN_RATE_LIMITED, since short rate limiting is normal; and when it is silent over MIN_SILENT conversions or more.
2. A config has at most one open alert. While its health changes from one bad state to another (suspected, on hold, then
   degraded), the alert is updated and no message is sent.
3. An alert recovers when the config has been healthy or quiet for RECOVERED_AFTER, so that an intermittent state is
   one alert. The alert of a disabled or deleted config ends at once, as not recovered.
4. Any number of workers may run it: by a unique constraint one opens an alert, by a conditional update one ends it.
5. Failing configs are isolated.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from audience.background import isolation
from audience.database import clock
from audience.models import Queue
from audience.models.failed_work import not_failed
from postbacks.models import Alert, AlertEnding, NoticeKind, PostbackConfig
from postbacks.monitoring.alerts.recipients import notify
from postbacks.monitoring.health.evaluation import evaluate_configs
from postbacks.monitoring.health.types import Health, HealthStatus

logger = structlog.get_logger(__name__)

RECOVERED_AFTER = timedelta(seconds=60)
MIN_RATE_LIMITED = timedelta(minutes=5)
MIN_SILENT = 10  # conversions


def watch(*, now: datetime | None = None) -> int:
    """Compare the health of every config with its open alert; return how many alerts opened or ended."""
    now = now or clock.now()
    current = Alert.objects.filter(recovered_at=None)
    has_alert = Exists(current.filter(config=OuterRef("pk")))
    configs = PostbackConfig.objects.filter(Q(deleted_at=None, enabled=True) | has_alert).select_related("game")
    without_secrets = configs.defer("credential", "previous_credential")
    isolation.retry(Queue.ALERT, lambda failure: _watch(list(without_secrets.filter(pk=failure.row)), now))
    rows = list(without_secrets.filter(not_failed(Queue.ALERT)))
    changed = isolation.process_together(
        Queue.ALERT,
        rows,
        lambda chunk: _watch(chunk, now),
        failure_key=lambda config: isolation.FailureKey(str(config.pk), config.game_id),
    )
    return sum(changed)


def _watch(rows: Sequence[PostbackConfig], now: datetime) -> int:
    statuses = evaluate_configs(rows, now=now)
    alerts = {alert.config_id: alert for alert in Alert.objects.filter(recovered_at=None, config__in=rows)}
    return sum(_update_alert(row, statuses[row.pk], alerts.get(row.pk), now) for row in rows if row.pk in statuses)


def _update_alert(config: PostbackConfig, status: HealthStatus, alert: Alert | None, now: datetime) -> bool:
    """Update the alert of this config; return whether it opened or ended."""
    if not config.enabled or config.deleted_at:
        return alert is not None and _end(
            alert, AlertEnding.DELETED if config.deleted_at else AlertEnding.DISABLED, now
        )
    if _is_bad(status, now):
        return _open(config, status, now) if alert is None else _update_texts(alert, status)
    if alert is None:
        return False
    if status.health in (Health.RATE_LIMITED, Health.RETRYING):  # neither bad enough to open an alert, nor good
        Alert.objects.filter(pk=alert.pk, recovered_at=None).update(good_since=None)
        return False
    if alert.good_since is None:
        Alert.objects.filter(pk=alert.pk, recovered_at=None, good_since=None).update(good_since=now)
        return False
    return now - alert.good_since >= RECOVERED_AFTER and _end(alert, AlertEnding.RECOVERED, now)


def _is_bad(status: HealthStatus, now: datetime) -> bool:
    if status.health == Health.RATE_LIMITED:
        return status.since is not None and now - status.since >= MIN_RATE_LIMITED
    if status.health == Health.SILENT:
        return status.considered >= MIN_SILENT
    return status.health in (Health.ON_HOLD, Health.CREDENTIAL_PROBLEM, Health.DEGRADED)


@transaction.atomic
def _open(config: PostbackConfig, status: HealthStatus, now: datetime) -> bool:
    alert = Alert(game=config.game, config=config, opened_at=now, **_alert_fields(status))
    Alert.objects.bulk_create([alert], ignore_conflicts=True)
    if not Alert.objects.filter(pk=alert.pk).exists():
        return False  # another worker opened one meanwhile
    notify(alert=alert, kind=NoticeKind.OPENED, now=now)
    logger.warning("alert_opened", config_id=str(config.pk), network=config.network, health=status.health.value)
    return True


def _update_texts(alert: Alert, status: HealthStatus) -> bool:
    # Released from hold, with the first delivery not sent yet: the present texts are more specific.
    released = alert.health == Health.ON_HOLD and status.health == Health.CREDENTIAL_PROBLEM
    fields = {} if released else _alert_fields(status)
    if alert.good_since is not None or any(getattr(alert, name) != value for name, value in fields.items()):
        Alert.objects.filter(pk=alert.pk, recovered_at=None).update(good_since=None, **fields)
    return False


@transaction.atomic
def _end(alert: Alert, ending: AlertEnding, now: datetime) -> bool:
    # With the same good_since, which another worker clears when the health is bad again.
    current = Alert.objects.filter(pk=alert.pk, recovered_at=None, good_since=alert.good_since)
    if not current.update(recovered_at=now, ending=ending):
        return False
    notify(alert=alert, kind=NoticeKind.RECOVERED, now=now)
    logger.info("alert_ended", config_id=str(alert.config_id), health=alert.health, ending=ending.value)
    return True


def _alert_fields(status: HealthStatus) -> dict[str, str]:
    return {"health": status.health.value, "cause": status.explanation, "next_step": status.next_step}
