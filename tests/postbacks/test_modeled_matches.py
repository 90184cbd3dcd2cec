"""Modeled matches of first launches: an estimate that joins nobody, counts apart and is never sent."""

import itertools
import json
import random
import re
import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db.models import F
from django.test import Client
from django.utils import timezone

from audience.digest import queue
from audience.games.keys import NewKey, create_key
from audience.models import Conversion, Game, KeyKind, ModeledMatch, Person, Role, Touch
from audience.privacy import erasure
from consent.decisions import record_decision
from consent.models import ConsentDecision, Level
from postbacks.models import Delivery
from postbacks.outbox import fan_out
from postbacks.reporting import person_export
from postbacks.reporting.campaigns import refresh
from postbacks.reporting.modeled import upkeep
from postbacks.reporting.modeled.matching import MAX_VISITORS, Launch, Result, Visit, decide
from postbacks.reporting.modeled.systems import system_of
from tests import factories, hub
from tests.audience.immutable import ABSENT, LIBRARY, ago, alias, message, send
from tests.management_api import game_api
from tests.postbacks.test_campaigns_page import table

pytestmark = pytest.mark.django_db
HOME, ELSEWHERE = "203.0.113.9", "203.0.113.10"
WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/142.0.0.0"
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Safari/605.1.15"


@pytest.fixture(autouse=True)
def _enabled(game: Game) -> None:
    game.joins = ["modeled"]
    game.save()


def visit(browser: str = "browser-1", *, ip: str = HOME, agent: str = WINDOWS, hours: float = 3, **changes: Any) -> Any:
    """A page event of the landing page of an ad, with full consent."""
    url = f"https://mygame.com/?ttclid=click-of-{browser}&utm_campaign=autumn"
    fields = {"type": "page", "eventName": ABSENT, "userId": ABSENT, "anonymousId": browser, "consentLevel": "full"}
    context = {**LIBRARY, "pageUrl": url, "ip": ip, "userAgent": agent}
    return message(**{**fields, "eventTimestamp": ago(hours=hours), "context": context, **changes})


def launch(player: str = "player-1", *, ip: str = HOME, hours: float = 1, **changes: Any) -> Any:
    """A launch of the game on Windows, with full consent and the address that the game states."""
    context = {**LIBRARY, "ip": ip, "os": {"name": "Windows 11"}}
    fields = {"userId": player, "eventName": "game_launch", "consentLevel": "full", "context": context}
    return message(**{**fields, "eventTimestamp": ago(hours=hours), **changes})


def digest(key: NewKey, *messages: Any, **headers: str) -> None:
    for one in messages:
        assert send(key, one, **headers).json()["rejected"] == 0
        queue.drain()


def matches() -> dict[str, tuple[str, str]]:
    """{user id: (result, click id)} of what is stored."""
    upkeep.match_launches()
    rows = ModeledMatch.objects.select_related("conversion", "touch")
    return {row.conversion.user_id: (row.result, row.touch.click_id if row.touch else "") for row in rows}


MATCHED = {"player-1": ("matched", "click-of-browser-1")}


# What is shown, counted and sent ---------------------------------------------------------------------------------


def test_a_match_is_shown_as_modeled_and_joins_attributes_and_sends_nothing(game: Game, key: NewKey) -> None:
    factories.config(game)
    digest(key, visit(), launch())
    before = list(Conversion.objects.values())
    assert matches() == MATCHED
    fan_out.fan_out_due()
    row = Conversion.objects.get()
    assert (row.touch, row.reason, Person.objects.count(), Delivery.objects.count()) == (None, "no_click", 2, 0)
    assert [{**one, "fanned_out_at": None} for one in before] == [
        {**one, "fanned_out_at": None} for one in Conversion.objects.values()
    ]
    viewer, base = hub.member(game, Role.VIEWER), f"/g/{game.slug}"
    page = hub.normalized_html(viewer.get(f"{base}/conversions/{row.pk}/").content.decode())
    assert "Modeled match" in page
    assert "click-of-browser-1" in page
    assert "The only visitor with this address and operating system, 2 hours before. This is an estimate." in page
    assert "No paid clicks of this player." in page
    assert "is not sent" in page
    listed = hub.normalized_html(viewer.get(f"{base}/conversions/").content.decode())
    assert re.search(r'<span class="badge">Modeled</span>\s*TikTok Ads', listed), re.findall("Modeled.{100}", listed)


