"""Tasks of the beat besides sending: a failing row does not stop others, and no work is done twice."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import OperationalError
from django.utils import timezone

from audience.background import set_aside
from audience.digest import queue
from audience.games.keys import create_key
from audience.models import Batch, Erasure, FailedWork, Game, Identity
from audience.privacy import erasure
from audience.storage import rollups
from postbacks.configs import upkeep
from postbacks.delivery import confirming
from postbacks.models import Alert, CredentialCheck, Delivery, Notice, PostbackConfig
from postbacks.monitoring.alerts.notices import deliver_notices
from postbacks.reporting.rollups import ROLLUPS
from tests import factories, hub
from tests.audience import immutable
from tests.audience.concurrency import own_connection
from tests.postbacks import poison

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def refuse() -> Iterator[Callable[..., Callable[[], None]]]:
    """Call poison.refuse, and end it after the test."""
    lifts: list[Callable[[], None]] = []

    def made(table: str, when: str, **given: Any) -> Callable[[], None]:
        lift = poison.refuse(table, when, **given)
        lifts.append(lift)
        return lambda: (lifts.remove(lift), lift())[1]

    yield made
    for lift in lifts:
        lift()


def failures() -> list[tuple[str, str, int]]:
    return list(FailedWork.objects.order_by("queue", "row").values_list("queue", "row", "attempts"))


def make_due() -> None:
    FailedWork.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))


@pytest.fixture
def configs(game: Game) -> list[PostbackConfig]:
    """Two postbacks; the first is the one that fails."""
    return [factories.config(game), factories.config(game, network="reddit")]


def test_a_hold_that_cannot_be_reconciled_stops_no_other(configs: list[PostbackConfig], refuse: Any) -> None:
    bad, good = configs
    rows = [factories.delivery(config) for config in configs]
    PostbackConfig.objects.update(held_at=timezone.now(), held_for="token", checked_at=timezone.now())
    lift = refuse("postbacks_delivery", f"NEW.id = '{rows[0].pk}'")
    upkeep.reconcile()
    states = dict(Delivery.objects.values_list("pk", "state"))
    assert states == {rows[0].pk: "waiting", rows[1].pk: "held"}
    assert failures() == [("upkeep", f"hold {bad.pk}", 1)]
    assert good.pk != bad.pk

    lift()
    upkeep.reconcile()
    assert Delivery.objects.filter(state="held").count() == 1, "its time has not come"
    make_due()
    upkeep.reconcile()
    assert (Delivery.objects.filter(state="held").count(), failures()) == (2, [])


def test_a_postback_that_cannot_be_checked_stops_no_other(configs: list[PostbackConfig], refuse: Any) -> None:
    bad, good = configs
    PostbackConfig.objects.update(validated_at=timezone.now() - timedelta(days=2))
    refuse("postbacks_credentialcheck", f"NEW.config_id = '{bad.pk}'", on="INSERT")
    upkeep.check_daily()
    assert [check.config_id for check in CredentialCheck.objects.all()] == [good.pk]
    assert failures() == [("upkeep", str(bad.pk), 1)]
    upkeep.check_daily()
    assert failures() == [("upkeep", str(bad.pk), 1)]


def test_a_check_that_cannot_be_given_up_stops_no_other(game: Game, refuse: Any) -> None:
    given: dict[str, Any] = {"game": game, "network": "tiktok", "pixel_id": "CABC", "triggers": ["purchase"]}
    old = timezone.now() - timedelta(minutes=6)
    bad, good = (CredentialCheck.objects.create(**given, created_at=old) for _ in range(2))
    refuse("postbacks_credentialcheck", f"NEW.id = '{bad.pk}'")
    upkeep.sweep()
    states = dict(CredentialCheck.objects.values_list("pk", "state"))
    assert states == {bad.pk: "pending", good.pk: "unverified"}
    assert failures() == [("check", str(bad.pk), 1)]


def test_an_overdue_confirmation_that_cannot_be_ended_stops_no_other(
    configs: list[PostbackConfig], refuse: Any
) -> None:
    old = timezone.now() - timedelta(days=8)
    bad, *_ = rows = [factories.delivery(config) for config in (configs[0], *configs)]
    Delivery.objects.update(
        state="delivered", confirmation="awaited", finished_at=old, confirm_after=old + timedelta(hours=1)
    )
    lift = refuse("postbacks_delivery", f"NEW.id = '{bad.pk}'")
    confirming.confirm_due()
    found = dict(Delivery.objects.values_list("pk", "confirmation"))
    assert [found[row.pk] for row in rows] == ["awaited", "unknown", "unknown"]
    assert failures() == [("confirmation", str(bad.pk), 1)]
    FailedWork.objects.update(set_aside_at=timezone.now())
    confirming.confirm_due()
    assert failures() == [("confirmation", str(bad.pk), 1)]

    lift()
    confirming.confirm_due()
    assert Delivery.objects.get(pk=bad.pk).confirmation == "unknown"
    assert failures() == []


def test_a_message_whose_end_cannot_be_written_is_not_sent_again(game: Game, refuse: Any) -> None:
    config, user = factories.config(game), hub.user("ada")
    game.memberships.create(user=user, role="marketer")
    alert = Alert.objects.create(game=game, config=config, health="on_hold", cause="Refused.", next_step="Rotate it.")
    row = Notice.objects.create(game=game, alert=alert, kind="opened", user=user)
    lift = refuse("postbacks_notice", f"NEW.id = '{row.pk}' AND NEW.state <> 'waiting'")
    deliver_notices()
    assert failures() == [("notice", str(row.pk), 1)]
    Notice.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    for _ in range(3):
        make_due()
        deliver_notices()
    assert failures() == [("notice", str(row.pk), 4)]

    lift()
    make_due()
    deliver_notices()
    row.refresh_from_db()
    assert (row.state, failures(), len(mail.outbox)) == ("sent", [], 1)


def test_a_message_that_another_transaction_holds_stops_no_other(game: Game) -> None:
    config = factories.config(game)
    alert = Alert.objects.create(game=game, config=config, health="on_hold", cause="Refused.", next_step="Rotate it.")
    users = [hub.user(name) for name in ("ada", "grace")]
    for user in users:
        game.memberships.create(user=user, role="marketer")
    due = timezone.now() - timedelta(minutes=1)
    held, _ = (
        Notice.objects.create(game=game, alert=alert, kind="opened", user=user, next_attempt_at=due) for user in users
    )
    Notice.objects.filter(pk=held.pk).update(next_attempt_at=due - timedelta(minutes=1))
    with own_connection() as other:
        with other.cursor() as cursor:
            cursor.execute("SELECT 1 FROM postbacks_notice WHERE id = %s FOR UPDATE", [held.pk])
        assert deliver_notices() == 1
        assert [message.to for message in mail.outbox] == [[users[1].email]]
    assert deliver_notices() == 1
    assert [message.to for message in mail.outbox] == [[users[1].email], [users[0].email]]


def test_an_erasure_too_large_for_an_index_stops_no_other(game: Game, refuse: Any) -> None:
    rows = [
        erasure.request_erasure(game=game, namespace="user", subject=name, requested_by="test")
        for name in ("large", "small")
    ]
    when = f"NEW.id = '{rows[0].pk}' AND NEW.state = 'done'"
    refuse("audience_erasure", when, condition="program_limit_exceeded")
    assert erasure.drain() == 1
    states = dict(Erasure.objects.values_list("pk", "state"))
    assert states == {rows[0].pk: "pending", rows[1].pk: "done"}
    assert failures() == [("erasure", str(rows[0].pk), 1)]
    assert Erasure.objects.get(pk=rows[0].pk).error == "OperationalError"


def test_a_lock_that_is_not_free_is_held_against_no_row(game: Game, refuse: Any) -> None:
    erasure.request_erasure(game=game, namespace="user", subject="ada", requested_by="test")
    refuse("audience_erasure", "NEW.state = 'done'", condition="lock_not_available")
    with pytest.raises(OperationalError):
        erasure.drain()
    assert failures() == []


def test_counts_of_a_failing_game_stay_in_the_tail_where_the_charts_still_read_them(
    game: Game, other_game: Game, request: pytest.FixtureRequest
) -> None:
    minute = timezone.now().replace(second=0, microsecond=0)
    for of, number in ((game, 2**31 - 1), (game, 1), (other_game, 3)):
        poison.execute("INSERT INTO audience_requesttail VALUES (%s, %s, 0, %s, 0, 0, 0)", of.pk, minute, number)
    request.addfinalizer(lambda: poison.execute("DELETE FROM audience_requesttail"))
    for _ in range(2):
        rollups.roll_up((*rollups.ROLLUPS, *ROLLUPS), now=timezone.now())
    assert failures() == [("rollup", f"audience_request {game.pk}", 1)]
    assert FailedWork.objects.get().game_id == game.pk
    counts = "SELECT sum(requests) FROM audience_requestcount WHERE game_id = %s"
    assert (poison.count(counts, game.pk), poison.count(counts, other_game.pk)) == (2**31, 3)


def test_a_request_whose_row_cannot_be_written_stops_no_other_of_any_game(refuse: Any) -> None:
    keys = [create_key(game=factories.game(), name="web") for _ in range(2)]
    immutable.send(keys[0], immutable.message(userId="bad"))
    bad = Batch.objects.get()
    lift = refuse("audience_batch", f"NEW.id = {bad.pk}")
    for key in keys:
        immutable.send(key, immutable.message(userId="good"))
    queue.drain()
    states = dict(Batch.objects.values_list("pk", "state"))
    assert states.pop(bad.pk) == "pending"
    assert set(states.values()) == {"done"}
    assert Identity.objects.filter(value="good").count() == 2
    assert queue.digest(game_id=bad.game_id) == 0, "the next run of its game goes without it"

    for attempts in range(2, 9):
        FailedWork.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))
        queue.drain()
        failure = FailedWork.objects.get()
        assert (failure.queue, failure.row, failure.attempts) == ("batch", str(bad.pk), attempts)
    assert failure.set_aside_at is not None

    lift()
    assert set_aside.retry_set_aside(FailedWork.objects.all()) == 1
    queue.drain()
    assert Batch.objects.get(pk=bad.pk).state == "done"
    assert Identity.objects.filter(value="bad").exists()
    assert not FailedWork.objects.exists()


def test_a_request_whose_row_cannot_be_written_keeps_no_erasure_waiting(refuse: Any) -> None:
    key = create_key(game=factories.game(), name="web")
    immutable.send(key, immutable.message(userId="bad"))
    asked = erasure.request_erasure(game=key.key.game, namespace="user", subject="bad", requested_by="test")
    assert erasure.drain() == 0, "it waits for the digest"
    refuse("audience_batch", f"NEW.id = {Batch.objects.get().pk}")
    queue.drain()
    Erasure.objects.update(next_attempt_at=timezone.now())
    assert erasure.drain() == 1
    assert Erasure.objects.get(pk=asked.pk).counts["events"] == 1
