"""A call that was cut off, timed out or lost its worker may have arrived, and is shown as such."""

import csv
import importlib
import io
import re
import socket
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from audience.models import Conversion, Game, Person, Reason
from audience.privacy import erasure
from postbacks.configs import hold, lifecycle, upkeep
from postbacks.delivery import attempts, claims, failed_deliveries, replays, sending
from postbacks.delivery.recording import CallResult
from postbacks.hub.overview.delivery_totals import by_network
from postbacks.models import Delivery, DeliveryAttempt, Flow, PostbackConfig
from postbacks.monitoring.alerts import digests
from postbacks.monitoring.health.evaluation import evaluate_configs
from postbacks.networks.interface.call import Outcome, Verdict
from postbacks.outbox import fan_out, once_per_player
from postbacks.reporting import audit, conversion_status, statuses
from postbacks.sandbox.server import Sandbox
from tests import factories

pytestmark = pytest.mark.django_db
CLAUSE = "a call ended without an answer, so the conversion may have arrived"


@pytest.fixture
def player(config: PostbackConfig) -> Person:
    row = factories.person(config.game, anonymous="anon-1", user="user-1")
    factories.touch(row)
    return row


@pytest.fixture
def row(player: Person) -> Delivery:
    """A purchase, fanned out and due."""
    return bought(player)


def bought(player: Person, **given: Any) -> Delivery:
    conversion = factories.conversion(player, touch=player.touches.get(), **given)
    fan_out.fan_out_due()
    return conversion.deliveries.get()


def drain() -> None:
    """Everything that waits is due, and nothing rests."""
    Flow.objects.all().delete()
    Delivery.objects.filter(state="waiting").update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    sending.drain(network="tiktok", max_in_flight=1, seconds=5)


def cut_off(sandbox: Sandbox) -> None:
    """One call whose connection is closed after the request was read."""
    sandbox.state.add_fault("tiktok", "reset", 1)
    drain()
    assert DeliveryAttempt.objects.order_by("pk").last().message == "The connection was closed before an answer arrived"


def killed(row: Delivery) -> None:
    """A worker that claimed it, and was never heard of again."""
    assert list(claims.claim(network="tiktok"))
    Delivery.objects.filter(pk=row.pk).update(leased_until=timezone.now() - timedelta(seconds=1))


def end(row: Delivery, outcome: Outcome) -> None:
    """The next attempt, with this answer."""
    Flow.objects.all().delete()
    Delivery.objects.filter(pk=row.pk).update(next_attempt_at=timezone.now())
    (claim,) = claims.claim(network="tiktok")
    attempts.process_answers([CallResult(claim, outcome)])


UNKNOWN = Outcome(Verdict.TRANSIENT, None, "No answer within 10 s", unknown=True)


def withdraw(row: Delivery) -> None:
    Conversion.objects.update(consent_level="none")


def too_old(row: Delivery) -> None:
    Delivery.objects.update(dead_after=timezone.now() - timedelta(seconds=1))


WAYS: dict[str, tuple[Callable[[Delivery], Any], str, str, str]] = {
    "disabled": (lambda row: lifecycle.disable(config=row.config), "skipped", "config_disabled", "May have arrived"),
    "deleted": (lambda row: lifecycle.delete(config=row.config), "skipped", "config_deleted", "May have arrived"),
    "consent": (withdraw, "skipped", "consent", "May have arrived"),
    "too old": (too_old, "failed", "too_old", "Failed, may have arrived"),
}


