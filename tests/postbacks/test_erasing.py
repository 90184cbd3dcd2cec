"""Deliveries of an erased player: canceled in every state, without personal data, and still counted."""

import importlib
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from audience.models import Conversion, ErasureState, Person, Role
from audience.privacy import erasure
from postbacks.configs import hold
from postbacks.delivery import attempts, claims, replays, sending
from postbacks.delivery.recording import CallResult
from postbacks.http import network_calls
from postbacks.models import ConfigVersion, Delivery, DeliveryAttempt, PostbackConfig, ReplayState
from postbacks.networks.interface.call import Outcome, Verdict
from postbacks.outbox import fan_out
from postbacks.reporting import audit
from postbacks.sandbox.server import Sandbox
from tests import factories, hub

pytestmark = pytest.mark.django_db

BODY = {"data": [{"user": {"email": "a-hash", "ip": "203.0.113.7"}}]}


@pytest.fixture
def config() -> PostbackConfig:
    row = factories.config(factories.game(), created_at=timezone.now() - timedelta(days=3))
    ConfigVersion.objects.get_or_create(
        config=row, number=row.version, defaults={"triggers": row.triggers, "enabled": True}
    )
    return row


@pytest.fixture
def player(config: PostbackConfig) -> Person:
    row = factories.person(config.game, anonymous="anon-1", user="user-1")
    factories.touch(row)
    return row


def bought(player: Person, **given: Any) -> Delivery:
    """A purchase of the player, fanned out."""
    conversion = factories.conversion(player, touch=player.touches.get(), **given)
    fan_out.fan_out_due()
    return conversion.deliveries.get()


def ended(row: Delivery, state: str, verdict: str, **of_attempt: Any) -> None:
    factories.attempt(row, verdict=verdict, payload=BODY, **of_attempt)
    fields = {"state": state, "verdict": verdict, "next_attempt_at": None, "finished_at": timezone.now()}
    Delivery.objects.filter(pk=row.pk).update(**fields)


def erase(player: Person) -> dict[str, int]:
    """The counts of the receipt."""
    asked = erasure.request_erasure(game=player.game, namespace="user", subject="user-1", requested_by="a test")
    assert erasure.drain() == 1
    asked.refresh_from_db()
    assert asked.state == ErasureState.DONE
    counts: dict[str, int] = asked.counts
    return counts


def test_the_ledger_balances_after_an_erasure_in_every_state(config: PostbackConfig, player: Person) -> None:
    ended(bought(player), "delivered", "success")
    ended(bought(player), "failed", "payload", status="failed")
    bought(player, consent_level="none")
    Delivery.objects.filter(pk=bought(player).pk).update(state="held", next_attempt_at=None)
    PostbackConfig.objects.update(held_at=timezone.now(), held_for="token")
    waiting = bought(player)
    Delivery.objects.filter(pk=waiting.pk).update(state="waiting", next_attempt_at=timezone.now())
    (before,) = audit.run().rows
    assert audit.run().violations == []
    assert (before.eligible, before.erased) == (5, 0)
    assert before.states == {"delivered": 1, "failed": 1, "skipped": 1, "held": 1, "waiting": 1}

    assert erase(player)["postbacks_cancelled"] == 2

    (after,) = audit.run().rows
    assert audit.run().violations == []
    assert (after.eligible, after.erased) == (5, 5)
    assert after.states == {"delivered": 1, "failed": 1, "skipped": 1, "cancelled": 2}
    assert set(Delivery.objects.values_list("conversion", flat=True)) == {None}
    assert set(DeliveryAttempt.objects.values_list("payload", flat=True)) == {None}
    assert Conversion.objects.count() == 0


def test_postbacks_of_other_players_continue(config: PostbackConfig, player: Person) -> None:
    other = factories.person(config.game, user="user-2")
    factories.touch(other)
    kept, gone = bought(other), bought(player)
    ended(bought(other), "failed", "payload", status="failed")
    erase(player)
    kept.refresh_from_db()
    gone.refresh_from_db()
    assert (kept.state, gone.state, gone.reason) == ("waiting", "cancelled", "erased")
    assert list(DeliveryAttempt.objects.values_list("payload", flat=True)) == [BODY]
    assert audit.run().violations == []


