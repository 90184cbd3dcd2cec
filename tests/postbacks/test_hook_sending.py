"""Sending messages to webhooks over sockets: rate, retries, pauses, killed workers, and hostile receivers."""

import re
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import transaction
from django.utils import timezone

from audience.models import FailedWork, Game, Role
from audience.privacy import erasure
from postbacks import tasks
from postbacks.delivery import prune
from postbacks.models import AlertHook, Delivery, HookEvent, HookMessage, Notice, PostbackConfig
from postbacks.monitoring.alerts import (
    hook_calls,
    hook_claims,
    hook_results,
    hook_sending,
    hook_upkeep,
    hooks,
    notices,
)
from postbacks.monitoring.alerts.watch import watch
from postbacks.outbox import hook_messages
from tests import factories, hub
from tests.audience.concurrency import in_thread
from tests.postbacks import poison
from tests.postbacks.receiver import Answer, Receiver, receiving
from tests.postbacks.test_alerts import hold

pytestmark = pytest.mark.django_db


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.ALERT_PRIVATE_HOSTS = frozenset({"127.0.0.1"})
    with receiving() as running:
        yield running


@pytest.fixture
def added(game: Game, receiver: Receiver) -> tuple[AlertHook, str]:
    """A webhook that is subscribed to everything, and its secret."""
    return hooks.add_hook(game=game, url=receiver.url, created_by=None, events=HookEvent.values)


@pytest.fixture
def hook(added: tuple[AlertHook, str]) -> AlertHook:
    return added[0]


@pytest.fixture
def secret(added: tuple[AlertHook, str]) -> str:
    return added[1]


def ended(config: PostbackConfig, count: int = 1) -> list[Delivery]:
    """Deliveries that failed just now, each with its message."""
    rows = [factories.delivery(config, state="failed", verdict="payload") for _ in range(count)]
    hook_messages.add_for_deliveries(rows)
    return rows


def states() -> list[tuple[str, int]]:
    """(state, attempts) of every message."""
    return list(HookMessage.objects.order_by("created_at", "pk").values_list("state", "attempts_made"))


def pass_time(**given: float) -> None:
    """As if this much time had passed for the messages that wait, and their webhook."""
    passed = timedelta(**given)
    for message in HookMessage.objects.filter(state="waiting"):
        message.next_attempt_at -= passed
        message.created_at -= passed
        message.leased_until = message.leased_until and message.leased_until - passed
        message.save()
    for row in AlertHook.objects.all():
        row.paused_until = row.paused_until and row.paused_until - passed
        row.next_call_at = row.next_call_at and row.next_call_at - passed
        row.save()


def test_messages_are_sent_verified_and_closed(config: PostbackConfig, receiver: Receiver, secret: str) -> None:
    rows = ended(config, 20)
    assert hook_sending.send_due() == 20
    received = receiver.messages(secret)
    assert {message["data"]["delivery_id"] for message in received} == {str(row.pk) for row in rows}
    assert {message["type"] for message in received} == {"conversion.failed"}
    assert {one.id for one in receiver.received} == {str(pk) for pk in HookMessage.objects.values_list("pk", flat=True)}
    assert states() == [("sent", 1)] * 20
    assert set(HookMessage.objects.values_list("result", "leased_until")) == {("It answered 204.", None)}
    assert hook_sending.send_due() == 0


def test_the_task_of_the_beat_sends_them(config: PostbackConfig, receiver: Receiver, secret: str) -> None:
    ended(config)
    tasks.hook_messages()
    assert len(receiver.messages(secret)) == 1


def test_a_webhook_gets_at_most_twenty_messages_a_second(
    config: PostbackConfig, receiver: Receiver, hook: AlertHook
) -> None:
    ended(config, 40)
    started = time.monotonic()
    assert hook_sending.send_due() == 40
    # The last claim may be eight calls ahead of its time.
    assert time.monotonic() - started >= (40 - 8) / hook_claims.MAX_PER_SECOND - 0.1
    assert hook_claims.MAX_PER_SECOND == 20


def test_a_message_is_retried_under_its_id_with_a_new_time(
    config: PostbackConfig, receiver: Receiver, secret: str
) -> None:
    ended(config)
    receiver.answers += [Answer(500), Answer(302, {"Location": "https://example.com/"})]
    results = []
    for _ in range(3):
        assert hook_sending.send_due() == 1
        results.append(HookMessage.objects.get().result)
        pass_time(hours=1)
    assert results == [
        "It answered 500.",
        "It answered 302, a redirect, which is not followed. Enter the URL that it leads to.",
        "It answered 204.",
    ]
    assert len({one.id for one in receiver.received}) == 1
    receiver.messages(secret)
    assert states() == [("sent", 3)]