def test_the_api_states_it_apart_from_the_click(game: Game, key: NewKey) -> None:
    digest(key, visit(), launch())
    api, path = game_api(game), f"games/{game.slug}/conversions"
    row = Conversion.objects.get()
    assert api.get(f"{path}/{row.pk}").json()["modeled_match"] is None
    upkeep.match_launches()
    touch = Touch.objects.get()
    stated = {
        "result": "matched",
        "explanation": "The only visitor with this address and operating system, 2 hours before. This is an estimate.",
        "click": {
            "network": "tiktok",
            "click_id": "click-of-browser-1",
            "parameter": "ttclid",
            "clicked_at": touch.clicked_at.isoformat().replace("+00:00", "Z"),
            "campaign": {"utm_campaign": "autumn"},
        },
    }
    (listed,) = api.get(path).json()["results"]
    for values in (listed, api.get(f"{path}/{row.pk}").json()):
        assert (values["click"], values["modeled_match"]) == (None, stated)


def test_its_figures_stand_apart_and_change_no_other(game: Game, key: NewKey, viewer: Client) -> None:
    digest(key, visit(), launch(), visit("browser-2", ip=ELSEWHERE), visit("browser-3", ip=ELSEWHERE))
    digest(key, launch("player-2", ip=ELSEWHERE))
    refresh.refresh()
    campaigns = f"/g/{game.slug}/campaigns/"
    before = table(viewer, campaigns)
    assert "Modeled launches" not in viewer.get(campaigns).content.decode()
    upkeep.match_launches()
    refresh.refresh()
    assert table(viewer, campaigns) == before
    # Clicks, players, launches.
    assert [row[:4] for row in before] == [["All", "3", "3", "0"], ["autumn TikTok Ads", "3", "3", "0"]]
    html = hub.normalized_html(viewer.get(campaigns).content.decode()).partition('id="modeled-title"')[2]
    assert '<td data-label="Modeled launches" class="number">1</td>' in html
    assert "Estimates from the address, the operating system and the time" in html
    joins = hub.normalized_html(viewer.get(f"/g/{game.slug}/joins/").content.decode())
    section = joins.partition('id="modeled"')[2].partition("</section>")[0]
    for label, number in (
        ("One visitor could be this player", 1),
        ("Not matched: more than one visitor or player is possible", 1),
        ("Not matched: several people use this address", 0),
    ):
        cell = f'<td data-label="Result">{label}</td><td data-label="First launches" class="number">{number}</td>'
        assert cell in section


def test_why_a_launch_is_not_matched_is_said(game: Game, key: NewKey, viewer: Client) -> None:
    digest(key, visit(), visit("browser-2"), launch())
    assert matches() == {"player-1": ("several", "")}
    row, sentence = Conversion.objects.get(), "Not matched: more than one visitor or player is possible."
    page = viewer.get(f"/g/{game.slug}/conversions/{row.pk}/").content.decode()
    assert sentence in page
    trail = game_api(game).get(f"games/{game.slug}/conversions/{row.pk}").json()
    assert trail["modeled_match"] == {"result": "several", "explanation": sentence, "click": None}
    assert "Modeled" not in viewer.get(f"/g/{game.slug}/conversions/").content.decode()


# The rule ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("visited", "launched"),
    [
        ({"ip": ELSEWHERE}, {}),
        ({"agent": MAC}, {}),
        ({"agent": "curl/8.5"}, {}),
        ({}, {"context": {**LIBRARY, "ip": HOME}}),
        ({"hours": 8}, {}),
        ({"hours": 0.5}, {}),
        ({"consentLevel": "anonymous"}, {}),
        ({"consentLevel": ABSENT}, {}),
        ({}, {"consentLevel": "anonymous"}),
        ({}, {"consentLevel": "not_set"}),
        ({}, {"consentLevel": ABSENT}),
        ({}, {"test": True}),
        ({}, {"eventName": "purchase"}),
        ({}, {"hours": 49}),
        # The sender opted out of addresses.
        ({}, {"context": {**LIBRARY, "ip": "0.0.0.0", "os": {"name": "Windows 11"}}}),
        ({}, {"context": {**LIBRARY, "ip": HOME, "os": {"name": "Windows 11"}, "limited_data_use": True}}),
    ],
)
def test_a_launch_is_not_matched_without(key: NewKey, visited: Any, launched: Any) -> None:
    hours = {"hours": 50} if launched.get("hours") == 49 else {}
    digest(key, visit(**hours, **visited), launch(**launched))
    assert matches() == {}


