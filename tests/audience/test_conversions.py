"""Trigger events: which count, their value, and the click that wins them."""

import itertools
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from audience.digest import queue
from audience.digest.attribution import winner
from audience.games.keys import NewKey
from audience.models import Conversion, Person, Touch
from tests.audience.concurrency import in_thread, own_connection, wait_for_a_lock
from tests.audience.immutable import ABSENT, ago, alias, click, digest, identify, launch, message, page, purchase, send

pytestmark = pytest.mark.django_db


def conversions(trigger: str = "game_launch") -> list[Conversion]:
    return list(Conversion.objects.filter(trigger=trigger).select_related("touch").order_by("event_at"))


def reasons(trigger: str = "game_launch") -> list[str]:
    """Why each was not sent, by the time it happened; '' for one that counts and was won by a click."""
    return [conversion.reason for conversion in conversions(trigger)]


def handed_over() -> None:
    """What the outbox does with every conversion it has taken."""
    Conversion.objects.update(fanned_out_at=timezone.now())


# Which events


def test_a_purchase_and_a_launch_are_conversions(key: NewKey) -> None:
    bought = purchase("user-1", deviceId="d-1", consentLevel="full")
    digest(key, bought, launch("user-1"))

    (purchased,) = conversions("purchase")
    assert (purchased.message_id, purchased.user_id, purchased.consent_level) == (bought["messageId"], "user-1", "full")
    assert (purchased.value, purchased.currency, purchased.test) == (Decimal("9.99"), "USD", False)
    assert purchased.properties == {"currency": "USD", "value": 9.99}
    assert purchased.context == {"library": "my-studio-backend", "library_version": "1.0.0"}
    assert purchased.event_at.isoformat() == bought["eventTimestamp"].replace("Z", "+00:00")
    assert (purchased.fanned_out_at, purchased.event_day) == (None, purchased.event_at.date())
    assert len(conversions("game_launch")) == 1


@pytest.mark.parametrize("name", ["sign_up", "Purchase", "game launch", "session_start", "purchased"])
def test_other_events_are_no_conversions(key: NewKey, name: str) -> None:
    digest(key, message(eventName=name))

    assert not Conversion.objects.exists()


@pytest.mark.parametrize("kind", ["page", "screen", "identify"])
def test_only_a_track_event_is_a_conversion(key: NewKey, kind: str) -> None:
    digest(key, message(type=kind, eventName="purchase"))

    assert not Conversion.objects.exists()


def test_every_purchase_is_a_conversion(key: NewKey) -> None:
    digest(key, click("a-1"), identify("user-1", "a-1"), purchase("user-1"), purchase("user-1"))
    digest(key, purchase("user-1"))

    assert reasons("purchase") == ["", "", ""]


# Launches: once per person


def test_a_second_launch_has_the_reason_repeat_launch(key: NewKey) -> None:
    digest(key, click("a-1", eventTimestamp=ago(minutes=9)), identify("user-1", "a-1"))
    digest(key, launch("user-1", eventTimestamp=ago(minutes=5)))
    digest(key, launch("user-1", eventTimestamp=ago(minutes=4)))

    assert reasons() == ["", "repeat_launch"]
    assert [launch.touch and launch.touch.click_id for launch in conversions()] == ["T1", None]


def test_of_launches_in_one_batch_the_first_by_its_time_counts(key: NewKey) -> None:
    moments = [ago(minutes=minutes) for minutes in (3, 5, 4)]
    digest(key, *[launch("user-1", eventTimestamp=moment) for moment in moments])

    assert reasons() == ["no_click", "repeat_launch", "repeat_launch"]


def test_an_earlier_launch_that_arrives_later_replaces_one_that_was_not_fanned_out(key: NewKey) -> None:
    digest(key, click("a-1", eventTimestamp=ago(minutes=9)), identify("user-1", "a-1"))
    digest(key, launch("user-1", eventTimestamp=ago(minutes=4)))
    digest(key, launch("user-1", eventTimestamp=ago(minutes=5)))

    assert reasons() == ["", "repeat_launch"]
    assert conversions()[0].touch is not None


def test_an_earlier_launch_does_not_replace_one_that_may_have_been_sent(key: NewKey) -> None:
    digest(key, click("a-1", eventTimestamp=ago(minutes=9)), identify("user-1", "a-1"))
    digest(key, launch("user-1", eventTimestamp=ago(minutes=4)))
    handed_over()
    digest(key, launch("user-1", eventTimestamp=ago(minutes=5)))

    assert reasons() == ["repeat_launch", ""]


