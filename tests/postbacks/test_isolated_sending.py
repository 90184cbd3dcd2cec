"""A row that sending cannot process: other rows are sent, and no event is sent twice."""

import importlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audience.background import set_aside
from audience.models import Conversion, FailedWork, Game, Queue
from audience.privacy import erasure
from postbacks.delivery import attempts, claims, leases, replays, sending
from postbacks.delivery.recording import CallResult
from postbacks.models import Delivery, DeliveryAttempt, Flow, PostbackConfig
from postbacks.monitoring.health.evaluation import evaluate_configs
from postbacks.networks import NETWORKS
from postbacks.networks.interface.call import Outcome, Request, Response, Verdict
from postbacks.outbox import fan_out
from postbacks.sandbox.server import Sandbox
from tests import factories
from tests.postbacks import poison


@pytest.fixture(autouse=True)
def _committed(transactional_db: None, sandbox: Sandbox) -> None:
    """What fails outside a transaction of its own must not take the test's with it."""


@pytest.fixture
def refuse() -> Iterator[Callable[..., Callable[[], None]]]:
    """Call poison.refuse, and end it after the test unless the test has done so."""
    open_ones: list[Callable[[], None]] = []

    def made(table: str, when: str, *, on: str = "UPDATE") -> Callable[[], None]:
        lift = poison.refuse(table, when, on=on)
        open_ones.append(lift)

        def lifted() -> None:
            if lift in open_ones:
                open_ones.remove(lift)
                lift()

        return lifted

    yield made
    for lift in list(open_ones):
        lift()


def drain() -> None:
    sending.drain(network="tiktok", max_in_flight=1)


def leases_run_out() -> None:
    Delivery.objects.exclude(leased_until=None).update(leased_until=timezone.now() - timedelta(seconds=1))


def make_due() -> None:
    FailedWork.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))


def received(sandbox: Sandbox) -> list[str]:
    """The event ids that the network was sent, in order."""
    return [
        event["event_id"] for request in sandbox.state.requests("tiktok") for event in json.loads(request.body)["data"]
    ]


def failures() -> list[tuple[str, str, int]]:
    return list(FailedWork.objects.order_by("queue", "row").values_list("queue", "row", "attempts"))


def state(row: Delivery) -> str:
    return Delivery.objects.get(pk=row.pk).state


def accepted(claim: leases.Claim) -> CallResult:
    return CallResult(claim, Outcome(Verdict.SUCCESS, "0", "OK"), None, Response(200, {}, b"{}", 12))


def test_only_the_answer_that_cannot_be_recorded_is_left_and_its_event_is_not_sent_again(
    sandbox: Sandbox, config: PostbackConfig, refuse: Any
) -> None:
    rows = [factories.delivery(config) for _ in range(5)]
    bad = rows[2]
    lift = refuse("postbacks_deliveryattempt", f"OLD.delivery_id = '{bad.pk}'")
    drain()
    assert [state(row) for row in rows] == ["delivered", "delivered", "waiting", "delivered", "delivered"]
    assert failures() == [("closing", str(bad.pk), 1)]

    for _ in range(3):
        leases_run_out()
        drain()
    assert sorted(received(sandbox)) == sorted(row.event_id for row in rows)

    lift()
    make_due()
    drain()
    assert state(bad) == "delivered"
    attempt = DeliveryAttempt.objects.get(delivery=bad)
    assert (attempt.status, attempt.verdict) == ("success", "success")
    assert attempt.message == "The network answered, but its answer could not be stored."
    assert failures() == []
    assert len(received(sandbox)) == len(rows)


def test_an_answer_that_can_never_be_written_is_set_aside_and_still_not_sent_again(
    sandbox: Sandbox, game: Game, config: PostbackConfig, viewer: Client, refuse: Any
) -> None:
    bad = factories.delivery(config)
    refuse("postbacks_deliveryattempt", f"OLD.delivery_id = '{bad.pk}'")
    for _ in range(8):
        drain()
        leases_run_out()
        make_due()
    (found,) = FailedWork.objects.all()
    assert (found.queue, found.attempts, found.set_aside_at is not None) == ("closing", 8, True)
    drain()
    assert received(sandbox) == [bad.event_id]
    assert state(bad) == "waiting"

    said = (
        "The network answered, but the answer could not be stored, so the conversion is not sent again: DataError: "
        "poisoned. It was set aside after 8 attempts. An admin of the game can try again on the Overview."
    )
    page = viewer.get(f"/g/{game.slug}/conversions/{bad.conversion_id}/").content.decode()
    assert said in page
    assert "Set aside" in page
    (attempt,) = DeliveryAttempt.objects.all()
    assert said in viewer.get(f"/g/{game.slug}/integrations/tiktok/attempts/{attempt.pk}/").content.decode()


