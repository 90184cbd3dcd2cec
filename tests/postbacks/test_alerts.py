"""Alerts open once, are updated, and recover once, however many processes watch."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from audience.models import Conversion, Game, Membership, Role
from postbacks.models import Alert, AlertChoice, AlertFrequency, AlertHook, Delivery, Flow, Notice, PostbackConfig
from postbacks.monitoring.alerts import digests
from postbacks.monitoring.alerts.recipients import choose
from postbacks.monitoring.alerts.watch import watch
from tests import factories, hub
from tests.queries import queries_of

MINUTE = timedelta(minutes=1)


def member(game: Game, role: Role, *, told: AlertFrequency | None = None, name: str = "") -> Any:
    user: Any = hub.user(name or f"{role.value}-{told or 'default'}")
    Membership.objects.create(game=game, user=user, role=role)
    if told:
        AlertChoice.objects.create(game=game, user=user, told=told)
    return user


def hold(config: PostbackConfig, at: datetime | None = None) -> None:
    PostbackConfig.objects.filter(pk=config.pk).update(
        held_at=at or timezone.now(), held_for="token", held_message="TikTok Ads does not accept this access token."
    )


def heal(config: PostbackConfig) -> None:
    """As a release leaves it: nothing held against it, and one accepted postback."""
    PostbackConfig.objects.filter(pk=config.pk).update(held_at=None, held_for="", suspected_at=None)
    factories.attempt(factories.delivery(config, state="delivered"))


def told() -> list[tuple[str, str]]:
    """(kind, receiver) of every notice, in the order of receivers."""
    rows = Notice.objects.select_related("user", "hook").order_by("created_at", "pk")
    return sorted((row.kind, row.user.username if row.user else row.hook.url) for row in rows)


def test_a_hold_opens_one_alert_that_says_why_and_what_to_do(config: PostbackConfig) -> None:
    hold(config)
    assert watch() == 1
    assert watch() == 0
    alert = Alert.objects.get()
    assert (alert.config, alert.game, alert.health, alert.recovered_at) == (config, config.game, "on_hold", None)
    assert alert.cause == ("Nothing is sent; 0 conversions are on hold. TikTok Ads does not accept this access token.")
    assert alert.next_step == "Rotate the access token: choose Edit, then Rotate credentials."


def test_suspicion_hold_and_backlog_in_a_row_are_one_alert(config: PostbackConfig) -> None:
    member(config.game, Role.ADMIN)
    now = timezone.now()
    PostbackConfig.objects.update(suspected_at=now)
    assert watch(now=now) == 1
    assert Alert.objects.get().health == "credential_problem"
    hold(config, now)
    assert watch(now=now + MINUTE) == 0
    assert Alert.objects.get().health == "on_hold"
    heal(config)
    backlog = factories.delivery(config, next_attempt_at=now - timedelta(hours=2))
    assert watch(now=now + 2 * MINUTE) == 0
    assert Alert.objects.get().health == "degraded"
    Delivery.objects.filter(pk=backlog.pk).update(state="delivered")
    for minute, changed in ((3, 0), (4, 1), (5, 0)):
        assert watch(now=now + minute * MINUTE) == changed
    alert = Alert.objects.get()
    assert (alert.health, alert.recovered_at) == ("degraded", now + 4 * MINUTE)
    assert told() == [("opened", "admin-default"), ("recovered", "admin-default")]


def test_a_hold_that_was_just_released_keeps_its_cause(config: PostbackConfig) -> None:
    factories.attempt(factories.delivery(config), status="failed", verdict="credential", message="revoked")
    hold(config)
    watch()
    before = Alert.objects.values("health", "cause", "next_step").get()
    PostbackConfig.objects.update(held_at=None, held_for="", held_message="")
    assert watch() == 0
    assert Alert.objects.values("health", "cause", "next_step").get() == before
    assert before["health"] == "on_hold"


def test_a_state_that_ends_and_returns_is_one_alert(config: PostbackConfig) -> None:
    member(config.game, Role.ADMIN)
    now = timezone.now()
    for beat in range(20):  # five minutes, on hold at every other look
        hold(config) if beat % 2 == 0 else heal(config)
        watch(now=now + beat * timedelta(seconds=15))
    assert [alert.recovered_at for alert in Alert.objects.all()] == [None]
    assert told() == [("opened", "admin-default")]


def test_an_alert_recovers_after_a_minute_of_uninterrupted_good_health(config: PostbackConfig) -> None:
    now = timezone.now()
    hold(config)
    watch(now=now)
    heal(config)
    found = [watch(now=now + timedelta(seconds=seconds)) for seconds in (15, 30, 45, 60, 74, 75, 90)]
    assert found == [0, 0, 0, 0, 0, 1, 0]
    assert Alert.objects.get().recovered_at == now + timedelta(seconds=75)


def test_the_next_outage_is_a_new_alert(config: PostbackConfig) -> None:
    now = timezone.now()
    for hour in (0, 1):
        at = now + timedelta(hours=hour)
        hold(config)
        assert watch(now=at) == 1
        heal(config)
        watch(now=at + MINUTE)
        assert watch(now=at + 2 * MINUTE) == 1
    assert Alert.objects.exclude(recovered_at=None).count() == 2


@pytest.mark.parametrize("gone", [{"enabled": False}, {"deleted_at": timezone.now(), "enabled": False}])
def test_a_postback_that_is_switched_off_or_deleted_has_recovered(config: PostbackConfig, gone: dict[str, Any]) -> None:
    hold(config)
    watch()
    PostbackConfig.objects.update(**gone)
    assert watch() == 1
    assert watch() == 0
    assert Alert.objects.get().recovered_at is not None


def test_a_disabled_postback_opens_no_alert(config: PostbackConfig) -> None:
    hold(config)
    PostbackConfig.objects.update(enabled=False)
    assert watch() == 0
    assert not Alert.objects.exists()


def test_a_rate_limit_opens_an_alert_after_five_minutes(config: PostbackConfig) -> None:
    now = timezone.now()
    Flow.objects.create(network="tiktok", pixel_id=config.pixel_id, limited_at=now)
    factories.attempt(factories.delivery(config), started_at=now, status="retried", verdict="transient")
    assert watch(now=now) == 0
    Flow.objects.update(limited_at=now + timedelta(seconds=290))
    assert watch(now=now + timedelta(seconds=299)) == 0
    assert watch(now=now + timedelta(seconds=300)) == 1
    assert Alert.objects.get().health == "rate_limited"


def test_a_short_outage_opens_no_alert_and_ends_none(config: PostbackConfig) -> None:
    now = timezone.now()
    row = factories.delivery(config, next_attempt_at=now + timedelta(minutes=1))
    factories.attempt(row, ago=timedelta(minutes=1), status="retried", verdict="transient")
    assert watch(now=now) == 0
    alert = Alert.objects.create(game=config.game, config=config, health="degraded", good_since=now)
    assert watch(now=now + timedelta(minutes=2)) == 0
    alert.refresh_from_db()
    assert (alert.recovered_at, alert.good_since) == (None, None)
    assert watch(now=now + timedelta(minutes=9)) == 0
    assert Alert.objects.get().health == "degraded"


def test_silence_opens_an_alert_from_ten_conversions_on(config: PostbackConfig) -> None:
    PostbackConfig.objects.update(created_at=timezone.now() - timedelta(days=2))
    for number in range(1, 11):
        factories.conversion(factories.person(config.game), fanned_out_at=timezone.now())
        assert watch() == (1 if number == 10 else 0)
    assert Alert.objects.get().cause == "10 conversions were received, none could be sent: 10 had no ad click."


def test_watching_many_configs_takes_as_many_queries_as_one(game: Game) -> None:
    factories.config(game)
    one = queries_of(watch)
    for number in range(5):
        factories.config(game, pixel_id=f"PIXEL{number:015}")
    assert queries_of(watch) == one


@pytest.mark.django_db(transaction=True)
def test_two_beats_at_the_same_moment_open_and_recover_once(config: PostbackConfig) -> None:
    member(config.game, Role.ADMIN)
    now = timezone.now()

    def both(at: datetime) -> int:
        start, changed = threading.Barrier(4), []

        def beat() -> None:
            start.wait()
            changed.append(watch(now=at))
            connection.close()

        threads = [threading.Thread(target=beat) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(changed)

    hold(config)
    assert both(now) == 1
    heal(config)
    watch(now=now + MINUTE)
    assert both(now + 2 * MINUTE) == 1
    assert Alert.objects.count() == 1
    assert told() == [("opened", "admin-default"), ("recovered", "admin-default")]


# Receivers ----------------------------------------------------------------------------------------------------


def test_each_member_is_notified_as_they_chose(game: Game, other_game: Game, config: PostbackConfig) -> None:
    for role in Role:
        member(game, role)
        for choice in AlertFrequency:
            member(game, role, told=choice)
    member(other_game, Role.ADMIN, name="stranger")
    closed = member(game, Role.ADMIN, name="closed")
    nameless = member(game, Role.ADMIN, name="nameless")
    type(closed).objects.filter(pk=closed.pk).update(is_active=False)
    type(closed).objects.filter(pk=nameless.pk).update(email="")
    AlertHook.objects.create(game=game, url="https://on.example/", secret={"key": "k"})
    AlertHook.objects.create(game=game, url="https://off.example/", secret={"key": "k"}, enabled=False)
    hold(config)
    watch()
    assert told() == [
        ("opened", name)
        for name in (
            *("admin-at_once", "admin-both", "admin-default", "https://on.example/"),
            *("marketer-at_once", "marketer-both", "marketer-default", "viewer-at_once", "viewer-both"),
        )
    ]


@pytest.mark.parametrize(("hour", "first"), [(7, None), (8, 1)])
def test_a_digest_chosen_after_its_hour_begins_tomorrow(game: Game, hour: int, first: int | None) -> None:
    user = member(game, Role.VIEWER)
    with time_machine.travel(datetime(2026, 3, 1, hour, tzinfo=UTC), tick=False):
        choose(game=game, user=user, frequency=AlertFrequency.BOTH)
    row = AlertChoice.objects.get()
    assert (row.told, row.digest_sent_on and row.digest_sent_on.day) == ("both", first)


# The daily digest ---------------------------------------------------------------------------------------------

DAY = datetime(2026, 3, 1, 15, tzinfo=UTC)
MORNING = datetime(2026, 3, 2, 8, 5, tzinfo=UTC)


def played(config: PostbackConfig, state: str, **given: Any) -> None:
    player = factories.person(config.game)
    click = factories.touch(player, network=config.network)
    row = factories.conversion(player, touch=click, event_at=DAY, fanned_out_at=DAY, **given)
    factories.delivery(config, conversion=row, state=state)


def test_the_digest_is_written_once_a_day_after_eight(config: PostbackConfig) -> None:
    reader = member(config.game, Role.VIEWER, told=AlertFrequency.DAILY)
    member(config.game, Role.ADMIN)
    played(config, "delivered")
    assert digests.write_digests(now=MORNING.replace(hour=7)) == 0
    assert [digests.write_digests(now=MORNING) for _ in range(3)] == [1, 0, 0]
    notice = Notice.objects.get()
    assert (notice.kind, notice.user, notice.alert, notice.game) == ("digest", reader, None, config.game)
    assert AlertChoice.objects.get().digest_sent_on == MORNING.date()


def test_after_days_of_downtime_there_is_one_digest(config: PostbackConfig) -> None:
    member(config.game, Role.ADMIN, told=AlertFrequency.BOTH)
    AlertChoice.objects.update(digest_sent_on=MORNING.date() - timedelta(days=9))
    played(config, "delivered")
    assert digests.write_digests(now=MORNING.replace(hour=23)) == 1


def test_a_day_without_anything_has_no_digest(config: PostbackConfig) -> None:
    member(config.game, Role.ADMIN, told=AlertFrequency.DAILY)
    played(config, "delivered")
    assert digests.write_digests(now=MORNING + timedelta(days=1)) == 0
    assert not Notice.objects.exists()
    assert AlertChoice.objects.get().digest_sent_on == MORNING.date() + timedelta(days=1)


def test_a_user_who_left_the_game_gets_no_digest(config: PostbackConfig) -> None:
    member(config.game, Role.ADMIN, told=AlertFrequency.DAILY)
    Membership.objects.all().delete()
    played(config, "delivered")
    assert digests.write_digests(now=MORNING) == 0


def test_a_digest_counts_each_network_and_names_open_alerts(game: Game, config: PostbackConfig) -> None:
    reddit = factories.config(game, network="reddit")
    for state in ("delivered", "delivered", "failed", "waiting"):
        played(config, state)
    played(reddit, "delivered")
    played(config, "skipped", test=True)
    hold(config)
    watch(now=MORNING)
    Conversion.objects.filter(test=True).update(reason="test_traffic")
    assert digests.text(game=game, day=DAY.date()) == (
        "Sky Raiders on Sun, Mar 1, 2026 (UTC).\n\n"
        "TikTok Ads: 4 attributed conversions, 2 delivered, 1 failed.\n"
        f"  Open alert: {config.pixel_id}, On hold since Mar 2, 2026, 08:05 UTC. Nothing is sent; 0 conversions are"
        " on hold. TikTok Ads does not accept this access token. Rotate the access token: choose Edit, then Rotate"
        " credentials.\n"
        "  http://127.0.0.1:8000/g/sky-raiders/integrations/tiktok/\n\n"
        "Reddit Ads: 1 attributed conversion, 1 delivered, 0 failed."
    )
