"""Disabling or deleting a postback: waiting and held deliveries are listed before, canceled, and have a reason."""

from datetime import timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.core import mail
from django.test import Client
from django.utils import timezone

from audience.models import Conversion, FailedWork, Game, Membership, Queue, Role
from postbacks.configs import credentials, hold, lifecycle, unsent_counts, upkeep
from postbacks.configs.proposed_settings import ProposedSettings
from postbacks.delivery import claims, sending
from postbacks.models import Alert, ConfigVersion, CredentialCheck, Delivery, Flow, Notice, PostbackConfig
from postbacks.monitoring.alerts import hook_payloads, labels, notices
from postbacks.monitoring.alerts.watch import watch
from postbacks.networks.tiktok.imitation import ACCOUNTS as TIKTOK_ACCOUNTS
from postbacks.reporting import audit
from postbacks.sandbox.server import Sandbox
from tests import factories, hub

pytestmark = pytest.mark.django_db
LATER = timedelta(hours=6)


@pytest.fixture
def url(game: Game, config: PostbackConfig) -> str:
    return f"/g/{game.slug}/integrations/tiktok/{config.pk}/"


def waiting(config: PostbackConfig, count: int = 1, **given: Any) -> list[Delivery]:
    """Deliveries whose next attempt is hours ahead."""
    later = timezone.now() + LATER
    return [factories.delivery(config, **{"next_attempt_at": later, **given}) for _ in range(count)]


def held(config: PostbackConfig, count: int = 1) -> list[Delivery]:
    hold.hold(config=config, access="token", message="TikTok Ads does not accept this access token.")
    return waiting(config, count, state="held", next_attempt_at=None)


def stop(how: str, config: PostbackConfig) -> Any:
    return getattr(lifecycle, how)(config=config)


def drain() -> None:
    sending.drain(network="tiktok", max_in_flight=1, seconds=5)


def ends() -> set[tuple[str, str]]:
    return set(Delivery.objects.values_list("state", "reason"))


# Before -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((0, 0, 0), ""),
        ((1, 0, 0), "1 conversion is waiting; it will not be sent."),
        ((0, 1, 0), "1 conversion is on hold; it will not be sent."),
        ((0, 3, 0), "3 conversions are on hold; they will not be sent."),
        ((12, 3, 0), "12 conversions are waiting and 3 are on hold; they will not be sent."),
        ((1, 1, 0), "1 conversion is waiting and 1 is on hold; they will not be sent."),
        (
            (1200, 0, 1),
            "1,200 conversions are waiting; they will not be sent. 1 conversion is being sent now and may still "
            "arrive.",
        ),
        ((0, 0, 2), "2 conversions are being sent now and may still arrive."),
    ],
)
def test_unsent_deliveries_are_named_in_words(counts: tuple[int, int, int], words: str) -> None:
    waits, is_held, sending = counts
    assert unsent_counts.UnsentCounts(waiting=waits, held=is_held, sending=sending).text == words


@pytest.mark.parametrize("how", ["disable", "delete"])
def test_the_confirmation_page_names_exactly_what_would_not_be_sent(
    config: PostbackConfig, game: Game, marketer: Client, url: str, how: str
) -> None:
    assert "No conversions are waiting or on hold." in marketer.get(f"{url}{how}/").content.decode()
    held(config, 3)
    waiting(config, 12)
    waiting(config, 1, leased_until=timezone.now() + timedelta(seconds=20))
    for state in ("delivered", "failed", "skipped", "cancelled"):
        waiting(config, state=state)
    waiting(factories.config(game, pixel_id=TIKTOK_ACCOUNTS.second_pixel), 5)
    page = marketer.get(f"{url}{how}/").content.decode()
    assert "12 conversions are waiting and 3 are on hold; they will not be sent." in page
    assert "1 conversion is being sent now and may still arrive." in page
    config.refresh_from_db()
    assert (config.enabled, config.deleted_at, config.version) == (True, None, 1)
    assert Delivery.objects.filter(config=config, state="held").count() == 3


def test_the_menu_asks_only_when_something_would_not_be_sent(
    config: PostbackConfig, marketer: Client, url: str
) -> None:
    row = waiting(config)[0]
    answer = marketer.post(f"{url}disable/", {"ask": "1"})
    assert answer["Location"] == f"{url}disable/"
    config.refresh_from_db()
    assert (config.enabled, config.version) == (True, 1)
    row.delete()
    marketer.post(f"{url}disable/", {"ask": "1"})
    config.refresh_from_db()
    assert config.enabled is False


def test_after_disabling_the_page_says_what_is_not_sent(config: PostbackConfig, marketer: Client, url: str) -> None:
    waiting(config, 2)
    page = marketer.post(f"{url}disable/", follow=True).content.decode()
    assert "was disabled. Nothing is sent while it is disabled. 2 conversions are waiting" in page
    assert "they will not be sent." in page


def test_after_deleting_the_page_says_what_is_not_sent(config: PostbackConfig, marketer: Client, url: str) -> None:
    waiting(config, 2)
    page = marketer.post(f"{url}delete/", {"confirmation": config.pixel_id}, follow=True).content.decode()
    assert "and its credentials were deleted. 2 conversions are waiting; they will not be sent." in page


