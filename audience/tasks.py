"""What workers run for this app. Each task may run twice and finds its work in the database."""

from celery import shared_task

from audience import clock, erasure, rollups, upcoming
from audience import prune as pruning
from audience.digest import run


@shared_task
def digest() -> None:
    clock.synchronise()
    run.drain()


@shared_task
def erase() -> None:
    clock.synchronise()
    erasure.drain()


@shared_task
def make_partitions() -> None:
    upcoming.make_ahead()


@shared_task
def prune() -> None:
    pruning.prune()


@shared_task
def roll_up() -> None:
    clock.synchronise()
    rollups.fold(now=clock.now())
