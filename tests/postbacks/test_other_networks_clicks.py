"""A conversion has deliveries for the postbacks that take its click only; pages derive the part of the others."""

import csv
import io
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from audience.games.keys import NewKey
from audience.models import Conversion, Game, Touch
from postbacks import erasure
from postbacks.configs import lifecycle, versions
from postbacks.delivery import sending
from postbacks.models import CredentialCheck, Delivery, PostbackConfig, Purpose
from postbacks.monitoring.health import counting
from postbacks.monitoring.health.evaluation import evaluate_configs
from postbacks.monitoring.health.types import Health
from postbacks.networks import NETWORKS
from postbacks.networks.custom.imitation import ACCOUNTS
from postbacks.outbox import fan_out
from postbacks.reporting import audit
from postbacks.sandbox.server import Sandbox
from tests import factories
from tests.audience.concurrency import in_thread, wait_for_a_lock
from tests.audience.immutable import ago, digest, identify, page, purchase
from tests.queries import queries_of

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
PARAMETERS = {kind: network.click_param for kind, network in NETWORKS.items()}


def postback(game: Game, network: str, **given: Any) -> PostbackConfig:
    """A postback of two hours ago, with its version."""
    row = factories.config(game, network=network, **{"created_at": timezone.now() - 2 * HOUR, **given})
    versions.record(config=row, change="Created", set_by=None)
    row.versions.update(set_at=row.created_at)
    return row


def clicked(game: Game, network: str | None, **given: Any) -> Conversion:
    player = factories.person(game)
    if network is None:
        return factories.conversion(player, **given)
    click_parameter = "irclickid" if network == "custom" else PARAMETERS.get(network, "")
    network = "other" if network == "custom" else network
    return factories.conversion(
        player, touch=factories.touch(player, network=network, parameter=click_parameter), **given
    )


def rows() -> list[tuple[str, str, str]]:
    return sorted(Delivery.objects.values_list("network", "state", "reason"))


def reason() -> str:
    return Conversion.objects.get().reason


def skipped(config: PostbackConfig) -> Any:
    return counting.count([config.pk], now=timezone.now())[config.pk].skipped


# Fan-out -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", sorted(NETWORKS))
def test_with_a_postback_to_every_network_a_conversion_has_one_delivery(game: Game, network: str) -> None:
    for kind in NETWORKS:
        postback(game, kind, **({"click_parameters": ["irclickid"]} if kind == "custom" else {}))
    clicked(game, network)
    fan_out.fan_out_due()
    assert [row[0] for row in rows()] == [network]
    assert audit.run().violations == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "no_click"),
        ({"reason": "outside_window"}, "outside_window"),
        ({"reason": "shared_id"}, "shared_id"),
        ({"trigger": "game_launch", "reason": "repeat_launch"}, "repeat_launch"),
        ({"test": True, "reason": "test_traffic"}, "test_traffic"),
    ],
)
def test_a_conversion_without_a_click_has_no_delivery_and_keeps_its_reason(
    game: Game, given: dict[str, Any], expected: str
) -> None:
    postback(game, "tiktok")
    postback(game, "custom", click_parameters=["*"])
    clicked(game, None, **given)
    fan_out.fan_out_due()
    assert (rows(), reason()) == ([], expected)
    assert audit.run().violations == []


def test_test_traffic_has_a_delivery_for_the_network_of_its_click_only(game: Game) -> None:
    postback(game, "tiktok")
    postback(game, "reddit")
    clicked(game, "tiktok", test=True)
    fan_out.fan_out_due()
    assert (rows(), reason()) == ([("tiktok", "skipped", "test_traffic")], "test_traffic")


def test_a_fan_out_takes_as_many_queries_with_all_networks_as_with_two(game: Game) -> None:
    for kind in ("tiktok", "reddit"):
        postback(game, kind)
    clicked(game, "tiktok")
    two = queries_of(fan_out.fan_out_due)
    for kind in NETWORKS.keys() - {"tiktok", "reddit"}:
        postback(game, kind)
    for _ in range(5):
        clicked(game, "tiktok")
    assert queries_of(fan_out.fan_out_due) == two


# Decided again -------------------------------------------------------------------------------------