def test_the_form_names_them_beside_its_switch(config: PostbackConfig, marketer: Client, url: str) -> None:
    assert "If you disable it" not in marketer.get(f"{url}edit/").content.decode()
    waiting(config, 2)
    page = marketer.get(f"{url}edit/").content.decode()
    assert "If you disable it: 2 conversions are waiting; they will not be sent." in page


def test_a_viewer_sees_no_counts_and_cannot_disable(config: PostbackConfig, viewer: Client, url: str) -> None:
    waiting(config)
    assert viewer.get(f"{url}disable/").status_code == viewer.post(f"{url}disable/").status_code == 403
    config.refresh_from_db()
    assert config.enabled is True


# After ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "reason", "words"),
    [
        ("disable", "config_disabled", "The postback was disabled for this event"),
        ("delete", "config_deleted", "The postback was deleted"),
    ],
)
def test_waiting_and_held_deliveries_end_at_once_with_the_true_reason(
    sandbox: Sandbox, config: PostbackConfig, marketer: Client, game: Game, how: str, reason: str, words: str
) -> None:
    held(config, 2)
    waiting(config, 3)
    left = stop(how, config)
    assert (left.waiting, left.held, left.sending) == (3, 2, 0)
    drain()
    assert ends() == {("skipped", reason)}
    assert set(Conversion.objects.values_list("reason", flat=True)) == {reason}
    assert sandbox.received("tiktok") == []
    page = marketer.get(f"/g/{game.slug}/conversions/{Conversion.objects.all()[0].pk}/").content.decode()
    assert words in page
    listed = marketer.get(f"/g/{game.slug}/conversions/", {"only": reason}).content.decode()
    assert all(str(pk) in listed for pk in Conversion.objects.values_list("pk", flat=True))
    assert reason in b"".join(marketer.get(f"/g/{game.slug}/conversions/export/")).decode()
    assert audit.run().violations == []


@pytest.mark.parametrize("how", ["disable", "delete"])
def test_neither_a_rate_limit_nor_an_open_breaker_delays_the_cancellation(config: PostbackConfig, how: str) -> None:
    waiting(config, 3)
    far = timezone.now() + LATER
    Flow.objects.create(network="tiktok", pixel_id=config.pixel_id, failures=9, open_until=far, next_slot_at=far)
    PostbackConfig.objects.update(suspected_at=timezone.now(), paused_until=far)
    stop(how, config)
    assert claims.seconds_until_claimable("tiktok") == 0
    assert list(claims.claim(network="tiktok", limit=1)) == []
    assert {state for state, _ in ends()} == {"skipped"}
    assert claims.seconds_until_claimable("tiktok") is None


def test_the_hold_of_a_disabled_postback_stays_and_holds_nothing_again(config: PostbackConfig) -> None:
    held(config, 2)
    lifecycle.disable(config=config)
    upkeep.reconcile()
    assert ends() == {("waiting", "")}
    drain()
    assert ends() == {("skipped", "config_disabled")}
    config.refresh_from_db()
    assert config.held_at is not None


def test_deliveries_held_by_a_concurrent_fan_out_are_cancelled_too(config: PostbackConfig) -> None:
    hold.hold(config=config, access="token", message="revoked")
    lifecycle.disable(config=config)
    waiting(config, state="held", next_attempt_at=None)
    upkeep.reconcile()
    drain()
    assert ends() == {("skipped", "config_disabled")}


def test_a_retry_of_a_call_in_flight_is_cancelled_at_once(sandbox: Sandbox, config: PostbackConfig) -> None:
    sandbox.state.add_fault("tiktok", "unavailable", 1)
    waiting(config, next_attempt_at=timezone.now())
    (claim,) = claims.claim(network="tiktok")
    left = lifecycle.disable(config=config)
    assert (left.waiting, left.sending) == (0, 1)
    network_drain = sending.NetworkDrain("tiktok")
    network_drain.submit([claim])
    while network_drain.in_flight:
        network_drain.collect()
    assert Delivery.objects.get().next_attempt_at <= timezone.now()
    drain()
    assert ends() == {("skipped", "config_disabled")}
    assert len(sandbox.received("tiktok")) <= 1


@pytest.mark.parametrize("how", ["disable", "delete"])
def test_a_delivery_set_aside_is_cancelled_like_the_others(config: PostbackConfig, other_game: Game, how: str) -> None:
    others = factories.delivery(factories.config(other_game, pixel_id=TIKTOK_ACCOUNTS.second_pixel))
    aside = {"attempts": 8, "set_aside_at": timezone.now(), "queue": Queue.SENDING}
    for row in (waiting(config)[0], *held(config, 1), others):
        kept = {"network": "tiktok", "config": str(row.config_id)}
        FailedWork.objects.create(game_id=row.game_id, row=str(row.pk), kept=kept, **aside)
    stop(how, config)
    drain()
    reason = {"disable": "config_disabled", "delete": "config_deleted"}[how]
    assert ends() == {("skipped", reason), ("waiting", "")}
    assert [failure.row for failure in FailedWork.objects.all()] == [str(others.pk)]
    assert FailedWork.objects.set_aside().count() == 1


