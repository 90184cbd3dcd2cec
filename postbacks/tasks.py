"""Celery tasks. Each may run twice and reads its work from the database."""

from celery import shared_task

from audience.background.wakeup import wake
from audience.database import clock
from audience.storage import rollups
from postbacks.configs import credentials, upkeep
from postbacks.delivery import confirming, replays, sending
from postbacks.delivery import prune as pruning
from postbacks.monitoring.alerts import hook_sending, hook_upkeep
from postbacks.monitoring.alerts.digests import write_digests
from postbacks.monitoring.alerts.key_expiry import write_reminders
from postbacks.monitoring.alerts.notices import deliver_notices
from postbacks.monitoring.alerts.watch import watch
from postbacks.networks import NETWORKS
from postbacks.outbox import fan_out as outbox
from postbacks.reporting.campaigns import refresh
from postbacks.reporting.modeled import upkeep as modeled
from postbacks.reporting.rollups import ROLLUPS


@shared_task
def fan_out() -> None:
    clock.synchronise()
    if outbox.drain():
        wake("postbacks.tasks.fan_out")


@shared_task
def deliver(network: str = "") -> None:
    """Send the due deliveries of one network; without `network` enqueue one task per network."""
    for name in [] if network else NETWORKS:
        wake(outbox.DELIVER_TASK, name)
    clock.synchronise()
    if network:
        sending.drain(network=network)


@shared_task
def check_credentials(check_id: str, encrypted_test_code: str = "") -> None:
    clock.synchronise()
    credentials.run_check(check_id=check_id, encrypted_test_code=encrypted_test_code)


@shared_task
def sweep_checks() -> None:
    clock.synchronise()
    upkeep.sweep()


@shared_task
def confirm() -> None:
    clock.synchronise()
    confirming.confirm_due()


@shared_task
def replay() -> None:
    clock.synchronise()
    if replays.advance():
        wake(replays.REPLAY_TASK)


@shared_task
def alerts() -> None:
    clock.synchronise()
    watch()


@shared_task
def notices() -> None:
    clock.synchronise()
    deliver_notices()
    hook_upkeep.tidy()


@shared_task
def hook_messages() -> None:
    clock.synchronise()
    hook_sending.send_due()


@shared_task
def digests() -> None:
    clock.synchronise()
    write_digests()
    write_reminders()


@shared_task
def roll_up() -> None:
    clock.synchronise()
    rollups.roll_up(ROLLUPS, now=clock.now())


@shared_task
def refresh_figures() -> None:
    clock.synchronise()
    refresh.refresh()


@shared_task
def match_launches() -> None:
    clock.synchronise()
    modeled.match_launches()


@shared_task
def prune() -> None:
    pruning.prune()