@pytest.mark.parametrize("lost", [cut_off, killed], ids=["cut off", "worker killed"])
@pytest.mark.parametrize("way", WAYS)
def test_a_delivery_cancelled_after_an_unanswered_call_is_shown_as_may_have_arrived(
    sandbox: Sandbox, row: Delivery, player: Person, marketer: Client, way: str, lost: Callable[[Any], None]
) -> None:
    cancel, state, reason, word = WAYS[way]
    lost(sandbox if lost is cut_off else row)
    cancel(row)
    drain()
    row.refresh_from_db()
    assert (row.state, row.reason, row.may_have_arrived, row.is_unknown) == (state, reason, True, True)
    game = row.game
    conversion = Conversion.objects.get()
    page = marketer.get(f"/g/{game.slug}/conversions/{conversion.pk}/").content.decode()
    assert page.count(f">{word}</span>") == 2
    assert f"{Reason(reason).label.replace(chr(39), '&#x27;')}; {CLAUSE}" in page
    listed = marketer.get(f"/g/{game.slug}/conversions/?only={'failed' if state == 'failed' else 'may_have_arrived'}")
    person = marketer.get(f"/g/{game.slug}/people/{player.pk}/")
    attempt = marketer.get(f"/g/{game.slug}/integrations/tiktok/attempts/{DeliveryAttempt.objects.get().pk}/")
    search = marketer.get(f"/g/{game.slug}/conversions/", {"q": str(conversion.pk)})
    for found in (page, *(answer.content.decode() for answer in (listed, person, attempt, search))):
        assert word in found
        assert "Not sent" not in found.split("<main", 1)[-1].split("Attempt", 1)[0]
    (line,) = csv.DictReader(io.StringIO(b"".join(marketer.get(f"/g/{game.slug}/conversions/export/")).decode()))
    assert (line["state"], line["may_have_arrived"], line["reason"]) == (state, "yes", reason)
    (balance,) = audit.run().rows
    assert (balance.may_have_arrived, balance.states, balance.balances) == (1, {state: 1}, True)
    # Of rows made up here: a config without its versions, a deadline moved to before the attempt.
    assert set(audit.run().violations) <= {"versions_are_kept", "attempts_in_time"}
    assert "may have arrived: 1" in audit.run().text()
    assert len(sandbox.received("tiktok")) <= 1


