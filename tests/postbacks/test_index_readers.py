"""Each index of the growing tables is read by the product, since every index makes writing rows slower.

The readers run for real; PostgreSQL itself counts which indexes they scan. Sequential scans are discouraged, since a
test's tables are small enough to be read whole. The tables are truncated first, until the end of the test: plans would
depend on the dead rows that other tests left behind.
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audience.digest import queue
from audience.games.keys import NewKey, create_key
from audience.intake import rejections
from audience.models import Conversion, Dialect, Event, Game, Person, Touch
from audience.privacy import erasure
from audience.storage import prune
from config import gauges
from postbacks.configs import hold, versions
from postbacks.delivery import confirming, sending
from postbacks.models import Delivery, DeliveryAttempt, Replay
from postbacks.outbox import fan_out
from postbacks.reporting import audit as reporting_audit
from postbacks.reporting.campaigns import refresh
from tests import factories, hub
from tests.audience import immutable, wire
from tests.audience.test_hub_events import event, rejection

pytestmark = pytest.mark.django_db
Reader = Callable[[Game], object]


def admin() -> Client:
    number = get_user_model().objects.count()
    return hub.signed_in(hub.user(f"admin-{number}", is_superuser=True, is_staff=True))


def page(name: str, query: str = "", **kwargs: Any) -> Reader:
    """A reader that opens a page of the Hub."""

    def open_page(game: Game) -> None:
        answer = admin().get(reverse(name, kwargs={"slug": game.slug, **kwargs}) + query)
        assert answer.status_code == 200

    return open_page


def key_of(game: Game, dialect: Dialect = Dialect.IMMUTABLE) -> NewKey:
    return create_key(game=game, name=dialect.value, dialect=dialect)


def store_a_message_twice(game: Game) -> None:
    key, message = key_of(game), immutable.message()
    for _ in range(2):
        assert immutable.send(key, message).status_code == 200


def store_many_events(game: Game) -> None:
    now = timezone.now()
    fields = {"game_id": game.pk, "day": now.date(), "event_at": now, "received_at": now, "kind": "track"}
    Event.objects.bulk_create(
        Event(message_id=f"m-{n}", user_id=f"u-{n}", anonymous_id=f"a-{n}", device_id=f"d-{n}", **fields)
        for n in range(3000)
    )
    analyze("audience_event")


def digest_known_players(game: Game) -> None:
    """Among many events, so that their primary key is the cheapest index."""
    store_many_events(game)
    key = key_of(game)
    immutable.digest(key, immutable.click("a"), immutable.launch("u"), immutable.purchase("u"))
    immutable.digest(key, immutable.click("a"), immutable.launch("u"), immutable.purchase("u"))


def merge_two_players(game: Game) -> None:
    """Two users by an alias, and two guests by a user who owns both their ids."""
    key = key_of(game)
    for name in ("a", "b"):
        immutable.digest(key, immutable.click(name), immutable.launch(immutable.ABSENT, anonymousId=name))
    join_a_group_twice(game)
    immutable.digest(key, immutable.identify("u", "a"), immutable.identify("u", "b"), immutable.alias("v", "u"))
    assert game.people.count() == 1


def register_a_device_twice(game: Game) -> None:
    key = key_of(game, Dialect.PARCELVOY)
    build = {"os": "ios", "os_version": "1", "model": "x", "app_build": "1", "app_version": "1"}
    for device in ("one", "two", "two"):
        device_fields = {"external_id": "u", "device_id": device, "token": "token", **build}
        assert wire.post("/api/client/devices", device_fields, key).status_code == 204
        queue.drain()


def join_a_group_twice(game: Game) -> None:
    key = key_of(game, Dialect.RUDDERSTACK)
    for number, user in enumerate(("u", "v", "u")):
        body = {"userId": user, "groupId": "guild", "messageId": f"m-{number}"}
        assert wire.post("/v1/group", body, key).status_code == 200
        queue.drain()


def fan_out_a_conversion(game: Game) -> None:
    factories.config(game)
    player = factories.person(game)
    factories.conversion(player, touch=factories.touch(player))
    fan_out.fan_out_due()
    assert Delivery.objects.filter(game=game, state="waiting").count() == 1


def buy_in_an_order(game: Game) -> None:
    """A player with many orders, so that reading all of them is not the cheaper."""
    key, properties = key_of(game), {"value": 9.99, "currency": "USD", "order_id": "T-1"}
    immutable.digest(key, immutable.purchase("u", properties={**properties, "order_id": "T-0"}))
    player = Conversion.objects.get(game=game).person
    fields = {"game": game, "person": player, "trigger": "purchase", "event_at": timezone.now()}
    Conversion.objects.bulk_create(
        Conversion(message_id=f"m-{number}", order_id=f"O-{number}", event_day=timezone.now(), **fields)
        for number in range(3000)
    )
    analyze("audience_conversion")
    immutable.digest(key, immutable.purchase("u", properties=properties))
    assert Conversion.objects.filter(game=game, order_id="T-1").count() == 1


def deliver(game: Game) -> None:
    fan_out_a_conversion(game)
    sending.drain(network="tiktok", max_in_flight=1)
    assert Delivery.objects.filter(game=game, state="delivered").count() == 1


def release_a_hold(game: Game) -> None:
    config = factories.config(game)
    factories.delivery(config)
    hold.hold(config=config, access="token", message="no")
    assert hold.release(config=config) == 1


def confirm_a_delivery(game: Game) -> None:
    now = timezone.now()
    given = {"state": "delivered", "finished_at": now, "confirmation": "awaited", "confirm_after": now}
    factories.delivery(factories.config(game), **given)
    confirming.confirm_due()
    assert Delivery.objects.get().confirmation == "unknown"  # without an accepted attempt


def wait_for_open_attempts(game: Game) -> None:
    """Among many attempts that are closed, so that the short index of open ones is the cheaper."""
    config = factories.config(game)
    delivery = factories.delivery(config)
    now = timezone.now()
    fields = {"config": config, "delivery": delivery, "config_version": 1, "started_at": now, "finished_at": now}
    DeliveryAttempt.objects.bulk_create(DeliveryAttempt(number=number, **fields) for number in range(2000))
    analyze("postbacks_deliveryattempt")
    versions.pause_and_wait(config_id=config.pk)


def erase(game: Game) -> None:
    """One player of many, so that reading the game's events from one end is not the cheaper."""
    key = key_of(game)
    immutable.digest(key, immutable.message(userId="u", anonymousId="a", deviceId="d"))
    store_many_events(game)
    erasure.request_erasure(game=game, namespace="user", subject="u", requested_by="test")
    erasure.drain()
    assert not Event.objects.filter(game_id=game.pk, user_id="u").exists()