def test_a_message_is_dropped_after_eight_attempts_and_the_page_shows_it(
    config: PostbackConfig, receiver: Receiver, hook: AlertHook
) -> None:
    ended(config)
    receiver.otherwise = Answer(503)
    waits = []
    while (message := HookMessage.objects.get()).state == "waiting":
        assert hook_sending.send_due() == 1
        message.refresh_from_db()
        waits.append(round((message.next_attempt_at - timezone.now()).total_seconds()))
        AlertHook.objects.update(paused_until=None, next_call_at=None)
        HookMessage.objects.filter(state="waiting").update(next_attempt_at=timezone.now())
    assert waits[:7] == pytest.approx(notices.SCHEDULE, abs=5)
    assert states() == [("dropped", 8)]
    hook.refresh_from_db()
    assert (hook.dropped, hook.failures, hook.last_result) == (1, 8, "It answered 503.")
    page = " ".join(hub.member(config.game, Role.ADMIN).get(f"/g/{config.game.slug}/alerts/").content.decode().split())
    assert "1 message about conversions or erasures was not received and dropped, the last one" in page
    assert re.search(r"The last call failed <time.*?</time>: It answered 503\.", page)


def test_a_failing_webhook_gets_one_call_at_a_time_with_growing_pauses(
    config: PostbackConfig, receiver: Receiver, hook: AlertHook
) -> None:
    ended(config, 30)
    receiver.otherwise = Answer(500)
    hook_sending.send_due(seconds=0.5)
    first = len(receiver.received)
    assert 1 <= first <= hook_sending.MAX_PER_HOOK
    pauses = []
    for _ in range(6):
        AlertHook.objects.update(next_call_at=None, paused_until=timezone.now() - timedelta(seconds=1))
        assert hook_sending.send_due(seconds=0.2) == 1
        hook.refresh_from_db()
        pauses.append((hook.paused_until - timezone.now()).total_seconds())
    found = [min(hook_results.PAUSES, key=lambda pause: abs(pause - seconds)) for seconds in pauses]
    assert found == [5, 15, 60, 300, 900, 900]
    assert hook_sending.send_due(seconds=0.2) == 0  # while it is paused

    receiver.otherwise = Answer()
    pass_time(hours=1)
    assert hook_sending.send_due() == 30
    hook.refresh_from_db()
    assert (hook.failures, hook.paused_until) == (0, None)


def test_a_receiver_may_ask_for_a_longer_pause(config: PostbackConfig, receiver: Receiver, hook: AlertHook) -> None:
    ended(config)
    for asked, expected in (("600", 600), ("999999", 3600), ("soon", 5)):
        receiver.answers.append(Answer(429, {"Retry-After": asked}))
        HookMessage.objects.update(next_attempt_at=timezone.now())
        AlertHook.objects.update(next_call_at=None, paused_until=None, failures=1)
        assert hook_sending.send_due() == 1
        hook.refresh_from_db()
        seconds = (hook.paused_until - timezone.now()).total_seconds()
        assert seconds == pytest.approx(expected, abs=5 if expected > 5 else 4)


def test_one_message_that_the_receiver_refuses_stops_no_other(
    config: PostbackConfig, receiver: Receiver, hook: AlertHook
) -> None:
    ended(config, 10)
    receiver.answers.append(Answer(400))
    assert hook_sending.send_due() == 10
    assert sorted(states()) == [*[("sent", 1)] * 9, ("waiting", 1)]


# Hostile receivers -----------------------------------------------------------------------------------------------