def test_a_delivery_that_cannot_be_cancelled_is_set_aside_again(config: PostbackConfig) -> None:
    hold.hold(config=config, access="token", message="revoked")
    lifecycle.disable(config=config)
    row = waiting(config)[0]
    FailedWork.objects.create(
        game_id=row.game_id, queue=Queue.SENDING, row=str(row.pk), attempts=8, set_aside_at=timezone.now()
    )
    upkeep.reconcile()
    assert FailedWork.objects.set_aside().count() == 1


def test_disabling_in_the_form_or_with_a_rotation_cancels_them_too(sandbox: Sandbox, config: PostbackConfig) -> None:
    waiting(config)
    lifecycle.change(config=config, changed_by=None, proposed=ProposedSettings.of(config, enabled=False))
    drain()
    assert ends() == {("skipped", "config_disabled")}
    lifecycle.enable(config=config)
    waiting(config)
    check = lifecycle.change(
        config=config,
        changed_by=None,
        proposed=ProposedSettings.of(config, enabled=False, credential={"token": TIKTOK_ACCOUNTS.rotated_token}),
    )
    assert check is not None
    credentials.run_check(check_id=str(check.pk))
    assert CredentialCheck.objects.get().state == "passed"
    drain()
    assert ends() == {("skipped", "config_disabled")}


def test_deleting_counts_the_rows_of_that_moment_and_is_idempotent(config: PostbackConfig) -> None:
    waiting(config, 2)
    assert lifecycle.delete(config=config).text == "2 conversions are waiting; they will not be sent."
    drain()
    assert lifecycle.delete(config=config).text == ""
    assert ConfigVersion.objects.filter(config=config, change="Deleted").count() == 1


# The alert ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "headline", "ending"),
    [
        ("delete", "Postback deleted", "The postback was deleted. Nothing more is sent."),
        ("disable", "Postback disabled", "The postback was disabled. Nothing is sent while it is disabled."),
    ],
)
def test_the_alert_ends_with_what_ended_it_and_never_says_recovered(
    config: PostbackConfig, game: Game, how: str, headline: str, ending: str
) -> None:
    admin: Any = hub.user("ada")
    Membership.objects.create(game=game, user=admin, role=Role.ADMIN)
    held(config)
    assert watch() == 1
    stop(how, config)
    assert watch() == 1
    alert = Alert.objects.get()
    assert (alert.ending, alert.get_ending_display()) == (f"{how}d", headline)
    notices.deliver_notices()
    ended = mail.outbox[1]
    assert ended.subject == f"[Afterclick] {game}: {config}: {headline}"
    assert ending in ended.body
    payload = hook_payloads.payload(Notice.objects.get(kind="recovered"))
    assert payload["text"] == f"{game}: {config}: {headline}. {ending}"
    assert payload["alert"]["ending"] == f"{how}d"
    page = hub.signed_in(admin).get(f"/g/{game.slug}/alerts/").content.decode()
    assert page.count(headline) == 2
    for text in (ended.subject, ended.body, payload["text"], page.replace("again when it recovers", "")):
        assert "has recovered" not in text
        assert ">Recovered<" not in text


def test_an_alert_that_had_recovered_stays_so_when_its_postback_is_deleted(config: PostbackConfig, game: Game) -> None:
    now = timezone.now()
    held(config)
    watch(now=now)
    PostbackConfig.objects.update(held_at=None, held_for="")
    Delivery.objects.all().delete()
    for minutes in (1, 3):
        watch(now=now + timedelta(minutes=minutes))
    lifecycle.delete(config=config)
    alert = Alert.objects.get()
    assert (alert.ending, labels.ending(alert)) == ("recovered", "Back to normal: conversions are sent again.")


# The audit log -----------------------------------------------------------------------------------


def test_the_audit_log_shows_a_deletion_as_deleted(config: PostbackConfig, game: Game, url: str) -> None:
    admin = hub.member(game, Role.ADMIN)
    admin.post(f"{url}delete/", {"confirmation": config.pixel_id})
    (entry,) = LogEntry.objects.get_for_object(config).exclude(action=LogEntry.Action.CREATE)
    assert (entry.action, entry.actor.username) == (LogEntry.Action.DELETE, f"admin-of-{game.slug}")
    assert entry.changes == {
        "enabled": ["True", "False"],
        "credential": ["•••• set", "none"],
    }
    deleted = {"kind": "postbackconfig", "action": str(LogEntry.Action.DELETE)}
    assert config.pixel_id in admin.get(f"/g/{game.slug}/audit-log/", deleted).content.decode()
    changed = {**deleted, "action": str(LogEntry.Action.UPDATE)}
    assert config.pixel_id not in admin.get(f"/g/{game.slug}/audit-log/", changed).content.decode()
    assert TIKTOK_ACCOUNTS.token not in str(entry.changes)
