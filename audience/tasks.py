"""Celery tasks. Each may run twice and finds its work in the database."""

from celery import shared_task

from audience.accounts import tokens
from audience.database import clock
from audience.digest import event_counts, queue
from audience.privacy import erasure
from audience.storage import partitions_ahead, rollups
from audience.storage import prune as pruning


@shared_task
def digest() -> None:
    clock.synchronise()
    queue.drain()


@shared_task
def erase() -> None:
    clock.synchronise()
    erasure.drain()


@shared_task
def make_partitions() -> None:
    partitions_ahead.create_ahead()


@shared_task
def prune() -> None:
    pruning.prune()


@shared_task
def record_expired_tokens() -> None:
    clock.synchronise()
    tokens.record_expired()


@shared_task
def count_events() -> None:
    clock.synchronise()
    event_counts.count_due()


@shared_task
def roll_up() -> None:
    clock.synchronise()
    rollups.roll_up(now=clock.now())