def test_text_that_cannot_be_stored_does_not_keep_an_acceptance_from_being_written(config: PostbackConfig) -> None:
    bad, good = factories.delivery(config), factories.delivery(config)
    taken = {claim.delivery.pk: claim for claim in claims.claim(network="tiktok", limit=2)}
    # PostgreSQL keeps no NUL in JSON.
    sent = Request("POST", "https://network.example", {}, b'{"note": "nul \\u0000"}')
    odd = replace(accepted(taken[bad.pk]), request=sent)
    attempts.process_answers([odd, accepted(taken[good.pk])])

    assert (state(bad), state(good), failures()) == ("delivered", "delivered", [])
    said = dict(DeliveryAttempt.objects.values_list("delivery", "message"))
    assert said == {bad.pk: "The network answered, but its answer could not be stored.", good.pk: "OK"}


def test_a_refusal_stored_with_the_failed_work_is_the_outcome_of_the_delivery(
    sandbox: Sandbox, config: PostbackConfig, refuse: Any
) -> None:
    bad = factories.delivery(config)
    sandbox.state.add_fault("tiktok", "bad_request", 1)
    lift = refuse("postbacks_deliveryattempt", f"OLD.delivery_id = '{bad.pk}'")
    drain()
    lift()
    make_due()
    drain()
    row = Delivery.objects.get(pk=bad.pk)
    assert (row.state, row.verdict, received(sandbox)) == ("failed", "payload", [bad.event_id])


def test_a_conversion_whose_reason_cannot_be_taken_back_stops_no_answer(
    sandbox: Sandbox, config: PostbackConfig, refuse: Any
) -> None:
    bad, good = factories.delivery(config), factories.delivery(config)
    taken = list(claims.claim(network="tiktok", limit=2))
    Conversion.objects.update(reason="config_disabled")
    lift = refuse("audience_conversion", f"OLD.id = '{bad.conversion_id}'")
    attempts.process_answers([accepted(claim) for claim in taken])

    reasons = dict(Conversion.objects.values_list("pk", "reason"))
    assert (state(bad), state(good)) == ("delivered", "delivered")
    assert reasons == {bad.conversion_id: "config_disabled", good.conversion_id: ""}
    assert failures() == [("closing", str(bad.conversion_id), 1)]
    lift()
    make_due()
    drain()
    assert (Conversion.objects.get(pk=bad.conversion_id).reason, failures()) == ("", [])


def test_a_credential_whose_refusal_cannot_be_written_stops_no_answer(
    sandbox: Sandbox, config: PostbackConfig, refuse: Any
) -> None:
    row = factories.delivery(config)
    (taken,) = claims.claim(network="tiktok", limit=1)
    lift = refuse("postbacks_postbackconfig", f"OLD.id = '{config.pk}'")
    attempts.process_answers(
        [CallResult(taken, Outcome(Verdict.CREDENTIAL, "40001", "No."), None, Response(401, {}, b"", 5))]
    )
    assert DeliveryAttempt.objects.get(delivery=row).verdict == "credential"
    assert failures() == [("closing", str(config.pk), 1)]

    lift()
    make_due()
    drain()
    config.refresh_from_db()
    assert config.suspected_at is not None
    assert failures() == []


def test_a_pixel_that_cannot_be_written_to_is_reported_by_its_deliveries(config: PostbackConfig, refuse: Any) -> None:
    other = factories.config(factories.game(), pixel_id="C0THERP1XEL0000000000")
    bad, good = factories.delivery(config), factories.delivery(other)
    Flow.objects.create(network="tiktok", pixel_id=config.pixel_id)
    refuse("postbacks_flow", f"OLD.pixel_id = '{config.pixel_id}'")
    drain()
    assert failures() == [("sending", str(bad.pk), 1)]
    assert DeliveryAttempt.objects.filter(delivery=bad).count() == 0
    assert DeliveryAttempt.objects.filter(delivery=good).count() == 1


def test_a_claim_that_cannot_be_given_back_is_claimed_alone_later(
    sandbox: Sandbox, config: PostbackConfig, refuse: Any
) -> None:
    bad, good = factories.delivery(config), factories.delivery(config)
    taken = list(claims.claim(network="tiktok", limit=2))
    lift = refuse("postbacks_delivery", f"NEW.id = '{bad.pk}'")
    leases.undo(taken)
    lift()
    assert Delivery.objects.get(pk=good.pk).attempts_made == 0
    assert failures() == [("sending", str(bad.pk), 1)]

    make_due()
    drain()
    assert (state(bad), state(good)) == ("waiting", "delivered"), "it is leased for a while"
    leases_run_out()
    make_due()
    drain()
    assert (state(bad), failures()) == ("delivered", [])


def test_a_failed_delivery_is_not_retried_while_its_postback_is_suspected(config: PostbackConfig, refuse: Any) -> None:
    bad = factories.delivery(config)
    lift = refuse("postbacks_delivery", f"NEW.id = '{bad.pk}'")
    drain()
    lift()
    PostbackConfig.objects.update(suspected_at=timezone.now())
    make_due()
    drain()
    assert failures() == [("sending", str(bad.pk), 1)]
    PostbackConfig.objects.update(suspected_at=None)
    make_due()
    drain()
    assert (state(bad), failures()) == ("delivered", [])