def test_the_address_is_that_of_the_connection_unless_it_is_a_servers(game: Game, key: NewKey, settings: Any) -> None:
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    without = {"context": {**LIBRARY, "os": {"name": "Windows 11"}}}
    # The client has invented the first address.
    forwarded = {"x-forwarded-for": f"{ELSEWHERE}, {HOME}"}
    digest(key, visit(), launch(**without), **forwarded)
    assert matches() == MATCHED
    Conversion.objects.all().delete()
    server_key = create_key(game=game, name="Backend", kind=KeyKind.SERVER)
    digest(server_key, launch("player-2", **without), **forwarded)
    assert Conversion.objects.get().reason == "no_click"
    assert matches() == {}


def test_a_launch_of_a_player_with_a_click_is_not_matched(key: NewKey) -> None:
    digest(key, visit(), visit("own", ip=ELSEWHERE), launch(anonymousId="own"))
    assert Conversion.objects.get().touch is not None
    assert matches() == {}
    # Even if the click came after the launch.
    digest(key, launch("player-2", anonymousId="late"), visit("late", ip=ELSEWHERE, hours=0.1))
    assert Conversion.objects.get(user_id="player-2").reason == "no_click"
    assert matches() == {}


def test_a_visitor_who_is_a_player_already_is_not_another_player(key: NewKey) -> None:
    digest(key, visit(), launch("ada", ip=ELSEWHERE, anonymousId="browser-1", hours=2), launch())
    assert Conversion.objects.get(user_id="ada").touch is not None
    assert matches() == {}


def test_several_clicks_of_one_visitor_are_one_candidate_and_the_last_one_counts(key: NewKey) -> None:
    url = "https://mygame.com/?ttclid=last"
    context = {**LIBRARY, "pageUrl": url, "ip": HOME, "userAgent": WINDOWS}
    digest(key, visit(), visit(hours=2, context=context), launch())
    assert matches() == {"player-1": ("matched", "last")}


def test_two_players_of_one_visitor_are_not_matched(key: NewKey) -> None:
    digest(key, visit(), launch(), launch("player-2", hours=2))
    assert matches() == {"player-1": ("several", ""), "player-2": ("several", "")}


def test_an_address_of_many_people_is_never_matched(key: NewKey) -> None:
    # Only one of these visitors has consent and the system of the launch.
    others = [visit(f"other-{number}", agent=MAC, consentLevel="anonymous") for number in range(3)]
    digest(key, visit(), *others, launch())
    assert matches() == {"player-1": ("shared", "")}
    digest(key, visit("busy", ip=ELSEWHERE), *(launch(f"p{n}", ip=ELSEWHERE, consentLevel=ABSENT) for n in range(3)))
    digest(key, launch("player-2", ip=ELSEWHERE))
    assert matches()["player-2"] == ("shared", "")


def test_visitors_without_consent_are_no_candidates(key: NewKey) -> None:
    digest(key, visit(), visit("declined", consentLevel="anonymous"), launch())
    assert matches() == MATCHED


def test_the_hours_are_a_setting(game: Game, key: NewKey) -> None:
    digest(key, visit(hours=8), launch())
    assert matches() == {}
    admin = hub.member(game, Role.ADMIN)
    form = {"joins": ["modeled"], "match_hours": "25"}
    answer = admin.post(f"/g/{game.slug}/joins/settings/", form)
    assert "Ensure this value is less than or equal to 24." in answer.content.decode()
    assert Game.objects.get(pk=game.pk).match_hours == 6
    admin.post(f"/g/{game.slug}/joins/settings/", {**form, "match_hours": "24"})
    assert Game.objects.get(pk=game.pk).match_hours == 24
    assert matches() == MATCHED