def test_a_delivery_whose_network_was_never_reached_has_not_arrived(
    row: Delivery, settings: Any, marketer: Client
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    settings.NETWORK_URLS = dict.fromkeys(settings.NETWORK_URLS, f"http://127.0.0.1:{port}")
    drain()
    assert DeliveryAttempt.objects.get().message == "The connection was refused"
    lifecycle.disable(config=row.config)
    drain()
    row.refresh_from_db()
    assert (row.state, row.may_have_arrived) == ("skipped", False)
    page = marketer.get(f"/g/{row.game.slug}/conversions/{row.conversion_id}/").content.decode()
    assert "Not sent" in page
    assert "may have arrived" not in page


@pytest.mark.parametrize(
    ("later", "state", "may_have_arrived"),
    [
        (Outcome(Verdict.TRANSIENT, "503", "Service unavailable"), "waiting", True),
        (Outcome(Verdict.CREDENTIAL, "401", "Unauthorized", access="token"), "waiting", True),
        (Outcome(Verdict.PAYLOAD, "400", "Bad event"), "failed", False),
        (Outcome(Verdict.SUCCESS, "0", "OK"), "delivered", False),
    ],
)
def test_only_an_answer_about_the_event_itself_settles_what_is_unknown(
    row: Delivery, later: Outcome, state: str, may_have_arrived: bool
) -> None:
    end(row, UNKNOWN)
    end(row, later)
    row.refresh_from_db()
    assert (row.state, row.may_have_arrived, row.is_unknown) == (state, may_have_arrived, False)


def test_an_accepted_retry_settles_what_may_have_arrived(sandbox: Sandbox, row: Delivery) -> None:
    cut_off(sandbox)
    row.refresh_from_db()
    assert (row.state, row.may_have_arrived) == ("waiting", True)
    drain()
    row.refresh_from_db()
    assert (row.state, row.may_have_arrived, row.is_unknown) == ("delivered", False, False)


def test_a_held_delivery_whose_worker_was_killed_shows_it_after_its_deadline(row: Delivery) -> None:
    killed(row)
    hold.hold(config=row.config, access="token", message="revoked")
    too_old(row)
    upkeep.reconcile()
    row.refresh_from_db()
    assert (row.state, row.reason, row.may_have_arrived) == ("failed", "too_old", True)


def test_a_cancelled_replay_may_still_have_arrived_if_its_worker_was_killed(row: Delivery) -> None:
    end(row, Outcome(Verdict.PAYLOAD, "400", "Bad event"))
    replay = replays.start(config=row.config, failed_from=None, failed_until=None, verdict="", requested_by=None)
    replays.advance()
    killed(row)
    replays.cancel(replay=replay)
    row.refresh_from_db()
    assert (row.state, row.is_unknown) == ("failed", True)


def test_a_replay_counts_deliveries_that_may_have_arrived_separately(sandbox: Sandbox, row: Delivery) -> None:
    end(row, Outcome(Verdict.PAYLOAD, "400", "Bad event"))
    replay = replays.start(config=row.config, failed_from=None, failed_until=None, verdict="", requested_by=None)
    replays.advance()
    cut_off(sandbox)
    withdraw(row)
    drain()
    (progress,) = failed_deliveries.progress([replay])
    assert (progress.unknown, progress.not_sent, progress.ended) == (1, 0, 1)


# Erasures -----------------------------------------------------------------------------------------


def erase(game: Game) -> None:
    erasure.request_erasure(game=game, namespace="user", subject="user-1", requested_by="a test")
    assert erasure.drain() == 1


def test_an_erasure_after_a_call_that_was_cut_off_keeps_may_have_arrived(sandbox: Sandbox, row: Delivery) -> None:
    cut_off(sandbox)
    erase(row.game)
    row.refresh_from_db()
    assert (row.state, row.reason, row.is_unknown) == ("cancelled", "erased", True)
    assert audit.run().rows[0].may_have_arrived == 1


@pytest.mark.parametrize(
    ("answer", "may_have_arrived"),
    [
        (UNKNOWN, True),
        (Outcome(Verdict.SUCCESS, "0", "OK"), True),
        (Outcome(Verdict.TRANSIENT, "503", "Service unavailable"), False),
        (Outcome(Verdict.PAYLOAD, "400", "Bad event"), False),
    ],
)
def test_the_answer_to_a_call_in_flight_during_an_erasure_decides(
    row: Delivery, answer: Outcome, may_have_arrived: bool
) -> None:
    (claim,) = claims.claim(network="tiktok")
    erase(row.game)
    attempts.process_answers([CallResult(claim, answer)])
    row.refresh_from_db()
    assert (row.state, row.reason, row.may_have_arrived) == ("cancelled", "erased", may_have_arrived)


def test_a_worker_killed_during_an_erasure_leaves_no_attempt_open(row: Delivery) -> None:
    assert list(claims.claim(network="tiktok"))
    erase(row.game)
    upkeep.sweep()
    assert DeliveryAttempt.objects.get().status == "sending"
    DeliveryAttempt.objects.update(started_at=timezone.now() - timedelta(minutes=3))
    upkeep.sweep()
    attempt = DeliveryAttempt.objects.get()
    assert (attempt.status, attempt.message) == ("failed", "The worker stopped before the answer arrived.")
    row.refresh_from_db()
    assert (row.state, row.may_have_arrived) == ("cancelled", True)


def test_the_sweep_leaves_what_a_claim_will_find(row: Delivery) -> None:
    killed(row)
    DeliveryAttempt.objects.update(started_at=timezone.now() - timedelta(minutes=3))
    upkeep.sweep()
    assert DeliveryAttempt.objects.get().status == "sending"


# What counts ---------------------------------------------------------------------------------------


def test_a_delivery_that_may_have_arrived_stays_the_one_that_counts_once(game: Game, player: Person) -> None:
    config = PostbackConfig.objects.get()
    goal = {"event": "tutorial_done", "once": True}
    PostbackConfig.objects.update(goals=[goal], triggers=[])
    first = bought(player, trigger="tutorial_done", event_at=timezone.now() - timedelta(minutes=3))
    end(first, UNKNOWN)
    withdraw(first)
    drain()
    first.refresh_from_db()
    assert first.is_unknown
    earlier = bought(player, trigger="tutorial_done", event_at=timezone.now() - timedelta(minutes=9))
    assert (earlier.state, earlier.reason) == ("skipped", "repeat")
    assert once_per_player.repeats([], {}) == set()
    assert config.game == game


def test_another_postback_of_the_conversion_comes_first(config: PostbackConfig) -> None:
    second = factories.config(config.game, pixel_id="C0SECONDPIXEL0000000")
    asked = conversion_status.ConversionFilter(game=config.game, since=timezone.now() - timedelta(days=1))
    doubted = {"state": "skipped", "reason": "config_disabled", "may_have_arrived": True}
    for state, place in (("delivered", "delivered"), ("failed", "failed"), ("cancelled", "may_have_arrived")):
        row = factories.delivery(config, **doubted)
        factories.delivery(second, conversion=row.conversion, state=state)
        assert conversion_status.with_status(asked).get(pk=row.conversion_id).status == place
        selected = {key: conversion_status.selected(asked, key) for key in statuses.STATUSES}
        found = {key for key, rows in selected.items() if rows.filter(pk=row.conversion_id).exists()}
        assert found == {place}


def test_the_overview_counts_what_may_have_arrived_and_its_success_rate_does_not(
    config: PostbackConfig, viewer: Client
) -> None:
    doubted = {"state": "skipped", "reason": "config_disabled", "may_have_arrived": True}
    factories.delivery(config, **doubted)
    now = timezone.now()
    early = factories.conversion(factories.person(config.game), event_at=now - timedelta(days=3))
    factories.delivery(config, **doubted, conversion=early)
    factories.delivery(config, state="skipped", reason="config_disabled")
    sent = {row.network.kind: row for row in by_network(config.game, [], since=now - timedelta(hours=23), until=now)}
    assert (sent["tiktok"].may_have_arrived, sent["tiktok"].rate, sent["reddit"].may_have_arrived) == (1, "", 0)
    page = viewer.get(f"/g/{config.game.slug}/").content.decode()
    assert re.search(r'only=may_have_arrived">1</a> may have arrived', page)


def test_the_daily_digest_counts_what_may_have_arrived(config: PostbackConfig) -> None:
    row = factories.delivery(config, state="skipped", reason="consent", may_have_arrived=True)
    factories.delivery(config, state="skipped", reason="consent")
    text = digests.text(game=config.game, day=row.event_at.date())
    assert "TikTok Ads: 2 attributed conversions, 0 delivered, 0 failed, 1 may have arrived." in text
    assert "Reddit Ads" not in text


def test_a_postback_of_which_one_may_have_arrived_is_not_silent(config: PostbackConfig) -> None:
    for _ in range(3):
        factories.delivery(config, state="skipped", reason="consent")
    assert evaluate_configs([config])[config.pk].health == "silent"
    factories.delivery(config, state="skipped", reason="consent", may_have_arrived=True)
    assert evaluate_configs([config])[config.pk].health != "silent"


def test_older_rows_are_migrated_by_the_messages_of_their_attempts(config: PostbackConfig) -> None:
    said = {
        "No answer within 10 s": True,
        "The connection was closed before an answer came": True,
        "The worker stopped before the answer came.": True,
        "The connection was refused": False,
    }
    rows = {}
    for message in said:
        rows[message] = factories.delivery(config, state="skipped", reason="consent", attempts_made=1)
        factories.attempt(rows[message], status="retried", verdict="transient", http_status=None, message=message)
    accepted = factories.delivery(config, state="delivered", attempts_made=1)
    factories.attempt(accepted, http_status=None, message="No answer within 10 s")
    fill = importlib.import_module("postbacks.migrations.0017_fill_may_have_arrived").FILL
    with connection.cursor() as cursor:
        cursor.execute(fill)
    for message, row in rows.items():
        row.refresh_from_db()
        assert (message, row.may_have_arrived) == (message, said[message])
    accepted.refresh_from_db()
    assert accepted.may_have_arrived is False