def test_a_replay_continues_after_a_delivery_that_cannot_be_queued(config: PostbackConfig, refuse: Any) -> None:

    failed = {"state": "failed", "verdict": "payload", "finished_at": timezone.now() - timedelta(minutes=5)}
    rows = [factories.delivery(config, **failed, next_attempt_at=None) for _ in range(3)]
    bad = rows[1]
    replays.start(config=config, failed_from=None, failed_until=None, verdict="", requested_by=None)
    lift = refuse("postbacks_delivery", f"NEW.id = '{bad.pk}'")
    replays.advance()
    assert [state(row) for row in rows] == ["waiting", "failed", "waiting"]
    assert failures() == [("replay", str(bad.pk), 1)]
    replays.advance()
    assert failures() == [("replay", str(bad.pk), 1)]

    lift()
    make_due()
    replays.advance()
    assert (state(bad), failures()) == ("waiting", [])


def test_an_erasure_deletes_the_failed_work_of_the_players_rows(game: Game, config: PostbackConfig) -> None:

    row = factories.delivery(config)
    assert row.conversion is not None
    factories.identity(row.conversion.person, namespace="user", value="ada")
    for queue, pk in ((Queue.FAN_OUT, row.conversion_id), (Queue.SENDING, row.pk), (Queue.CLOSING, row.pk)):
        FailedWork.objects.create(game=game, queue=queue, row=str(pk))
    kept = FailedWork.objects.create(game=game, queue=Queue.SENDING, row="another")
    erasure.request_erasure(game=game, namespace="user", subject="ada", requested_by="test")
    assert erasure.drain() == 1
    assert list(FailedWork.objects.all()) == [kept]


def test_an_undecided_conversion_says_why_instead_of_waiting(
    game: Game, config: PostbackConfig, viewer: Client
) -> None:
    row = factories.conversion(factories.person(game))
    FailedWork.objects.create(
        game=game,
        queue=Queue.FAN_OUT,
        row=str(row.pk),
        attempts=8,
        error="OverflowError: date value out of range",
        set_aside_at=timezone.now(),
    )
    said = (
        "The conversion could not be assigned to postbacks: OverflowError: date value out of range. It was set "
        "aside after 8"
    )
    for url in (f"/g/{game.slug}/conversions/{row.pk}/", f"/g/{game.slug}/conversions/"):
        page = viewer.get(url).content.decode()
        assert said in page, url
        assert "Set aside" in page
        assert "Being processed" not in page
    set_aside.retry_set_aside(FailedWork.objects.all())
    assert "It is retried automatically." in viewer.get(f"/g/{game.slug}/conversions/{row.pk}/").content.decode()


def test_an_upgrade_gives_what_waits_in_the_far_future_the_moment_of_its_receipt(config: PostbackConfig) -> None:
    migration = importlib.import_module("audience.migrations.0023_conversions_of_the_far_future")
    click = factories.touch(factories.person(config.game))
    stuck = factories.conversion(click.person, touch=click, event_at=poison.FAR)
    soon = timezone.now() + timedelta(hours=3)
    ahead = factories.conversion(click.person, touch=click, event_at=soon)
    sent = factories.conversion(click.person, touch=click, event_at=soon + timedelta(days=9), fanned_out_at=soon)
    poison.execute(migration.REPAIR)

    found = dict(Conversion.objects.values_list("pk", "event_at"))
    assert found == {stuck.pk: stuck.created_at, ahead.pk: soon, sent.pk: soon + timedelta(days=9)}
    fan_out.fan_out_due()
    assert Delivery.objects.filter(conversion=stuck, state="waiting").exists()


def test_a_delivery_set_aside_is_not_reported_as_a_late_queue(game: Game, config: PostbackConfig) -> None:
    row = factories.delivery(config, next_attempt_at=timezone.now() - timedelta(hours=3))
    (status,) = evaluate_configs([config]).values()
    assert status.health == "degraded"
    FailedWork.objects.create(game=game, queue=Queue.SENDING, row=str(row.pk), set_aside_at=timezone.now())
    (status,) = evaluate_configs([config]).values()
    assert status.health != "degraded"


def test_an_answer_that_cannot_be_read_is_an_unknown_outcome_and_stops_no_other(
    sandbox: Sandbox, config: PostbackConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = factories.delivery(config), factories.delivery(config)
    network = type(NETWORKS["tiktok"])
    read, asked = network.classify, iter([True, False])

    def classify(self: Any, response: Response) -> Outcome:
        if next(asked):
            raise KeyError("an answer that nobody foresaw")
        return read(self, response)

    monkeypatch.setattr(network, "classify", classify)
    drain()
    assert sorted([state(bad), state(good)]) == ["delivered", "waiting"]
    row = Delivery.objects.get(state="waiting")
    (attempt,) = row.attempts.all()
    assert (attempt.status, attempt.verdict, attempt.http_status) == ("retried", "transient", 200)
    assert attempt.message == "The answer could not be read (KeyError). The event is sent again with the same event ID."
    assert attempt.payload["data"][0]["event_id"] == row.event_id
    assert row.may_have_arrived
    assert row.next_attempt_at is not None
    assert row.next_attempt_at > timezone.now() + timedelta(seconds=15)
    assert failures() == []
