"""The alerts page: alerts, the member's choice, and the webhooks of the game."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from audience.models import Game, Role
from config.gauges import QueueCollector
from postbacks.models import Alert, AlertChoice, AlertHook, Notice, PostbackConfig
from postbacks.monitoring.alerts.watch import watch
from tests import factories, hub
from tests.postbacks.test_alerts import heal, hold

HOOK = "https://chat.example/services/T0/secret-path"


@pytest.fixture
def url(game: Game) -> str:
    return f"/g/{game.slug}/alerts/"


@pytest.fixture
def hook(game: Game) -> AlertHook:
    return AlertHook.objects.create(game=game, url=HOOK, secret={"key": "whsec_0123456789"})


def words(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).replace("\xa0", " ").split())


def test_an_alert_is_listed_open_and_then_recovered(game: Game, config: PostbackConfig, url: str) -> None:
    viewer = hub.member(game, Role.VIEWER)
    assert "No alerts yet" in viewer.get(url).content.decode()
    hold(config)
    watch()
    page = words(viewer.get(url).content.decode())
    assert (
        f"TikTok Ads {config.pixel_id} Calls during this time On hold Open Nothing is sent; 0 conversions are on hold."
        in page
    )
    assert "Rotate the access token" in page
    heal(config)
    watch(now=timezone.now() + timedelta(minutes=1))
    watch(now=timezone.now() + timedelta(minutes=3))
    assert f"{config.pixel_id} Calls during this time Recovered On hold" in words(viewer.get(url).content.decode())


def test_a_refresh_returns_only_the_rows(game: Game, config: PostbackConfig, url: str) -> None:
    rows = hub.member(game, Role.VIEWER).get(url, headers={"HX-Request": "true"}).content.decode()
    assert "No alerts yet" in rows
    assert "<html" not in rows


def test_older_pages_list_every_alert_once(game: Game, config: PostbackConfig, url: str) -> None:
    now = timezone.now()
    Alert.objects.bulk_create(
        Alert(game=game, config=config, health="degraded", cause=f"cause {n}.", opened_at=now, recovered_at=now)
        for n in range(70)
    )
    viewer = hub.member(game, Role.VIEWER)
    page = viewer.get(url).content.decode()
    seen = re.findall(r"cause \d+", page)
    older = re.search(r'href="(\?[^"]*before=[^"]+)">Older', page)
    assert older
    seen += re.findall(r"cause \d+", viewer.get(url + older[1].replace("&amp;", "&")).content.decode())
    assert sorted(seen) == sorted(f"cause {n}" for n in range(70))


@pytest.mark.parametrize(
    ("role", "preset"), [(Role.VIEWER, "never"), (Role.MARKETER, "at_once"), (Role.ADMIN, "at_once")]
)
def test_the_default_alert_frequency_depends_on_the_role(game: Game, url: str, role: Role, preset: str) -> None:
    page = hub.member(game, role).get(url).content.decode()
    assert re.findall(r'value="(\w+)"[^>]*checked', page) == [preset]


def test_a_viewer_may_change_their_own_alert_frequency(game: Game, other_game: Game, url: str) -> None:
    viewer = hub.member(game, Role.VIEWER)
    answer = viewer.post(f"{url}choice/", {"told": "both"}, follow=True)
    assert "Saved: immediately and in a daily digest." in answer.content.decode()
    row = AlertChoice.objects.get()
    assert (row.game, row.user.username, row.told) == (game, "viewer-of-sky-raiders", "both")
    assert re.findall(r'value="(\w+)"[^>]*checked', answer.content.decode()) == ["both"]
    assert viewer.post(f"/g/{other_game.slug}/alerts/choice/", {"told": "both"}).status_code == 404
    assert AlertChoice.objects.count() == 1


def test_an_unknown_alert_frequency_changes_nothing(game: Game, url: str) -> None:
    answer = hub.member(game, Role.ADMIN).post(f"{url}choice/", {"told": "always"}, follow=True)
    assert "Nothing was saved" in answer.content.decode()
    assert not AlertChoice.objects.exists()


def test_the_secret_of_a_new_hook_is_shown_once(game: Game, url: str) -> None:
    admin = hub.member(game, Role.ADMIN)
    made = admin.post(f"{url}hooks/add/", {"url": HOOK, "events": ["alert.opened"]})
    secret = AlertHook.objects.get().secret["key"]
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", secret)
    assert secret in made.content.decode()
    assert "no-store" in made["Cache-Control"]
    page = admin.get(url).content.decode()
    assert HOOK in page
    assert secret not in page


def test_a_hook_url_on_a_private_address_is_refused_with_the_reason(game: Game, url: str) -> None:
    posted = {"url": "https://169.254.169.254/", "events": ["alert.opened"]}
    page = hub.member(game, Role.ADMIN).post(f"{url}hooks/add/", posted).content.decode()
    assert "This URL cannot be called: this address is not on the public internet." in page
    assert not AlertHook.objects.exists()


@pytest.mark.parametrize("role", [Role.VIEWER, Role.MARKETER])
def test_members_other_than_admins_see_a_hooks_host_only(game: Game, url: str, hook: AlertHook, role: Role) -> None:
    page = hub.member(game, role).get(url).content.decode()
    assert "<strong>chat.example</strong>" in page
    assert "secret-path" not in page
    assert "Send a test" not in page


def test_a_hook_can_be_tested_switched_off_and_deleted(game: Game, url: str, hook: AlertHook) -> None:
    admin = hub.member(game, Role.ADMIN)
    admin.post(f"{url}hooks/{hook.pk}/test/")
    assert [(row.kind, row.hook, row.state) for row in Notice.objects.all()] == [("test", hook, "waiting")]
    assert "chat.example Test Waiting" in words(admin.get(url).content.decode())
    admin.post(f"{url}hooks/{hook.pk}/disable/")
    assert not AlertHook.objects.get().enabled
    admin.post(f"{url}hooks/{hook.pk}/enable/")
    assert AlertHook.objects.get().enabled
    assert "This cannot be undone" in admin.get(f"{url}hooks/{hook.pk}/delete/").content.decode()
    refused = admin.post(f"{url}hooks/{hook.pk}/delete/", {"confirmation": "another.example"})
    assert "The webhook was not deleted." in refused.content.decode()
    assert AlertHook.objects.exists()
    admin.post(f"{url}hooks/{hook.pk}/delete/", {"confirmation": "chat.example"})
    assert not AlertHook.objects.exists()
    assert not Notice.objects.exists()


def test_a_member_sees_messages_to_hooks_and_to_themselves(
    game: Game, config: PostbackConfig, url: str, hook: AlertHook
) -> None:
    admin, marketer = hub.member(game, Role.ADMIN), hub.member(game, Role.MARKETER)
    hold(config)
    watch()
    Notice.objects.filter(hook=hook).update(attempts_made=2, message="It answered 500.")
    for reader in (admin, marketer):
        page = reader.get(url).content.decode().partition("Recent messages")[2]
        assert page.count('data-label="To"') == 2
        assert words(page).count("You Alert") == 1
        assert "chat.example Alert" in words(page)
        assert "Waiting It answered 500. Tried 2 times, next attempt" in words(page)


def test_no_alert_page_contains_inline_code(game: Game, config: PostbackConfig, url: str, hook: AlertHook) -> None:
    hold(config)
    watch()
    admin = hub.member(game, Role.ADMIN)
    for page in ("", "hooks/add/", *(f"hooks/{hook.pk}/{name}/" for name in ("change", "rotate", "delete"))):
        assert hub.inline_code(admin.get(url + page).content.decode()) == []
    made = admin.post(f"{url}hooks/add/", {"url": "https://chat.example/", "events": ["alert.opened"]})
    assert "Copy this secret now" in made.content.decode()
    assert hub.inline_code(made.content.decode()) == []


def test_the_metrics_report_held_deliveries_and_the_age_of_the_oldest(config: PostbackConfig) -> None:
    hold(config)
    factories.delivery(config, state="held")
    factories.delivery(config, state="held")
    factories.delivery(config, next_attempt_at=timezone.now() - timedelta(minutes=2))
    found = {metric.name: metric.samples[0].value for metric in QueueCollector().collect()}
    assert (found["afterclick_deliveries_held"], found["afterclick_configs_on_hold"]) == (2, 1)
    assert found["afterclick_deliveries_waiting"] == 1
    assert 120 <= found["afterclick_oldest_waiting_delivery_seconds"] < 125


def test_an_alert_tells_from_when_to_when_in_the_zone_of_the_game(game: Game, config: PostbackConfig, url: str) -> None:
    Game.objects.update(time_zone="Europe/Berlin")
    start = datetime(2026, 11, 21, 21, 10, tzinfo=UTC)
    ended = {"recovered_at": start + timedelta(hours=3, minutes=30), "ending": "recovered"}
    Alert.objects.create(game=game, config=config, health="degraded", cause="HTTP 503.", opened_at=start, **ended)
    viewer = hub.member(game, Role.VIEWER)
    page = viewer.get(url).content.decode()
    assert "Nov 21, 22:10 – Nov 22, 01:40 CET, 3 h 30 min" in page
    Alert.objects.update(recovered_at=None, ending="", opened_at=timezone.now() - timedelta(minutes=5, seconds=1))
    assert re.search(r"since \w+ \d+, \d{4}, \d\d:\d\d CET, still on \(5 min\)", viewer.get(url).content.decode())


def test_the_alerts_of_a_period_are_those_that_were_on_in_it(game: Game, config: PostbackConfig, url: str) -> None:
    for hour, length in ((20, 1), (20, 3), (23, 1), (23, 12)):
        start = datetime(2026, 11, 21, hour, 0, tzinfo=UTC)
        times = {"opened_at": start, "recovered_at": start + timedelta(hours=length), "ending": "recovered"}
        Alert.objects.create(game=game, config=config, health="degraded", cause=f"cause {hour} {length}.", **times)
    viewer = hub.member(game, Role.VIEWER)
    for query, expected in (
        ("", {"20 1", "20 3", "23 1", "23 12"}),
        ("from=2026-11-21&from_time=22:00&to=2026-11-21&to_time=23:00", {"20 3"}),
        ("from=2026-11-22&to=2026-11-22", {"23 12"}),
        ("from=2026-11-25&to=2026-11-26", set()),
    ):
        page = viewer.get(f"{url}?{query}").content.decode()
        assert set(re.findall(r"cause (\d+ \d+)\.", page)) == expected, query
    assert "No alerts in this period" in page
    assert "The first day is after the last day." in viewer.get(f"{url}?from=2026-11-25&to=2026-11-24").content.decode()