def test_a_late_click_gives_the_conversion_its_first_delivery(game: Game, key: NewKey) -> None:
    postback(game, "tiktok")
    postback(game, "reddit")
    digest(key, purchase("ada", anonymousId="a-1", eventTimestamp=ago(minutes=3)))
    fan_out.fan_out_due()
    assert (rows(), reason()) == ([], "no_click")
    digest(key, page("a-1", "https://mygame.com/?rdt_cid=R1", eventTimestamp=ago(minutes=5)))
    fan_out.fan_out_due()
    assert (rows(), reason()) == ([("reddit", "waiting", "")], "")
    assert audit.run().violations == []


def move_to_reddit(key: NewKey) -> None:
    """Not Bob, but Ada used a-1 at the time of the purchase. She had clicked a Reddit ad after the TikTok ad."""
    digest(key, page("b-1", "https://mygame.com/?rdt_cid=R1", eventTimestamp=ago(minutes=7)))
    digest(key, identify("ada", "b-1", eventTimestamp=ago(minutes=6)))
    digest(key, identify("ada", "a-1", eventTimestamp=ago(minutes=6)))


def buy_after_a_tiktok_click(key: NewKey) -> None:
    clicked_at, bought_at = ago(minutes=9), ago(minutes=5)
    digest(key, page("a-1", "https://mygame.com/?ttclid=T1", eventTimestamp=clicked_at))
    digest(key, purchase(None, userId="", anonymousId="a-1", eventTimestamp=bought_at))
    digest(key, identify("bob", "a-1", eventTimestamp=ago(minutes=2)))


@pytest.mark.parametrize("deletes", [False, True])
def test_a_delivery_skipped_for_an_earlier_click_says_so_after_a_merge(game: Game, key: NewKey, deletes: bool) -> None:
    tiktok = postback(game, "tiktok", enabled=False)
    postback(game, "reddit")
    buy_after_a_tiktok_click(key)
    fan_out.fan_out_due()
    assert (rows(), reason()) == ([("tiktok", "skipped", "config_disabled")], "config_disabled")
    if deletes:
        lifecycle.delete(config=tiktok)
    move_to_reddit(key)
    fan_out.fan_out_due()
    assert rows() == [("reddit", "waiting", ""), ("tiktok", "skipped", "other_network")]
    assert reason() == ""
    report = audit.run()
    assert report.violations == []
    assert [(row.network, row.eligible, row.accounted) for row in report.rows] == [("reddit", 1, 1)]
    assert skipped(tiktok) == {"other_network": 1}


def test_a_conversion_that_was_sent_keeps_its_click_after_a_merge(sandbox: Sandbox, game: Game, key: NewKey) -> None:
    postback(game, "tiktok")
    postback(game, "reddit")
    buy_after_a_tiktok_click(key)
    fan_out.fan_out_due()
    sending.drain(network="tiktok", max_in_flight=1)
    move_to_reddit(key)
    fan_out.fan_out_due()
    assert rows() == [("tiktok", "delivered", "")]
    assert Touch.objects.get(pk=Conversion.objects.values("touch")[:1]).network == "tiktok"
    assert audit.run().violations == []


def test_a_deleted_postback_is_not_due_when_its_conversion_is_decided_again(game: Game) -> None:
    deleted = postback(game, "tiktok", enabled=False)
    clicked(game, "tiktok")
    fan_out.fan_out_due()
    lifecycle.delete(config=deleted)
    Conversion.objects.update(fanned_out_at=None, reason="")
    fan_out.fan_out_due()
    assert (rows(), reason()) == ([("tiktok", "skipped", "config_deleted")], "config_deleted")
    report = audit.run()
    assert ([(row.eligible, row.accounted) for row in report.rows], report.violations) == ([], [])


def test_a_delivery_of_a_network_that_is_gone_stops_no_fan_out(game: Game) -> None:
    gone = postback(game, "reddit")
    postback(game, "tiktok")
    row = clicked(game, "tiktok")
    factories.delivery(gone, conversion=row, state="skipped", reason="other_network", network="gone")
    PostbackConfig.objects.filter(pk=gone.pk).update(network="gone")
    assert fan_out.fan_out_due() == 1
    assert rows() == [("gone", "skipped", "other_network"), ("tiktok", "waiting", "")]


def test_a_postback_that_is_added_later_gets_a_delivery_only_if_the_conversion_is_decided_again(game: Game) -> None:
    row = clicked(game, "reddit")
    fan_out.fan_out_due()
    assert (rows(), reason()) == ([], "other_network")
    reddit = factories.config(game, network="reddit")
    versions.record(config=reddit, change="Created", set_by=None)
    assert (fan_out.fan_out_due(), rows(), audit.run().violations) == (0, [], [])
    Conversion.objects.filter(pk=row.pk).update(fanned_out_at=None, reason="")
    fan_out.fan_out_due()
    assert (rows(), reason()) == ([("reddit", "waiting", "")], "")
    assert audit.run().violations == []


