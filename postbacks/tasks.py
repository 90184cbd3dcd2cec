"""What workers run for this app. Each task may run twice and finds its work in the database."""

from celery import shared_task

from audience.wakeup import wake
from postbacks.deciding import outbox
from postbacks.sending import delivery
from postbacks.setup import credentials


@shared_task
def fan_out() -> None:
    if outbox.drain():
        wake("postbacks.tasks.fan_out")


@shared_task
def deliver() -> None:
    if delivery.drain():
        wake("postbacks.tasks.deliver")


@shared_task
def check_credentials(check_id: str, sealed_test_code: str = "") -> None:
    credentials.run_check(check_id=check_id, sealed_test_code=sealed_test_code)


@shared_task
def sweep_checks() -> None:
    credentials.sweep_checks()
