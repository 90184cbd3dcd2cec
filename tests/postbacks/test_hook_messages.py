"""Messages to webhooks about conversions and erasures: which are stored, and what their bodies contain."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audience.models import Conversion, FailedWork, Game, Person, Touch
from audience.privacy import erasure
from postbacks.configs import hold
from postbacks.delivery import confirming, replays, sending
from postbacks.http import access_tokens
from postbacks.models import AlertHook, Delivery, HookEvent, HookMessage, PostbackConfig
from postbacks.monitoring.alerts import hook_bodies, hook_upkeep
from postbacks.outbox import fan_out, hook_messages
from postbacks.sandbox.server import Sandbox
from tests import factories
from tests.postbacks import test_google_delivery

pytestmark = pytest.mark.django_db


def subscribe(game: Game, *events: str, **given: Any) -> AlertHook:
    number = AlertHook.objects.count()
    fields = {"url": f"https://studio.example/{number}", "secret": {"key": "whsec_k"}, "events": events}
    return AlertHook.objects.create(game=game, **{**fields, **given})


@pytest.fixture
def everything(game: Game) -> AlertHook:
    """A webhook that is subscribed to every event."""
    return subscribe(game, *HookEvent.values)


@pytest.fixture
def player(game: Game) -> Person:
    return factories.person(game, anonymous="anon-1", user="player-1")


@pytest.fixture
def click(player: Person) -> Touch:
    return factories.touch(player)


def buy(click: Touch, **given: Any) -> Conversion:
    return factories.conversion(click.person, touch=click, **{"user_id": "player-1", **given})


def stored() -> list[tuple[str, str, str]]:
    """(event, state, reason) of every message, oldest first."""
    rows = HookMessage.objects.order_by("created_at").values_list("event", "ended_as")
    return [(event, ended_as["state"], ended_as.get("reason", "")) for event, ended_as in rows]


def send() -> None:
    fan_out.fan_out_due()
    sending.drain(network="tiktok", max_in_flight=1)


def bodies() -> list[dict[str, Any]]:
    messages = list(HookMessage.objects.select_related("game").order_by("created_at"))
    found = hook_bodies.bodies(messages)
    return [found[message.pk] for message in messages]


# Which are stored ------------------------------------------------------------------------------------------------


def test_a_delivered_conversion_is_one_message_with_what_the_network_received(
    config: PostbackConfig, click: Touch, everything: AlertHook, sandbox: Sandbox
) -> None:
    conversion = buy(click)
    send()
    delivery, message = Delivery.objects.get(), HookMessage.objects.get()
    assert (message.game, message.hook, message.row) == (config.game, everything, delivery.pk)
    assert (message.state, message.attempts_made, message.finished_at) == ("waiting", 0, None)
    assert bodies() == [
        {
            "type": "conversion.delivered",
            "timestamp": message.created_at.isoformat(),
            "text": f"Sky Raiders: Conversion delivered: Purchase, {config}. Accepted by the network.",
            "data": {
                "game": {"slug": "sky-raiders", "name": "Sky Raiders"},
                "delivery_id": str(delivery.pk),
                "postback_id": str(config.pk),
                "network": "tiktok",
                "pixel_id": config.pixel_id,
                "trigger": "purchase",
                "event_time": conversion.event_at.isoformat(),
                "conversion_id": str(conversion.pk),
                "message_id": conversion.message_id,
                "user_id": "player-1",
                "value": "9.99",
                "currency": "USD",
                "test": False,
                "state": "delivered",
                "confirmation": None,
                "reason": None,
                "verdict": None,
                "sentence": "Accepted by the network.",
                "url": f"http://127.0.0.1:8000/g/sky-raiders/conversions/{conversion.pk}/",
            },
        }
    ]
    (request,) = sandbox.received("tiktok")
    assert request["body"]["data"][0]["properties"]["value"] == 9.99


def test_a_conversion_that_the_network_refuses_failed(
    config: PostbackConfig, click: Touch, everything: AlertHook, sandbox: Sandbox
) -> None:
    buy(click)
    sandbox.state.add_fault("tiktok", "bad_request", 1)
    send()
    assert stored() == [("conversion.failed", "failed", "")]
    (body,) = bodies()
    assert (body["data"]["verdict"], body["data"]["sentence"]) == (
        "payload",
        "It failed because the network refused the event.",
    )


def test_a_delivery_that_is_to_be_retried_is_no_message(
    config: PostbackConfig, click: Touch, everything: AlertHook, sandbox: Sandbox
) -> None:
    buy(click)
    sandbox.state.add_fault("tiktok", "unavailable", 1)
    send()
    assert Delivery.objects.get().state == "waiting"
    assert stored() == []


def test_a_failed_conversion_that_is_sent_again_is_a_second_message(
    config: PostbackConfig, click: Touch, everything: AlertHook, sandbox: Sandbox
) -> None:
    buy(click)
    sandbox.state.add_fault("tiktok", "bad_request", 1)
    send()
    replays.send_again(Delivery.objects.get())
    send()
    assert stored() == [("conversion.failed", "failed", ""), ("conversion.delivered", "delivered", "")]
    # The first message is about the failure, also when it is sent after the success.
    assert [body["data"]["state"] for body in bodies()] == ["failed", "delivered"]


def test_a_canceled_replay_adds_no_message(config: PostbackConfig, everything: AlertHook) -> None:
    factories.delivery(config, state="failed", verdict="payload", finished_at=timezone.now() - timedelta(minutes=1))
    replay = replays.start(config=config, failed_from=None, failed_until=None, verdict="", requested_by=None)
    replays.advance()
    assert Delivery.objects.get().state == "waiting"
    assert replays.cancel(replay=replay) == 1
    assert Delivery.objects.get().state == "failed"
    assert stored() == []


def test_a_conversion_without_consent_was_not_sent_and_the_message_says_why(
    config: PostbackConfig, click: Touch, everything: AlertHook
) -> None:
    buy(click, consent_level="none")
    send()
    assert stored() == [("conversion.not_sent", "skipped", "consent")]
    assert bodies()[0]["data"]["sentence"] == "The player did not consent."


def test_each_postback_is_one_message(config: PostbackConfig, click: Touch, everything: AlertHook) -> None:
    factories.config(config.game, pixel_id="CSECOND0000000000000", enabled=False)
    factories.config(config.game, pixel_id="CTHIRD00000000000000", enabled=False)
    buy(click)
    fan_out.fan_out_due()
    assert stored() == [("conversion.not_sent", "skipped", "config_disabled")] * 2


def test_a_conversion_without_a_click_is_no_message(
    config: PostbackConfig, player: Person, everything: AlertHook
) -> None:
    factories.conversion(player)
    fan_out.fan_out_due()
    assert Conversion.objects.get().reason == "no_click"
    assert stored() == []


def test_a_second_fan_out_adds_a_message_only_for_another_reason(
    config: PostbackConfig, click: Touch, everything: AlertHook
) -> None:
    buy(click, consent_level="none")
    fan_out.fan_out_due()
    Conversion.objects.update(fanned_out_at=None)
    fan_out.fan_out_due()
    assert stored() == [("conversion.not_sent", "skipped", "consent")]
    PostbackConfig.objects.update(enabled=False)
    Conversion.objects.update(fanned_out_at=None)
    fan_out.fan_out_due()
    assert stored()[1:] == [("conversion.not_sent", "skipped", "config_disabled")]


def test_a_delivery_canceled_right_before_its_call_was_not_sent(
    config: PostbackConfig, click: Touch, everything: AlertHook, sandbox: Sandbox
) -> None:
    buy(click)
    fan_out.fan_out_due()
    PostbackConfig.objects.update(enabled=False)
    send()
    assert stored() == [("conversion.not_sent", "skipped", "config_disabled")]
    assert sandbox.received("tiktok") == []


def test_a_delivery_past_its_deadline_failed(config: PostbackConfig, everything: AlertHook, sandbox: Sandbox) -> None:
    old = timezone.now() - timedelta(days=29)
    factories.delivery(config, dead_after=old + timedelta(days=28))
    send()
    assert stored() == [("conversion.failed", "failed", "too_old")]
    assert bodies()[0]["data"]["sentence"] == "Too old for the network to accept."


def test_a_held_delivery_past_its_deadline_failed(config: PostbackConfig, everything: AlertHook) -> None:
    factories.delivery(config, state="held", dead_after=timezone.now() - timedelta(seconds=1), next_attempt_at=None)
    factories.delivery(config, state="held", next_attempt_at=None)
    PostbackConfig.objects.update(held_at=timezone.now(), held_for="token")
    hold.expire(config=config)
    assert stored() == [("conversion.failed", "failed", "too_old")]


@pytest.fixture
def google(game: Game) -> Iterator[PostbackConfig]:
    """A postback to a network that accepts first and reports later. Tokens of other tests are forgotten."""
    access_tokens.forget()
    row = factories.config(game, network="google")
    row.versions.create(number=1, pixel_id=row.pixel_id, triggers=row.triggers, goals=row.goals, enabled=True)
    yield row
    access_tokens.forget()


@pytest.mark.parametrize(
    ("result", "event", "state", "confirmation"),
    [
        ("", "conversion.confirmed", "delivered", "confirmed"),
        ("DENIED_CONSENT", "conversion.failed", "failed", "refused"),
        ("CLICK_NOT_FOUND", "conversion.failed", "failed", "unmatched"),
    ],
)
def test_the_later_result_of_a_network_is_a_second_message(
    google: PostbackConfig,
    everything: AlertHook,
    sandbox: Sandbox,
    result: str,
    event: str,
    state: str,
    confirmation: str,
) -> None:
    row = test_google_delivery.accepted(google.game, sandbox, google, result=result)
    test_google_delivery.query(row)
    first, second = bodies()
    assert (first["type"], first["data"]["confirmation"]) == ("conversion.delivered", "awaited")
    assert first["data"]["sentence"].startswith("Accepted by the network, which later reports")
    assert (second["type"], second["data"]["state"], second["data"]["confirmation"]) == (event, state, confirmation)
    test_google_delivery.query(row)
    assert HookMessage.objects.count() == 2


def test_a_result_that_never_comes_is_no_message(google: PostbackConfig, everything: AlertHook) -> None:
    earlier = timezone.now() - timedelta(hours=25)
    fields = {"state": "delivered", "confirmation": "awaited", "finished_at": earlier, "confirm_after": earlier}
    row = factories.delivery(google, **fields)
    confirming.confirm_due()
    row.refresh_from_db()
    assert (row.confirmation, stored()) == ("unknown", [])


def test_only_enabled_webhooks_of_the_game_that_are_subscribed_get_a_message(
    config: PostbackConfig, other_game: Game, click: Touch
) -> None:
    failures = subscribe(config.game, "conversion.failed")
    wanted = [subscribe(config.game, "conversion.not_sent"), subscribe(config.game, *HookEvent.values)]
    subscribe(config.game, "conversion.not_sent", enabled=False)
    subscribe(other_game, "conversion.not_sent")
    buy(click, consent_level="none")
    fan_out.fan_out_due()
    assert set(HookMessage.objects.values_list("hook", flat=True)) == {hook.pk for hook in wanted}
    assert not HookMessage.objects.filter(hook=failures).exists()


def test_without_a_subscribed_webhook_a_batch_of_deliveries_costs_one_query(config: PostbackConfig) -> None:
    subscribe(config.game, "alert.opened")
    rows = [factories.delivery(config, state="delivered") for _ in range(50)]
    waiting = [factories.delivery(config) for _ in range(2)]
    with CaptureQueriesContext(connection) as queries:
        hook_messages.add_for_deliveries(waiting)
        assert len(queries) == 0
        hook_messages.add_for_deliveries([*rows, *waiting])
    (query,) = queries.captured_queries
    assert 'FROM "postbacks_alerthook"' in query["sql"]


def test_a_change_that_is_rolled_back_leaves_no_message(config: PostbackConfig, everything: AlertHook) -> None:
    row = factories.delivery(config, state="delivered")
    with transaction.atomic():
        hook_messages.add_for_deliveries([row])
        assert HookMessage.objects.count() == 1
        transaction.set_rollback(True)
    assert not HookMessage.objects.exists()


# Erasures --------------------------------------------------------------------------------------------------------


def erase(game: Game, subject: str = "player-1") -> Any:
    row = erasure.request_erasure(game=game, namespace="user", subject=subject, requested_by="a test")
    erasure.drain()
    row.refresh_from_db()
    return row


def test_a_finished_erasure_is_a_message_without_the_players_id(
    game: Game, player: Person, everything: AlertHook
) -> None:
    row = erase(game)
    (body,) = bodies()
    assert body == {
        "type": "erasure.completed",
        "timestamp": HookMessage.objects.get().created_at.isoformat(),
        "text": "Sky Raiders: Erasure completed. The player’s data was erased.",
        "data": {
            "game": {"slug": "sky-raiders", "name": "Sky Raiders"},
            "erasure_id": str(row.pk),
            "state": "done",
            "counts": row.counts,
            "requested_at": row.requested_at.isoformat(),
            "finished_at": row.finished_at.isoformat(),
            "sentence": "The player’s data was erased.",
            "url": "http://127.0.0.1:8000/g/sky-raiders/privacy/",
        },
    }
    assert row.counts["identities"] == 2
    assert "player-1" not in str(body)


def test_waiting_messages_about_an_erased_player_have_no_id_of_theirs(
    config: PostbackConfig, click: Touch, everything: AlertHook, sandbox: Sandbox
) -> None:
    buy(click, message_id="order-of-player-1")
    send()
    buy(click, message_id="another-of-player-1")
    fan_out.fan_out_due()
    assert "player-1" in str(bodies())
    erase(config.game)
    assert stored() == [
        ("conversion.delivered", "delivered", ""),
        ("conversion.not_sent", "cancelled", "erased"),
        ("erasure.completed", "done", ""),
    ]
    found = bodies()
    assert "player-1" not in str(found)
    personal = ("conversion_id", "message_id", "user_id", "value", "currency", "test")
    for body in found[:2]:
        assert {name: body["data"][name] for name in personal} == dict.fromkeys(personal)
        assert body["data"]["url"] == "http://127.0.0.1:8000/g/sky-raiders/conversions/"
    assert "player-1" not in str(list(HookMessage.objects.values()))


def test_an_erasure_that_was_set_aside_is_one_message_each_time(game: Game, everything: AlertHook) -> None:
    row = erasure.request_erasure(game=game, namespace="user", subject="player-1", requested_by="a test")
    failure = FailedWork.objects.create(game=game, queue="erasure", row=str(row.pk), attempts=7)
    hook_upkeep.tidy()
    assert stored() == []  # it is still retried
    FailedWork.objects.filter(pk=failure.pk).update(attempts=8, set_aside_at=timezone.now())
    for _ in range(2):
        hook_upkeep.tidy()
    assert stored() == [("erasure.failed", "pending", "")]
    (body,) = bodies()
    assert body["data"]["sentence"].startswith("The erasure failed several times")
    assert (body["data"]["finished_at"], "player-1" in str(body)) == (None, False)
    FailedWork.objects.filter(pk=failure.pk).update(set_aside_at=timezone.now())
    hook_upkeep.tidy()
    assert [event for event, *_ in stored()] == ["erasure.failed"] * 2


def test_without_a_subscription_a_failed_erasure_is_reported_later_to_a_webhook_that_subscribes(game: Game) -> None:
    hook = subscribe(game, "erasure.completed")
    row = erasure.request_erasure(game=game, namespace="user", subject="player-1", requested_by="a test")
    FailedWork.objects.create(game=game, queue="erasure", row=str(row.pk), set_aside_at=timezone.now())
    hook_upkeep.tidy()
    assert stored() == []
    AlertHook.objects.filter(pk=hook.pk).update(events=["erasure.failed"])
    hook_upkeep.tidy()
    assert [event for event, *_ in stored()] == ["erasure.failed"]


# Bodies ----------------------------------------------------------------------------------------------------------


def test_an_amount_has_the_digits_of_its_currency(config: PostbackConfig, click: Touch, everything: AlertHook) -> None:
    for value, currency in ((1200, "JPY"), ("1.5", "KWD"), (None, "")):
        buy(click, properties={"value": value, "currency": currency} if value else {}, consent_level="none")
    fan_out.fan_out_due()
    amounts = {(body["data"]["value"], body["data"]["currency"]) for body in bodies()}
    assert amounts == {("1200", "JPY"), ("1.500", "KWD"), (None, None)}


def test_a_message_whose_delivery_was_deleted_has_no_body(config: PostbackConfig, everything: AlertHook) -> None:
    row = factories.delivery(config, state="failed")
    hook_messages.add_for_deliveries([row])
    row.delete()
    assert hook_bodies.bodies(list(HookMessage.objects.select_related("game"))) == {}


def test_a_name_with_a_line_break_is_one_line_of_text(config: PostbackConfig, everything: AlertHook) -> None:
    Game.objects.update(name="Sky\r\nRaiders")
    hook_messages.add_for_deliveries([factories.delivery(config, state="failed", verdict="payload")])
    assert bodies()[0]["text"].startswith("Sky Raiders: Conversion failed: Purchase")