def test_an_erasure_forgets_the_event_id_of_a_delivery_skipped_for_an_earlier_click(game: Game, key: NewKey) -> None:
    postback(game, "tiktok", enabled=False)
    postback(game, "reddit")
    buy_after_a_tiktok_click(key)
    fan_out.fan_out_due()
    move_to_reddit(key)
    fan_out.fan_out_due()
    person = Conversion.objects.get().person
    assert erasure.erase_deliveries([person.pk]) == 1
    person.delete()
    assert rows() == [("reddit", "cancelled", "erased"), ("tiktok", "skipped", "other_network")]
    assert set(Delivery.objects.values_list("event_id", "conversion")) == {("", None)}
    assert [(row.network, row.eligible, row.accounted, row.erased) for row in audit.run().rows] == [("reddit", 1, 1, 1)]


@pytest.mark.django_db(transaction=True)
def test_the_clicks_that_a_postback_takes_are_changed_only_after_a_running_fan_out() -> None:
    game = factories.game()
    config = postback(game, "custom", click_parameters=["irclickid"])
    clicked(game, "custom")
    check = CredentialCheck.objects.create(
        game=game,
        network="custom",
        purpose=Purpose.SAVE,
        config=config,
        config_version=1,
        pixel_id=config.pixel_id,
        triggers=config.triggers,
    )
    decided, looked = threading.Event(), threading.Event()

    def decide() -> None:
        with transaction.atomic():
            fan_out.fan_out_due()
            decided.set()
            looked.wait(20)

    def change() -> None:
        with transaction.atomic():
            versions.apply(check=check, credential={**ACCOUNTS.credential, "click_parameters": "tblci"})

    fanning = in_thread(decide)
    assert decided.wait(20)
    changing = in_thread(change)
    wait_for_a_lock()
    looked.set()
    for thread in (fanning, changing):
        thread.join(20)
    fanned_out_at = Conversion.objects.get().fanned_out_at
    assert fanned_out_at is not None
    assert config.versions.get(number=2).set_at > fanned_out_at
    assert (rows(), audit.run().violations) == ([("custom", "waiting", "")], [])


# Deliveries of version 0.2, which stored one for every postback ------------------------------------------


def older(game: Game) -> tuple[PostbackConfig, PostbackConfig]:
    """A TikTok purchase that was delivered and one without a click, each with a delivery for both postbacks."""
    tiktok, reddit = postback(game, "tiktok"), postback(game, "reddit")
    sent = clicked(game, "tiktok", fanned_out_at=timezone.now())
    organic = clicked(game, None, fanned_out_at=timezone.now())
    factories.attempt(factories.delivery(tiktok, conversion=sent, state="delivered", finished_at=timezone.now()))
    for config, row, why in (
        (reddit, sent, "other_network"),
        (tiktok, organic, "no_click"),
        (reddit, organic, "no_click"),
    ):
        factories.delivery(config, conversion=row, state="skipped", reason=why, next_attempt_at=None)
    return tiktok, reddit


def test_older_deliveries_are_counted_once(game: Game) -> None:
    tiktok, reddit = older(game)
    report = audit.run()
    assert report.violations == []
    assert [(row.network, row.eligible, row.states) for row in report.rows] == [("tiktok", 1, {"delivered": 1})]
    assert (skipped(tiktok), skipped(reddit)) == ({"no_click": 1}, {"no_click": 1, "other_network": 1})
    health = evaluate_configs([tiktok, reddit])
    assert [health[config.pk].health for config in (tiktok, reddit)] == [Health.HEALTHY, Health.QUIET]


def test_older_deliveries_are_still_shown_and_exported(game: Game, viewer: Client) -> None:
    older(game)
    sent = Conversion.objects.get(reason="")
    html = viewer.get(f"/g/{game.slug}/conversions/{sent.pk}/").content.decode()
    assert "The attributed click is from TikTok Ads, so this postback does not send the conversion" in html
    assert "so these postbacks do not send this conversion" not in html
    response: Any = viewer.get(f"/g/{game.slug}/conversions/export/")
    lines = list(csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode(), newline="")))
    assert sorted((line["network"], line["state"], line["reason"]) for line in lines) == rows()