def test_games_have_it_off_at_first_and_switching_it_off_deletes_what_was_matched(game: Game, key: NewKey) -> None:
    assert Game.objects.create(name="New", slug="new").joins == ["referrer"]
    digest(key, visit(), launch())
    Game.objects.update(joins=["steam"])
    assert matches() == {}
    Game.objects.update(joins=["modeled"])
    assert matches() == MATCHED
    Game.objects.update(joins=[])
    assert matches() == {}


def test_another_game_is_never_compared(other_game: Game, key: NewKey) -> None:
    Game.objects.update(joins=["modeled"])
    digest(key, visit())
    digest(create_key(game=other_game, name="Game", kind=KeyKind.PUBLISHABLE), launch())
    assert matches() == {}


# Later ------------------------------------------------------------------------------------------------------------


def test_the_order_of_arrival_does_not_matter() -> None:
    sent = [visit(), launch(), visit("browser-2", hours=2, ip=ELSEWHERE), launch("player-2", ip=ELSEWHERE)]
    sent += [visit("browser-3", ip=ELSEWHERE, hours=5), launch("player-3", hours=4, ip=ELSEWHERE)]
    orders = random.Random(24).sample(list(itertools.permutations(sent)), 6)
    for order in [sent, *orders]:
        game = factories.game(joins=["modeled"])
        key = create_key(game=game, name="Game", kind=KeyKind.PUBLISHABLE)
        for one in order:
            digest(key, one)
            upkeep.match_launches()
        # The click of browser-3 may belong to either of two players.
        assert matches() == {**MATCHED, "player-2": ("several", ""), "player-3": ("several", "")}
        game.delete()


def erase(game: Game, namespace: str, subject: str) -> None:
    erasure.request_erasure(game=game, namespace=namespace, subject=subject, requested_by="ada")
    erasure.drain()


@pytest.mark.parametrize(("namespace", "subject"), [("anonymous", "browser-1"), ("user", "player-1")])
def test_erasing_either_side_deletes_the_match(game: Game, key: NewKey, namespace: str, subject: str) -> None:
    digest(key, visit(), launch())
    assert matches() == MATCHED
    erase(game, namespace, subject)
    assert not ModeledMatch.objects.exists()
    assert matches() == {}


def withdraw(game: Game, browser: str) -> None:
    record_decision(game_id=game.pk, anonymous_id=browser, level=Level.NONE, source="page", decided_at=timezone.now())


def test_the_export_of_the_player_has_the_result_and_not_the_click_of_somebody_else(game: Game, key: NewKey) -> None:
    digest(key, visit(), launch())
    assert matches() == MATCHED
    row = Conversion.objects.select_related("person").get()
    text = "".join(person_export.export(row.person))
    (exported,) = json.loads(text)["conversions"]
    assert exported["modeled_match"]["result"] == "matched"
    assert "click-of-browser-1" not in text


@pytest.mark.parametrize("days", [0, 9])
@pytest.mark.parametrize("browser", ["browser-1", "device-1"])
def test_a_withdrawal_of_either_side_deletes_the_match(game: Game, key: NewKey, days: int, browser: str) -> None:
    digest(key, visit(), launch(anonymousId="device-1"))
    assert matches() == MATCHED
    age(days)
    assert matches() == MATCHED
    withdraw(game, browser)
    assert matches() == {}


def age(days: int) -> None:
    """Let everything be older by so many days."""
    earlier = timedelta(days=days)
    Conversion.objects.update(event_at=F("event_at") - earlier)
    ModeledMatch.objects.update(launched_at=F("launched_at") - earlier)
    Touch.objects.update(clicked_at=F("clicked_at") - earlier)
    ConsentDecision.objects.update(decided_at=F("decided_at") - earlier)


def test_old_matches_are_checked_in_turns(game: Game, key: NewKey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "MAX_CHECKED", 1)
    digest(key, visit(), launch(), visit("browser-2", ip=ELSEWHERE), launch("player-2", ip=ELSEWHERE))
    matches()
    age(9)
    for browser in ("browser-1", "browser-2"):
        withdraw(game, browser)
    assert [len(matches()), len(matches())] == [1, 0]


