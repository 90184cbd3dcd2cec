"""The dry run: the conversions of the last week with unsaved settings; nothing is written."""

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audience.models import Conversion, Event, Game, GoalEvent, Role
from postbacks.models import CredentialCheck, Delivery, PostbackConfig
from postbacks.outbox import fan_out
from postbacks.preview import dry_run
from tests import factories, hub
from tests.queries import queries_of

pytestmark = pytest.mark.django_db
NOW = timezone.now()
HTMX = {"HX-Request": "true"}
LEVEL = {"event": "level_complete", "sent_as": "", "once": False, "condition": None}


@pytest.fixture
def config(game: Game) -> PostbackConfig:
    return factories.config(game, triggers=["purchase"])


@pytest.fixture
def url(game: Game) -> str:
    return f"/g/{game.slug}/integrations/tiktok/"


def proposed(config: PostbackConfig, **given: Any) -> PostbackConfig:
    fields = {"triggers": config.triggers, "goals": config.goals, "enabled": True, **given}
    return PostbackConfig(pk=config.pk, game=config.game, network=config.network, pixel_id=config.pixel_id, **fields)


def clicked(game: Game, *, network: str = "tiktok", **given: Any) -> Conversion:
    player = factories.person(game)
    return factories.conversion(player, touch=factories.touch(player, network=network), **given)


def reasons(run: dry_run.DryRun) -> dict[str, tuple[int, int | None]]:
    return {line.reason.value: (line.count, line.before) for line in run.reasons}


def event(game: Game, name: str, *, ago: timedelta = timedelta(hours=1), **given: Any) -> None:
    at = NOW - ago
    fields = {"game_id": game.pk, "day": at.date(), "message_id": str(uuid.uuid4()), "kind": "track", "name": name}
    Event.objects.create(**{**fields, "event_at": at, "received_at": at, "dialect": "immutable", **given})


def test_every_conversion_of_the_week_is_judged_once(config: PostbackConfig) -> None:
    game = config.game
    for _ in range(4):
        clicked(game)
    clicked(game, trigger="game_launch")
    clicked(game, network="reddit")
    clicked(game, consent_level="none")
    clicked(game, test=True)
    for _ in range(2):
        factories.conversion(factories.person(game))
    clicked(game, event_at=NOW - timedelta(days=7, hours=1))
    clicked(factories.game())
    run = dry_run.run(proposed=config, current=None)
    assert (run.considered, run.sent, run.not_sent, run.sent_before, run.is_capped) == (10, 4, 6, None, False)
    assert reasons(run) == {
        "no_click": (2, None),
        "test_traffic": (1, None),
        "other_network": (1, None),
        "config_disabled": (1, None),
        "consent": (1, None),
    }


def test_a_dry_run_predicts_what_the_fan_out_decides(config: PostbackConfig) -> None:
    for trigger in ("purchase", "purchase", "game_launch"):
        clicked(config.game, trigger=trigger)
    factories.conversion(factories.person(config.game))
    clicked(config.game, network="reddit")
    run = dry_run.run(proposed=config, current=None)
    fan_out.fan_out_due()
    rows = Delivery.objects.filter(config=config)
    assert run.sent == rows.filter(state="waiting").count() == 2
    assert reasons(run) == {"config_disabled": (1, None), "no_click": (1, None), "other_network": (1, None)}
    for reason, (count, _) in reasons(run).items():
        assert Conversion.objects.filter(reason=reason).count() == count
    assert [row.reason for row in rows.filter(state="skipped")] == ["config_disabled"]
    assert run.considered == Conversion.objects.count()


def test_a_dry_run_compares_with_the_present_settings(config: PostbackConfig) -> None:
    clicked(config.game)
    for _ in range(3):
        clicked(config.game, trigger="game_launch")
    run = dry_run.run(proposed=proposed(config, triggers=["game_launch"]), current=config)
    assert (run.sent, run.sent_before, run.change) == (3, 1, 2)
    assert reasons(run) == {"config_disabled": (1, 3)}
    run = dry_run.run(proposed=proposed(config, enabled=False), current=config)
    assert (run.sent, run.sent_before, run.change, run.fewer) == (0, 1, -1, 1)


def test_a_dry_run_takes_a_conversions_age_as_of_its_arrival(game: Game) -> None:
    config = factories.config(game, network="reddit")
    at = NOW - timedelta(days=6, hours=23)
    clicked(game, network="reddit", event_at=at, created_at=at)
    clicked(game, network="reddit", event_at=at, created_at=at + timedelta(days=7, minutes=1))
    run = dry_run.run(proposed=config, current=None)
    assert (run.sent, reasons(run)) == (1, {"too_old": (1, None)})


def test_a_dry_run_evaluates_conditions_and_goals_that_count_once(config: PostbackConfig) -> None:
    game = config.game
    GoalEvent.objects.create(game=game, name="level_complete")
    player = factories.person(game)
    click = factories.touch(player)
    for level in (9, 10, 11, 12):
        factories.conversion(player, touch=click, trigger="level_complete", properties={"level": level})
    once = {**LEVEL, "once": True, "condition": {"property": "level", "op": "gte", "value": "10"}}
    run = dry_run.run(proposed=proposed(config, goals=[once]), current=config)
    assert (run.sent, run.sent_before) == (1, 0)
    assert reasons(run) == {"repeat": (2, 0), "filtered": (1, 0), "config_disabled": (0, 4)}