# Pages ---------------------------------------------------------------------------------------------


def test_the_page_of_a_conversion_names_the_postbacks_without_a_part_in_it(game: Game, viewer: Client) -> None:
    postback(game, "tiktok")
    postback(game, "reddit")
    postback(game, "meta")
    postback(game, "x", deleted_at=timezone.now() - HOUR)
    postback(factories.game(), "snapchat")
    row = clicked(game, "tiktok")
    fan_out.fan_out_due()
    factories.config(game, network="google")
    html = " ".join(viewer.get(f"/g/{game.slug}/conversions/{row.pk}/").content.decode().split())
    said = html[html.index("The attributed click is from") : html.index("was added")]
    assert "The attributed click is from TikTok Ads, so these postbacks do not send this conversion:" in said
    for kind, is_named in (("reddit", True), ("meta", True), ("x", False), ("snapchat", False)):
        assert (f"{NETWORKS[kind].label} {factories.PIXELS[kind]}</span>" in said) is is_named, kind
    assert f"Google Ads {factories.PIXELS['google']} " in said
    assert f"{factories.PIXELS['google']}</span>" not in said


def test_a_conversion_that_is_not_decided_yet_names_no_postback(config: PostbackConfig, viewer: Client) -> None:
    row = factories.conversion(factories.person(config.game))
    html = viewer.get(f"/g/{config.game.slug}/conversions/{row.pk}/").content.decode()
    assert "Being processed" in html
    assert config.pixel_id not in html


def test_a_click_of_a_network_without_a_postback_names_the_next_step(game: Game, viewer: Client) -> None:
    postback(game, "reddit")
    row = clicked(game, "tiktok")
    fan_out.fan_out_due()
    html = " ".join(viewer.get(f"/g/{game.slug}/conversions/{row.pk}/").content.decode().split())
    assert "This game had no postback for TikTok Ads clicks when this conversion was processed." in html
    assert f"Reddit Ads {factories.PIXELS['reddit']}</span>" in html


# Health --------------------------------------------------------------------------------------------


def test_health_counts_the_conversions_that_a_postback_has_no_part_in(game: Game) -> None:
    tiktok, custom = postback(game, "tiktok"), postback(game, "custom", click_parameters=["irclickid"])
    for network in ("reddit", "reddit", "custom", None):
        clicked(game, network)
    clicked(game, None, reason="shared_id")
    clicked(game, None, test=True, reason="test_traffic")
    clicked(game, "reddit", test=True)
    for uncounted in ("repeat_launch", "refund", "erased"):
        clicked(game, "reddit", trigger="game_launch", reason=uncounted)
    clicked(factories.game(), "reddit")
    clicked(game, "reddit", event_at=timezone.now() - timedelta(hours=25))
    fan_out.fan_out_due()
    clicked(game, "reddit")  # not decided yet
    assert skipped(tiktok) == {"no_click": 1, "shared_id": 1, "other_network": 3}
    assert skipped(custom) == {"no_click": 1, "shared_id": 1, "other_network": 2}


def test_a_postback_for_every_click_has_a_part_in_every_network(game: Game) -> None:
    custom = postback(game, "custom", click_parameters=["*"])
    clicked(game, "reddit")
    fan_out.fan_out_due()
    assert (skipped(custom), rows()) == ({}, [("custom", "waiting", "")])


def test_conversions_from_before_a_postback_was_added_do_not_make_it_silent(game: Game) -> None:
    earlier = clicked(game, None, fanned_out_at=timezone.now() - 27 * HOUR)
    config = postback(game, "tiktok", created_at=timezone.now() - 26 * HOUR)
    assert skipped(config) == {}
    Conversion.objects.filter(pk=earlier.pk).update(fanned_out_at=timezone.now() - HOUR)
    found = evaluate_configs([config])[config.pk]
    assert (found.health, found.since) == (Health.SILENT, Conversion.objects.get().fanned_out_at)
    assert found.explanation == "1 conversion was received, none could be sent: 1 had no ad click."
    assert found.considered == 1


def test_health_looks_at_the_newest_conversions_only(game: Game, monkeypatch: pytest.MonkeyPatch) -> None:
    config = postback(game, "tiktok")
    for minutes in (3, 2, 1):
        clicked(game, None, event_at=timezone.now() - timedelta(minutes=minutes), fanned_out_at=timezone.now())
    monkeypatch.setattr(counting, "SCAN_LIMIT", 2)
    assert skipped(config) == {"no_click": 2}