def test_a_running_replay_skips_erased_players(sandbox: Sandbox, config: PostbackConfig, player: Person) -> None:
    for _ in range(3):
        ended(bought(player), "failed", "transient", status="failed")
    replay = replays.start(config=config, failed_from=None, failed_until=None, verdict="", requested_by=None)
    replays.advance(limit=1)
    assert sorted(Delivery.objects.values_list("state", flat=True)) == ["failed", "failed", "waiting"]

    assert erase(player)["postbacks_cancelled"] == 1
    replays.advance()

    replay.refresh_from_db()
    assert (replay.state, replay.queued) == (ReplayState.DONE, 1)
    assert sorted(Delivery.objects.values_list("state", flat=True)) == ["cancelled", "failed", "failed"]
    sending.drain(network="tiktok", max_in_flight=1)
    assert sandbox.received("tiktok") == []
    assert audit.run().violations == []


def test_a_release_sends_nothing_of_an_erased_player(sandbox: Sandbox, config: PostbackConfig, player: Person) -> None:
    bought(player)
    hold.hold(config=config, access="token", message="revoked")
    assert Delivery.objects.get().state == "held"
    erase(player)
    assert hold.release(config=config) == 0
    sending.drain(network="tiktok", max_in_flight=1)
    assert sandbox.received("tiktok") == []
    assert Delivery.objects.values_list("state", "reason").get() == ("cancelled", "erased")