def test_an_event_that_makes_no_conversions_yet_is_counted_as_seen(config: PostbackConfig) -> None:
    for _ in range(3):
        event(config.game, "level_complete")
    event(config.game, "level_complete", ago=timedelta(days=9))
    event(config.game, "level_complete", test=True)
    event(config.game, "level_failed")
    event(factories.game(), "level_complete")
    run = dry_run.run(proposed=proposed(config, goals=[LEVEL]), current=config)
    assert run.new_events == [dry_run.EventCount(event="level_complete", count=3, at_least=False)]
    GoalEvent.objects.create(game=config.game, name="level_complete")
    assert dry_run.run(proposed=proposed(config, goals=[LEVEL]), current=config).new_events == []


def test_of_too_many_events_only_the_newest_are_looked_through(
    config: PostbackConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dry_run, "SCAN_LIMIT", 2)
    for _ in range(4):
        event(config.game, "level_complete")
    run = dry_run.run(proposed=proposed(config, goals=[LEVEL]), current=config)
    assert run.new_events == [dry_run.EventCount(event="level_complete", count=2, at_least=True)]


def test_of_too_many_conversions_the_newest_are_judged_and_it_says_so(
    config: PostbackConfig, marketer: Client, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dry_run, "MAX_CONVERSIONS", 5)
    monkeypatch.setattr(dry_run, "CHUNK_SIZE", 2)
    times = [NOW - timedelta(hours=hours) for hours in range(1, 8)]
    for at in times:
        clicked(config.game, event_at=at)
    run = dry_run.run(proposed=config, current=None)
    assert (run.considered, run.sent, run.is_capped, run.since) == (5, 5, True, times[4])
    assert "the newest 5 conversions" in words(marketer.get(f"{url}{config.pk}/dry-run/").content.decode())


def test_a_dry_run_writes_nothing_and_takes_as_many_queries_for_many_rows_as_for_few(config: PostbackConfig) -> None:
    def run() -> None:
        dry_run.run(proposed=proposed(config, triggers=["game_launch"]), current=config)

    clicked(config.game)
    few = queries_of(run)
    for _ in range(30):
        clicked(config.game)
    with CaptureQueriesContext(connection) as asked:
        run()
    assert len(asked) == few
    assert {query["sql"].split()[0] for query in asked.captured_queries} <= {"SELECT", "WITH"}
    assert Delivery.objects.count() == 0


# Pages ------------------------------------------------------------------------------------------


def words(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split()).replace(" ,", ",")


def test_the_saved_settings_from_the_integration_page(config: PostbackConfig, marketer: Client, url: str) -> None:
    clicked(config.game)
    factories.conversion(factories.person(config.game))
    assert f'href="{url}{config.pk}/dry-run/"' in marketer.get(url).content.decode()
    page = words(marketer.get(f"{url}{config.pk}/dry-run/").content.decode())
    assert "1 would be sent, 1 not." in page
    assert "No ad click of this player no_click 1" in page


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_settings_are_tried_from_the_form_without_saving(
    config: PostbackConfig, marketer: Client, url: str, headers: Any
) -> None:
    for _ in range(3):
        clicked(config.game, trigger="game_launch")
    clicked(config.game)
    form = marketer.get(f"{url}{config.pk}/edit/").content.decode()
    assert f'formaction="{url}{config.pk}/dry-run/"' in form
    given = {
        "pixel_id": "",
        "credential": "a-token",
        "test_code": "TEST-1",
        "triggers": ["game_launch"],
        "enabled": "on",
    }
    answer = marketer.post(f"{url}{config.pk}/dry-run/", given, headers=headers).content.decode()
    assert "3 would be sent +2, 1 not." in words(answer)
    assert ("<html" in answer) is (headers == {})
    assert not {"a-token", "TEST-1"} & set(re.findall(r"[\w-]+", answer))
    config.refresh_from_db()
    assert (config.triggers, CredentialCheck.objects.count()) == (["purchase"], 0)


def test_a_postback_that_is_not_there_yet_can_be_tried(game: Game, marketer: Client, url: str) -> None:
    clicked(game)
    event(game, "level_complete")
    assert f'formaction="{url}dry-run/"' in marketer.get(url + "add/").content.decode()
    given = {"triggers": ["purchase"], "enabled": "on", "goals-0-event": "level_complete"}
    answer = words(marketer.post(url + "dry-run/", given, headers=HTMX).content.decode())
    assert "1 would be sent, 0 not." in answer
    assert "1 level_complete event was received in the last 7 days. These events count after you save." in answer
    assert marketer.get(url + "dry-run/").status_code == 405
    assert PostbackConfig.objects.count() == 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "Select at least one trigger event."),
        ({"triggers": ["odd"]}, "Select a valid choice."),
        ({"triggers": ["purchase"], "goals-0-event": "x" * 101}, "Goal 1: An event name has at most 100 characters."),
    ],
)
def test_invalid_settings_get_no_dry_run(
    game: Game, marketer: Client, url: str, given: dict[str, Any], said: str
) -> None:
    answer = marketer.post(url + "dry-run/", given, headers=HTMX).content.decode()
    assert said in answer
    assert "would be sent" not in answer


def test_without_conversions_it_says_so(config: PostbackConfig, marketer: Client, url: str) -> None:
    page = marketer.get(f"{url}{config.pk}/dry-run/").content.decode()
    assert "No conversions in the last 7 days" in page


def test_it_is_for_marketers_of_the_game(config: PostbackConfig, other_game: Game, url: str) -> None:
    assert hub.member(config.game, Role.VIEWER).get(f"{url}{config.pk}/dry-run/").status_code == 403
    assert hub.member(other_game, Role.ADMIN).get(f"{url}{config.pk}/dry-run/").status_code == 404
    theirs = factories.config(other_game)
    admin = hub.member(config.game, Role.ADMIN)
    assert admin.get(f"{url}{theirs.pk}/dry-run/").status_code == 404
