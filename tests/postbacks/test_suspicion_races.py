"""A suspicion that another worker is writing: a worker that waited for its row reads it again."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import connection, transaction

from postbacks.configs import hold
from postbacks.delivery import claims
from postbacks.models import CredentialCheck, Delivery, PostbackConfig
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)
WAITING = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@contextmanager
def committed_once_somebody_waits(work: Callable[[], object]) -> Iterator[None]:
    """Do `work` on a connection of its own, and commit it when another connection waits for a lock."""
    written, over = threading.Event(), threading.Event()

    def run() -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                work()
                written.set()
                while not over.wait(0.02):
                    cursor.execute(WAITING)
                    if cursor.fetchone():
                        return
        finally:
            written.set()
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert written.wait(20)
    try:
        yield
    finally:
        over.set()
        thread.join(20)


def test_a_claim_that_waited_for_a_suspicion_claims_nothing(config: PostbackConfig) -> None:
    factories.delivery(config)
    with committed_once_somebody_waits(lambda: hold.suspect(config=config)):
        assert list(claims.claim(network="tiktok")) == []

    config.refresh_from_db()
    assert config.suspected_at is not None
    assert Delivery.objects.values_list("state", "leased_until", "attempts_made").get() == ("waiting", None, 0)


def test_a_second_concurrent_suspicion_creates_no_second_check(config: PostbackConfig) -> None:
    with committed_once_somebody_waits(lambda: hold.suspect(config=config)):
        assert hold.suspect(config=config) is False

    assert CredentialCheck.objects.count() == 1