@pytest.mark.django_db(transaction=True)
def test_a_launch_that_is_being_fanned_out_is_not_replaced(key: NewKey) -> None:
    digest(key, click("a-1", eventTimestamp=ago(minutes=9)), identify("user-1", "a-1"))
    digest(key, launch("user-1", eventTimestamp=ago(minutes=4)))
    send(key, launch("user-1", eventTimestamp=ago(minutes=5)))
    with own_connection() as outbox, outbox.cursor() as cursor:
        cursor.execute("UPDATE audience_conversion SET fanned_out_at = now()")
        worker = in_thread(queue.drain)
        wait_for_a_lock()
        outbox.commit()
        worker.join(20)

    assert reasons() == ["repeat_launch", ""]


def test_merged_players_have_one_counted_launch(key: NewKey) -> None:
    digest(key, launch("user-1", eventTimestamp=ago(minutes=5)), launch("user-2", eventTimestamp=ago(minutes=4)))
    assert reasons() == ["no_click", "no_click"]
    digest(key, alias("user-1", "user-2"))

    assert Person.objects.count() == 1
    assert reasons() == ["no_click", "repeat_launch"]


def test_in_a_merge_the_launch_that_may_have_been_sent_counts(key: NewKey) -> None:
    digest(key, click("a-2", eventTimestamp=ago(minutes=9)), identify("user-2", "a-2"))
    digest(key, launch("user-2", eventTimestamp=ago(minutes=4)))
    handed_over()
    digest(key, launch("user-1", eventTimestamp=ago(minutes=5)))
    digest(key, alias("user-1", "user-2"))

    assert reasons() == ["repeat_launch", ""]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_whatever_the_order_of_arrival_the_first_launch_counts(key: NewKey, order: tuple[int, ...]) -> None:
    history = [
        launch("user-1", eventTimestamp=ago(minutes=5)),
        launch("a-1", eventTimestamp=ago(minutes=4)),
        alias("a-1", "user-1", eventTimestamp=ago(minutes=3)),
    ]
    for position in order:
        digest(key, history[position])

    assert reasons() == ["no_click", "repeat_launch"]


def test_a_test_launch_does_not_replace_a_real_one(key: NewKey) -> None:
    digest(key, launch("user-1", test=True, eventTimestamp=ago(minutes=9)))
    digest(key, launch("user-1", test=True, eventTimestamp=ago(minutes=8)))
    digest(key, launch("user-1", eventTimestamp=ago(minutes=5)))

    assert reasons() == ["test_traffic", "test_traffic", "no_click"]


def test_each_of_two_players_launches_once(key: NewKey) -> None:
    digest(key, launch("user-1"), launch("user-2"))

    assert reasons() == ["no_click", "no_click"]


def test_a_purchase_without_properties_has_no_value(key: NewKey) -> None:
    digest(key, purchase("user-1", properties=ABSENT))

    assert (conversions("purchase")[0].value, conversions("purchase")[0].currency) == (None, "")


# The winner


def test_a_conversion_without_a_click_has_the_reason_no_click(key: NewKey) -> None:
    digest(key, page("a-1"), identify("user-1", "a-1"), purchase("user-1"))

    assert reasons("purchase") == ["no_click"]
    assert conversions("purchase")[0].touch is None


def test_the_last_paid_click_before_it_wins_across_networks(key: NewKey) -> None:
    urls = {40: "ttclid=T1", 30: "rdt_cid=R1", 20: "gclid=G1", 5: "ttclid=T2"}
    pages = [page("a-1", f"https://g.com/?{query}", eventTimestamp=ago(minutes=at)) for at, query in urls.items()]
    bought = [purchase(ABSENT, anonymousId="a-1", eventTimestamp=ago(minutes=at)) for at in (35, 25, 10)]
    digest(key, *pages, *bought)

    won = [(c.touch.network, c.touch.click_id) for c in conversions("purchase") if c.touch]
    assert won == [("tiktok", "T1"), ("reddit", "R1"), ("google", "G1")]


def test_an_organic_visit_never_displaces_a_click(key: NewKey) -> None:
    organic = "https://mygame.com/?utm_source=newsletter&utm_medium=email"
    digest(key, click("a-1", eventTimestamp=ago(minutes=9)), page("a-1", eventTimestamp=ago(minutes=8)))
    digest(key, page("a-1", organic, eventTimestamp=ago(minutes=7)))
    digest(key, purchase(ABSENT, anonymousId="a-1"))

    assert [(c.touch.click_id, c.reason) for c in conversions("purchase") if c.touch] == [("T1", "")]


