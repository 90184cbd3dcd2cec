"""A conversion becomes one delivery per config, queued or with the reason why not."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from audience.models import Conversion
from postbacks import erasure
from postbacks.configs import lifecycle
from postbacks.models import Delivery, DeliveryState
from postbacks.outbox import conversion_facts, fan_out
from tests import factories
from tests.queries import queries_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def player(game: Any) -> Any:
    return factories.person(game, anonymous="anon-1", user="user-1")


def decided(conversion: Conversion) -> list[tuple[str, str, str]]:
    """Fan out, then (network, state, reason) per delivery of the conversion."""
    fan_out.fan_out_due()
    return sorted(conversion.deliveries.values_list("network", "state", "reason"))


def reason_of(conversion: Conversion) -> str:
    conversion.refresh_from_db()
    assert conversion.fanned_out_at is not None
    return conversion.reason


def test_a_fan_out_queues_one_delivery_for_the_network_of_the_click(game: Any, player: Any) -> None:
    config = factories.config(game)
    conversion = factories.conversion(player, touch=factories.touch(player))
    before = timezone.now()
    assert fan_out.fan_out_due() == 1
    row = Delivery.objects.get()
    assert (row.state, row.reason, row.network, row.trigger) == ("waiting", "", "tiktok", "purchase")
    assert (row.conversion, row.config, row.game, row.config_version) == (conversion, config, game, 1)
    assert row.event_id == conversion.message_id
    assert row.event_at == conversion.event_at
    assert before <= row.next_attempt_at <= timezone.now()
    assert (row.leased_until, row.first_attempt_at, row.finished_at, row.attempts_made) == (None, None, None, 0)
    assert reason_of(conversion) == ""


def test_a_fan_out_writes_a_delivery_for_every_config_of_the_clicks_network_that_is_not_deleted(
    game: Any, player: Any
) -> None:
    factories.config(game)
    factories.config(game, pixel_id="CSANDBOX0AFTERCLICK2", enabled=False)
    factories.config(game, network="reddit")
    factories.config(game, pixel_id="GONE0000000000000000", deleted_at=timezone.now())
    factories.config(factories.game())
    conversion = factories.conversion(player, touch=factories.touch(player))
    assert decided(conversion) == [("tiktok", "skipped", "config_disabled"), ("tiktok", "waiting", "")]
    assert (Delivery.objects.count(), reason_of(conversion)) == (2, "")


def test_a_second_fan_out_finds_nothing(game: Any, player: Any) -> None:
    factories.config(game)
    factories.conversion(player, touch=factories.touch(player))
    assert [fan_out.fan_out_due(), fan_out.fan_out_due()] == [1, 0]
    assert Delivery.objects.count() == 1


@pytest.mark.parametrize(
    ("of_conversion", "of_config", "expected"),
    [
        ({"reason": "erased", "test": True}, {}, "erased"),
        ({"test": True, "trigger": "game_launch", "reason": "repeat_launch"}, {}, "test_traffic"),
        ({"trigger": "game_launch", "reason": "repeat_launch"}, {"enabled": False}, "repeat_launch"),
        ({"integrations": {"All": False}}, {}, "config_disabled"),
        ({"integrations": {"TikTok Ads": False}}, {}, "config_disabled"),
        ({"consent_level": "none"}, {"enabled": False}, "config_disabled"),
        ({"consent_level": "none"}, {"triggers": ["game_launch"]}, "config_disabled"),
        ({"consent_level": "none"}, {}, "consent"),
        ({"consent_level": "granted"}, {}, "consent"),
        ({"event_at": timezone.now() - timedelta(days=28, minutes=1)}, {}, "too_old"),
    ],
)
def test_the_first_reason_that_applies_is_recorded(
    game: Any, player: Any, of_conversion: dict[str, Any], of_config: dict[str, Any], expected: str
) -> None:
    factories.config(game, **of_config)
    conversion = factories.conversion(player, touch=factories.touch(player), **of_conversion)
    assert decided(conversion) == [("tiktok", "skipped", expected)]
    row = Delivery.objects.get()
    assert (row.next_attempt_at, row.finished_at is not None) == (None, True)
    stays = "repeat_launch" if of_conversion.get("reason") == "repeat_launch" else expected
    assert reason_of(conversion) == stays


@pytest.mark.parametrize("reason", ["no_click", "outside_window"])
def test_a_fan_out_keeps_the_reason_of_the_attribution(game: Any, player: Any, reason: str) -> None:
    factories.config(game)
    conversion = factories.conversion(player, reason=reason)
    assert decided(conversion) == []
    assert reason_of(conversion) == reason


def test_a_click_without_its_click_id_has_nothing_to_match_by(game: Any) -> None:
    factories.config(game)
    stranger = factories.person(game)
    conversion = factories.conversion(stranger, touch=factories.touch(stranger, click_id=""))
    assert decided(conversion) == [("tiktok", "skipped", "no_match_key")]
    assert reason_of(conversion) == "no_match_key"


def test_an_email_is_enough_to_match_by(game: Any) -> None:
    factories.config(game, network="reddit")
    known = factories.person(game, traits={"email": "ada@example.com"})
    conversion = factories.conversion(known, touch=factories.touch(known, network="reddit", click_id=""))
    assert decided(conversion) == [("reddit", "waiting", "")]


@pytest.mark.parametrize("age", [timedelta(hours=167), timedelta(hours=168, minutes=1)])
def test_reddit_accepts_nothing_older_than_a_week(game: Any, player: Any, age: timedelta) -> None:
    factories.config(game, network="reddit")
    click = factories.touch(player, network="reddit")
    conversion = factories.conversion(player, touch=click, event_at=timezone.now() - age)
    expected = ("waiting", "") if age < timedelta(hours=168) else ("skipped", "too_old")
    assert decided(conversion) == [("reddit", *expected)]


@pytest.mark.parametrize(
    "integrations",
    [{}, {"All": True}, {"All": False, "TikTok Ads": True}, {"All": False, "tiktok ads": {"option": 1}}, [], "no"],
)
def test_an_event_that_names_the_destination_or_no_destination_is_sent(
    game: Any, player: Any, integrations: Any
) -> None:
    factories.config(game)
    conversion = factories.conversion(player, touch=factories.touch(player), integrations=integrations)
    assert decided(conversion) == [("tiktok", "waiting", "")]


@pytest.mark.parametrize(
    ("network", "reason", "expected"),
    [("tiktok", "", "other_network"), ("google", "", "other_network"), (None, "no_click", "no_click")],
)
def test_a_game_without_a_config_still_explains(
    game: Any, player: Any, network: str | None, reason: str, expected: str
) -> None:
    click = factories.touch(player, network=network) if network else None
    conversion = factories.conversion(player, touch=click, reason=reason)
    assert decided(conversion) == []
    assert reason_of(conversion) == expected


def test_of_two_pixels_the_reason_that_comes_later_in_the_gate_is_shown(game: Any, player: Any) -> None:
    factories.config(game, network="reddit")
    factories.config(game, enabled=False)
    factories.config(game, pixel_id="CSANDBOX0AFTERCLICK2")
    conversion = factories.conversion(player, touch=factories.touch(player), consent_level="none")
    assert decided(conversion) == [
        ("tiktok", "skipped", "config_disabled"),
        ("tiktok", "skipped", "consent"),
    ]
    assert reason_of(conversion) == "consent"


def event_id_of(player: Any, **overrides: Any) -> str:
    """The event id of the delivery of a conversion with the message id `message-id` unless given."""
    overrides = {"message_id": "message-id", **overrides}
    factories.conversion(player, touch=factories.touch(player), **overrides)
    fan_out.fan_out_due()
    return Delivery.objects.get().event_id


OF_TIKTOK = {"_imtbl_conversion_network": "tiktok"}


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"_imtbl_conversion_id": "abc-1", **OF_TIKTOK, "event_id": "pixel-1"}, "abc-1"),
        ({"_imtbl_conversion_id": 17, "_imtbl_conversion_network": "TikTok Ads"}, "17"),
        ({"_imtbl_conversion_id": "abc-1", "_imtbl_conversion_network": "reddit", "event_id": "pixel-1"}, "pixel-1"),
        ({"_imtbl_conversion_id": "abc-1"}, "message-id"),
        ({"_imtbl_conversion_id": " ", **OF_TIKTOK}, "message-id"),
        ({"_imtbl_conversion_id": "a" * 129, **OF_TIKTOK, "eventId": "pixel-2"}, "pixel-2"),
        ({"_imtbl_conversion_id": "a" * 128, **OF_TIKTOK}, "a" * 128),
        ({"_imtbl_conversion_id": {"a": 1}, **OF_TIKTOK}, "message-id"),
        ({"event_id": " pixel-1 ", "eventId": "pixel-2"}, "pixel-1"),
        ({"event_id": "{{event_id}}", "eventId": "pixel-2"}, "pixel-2"),
        ({"event_id": 42}, "42"),
        ({"event_id": 42.0}, "42"),
        ({"event_id": 9007199254740993}, "9007199254740993"),
        ({"event_id": True}, "message-id"),
        ({"event_id": None, "eventId": "undefined"}, "message-id"),
        ({"event_id": "00000000-0000-0000-0000-000000000000"}, "message-id"),
        ({"event_id": ["pixel-1"]}, "message-id"),
        ({"event_id": "purchase"}, "message-id"),
        ({"event_id": "broken\ufffdid"}, "message-id"),
    ],
)
def test_the_event_id_is_the_first_usable_one_that_the_sender_states(
    game: Any, player: Any, properties: dict[str, Any], expected: str
) -> None:
    factories.config(game)
    assert event_id_of(player, properties=properties) == expected


def test_an_event_id_of_the_context_comes_after_one_of_the_properties(game: Any, player: Any) -> None:
    factories.config(game)
    context = {"event_id": "context-1"}
    assert event_id_of(player, properties={}, context=context) == "context-1"
    Delivery.objects.all().delete()
    other = factories.person(game)
    assert event_id_of(other, message_id="other", properties={"eventId": "pixel-1"}, context=context) == "pixel-1"


@pytest.mark.parametrize("message_id", ["server:4a6f9d7e-5a2f-4c3e-9a37-2f0f5b1f6d11", "undefined", "m" * 129])
def test_without_a_usable_id_of_the_sender_the_event_id_is_that_of_the_conversion(
    game: Any, player: Any, message_id: str
) -> None:
    factories.config(game)
    sent_as = event_id_of(player, message_id=message_id)
    assert sent_as == str(Delivery.objects.get().conversion_id)


def test_an_event_id_that_was_decided_is_kept_when_the_conversion_is_decided_again(game: Any, player: Any) -> None:
    config = factories.config(game, enabled=False)
    row = factories.conversion(player, touch=factories.touch(player))
    fan_out.fan_out_due()
    Delivery.objects.update(event_id="id-of-an-earlier-version")
    type(config).objects.update(enabled=True)
    Conversion.objects.filter(pk=row.pk).update(fanned_out_at=None)
    fan_out.fan_out_due()
    assert (Delivery.objects.get().state, Delivery.objects.get().event_id) == ("waiting", "id-of-an-earlier-version")


def test_a_conversion_fanned_out_again_is_decided_again_only_where_it_was_skipped(game: Any, player: Any) -> None:
    config = factories.config(game, enabled=False)
    conversion = factories.conversion(player, touch=factories.touch(player))
    fan_out.fan_out_due()
    skipped = Delivery.objects.get()
    lifecycle.enable(config=config)
    factories.config(game, pixel_id="CSANDBOX0AFTERCLICK2")
    Conversion.objects.update(reason="", fanned_out_at=None)
    assert fan_out.fan_out_due() == 1
    assert sorted(Delivery.objects.values_list("state", "reason")) == [("waiting", ""), ("waiting", "")]
    skipped.refresh_from_db()
    assert (skipped.state, skipped.finished_at, skipped.next_attempt_at is not None) == ("waiting", None, True)
    assert reason_of(conversion) == ""


@pytest.mark.parametrize("state", ["waiting", "delivered", "failed", "cancelled"])
def test_a_row_that_is_not_skipped_stays_as_it_is(game: Any, player: Any, state: str) -> None:
    config = factories.config(game)
    factories.conversion(player, touch=factories.touch(player))
    fan_out.fan_out_due()
    Delivery.objects.update(state=state, attempts_made=3)
    lifecycle.disable(config=config)
    Conversion.objects.update(fanned_out_at=None)
    assert fan_out.fan_out_due() == 1
    row = Delivery.objects.get()
    assert (row.state, row.attempts_made, row.config_version) == (state, 3, 1)


def test_a_repeat_that_was_delivered_before_the_merge_stays_a_repeat(game: Any, player: Any) -> None:
    """Lifting it would break "one counted launch per person" and with it the whole batch."""
    factories.config(game)
    click = factories.touch(player)
    first = factories.conversion(player, touch=click, trigger="game_launch")
    fan_out.fan_out_due()
    Delivery.objects.update(state="delivered")
    Conversion.objects.filter(pk=first.pk).update(reason="repeat_launch", fanned_out_at=None)
    factories.conversion(player, touch=click, trigger="game_launch")
    assert fan_out.fan_out_due() == 2
    assert reason_of(first) == "repeat_launch"


def test_a_fan_out_takes_no_more_queries_for_fifty_players_than_for_two(game: Any) -> None:
    factories.config(game)

    def fan_out_for(players: int) -> int:
        for number in range(players):
            player = factories.person(game, anonymous=f"a-{players}-{number}", user=f"u-{players}-{number}")
            factories.conversion(player, touch=factories.touch(player))
        return queries_of(fan_out.fan_out_due)

    assert fan_out_for(2) == fan_out_for(50)
    assert Delivery.objects.filter(state="waiting").count() == 52


def test_a_failing_conversion_does_not_stop_its_batch(game: Any, player: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    config = factories.config(game)
    odd = factories.conversion(player, touch=factories.touch(player))
    other = factories.person(game)
    factories.conversion(other, touch=factories.touch(other))
    known = conversion_facts.read_facts

    def of(conversion: Conversion, **given: Any) -> Any:
        if conversion.pk == odd.pk:
            raise KeyError("odd")
        return known(conversion, **given)

    monkeypatch.setattr(conversion_facts, "read_facts", of)
    assert fan_out.fan_out_due() == 2
    assert list(config.deliveries.values_list("state", flat=True)) == ["waiting", "waiting"]


def test_an_erasure_cancels_deliveries_that_are_not_sent(game: Any, player: Any) -> None:
    factories.config(game)
    click = factories.touch(player)
    for _ in range(4):
        factories.conversion(player, touch=click)
    other = factories.person(game)
    factories.conversion(other, touch=factories.touch(other))
    fan_out.fan_out_due()
    mine = list(Delivery.objects.filter(conversion__person=player).order_by("pk"))
    Delivery.objects.filter(pk=mine[0].pk).update(state=DeliveryState.DELIVERED)
    Delivery.objects.filter(pk=mine[1].pk).update(leased_until=timezone.now() + timedelta(seconds=30))
    assert erasure.erase_deliveries(person_ids=[player.pk]) == 3
    assert sorted(Delivery.objects.values_list("state", "reason")) == [
        ("cancelled", "erased"),
        ("cancelled", "erased"),
        ("cancelled", "erased"),
        ("delivered", ""),
        ("waiting", ""),
    ]
    gone = Delivery.objects.filter(state="cancelled")
    assert set(gone.values_list("next_attempt_at", "leased_until")) == {(None, None)}
    assert erasure.erase_deliveries(person_ids=[player.pk]) == 0


@pytest.mark.django_db(transaction=True)
def test_two_fan_outs_at_once_write_each_row_once() -> None:
    game = factories.game()
    factories.config(game)
    for _ in range(60):
        player = factories.person(game)
        factories.conversion(player, touch=factories.touch(player))
    counts: list[int] = []

    def work() -> None:
        while count := fan_out.fan_out_due(limit=7):
            counts.append(count)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 60
    assert Delivery.objects.count() == 60


@pytest.mark.django_db(transaction=True)
def test_an_erasure_waits_for_a_fan_out_in_progress_and_cancels_its_rows() -> None:
    game = factories.game()
    factories.config(game)
    player = factories.person(game)
    factories.conversion(player, touch=factories.touch(player))
    cancelled: list[int] = []

    def erase() -> None:
        with transaction.atomic():
            cancelled.append(erasure.erase_deliveries([player.pk]))
            player.delete()
        connection.close()

    thread = threading.Thread(target=erase)
    with transaction.atomic():
        assert fan_out.fan_out_due() == 1
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
    thread.join()
    assert cancelled == [1]
    row = Delivery.objects.get()
    assert (row.state, row.reason, row.conversion) == ("cancelled", "erased", None)
    assert Conversion.objects.count() == 0