@pytest.mark.django_db(transaction=True)
def test_an_answer_after_the_erasure_stores_no_body(
    sandbox: Sandbox, config: PostbackConfig, player: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = bought(player)
    send = network_calls.post

    def erased_in_mid_call(*args: Any, **kwargs: Any) -> Any:
        erase(player)
        connection.close()  # of this thread
        return send(*args, **kwargs)

    monkeypatch.setattr(network_calls, "post", erased_in_mid_call)
    sending.drain(network="tiktok", max_in_flight=1)
    row.refresh_from_db()
    attempt = row.attempts.get()
    assert (row.state, row.reason, attempt.status, attempt.payload) == ("cancelled", "erased", "success", None)
    assert len(sandbox.received("tiktok")) == 1
    assert audit.run().violations == []
    with time_machine.travel(timezone.now() + timedelta(days=1)):
        assert list(claims.claim(network="tiktok")) == []


def test_an_answer_after_the_erasure_stores_no_message_about_the_player(config: PostbackConfig, player: Person) -> None:
    row = bought(player)
    (claim,) = claims.claim(network="tiktok")
    erase(player)
    said = "user-1 of 203.0.113.7"
    attempts.process_answers([CallResult(claim, Outcome(Verdict.PAYLOAD, said, said, request_id=said))])
    attempt = row.attempts.get()
    assert (attempt.status, attempt.verdict, attempt.finished_at is not None) == ("failed", "payload", True)
    assert (attempt.message, attempt.provider_code, attempt.request_id, attempt.payload) == ("", "", "", None)


def test_answers_about_other_players_are_kept(config: PostbackConfig, player: Person) -> None:
    other = factories.person(config.game, user="user-2")
    factories.touch(other)
    ended(bought(other), "failed", "payload", message="Bad event", provider_code="40002", request_id="r-1")
    ended(bought(player), "failed", "payload", message="Bad user-1", provider_code="40002", request_id="r-2")
    erase(player)
    said = DeliveryAttempt.objects.order_by("pk").values_list("message", "provider_code", "request_id")
    assert list(said) == [("Bad event", "40002", "r-1"), ("", "", "")]


def test_the_event_id_of_the_sender_is_forgotten_and_that_of_another_player_kept(
    config: PostbackConfig, player: Person
) -> None:
    ended(bought(player, properties={"event_id": "order-of-user-1"}), "delivered", "success")
    other = factories.person(config.game, user="user-2")
    factories.touch(other)
    bought(other, properties={"event_id": "order-of-user-2"})
    erase(player)
    assert set(Delivery.objects.values_list("event_id", flat=True)) == {"", "order-of-user-2"}


def test_an_order_that_was_sent_with_the_click_of_an_erased_player_stays_sent_once_and_counted(
    config: PostbackConfig, player: Person
) -> None:
    other = factories.person(config.game, user="user-2")
    factories.touch(other, clicked_at=timezone.now() - timedelta(hours=2), click_id="other")
    order = {"value": 9.99, "currency": "USD", "order_id": "T-1"}
    first = factories.conversion(other, touch=player.touches.get(), properties=order)
    fan_out.fan_out_due()
    ended(first.deliveries.get(), "delivered", "success")
    second = factories.conversion(other, touch=other.touches.get(), properties=order)
    fan_out.fan_out_due()
    assert list(Conversion.objects.counted()) == [first]
    erase(player)
    fan_out.fan_out_due()
    first.refresh_from_db()
    assert first.reason == "erased"
    assert list(Conversion.objects.counted()) == [second]
    assert (second.deliveries.get().state, second.deliveries.get().reason) == ("skipped", "repeat_order")
    assert audit.run().violations == []


def test_an_order_that_was_sent_for_an_erased_player_stays_sent_once_and_counted_for_the_player_of_the_event(
    config: PostbackConfig, player: Person
) -> None:
    other = factories.person(config.game, user="user-2")
    factories.touch(other)
    order = {"value": 9.99, "currency": "USD", "order_id": "T-1"}
    ended(bought(player, properties=order), "delivered", "success")
    Conversion.objects.update(moved_to=other)
    repeat = bought(other, properties=order)
    assert (repeat.state, repeat.reason) == ("skipped", "repeat_order")
    erase(player)
    fan_out.fan_out_due()
    repeat.refresh_from_db()
    assert (repeat.state, repeat.reason) == ("skipped", "repeat_order")
    assert list(Conversion.objects.counted()) == [repeat.conversion]
    assert audit.run().violations == []


def test_the_page_of_a_wiped_attempt_says_why_it_is_empty(config: PostbackConfig, player: Person) -> None:
    ended(bought(player), "failed", "payload", message="Bad user-1")
    url = f"/g/{config.game.slug}/integrations/tiktok/attempts/{DeliveryAttempt.objects.get().pk}/"
    marketer = hub.member(config.game, Role.MARKETER)
    assert "Bad user-1" in marketer.get(url).content.decode()
    erase(player)
    assert "Erased with the player" in marketer.get(url).content.decode()


def test_answers_about_players_erased_before_are_wiped_by_the_upgrade(config: PostbackConfig, player: Person) -> None:
    ended(bought(player), "failed", "payload", message="Bad user-1", provider_code="40002", request_id="r-1")
    ended(bought(player), "failed", "payload", message="Bad user-2", provider_code="40002", request_id="r-2")
    Delivery.objects.filter(pk=DeliveryAttempt.objects.earliest("pk").delivery_id).update(conversion=None)
    forget = importlib.import_module("postbacks.migrations.0020_forget_answers_of_the_erased").FORGET
    with connection.cursor() as cursor:
        cursor.execute(forget)
    said = DeliveryAttempt.objects.order_by("pk").values_list("message", "provider_code", "request_id", "payload")
    assert list(said) == [("", "", "", None), ("Bad user-2", "40002", "r-2", BODY)]


def test_a_conversion_recorded_as_erased_is_skipped_and_not_audited(config: PostbackConfig, player: Person) -> None:
    """Fanned out with its reason, and owed to nobody."""
    factories.conversion(player, touch=player.touches.get(), reason="erased")
    fan_out.fan_out_due()
    row = Delivery.objects.get()
    assert (row.state, row.reason) == ("skipped", "erased")
    report = audit.run()
    assert (report.rows, report.violations) == ([], [])