def test_a_click_after_the_purchase_does_not_win_it(key: NewKey) -> None:
    digest(key, click("a-1", eventTimestamp=ago(minutes=1)))
    digest(key, purchase(ABSENT, anonymousId="a-1", eventTimestamp=ago(minutes=2)))

    assert reasons("purchase") == ["no_click"]


def test_a_click_at_the_time_of_the_conversion_wins(key: NewKey) -> None:
    moment = ago(minutes=5)
    digest(key, click("a-1", eventTimestamp=moment), purchase(ABSENT, anonymousId="a-1", eventTimestamp=moment))

    assert reasons("purchase") == [""]


@pytest.mark.parametrize(
    ("age", "reason"), [(timedelta(days=28), ""), (timedelta(days=28, microseconds=1), "outside_window")]
)
def test_the_window_is_28_days(key: NewKey, age: timedelta, reason: str) -> None:
    at = timezone.now() - timedelta(minutes=1)
    digest(key, click("a-1", eventTimestamp=(at - age).isoformat()))
    digest(key, purchase(ABSENT, anonymousId="a-1", eventTimestamp=at.isoformat()))

    assert reasons("purchase") == [reason]
    assert (conversions("purchase")[0].touch is None) == bool(reason)


def test_a_game_may_have_a_window_of_its_own(key: NewKey) -> None:
    game = key.key.game
    game.attribution_window_days = 1
    game.save()
    digest(key, click("a-1", eventTimestamp=ago(hours=25)), purchase(ABSENT, anonymousId="a-1"))
    digest(key, click("a-2", "T2", eventTimestamp=ago(hours=23)), purchase(ABSENT, anonymousId="a-2"))

    assert reasons("purchase") == ["outside_window", ""]


def test_the_last_click_inside_the_window_of_its_own_network_wins(key: NewKey) -> None:
    game = key.key.game
    game.attribution_window_days, game.network_windows = 7, {"tiktok": 1, "reddit": 20}
    game.save()
    for player, clicks in {
        "a-1": (("rdt_cid", "R1", 40), ("ttclid", "T1", 25)),
        "a-2": (("rdt_cid", "R2", 15 * 24), ("ttclid", "T2", 25)),
        "a-3": (("ttclid", "T3", 25), ("fbclid", "F3", 8 * 24)),
        "a-4": (("fbclid", "F4", 6 * 24), ("rdt_cid", "R4", 21 * 24)),
        "a-5": (("rdt_cid", "R5", 15 * 24), ("ttclid", "T5", 23)),
    }.items():
        for parameter, value, hours in clicks:
            url = f"https://g.example/?{parameter}={value}"
            digest(key, page(player, url, eventTimestamp=ago(hours=hours)))
        digest(key, purchase(ABSENT, anonymousId=player))

    found = [(row.touch.click_id if row.touch else "", row.reason) for row in conversions("purchase")]
    assert found == [("R1", ""), ("R2", ""), ("", "outside_window"), ("F4", ""), ("T5", "")]


def test_a_click_id_seen_again_keeps_its_earliest_time(key: NewKey) -> None:
    digest(key, click("a-1", eventTimestamp=ago(minutes=5)))
    digest(key, click("a-1", eventTimestamp=ago(minutes=9)))
    digest(key, click("a-1", eventTimestamp=ago(minutes=3)))

    (touch,) = Touch.objects.all()
    assert (timezone.now() - touch.clicked_at) // timedelta(minutes=1) == 9


def test_every_paid_visit_without_a_click_id_is_a_separate_click(key: NewKey) -> None:
    url = "https://mygame.com/?utm_source=tiktok&utm_medium=cpc"
    digest(key, page("a-1", url), page("a-1", url))

    assert Touch.objects.count() == 2


def test_two_clicks_at_the_same_time_have_one_winner_in_either_order() -> None:
    now = timezone.now()
    touches = [
        Touch(network="reddit", click_key="a", clicked_at=now),
        Touch(network="tiktok", click_key="b", clicked_at=now),
    ]

    def window_of(network: str) -> timedelta:
        return timedelta(days=28)

    for order in (touches, touches[::-1]):
        assert winner(event_at=now, touches=order, window_of=window_of) == (touches[1], "")


# Test traffic