def replay_a_rejection(game: Game) -> None:
    rejections.revalidate_rejection(rejection=rejection(game, 1), requested_by="test")


def prune_old_rows(game: Game) -> None:
    prune.prune()


def audit(game: Game) -> None:
    reporting_audit.run()


def collect_gauges(game: Game) -> None:
    list(gauges.QueueCollector().collect())


def analyze(table: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {table}")


def on_network(name: str, query: str = "") -> Reader:
    def open_page(game: Game) -> None:
        config = factories.config(game)
        factories.attempt(factories.delivery(config))
        Replay.objects.create(game=game, config=config)
        page(name, query, network="tiktok")(game)

    return open_page


def filter_the_log_by_status(game: Game) -> None:
    """For the few failures among many attempts, so that the index of the status is the cheaper."""
    config = factories.config(game)
    delivery = factories.delivery(config)
    now = timezone.now()
    fields = {"config": config, "delivery": delivery, "config_version": 1, "started_at": now, "finished_at": now}
    DeliveryAttempt.objects.bulk_create(
        DeliveryAttempt(number=number, status="failed" if number == 0 else "success", **fields)
        for number in range(2000)
    )
    analyze("postbacks_deliveryattempt")
    page("integration", "?status=failed", network="tiktok")(game)


def person_page(game: Game) -> None:
    player = factories.person(game, user="u")
    factories.touch(player)
    page("person", pk=player.pk)(game)


def conversion_page(game: Game) -> None:
    attempt = factories.attempt(factories.delivery(factories.config(game)))
    page("conversion", pk=attempt.delivery.conversion_id)(game)


def admin_page_of_a_player(game: Game) -> None:
    player = factories.person(game, user="u")
    assert admin().get(f"/admin/audience/person/{player.pk}/change/").status_code == 200


def search_conversions(game: Game) -> None:
    player = factories.person(game, user="u", traits={"email": "u@players.example"})
    factories.conversion(player, touch=factories.touch(player, click_id="E.C.P.sought"))
    # Of a few identities the planner reads those of the game by their unique index.
    for number in range(500):
        factories.identity(player, namespace=f"shop-{number % 50}", value=f"{number}")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE audience_identity")
    page("conversions", "?q=E.C.P.sought")(game)
    page("conversions", "?q=u@players.example")(game)


def list_conversions_of_a_network(game: Game) -> None:
    """A network with few clicks of many."""
    player = factories.person(game)
    factories.conversion(player, touch=factories.touch(player, network="reddit"))
    click_often(player, at=timezone.now())
    page("conversions", "?network=reddit")(game)


def count_new_clicks(game: Game) -> None:
    """The figures of campaigns, for few new clicks of many."""
    player = factories.person(game)
    click_often(player, at=timezone.now() - timedelta(days=300))
    factories.touch(player)
    refresh.refresh()


def click_often(player: Person, *, at: datetime) -> None:
    fields = {"game": player.game, "person": player, "network": "tiktok", "clicked_at": at, "message_id": "m"}
    Touch.objects.bulk_create(Touch(click_key=f"key-{number}", **fields) for number in range(2000))
    analyze("audience_touch")


def live_events(game: Game) -> None:
    event(game, 1)
    rejection(game, 2)
    page("events")(game)


# Table -> index, without the hash that Django appends -> who reads it.
READERS: dict[str, dict[str, Reader]] = {
    "audience_event": {
        "audience_event_pkey": digest_known_players,
        "event_once": store_a_message_twice,
        "event_newest": live_events,
        "event_by_user": erase,
        "event_by_anonymous": erase,
        "event_by_device": erase,
    },
    "audience_batch": {
        "audience_batch_pkey": digest_known_players,
        "batch_due": digest_known_players,
        "batch_set_aside": collect_gauges,
    },
    "audience_rejection": {
        "audience_rejection_pkey": replay_a_rejection,
        "rejection_newest": live_events,
        "rejection_age": prune_old_rows,
    },
    "audience_person": {
        "audience_person_pkey": digest_known_players,
        "people_newest": page("people"),
        "people_by_email": search_conversions,
    },
    "audience_identity": {
        "audience_identity_pkey": merge_two_players,
        "one_person_per_identity": digest_known_players,
        "identity_by_value": search_conversions,
        "audience_identity_person_id": merge_two_players,
    },
    "audience_device": {
        "audience_device_pkey": register_a_device_twice,
        "one_row_per_device": register_a_device_twice,
        "device_by_token": register_a_device_twice,
        "audience_device_person_id": merge_two_players,
    },
    "audience_group": {
        "audience_group_pkey": join_a_group_twice,
        "one_row_per_group": join_a_group_twice,
    },
    "audience_group_members": {
        "audience_group_members_pkey": merge_two_players,
        "audience_group_members_group_id_person_id_ba097cfd_uniq": join_a_group_twice,
        "audience_group_members_person_id": merge_two_players,
    },
    "audience_touch": {
        "audience_touch_pkey": fan_out_a_conversion,
        "one_touch_per_click": digest_known_players,
        "touch_newest": person_page,
        "touch_click_id": search_conversions,
        "touch_repeated": digest_known_players,
        "touch_by_time": count_new_clicks,
        "touch_by_network": list_conversions_of_a_network,
    },
    "audience_conversion": {
        "audience_conversion_pkey": fan_out_a_conversion,
        "one_conversion_per_event": digest_known_players,
        "one_launch_per_person": audit,
        "conversion_to_fan_out": fan_out_a_conversion,
        "conversion_newest": page("conversions"),
        "conversion_person": merge_two_players,
        "conversion_moved": merge_two_players,
        "conversion_order": buy_in_an_order,
        "conversion_by_order": search_conversions,
        "conversion_value_problem": page("overview"),
        "audience_conversion_touch_id": search_conversions,
    },
    "postbacks_delivery": {
        "postbacks_delivery_pkey": deliver,
        "one_delivery_per_conversion_and_config": fan_out_a_conversion,
        "delivery_due": deliver,
        "delivery_held": release_a_hold,
        "delivery_failed": on_network("replays"),
        "delivery_to_confirm": confirm_a_delivery,
        "delivery_newest": on_network("integration"),
        "delivery_of_replay": on_network("replays"),
        "delivery_by_time": audit,
    },
    "postbacks_deliveryattempt": {
        "postbacks_deliveryattempt_pkey": deliver,
        "attempts_are_numbered": conversion_page,
        "attempt_newest": on_network("integration"),
        "attempt_by_status": filter_the_log_by_status,
        "attempt_open": wait_for_open_attempts,
    },
}
PAIRS = [(index, reader) for indexes in READERS.values() for index, reader in indexes.items()]

# Scans begun in this transaction; those of a partition count for the index of the whole table.
SCANS = """
SELECT coalesce(parent.relname, own.relname), sum(pg_stat_get_xact_numscans(own.oid))::int
FROM pg_class own LEFT JOIN pg_inherits ON inhrelid = own.oid LEFT JOIN pg_class parent ON parent.oid = inhparent
WHERE own.relkind IN ('i', 'I') GROUP BY 1
"""


def without_hash(name: str) -> str:
    """Django ends the name of an index that it made for a foreign key in a hash."""
    return re.sub(r"_id_[0-9a-f]{8}$", "_id", name)


def scans() -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute(SCANS)
        return {without_hash(name): number or 0 for name, number in cursor.fetchall()}


@pytest.mark.parametrize("table", READERS)
def test_every_index_has_a_reader(table: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexname FROM pg_indexes WHERE tablename = %s", [table])
        assert {without_hash(name) for (name,) in cursor.fetchall()} == set(READERS[table])


@pytest.mark.parametrize("reader", list(dict.fromkeys(reader for _, reader in PAIRS)))
def test_a_reader_scans_its_indexes(game: Game, sandbox: object, reader: Reader) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(READERS)} CASCADE")
        cursor.execute("SET LOCAL enable_seqscan = off")
    before = scans()
    reader(game)
    scanned = {name for name, number in scans().items() if number > before.get(name, 0)}
    assert {index for index, named in PAIRS if named is reader} - scanned == set()