def test_a_receiver_that_never_answers_delays_no_other(
    config: PostbackConfig, receiver: Receiver, hook: AlertHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postbacks.monitoring.alerts.hook_calls.TIMEOUT_SECONDS", 8.0)
    with receiving() as good:
        hooks.add_hook(game=config.game, url=good.url, created_by=None, events=["conversion.failed"])
        receiver.never_answer()
        ended(config, 16)
        started = time.monotonic()
        hook_sending.send_due(seconds=4)
        assert len(good.received) == 16
        # One time limit of a call, and not one for each message.
        assert time.monotonic() - started < 15
    assert len(receiver.received) <= hook_sending.MAX_PER_HOOK + 1
    hook.refresh_from_db()
    assert hook.failures >= 1
    assert hook.last_result == "No answer within 10 s."
    assert HookMessage.objects.filter(hook=hook, state="sent").count() == 0


def test_a_huge_answer_is_not_read_to_its_end(config: PostbackConfig, receiver: Receiver, hook: AlertHook) -> None:
    receiver.answers.append(Answer(200, body=b"x" * 20_000_000))
    ended(config)
    started = time.monotonic()
    assert hook_sending.send_due() == 1
    assert time.monotonic() - started < 5
    message = HookMessage.objects.get()
    # The answer is not quoted: it might repeat the player's id.
    assert (message.state, message.result) == ("sent", "It answered 200.")


def test_a_redirect_to_another_server_is_not_followed(
    config: PostbackConfig, receiver: Receiver, hook: AlertHook
) -> None:
    with receiving() as other:
        receiver.answers.append(Answer(307, {"Location": other.url}))
        ended(config)
        hook_sending.send_due()
        assert other.received == []
    assert states() == [("waiting", 1)]


def test_an_address_that_became_private_is_not_called(
    config: PostbackConfig, receiver: Receiver, hook: AlertHook, settings: Any
) -> None:
    settings.ALERT_PRIVATE_HOSTS = frozenset()
    ended(config)
    hook_sending.send_due()
    assert receiver.received == []
    assert HookMessage.objects.get().result.startswith("Not sent: this address is not on the public internet.")


def test_a_410_disables_the_webhook_and_drops_what_waits(
    config: PostbackConfig, receiver: Receiver, hook: AlertHook
) -> None:
    ended(config)
    receiver.otherwise = Answer(410)
    hook_sending.send_due()
    hook.refresh_from_db()
    assert (hook.enabled, hook.disabled_because) == (False, hooks.GONE)
    assert states() == [("dropped", 1)]
    ended(config)  # nothing is written for a disabled webhook
    assert HookMessage.objects.count() == 1


def test_a_secret_rotated_between_two_attempts_signs_the_second(
    config: PostbackConfig, receiver: Receiver, hook: AlertHook, secret: str
) -> None:
    ended(config)
    receiver.answers.append(Answer(500))
    hook_sending.send_due()
    new = hooks.rotate_secret(hook=hook, overlap=timedelta(hours=1))
    pass_time(hours=1)
    hook_sending.send_due()
    first, second = receiver.received
    assert first.verify(secret)["data"] == second.verify(new)["data"] == second.verify(secret)["data"]
    assert first.id == second.id


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("answer", [204, 500, 410])
def test_a_webhook_that_is_deleted_during_its_call_leaves_nothing(
    config: PostbackConfig, receiver: Receiver, hook: AlertHook, answer: int
) -> None:
    ended(config)
    delete = lambda: in_thread(lambda: hooks.delete_hook(hook=AlertHook.objects.get())).join()  # noqa: E731
    receiver.answers.append(Answer(answer, before=delete))
    assert hook_sending.send_due() == 1
    assert (AlertHook.objects.count(), HookMessage.objects.count(), FailedWork.objects.count()) == (0, 0, 0)
    assert hook_sending.send_due() == 0


@pytest.mark.django_db(transaction=True)
def test_a_delivery_that_ends_while_its_webhook_is_deleted_is_recorded(config: PostbackConfig, hook: AlertHook) -> None:
    row = factories.delivery(config, state="failed")
    with transaction.atomic():
        hook_messages.add_for_deliveries([row])
        in_thread(lambda: hooks.delete_hook(hook=hook)).join()
        assert not AlertHook.objects.exists()
    # The message to it is never sent, and is pruned by its age.
    assert HookMessage.objects.count() == 1
    hook_upkeep.tidy()
    assert hook_sending.send_due() == 0
    HookMessage.objects.update(created_at=timezone.now() - prune.UNTAKEN_MESSAGES_KEPT - timedelta(minutes=1))
    assert [(one.what, one.rows) for one in prune.prune()] == [("messages to deleted webhooks", 1)]


# Workers ---------------------------------------------------------------------------------------------------------


def test_a_message_of_a_killed_worker_is_sent_again_under_its_id(
    config: PostbackConfig, receiver: Receiver, hook: AlertHook, secret: str
) -> None:
    ended(config)
    (claimed,) = hook_claims.claim(hook_id=hook.pk, limit=8)
    # The worker is killed before or after the call, and stores no result.
    assert hook_sending.send_due() == 0
    pass_time(seconds=hook_claims.LEASE.total_seconds() + 1)
    assert hook_sending.send_due() == 1
    assert [one.id for one in receiver.received] == [str(claimed.pk)]
    receiver.messages(secret)
    assert states() == [("sent", 2)]
    # The first worker was only slow: its late result changes nothing.
    failed = hook_calls.HookAnswer(hook_calls.HookResult.FAILED, "It answered 500.")
    hook_results.store([hook_results.SentMessage(claimed, failed)])
    assert states() == [("sent", 2)]


@pytest.mark.django_db(transaction=True)
def test_two_workers_send_each_message_once(config: PostbackConfig, receiver: Receiver, hook: AlertHook) -> None:
    ended(config, 6)
    claimed: list[Any] = []
    threads = [in_thread(lambda: claimed.extend(hook_claims.claim(hook_id=hook.pk, limit=4))) for _ in range(4)]
    for thread in threads:
        thread.join()
    assert len({message.pk for message in claimed}) == len(claimed) > 0


@pytest.mark.django_db(transaction=True)
def test_a_result_that_cannot_be_stored_stops_no_other_and_is_not_sent_again(
    config: PostbackConfig, receiver: Receiver, hook: AlertHook
) -> None:
    bad, good = ended(config, 2)
    message = HookMessage.objects.get(row=bad.pk)
    lift = poison.refuse("postbacks_hookmessage", f"NEW.id = '{message.pk}' AND NEW.state <> 'waiting'")
    try:
        assert hook_sending.send_due() == 2
        assert HookMessage.objects.get(row=good.pk).state == "sent"
        assert list(FailedWork.objects.values_list("queue", "row", "attempts")) == [("notice", str(message.pk), 1)]
        pass_time(minutes=3)
        assert hook_sending.send_due() == 0
        notices.deliver_notices()
        assert FailedWork.objects.count() == 1, "it is not retried as a message about an alert"
    finally:
        lift()
    FailedWork.objects.update(next_attempt_at=timezone.now())
    assert hook_sending.send_due() == 0
    assert (HookMessage.objects.get(row=bad.pk).state, FailedWork.objects.count()) == ("sent", 0)
    assert len(receiver.received) == 2


def test_messages_about_alerts_do_not_wait_for_those_about_conversions(
    config: PostbackConfig, receiver: Receiver, hook: AlertHook, secret: str
) -> None:
    ended(config, 100)
    AlertHook.objects.update(failures=5, paused_until=timezone.now() + timedelta(minutes=15))
    hold(config)
    watch()
    assert notices.deliver_notices() == 1
    assert [message["type"] for message in receiver.messages(secret)] == ["alert.opened"]
    assert Notice.objects.get().state == "sent"


# Bounds ----------------------------------------------------------------------------------------------------------


def test_messages_that_wait_longer_than_any_retry_are_dropped_and_counted(
    config: PostbackConfig, hook: AlertHook
) -> None:
    ended(config, 3)
    old = timezone.now() - hook_upkeep.MAX_AGE - timedelta(minutes=1)
    first, second, third = HookMessage.objects.order_by("pk")
    HookMessage.objects.filter(pk__in=[first.pk, second.pk]).update(created_at=old)
    # This one is being sent.
    HookMessage.objects.filter(pk=second.pk).update(leased_until=timezone.now() + timedelta(minutes=1))
    hook_upkeep.tidy()
    found = dict(HookMessage.objects.values_list("pk", "state"))
    assert found == {first.pk: "dropped", second.pk: "waiting", third.pk: "waiting"}
    hook.refresh_from_db()
    assert hook.dropped == 1
    assert HookMessage.objects.get(pk=first.pk).result == "It was not received within 21 hours."
    assert timedelta(hours=21) < hook_upkeep.MAX_AGE < timedelta(hours=22)


def test_the_oldest_of_too_many_messages_are_dropped(
    config: PostbackConfig, hook: AlertHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hook_upkeep.MAX_WAITING == 50_000
    monkeypatch.setattr(hook_upkeep, "MAX_WAITING", 3)
    rows = ended(config, 5)
    for number, row in enumerate(rows):
        HookMessage.objects.filter(row=row.pk).update(created_at=timezone.now() - timedelta(minutes=number))
    hook_upkeep.tidy()
    dropped = HookMessage.objects.filter(state="dropped").values_list("row", flat=True)
    assert set(dropped) == {row.pk for row in rows[3:]}
    hook.refresh_from_db()
    assert hook.dropped == 2


def test_what_waits_for_a_disabled_webhook_is_dropped(
    config: PostbackConfig, receiver: Receiver, hook: AlertHook
) -> None:
    ended(config, 2)
    hooks.set_hook_enabled(hook=hook, enabled=False)
    assert hook_sending.send_due() == 0
    hook_upkeep.tidy()
    assert states() == [("dropped", 0)] * 2
    hooks.set_hook_enabled(hook=hook, enabled=True)
    assert hook_sending.send_due() == 0
    assert receiver.received == []


def test_the_page_says_how_many_messages_wait(config: PostbackConfig, hook: AlertHook) -> None:
    ended(config, 2)
    page = hub.member(config.game, Role.VIEWER).get(f"/g/{config.game.slug}/alerts/").content.decode()
    assert "2 messages about conversions or erasures wait" in " ".join(page.split())


def test_a_secret_is_forgotten_after_its_overlap(game: Game) -> None:
    hook, _ = hooks.add_hook(game=game, url="https://chat.example/", created_by=None)
    hooks.rotate_secret(hook=hook, overlap=timedelta(hours=1))
    hook_upkeep.tidy()
    assert len(AlertHook.objects.get().previous_secrets) == 1
    with time_machine.travel(timezone.now() + timedelta(hours=2)):
        hook_upkeep.tidy()
    assert AlertHook.objects.exclude(previous_secrets="").count() == 0


def test_ended_messages_are_pruned(config: PostbackConfig, hook: AlertHook) -> None:
    ended(config, 3)
    now = timezone.now()
    old, young, _ = HookMessage.objects.order_by("pk")
    HookMessage.objects.filter(pk=old.pk).update(state="sent", finished_at=now - timedelta(days=2, minutes=1))
    HookMessage.objects.filter(pk=young.pk).update(state="dropped", finished_at=now - timedelta(days=1))
    ages = {91: "gone", 89: "kept"}
    for days in ages:
        Notice.objects.create(
            game=config.game, hook=hook, kind="test", state="sent", finished_at=now - timedelta(days=days)
        )
    assert [(one.what, one.rows) for one in prune.prune(dry_run=True)] == [
        ("messages to webhooks", 1),
        ("messages about alerts", 1),
    ]
    prune.prune()
    assert (HookMessage.objects.count(), Notice.objects.count()) == (2, 1)
    assert not HookMessage.objects.filter(pk=old.pk).exists()


@pytest.mark.django_db(transaction=True)
def test_a_message_that_cannot_be_deleted_stops_no_other(config: PostbackConfig, hook: AlertHook) -> None:
    ended(config, 2)
    HookMessage.objects.update(state="sent", finished_at=timezone.now() - timedelta(days=3))
    bad = HookMessage.objects.first()
    assert bad is not None
    lift = poison.refuse("postbacks_hookmessage", f"OLD.id = '{bad.pk}'", on="DELETE")
    try:
        for _ in range(2):
            prune.prune()
            assert [message.pk for message in HookMessage.objects.all()] == [bad.pk]
        assert FailedWork.objects.get().row == f"postbacks_hookmessage {bad.pk}"
    finally:
        lift()
    FailedWork.objects.update(next_attempt_at=timezone.now())
    prune.prune()
    assert (HookMessage.objects.count(), FailedWork.objects.count()) == (0, 0)


def test_an_erasure_during_the_wait_leaves_no_id_in_what_is_sent(
    config: PostbackConfig, receiver: Receiver, hook: AlertHook, secret: str
) -> None:
    player = factories.person(config.game, user="player-1")
    conversion = factories.conversion(player, touch=factories.touch(player), user_id="player-1")
    row = factories.delivery(config, conversion=conversion, state="failed", verdict="payload")
    hook_messages.add_for_deliveries([row])
    receiver.answers.append(Answer(500))
    hook_sending.send_due()
    assert b"player-1" in receiver.received[0].body
    erasure.request_erasure(game=config.game, namespace="user", subject="player-1", requested_by="a test")
    assert erasure.drain() == 1
    pass_time(hours=1)
    hook_sending.send_due()
    later = {message["type"]: message["data"] for message in receiver.messages(secret)[1:]}
    assert later["conversion.failed"]["delivery_id"] == str(row.pk)
    assert (later["conversion.failed"]["user_id"], later["conversion.failed"]["conversion_id"]) == (None, None)
    assert later["erasure.completed"]["state"] == "done"
    assert not any(b"player-1" in one.body for one in receiver.received[1:])