def test_test_traffic_has_its_own_reason_and_names_its_click(key: NewKey) -> None:
    digest(key, click("a-1", eventTimestamp=ago(minutes=9)))
    digest(key, purchase(ABSENT, anonymousId="a-1", test=True))

    assert [(c.test, c.reason, c.touch.click_id) for c in conversions("purchase") if c.touch] == [
        (True, "test_traffic", "T1")
    ]


def test_all_traffic_of_a_sandbox_key_is_test_traffic(sandbox_key: NewKey) -> None:
    digest(sandbox_key, click("a-1"), purchase(ABSENT, anonymousId="a-1"), launch(ABSENT, anonymousId="a-1"))

    assert [*reasons("purchase"), *reasons()] == ["test_traffic"] * 2


# Late clicks and merges


@pytest.fixture(params=["click", "merge"])
def late(request: pytest.FixtureRequest, key: NewKey) -> Iterator[Any]:
    """Bring a click of 20 days ago to the purchase of user-1 only now."""
    old = click("a-1", eventTimestamp=ago(days=20))
    if request.param == "merge":
        digest(key, old)
        yield lambda: digest(key, identify("user-1", "a-1"))
    else:
        digest(key, identify("user-1", "a-1"))
        yield lambda: digest(key, old)


def test_a_click_that_arrives_within_7_days_gets_unattributed_conversions(key: NewKey, late: Any) -> None:
    digest(key, purchase("user-1", eventTimestamp=ago(days=6, hours=23)))
    handed_over()
    assert reasons("purchase") == ["no_click"]
    late()

    (purchased,) = conversions("purchase")
    assert (purchased.reason, purchased.touch and purchased.touch.click_id) == ("", "T1")
    assert purchased.fanned_out_at is None


def test_a_click_that_arrives_after_7_days_gets_no_conversion(key: NewKey, late: Any) -> None:
    digest(key, purchase("user-1", eventTimestamp=ago(days=7, minutes=1)))
    handed_over()
    late()

    (purchased,) = conversions("purchase")
    assert (purchased.reason, purchased.touch) == ("no_click", None)
    assert purchased.fanned_out_at is not None


def test_a_purchase_that_itself_comes_late_still_finds_its_click(key: NewKey) -> None:
    digest(key, click("a-1", eventTimestamp=ago(days=20)))
    digest(key, purchase(ABSENT, anonymousId="a-1", eventTimestamp=ago(days=15)))

    assert reasons("purchase") == [""]


def test_a_later_click_that_arrives_late_gets_what_was_not_fanned_out(key: NewKey) -> None:
    digest(key, click("a-1", "T1", userId="user-1", eventTimestamp=ago(days=10, hours=2)))
    digest(key, purchase("user-1", eventTimestamp=ago(days=10)))
    digest(key, click("a-1", "T2", eventTimestamp=ago(days=10, hours=1)))

    assert [c.touch.click_id for c in Conversion.objects.all() if c.touch] == ["T2"]


def test_a_launch_that_becomes_a_repeat_loses_its_click(key: NewKey) -> None:
    digest(key, click("a-1", "T1", userId="user-1", eventTimestamp=ago(minutes=9)))
    digest(key, launch("user-1", eventTimestamp=ago(minutes=5)))
    digest(key, launch("user-1", eventTimestamp=ago(minutes=7)))

    found = [(c.reason, c.touch.click_id if c.touch else None) for c in Conversion.objects.order_by("event_at")]
    assert found == [("", "T1"), ("repeat_launch", None)]


def test_a_fanned_out_conversion_keeps_its_click(key: NewKey) -> None:
    digest(key, click("a-1", eventTimestamp=ago(minutes=9)), purchase(ABSENT, anonymousId="a-1"))
    handed_over()
    digest(key, click("a-1", "T2", eventTimestamp=ago(minutes=5)))

    (purchased,) = conversions("purchase")
    assert purchased.touch is not None
    assert purchased.touch.click_id == "T1"
    assert purchased.fanned_out_at is not None


def test_a_late_click_outside_the_window_changes_the_reason_only(key: NewKey) -> None:
    key.key.game.attribution_window_days = 1
    key.key.game.save()
    digest(key, purchase(ABSENT, anonymousId="a-1"))
    digest(key, click("a-1", eventTimestamp=ago(days=3)))
    assert reasons("purchase") == ["outside_window"]
    digest(key, click("a-1", "T2", eventTimestamp=ago(hours=3)))

    assert reasons("purchase") == [""]


def test_an_undigested_batch_leaves_no_conversion(key: NewKey) -> None:
    send(key, purchase("user-1"))
    assert not Conversion.objects.exists()
    queue.drain()
    assert Conversion.objects.count() == 1