def test_a_certain_click_replaces_the_match(game: Game, key: NewKey) -> None:
    digest(key, visit(), launch())
    assert matches() == MATCHED
    row = Conversion.objects.get()
    digest(key, alias("browser-1", "player-1"))
    row.refresh_from_db()
    assert row.touch is not None
    trail = game_api(game).get(f"games/{game.slug}/conversions/{row.pk}").json()
    assert (trail["click"]["click_id"], trail["modeled_match"]) == ("click-of-browser-1", None)
    assert matches() == {}


# The rule alone ---------------------------------------------------------------------------------------------------

NOW = datetime.fromisoformat("2026-11-20T12:00:00+00:00")


def launched(number: int, *, hours: float, address: str = HOME) -> Launch:
    return Launch(uuid.UUID(int=number), uuid.UUID(int=100 + number), NOW + timedelta(hours=hours), address, "windows")


def visited(number: int, *, hours: float, person: int = 0) -> Visit:
    person_id = uuid.UUID(int=200 + (person or number))
    return Visit(number, person_id, NOW + timedelta(hours=hours), HOME, "windows", is_player=False)


def decided(launches: list[Launch], visits: list[Visit], *, since: float = 0, taken: Any = None) -> Any:
    found = decide(
        launches,
        visits,
        hours=6,
        consenting=lambda launches, visits: ({one.id for one in launches}, {one.touch_id for one in visits}),
        since=NOW + timedelta(hours=since),
        taken=taken or {},
    )
    return {key.int: value for key, value in found.items()}


def test_a_visitor_is_one_player_at_all_times() -> None:
    launches = [launched(1, hours=1), launched(2, hours=25)]
    visits = [visited(1, hours=0), visited(2, hours=24, person=1)]
    first = Result("matched", 1)  # type: ignore[arg-type]
    assert decided(launches, visits) == {1: first}
    assert decided(launches[::-1], visits[::-1]) == {1: first}
    # The same when the earlier launch is older than what is decided again.
    assert decided(launches[1:], visits, taken={uuid.UUID(int=201): launches[0].at}) == {}
    assert decided(launches[1:], visits)[2].touch_id == 2


def test_an_address_with_very_many_visitors_is_shared_at_any_time() -> None:
    launches, own = [launched(1, hours=1)], visited(1, hours=0)
    others = [visited(number, hours=-40) for number in range(2, MAX_VISITORS + 1)]
    assert decided(launches, [own, *others]) == {1: Result("shared")}  # type: ignore[arg-type]
    assert decided(launches, [own, *others[1:]]) == {1: Result("matched", 1)}  # type: ignore[arg-type]


def test_launches_before_those_that_are_decided_are_compared_with() -> None:
    launches, visits = [launched(1, hours=-1), launched(2, hours=1)], [visited(1, hours=-2)]
    assert decided(launches, visits) == {2: Result("several")}  # type: ignore[arg-type]
    assert decided(launches, visits, since=-3).keys() == {1, 2}


@pytest.mark.parametrize(
    ("stated", "system"),
    [
        (WINDOWS, "windows"),
        ("Windows 11  (10.0.22631) 64bit", "windows"),
        ("WindowsPlayer", "windows"),
        (MAC, "macos"),
        ("Mac OS X 14.5.0", "macos"),
        ("OSXPlayer", "macos"),
        ("macOS", "macos"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15", "ios"),
        ("iOS", "ios"),
        ("Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36", "android"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0", "linux"),
        ("SteamOS Holo 64 bit", "linux"),
        ("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36", "chromeos"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox Series X) Edge/20.02", "console"),
        ("curl/8.5.0", ""),
        ("darwin-like", ""),
        (None, ""),
        (11, ""),
    ],
)
def test_the_family_of_a_system(stated: Any, system: str) -> None:
    assert system_of(stated) == system


def test_the_first_statement_that_names_a_system_counts() -> None:
    assert system_of(None, "handheld", "Android OS 15", WINDOWS) == "android"
