"""The health of a postback, from the counts of the last 24 hours."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from audience.models import Game
from postbacks.delivery import sending
from postbacks.models import Delivery, DeliveryAttempt, Flow, PostbackConfig
from postbacks.monitoring.health import advice, counting
from postbacks.monitoring.health.evaluation import evaluate, evaluate_configs
from postbacks.monitoring.health.types import Health, HealthCounts, Indicator
from postbacks.networks import NETWORKS
from postbacks.outbox import fan_out
from postbacks.sandbox.server import Sandbox
from tests import factories
from tests.queries import queries_of

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PIXEL = "CABC0DEFGHIJKLMNOPQR"


def ago(**given: float) -> datetime:
    return NOW - timedelta(**given)


def counts(**given: Any) -> HealthCounts:
    return HealthCounts(**{"kind": NETWORKS["tiktok"], "pixel_id": PIXEL, "now": NOW, **given})


HELD = {"held_at": ago(hours=1), "held_for": "token", "held_message": "The token (“expired”) is refused.", "held": 12}
REFUSED = {"last_verdict": "credential", "refused_since": ago(minutes=9), "refused_message": "Token is revoked"}
LIMITED = {"limited_at": ago(seconds=20), "retried_message": "Too many requests", "waiting": 3}
FAILING = {"delivered": 289, "failed": 131, "first_failed_at": ago(hours=3), "last_failed_at": ago(minutes=1)}


# Judging ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, Health.QUIET),
        ({"attempts": 4, "delivered": 4}, Health.HEALTHY),
        ({"attempts": 1}, Health.HEALTHY),
        (HELD, Health.ON_HOLD),
        ({**HELD, "enabled": False}, Health.ON_HOLD),
        ({"suspected_at": ago(seconds=5)}, Health.CREDENTIAL_PROBLEM),
        (REFUSED, Health.CREDENTIAL_PROBLEM),
        ({"attempts": 4, "delivered": 4, "enabled": False}, Health.QUIET),
        (LIMITED, Health.RATE_LIMITED),
        ({"limited_at": ago(seconds=61), "attempts": 1}, Health.HEALTHY),
        ({"limited_at": ago(hours=1), "next_slot_at": NOW + timedelta(minutes=5)}, Health.RATE_LIMITED),
        ({"limited_at": ago(hours=1), "next_slot_at": NOW, "attempts": 1}, Health.HEALTHY),
        (FAILING, Health.DEGRADED),
        ({"delivered": 95, "failed": 5}, Health.DEGRADED),
        ({"delivered": 96, "failed": 5, "attempts": 1}, Health.HEALTHY),
        ({"failed": 1}, Health.DEGRADED),
        ({**FAILING, "last_failed_at": ago(minutes=16), "last_success_at": ago(minutes=1)}, Health.HEALTHY),
        ({**FAILING, "last_failed_at": ago(minutes=16), "last_success_at": ago(minutes=17)}, Health.DEGRADED),
        ({"attempts": 10, "retried": 2, "delivered": 8}, Health.DEGRADED),
        ({"attempts": 11, "retried": 2, "delivered": 9}, Health.HEALTHY),
        ({"attempts": 9, "retried": 9}, Health.HEALTHY),
        ({"attempts": 6, "breaker_open": True, "waiting": 6}, Health.DEGRADED),
        ({"attempts": 6, "waiting": 6, "overdue_since": ago(minutes=10)}, Health.DEGRADED),
        ({"attempts": 6, "waiting": 6, "overdue_since": ago(minutes=9)}, Health.HEALTHY),
        ({"attempts": 3, "waiting": 1, "failing_since": ago(minutes=11)}, Health.DEGRADED),
        ({"attempts": 3, "waiting": 0, "failing_since": ago(minutes=11)}, Health.HEALTHY),
        ({"skipped": {"no_click": 35, "consent": 3}}, Health.SILENT),
        ({"skipped": {"no_click": 35}, "delivered": 1, "attempts": 1}, Health.HEALTHY),
        ({"skipped": {"no_click": 35, "other_network": 1}}, Health.QUIET),
        ({"skipped": {"consent": 1, "other_network": 9}}, Health.SILENT),
        ({"skipped": {"other_network": 9}}, Health.QUIET),
        ({"attempts": 1, "waiting": 20, "failing_since": ago(seconds=1)}, Health.RETRYING),
        ({"attempts": 40, "delivered": 39, "waiting": 20, "failing_since": ago(minutes=9)}, Health.RETRYING),
        ({"attempts": 1, "waiting": 20, "failing_since": ago(minutes=10)}, Health.DEGRADED),
        ({"attempts": 1, "waiting": 20}, Health.HEALTHY),
        ({"skipped": {"no_click": 35}, "created_at": ago(hours=23)}, Health.QUIET),
        ({"skipped": {"no_click": 35}, "created_at": ago(hours=24)}, Health.SILENT),
        ({"skipped": {"consent": 1}, "created_at": ago(hours=1)}, Health.SILENT),
    ],
)
def test_health_is_the_worst_state_that_applies(given: dict[str, Any], expected: Health) -> None:
    assert evaluate(counts(**given)).health == expected


def test_states_of_health_are_ordered_by_severity() -> None:
    everything = {**HELD, **REFUSED, **LIMITED, **FAILING, "attempts": 500}
    order = []
    for gone in (
        {},
        {"held_at": None},
        {"last_verdict": "success"},
        {"limited_at": None},
        {"failed": 0, "delivered": 9},
    ):
        everything.update(gone)
        order.append(evaluate(counts(**everything)).health)
    assert order == [
        Health.ON_HOLD,
        Health.CREDENTIAL_PROBLEM,
        Health.RATE_LIMITED,
        Health.DEGRADED,
        Health.HEALTHY,
    ]


def test_a_hold_says_since_when_what_the_network_said_and_what_to_do() -> None:
    found = evaluate(counts(**HELD))
    assert (found.since, found.explanation, found.next_step) == (
        ago(hours=1),
        "Nothing is sent; 12 conversions are on hold. The token (“expired”) is refused.",
        "Rotate the access token: choose Edit, then Rotate credentials. Conversions on hold are sent after it is "
        "accepted.",
    )


def test_a_hold_for_the_pixel_names_the_pixel() -> None:
    found = evaluate(counts(**{**HELD, "held": 0, "held_for": "pixel"}))
    assert found.next_step == (
        f"Give the access token access to pixel code {PIXEL}. "
        "Otherwise, rotate the access token: choose Edit, then Rotate credentials."
    )


def test_failures_are_shown_as_a_share_of_ended_deliveries() -> None:
    found = evaluate(counts(**FAILING, failed_message="Invalid currency", failed_by={"payload": 131}))
    assert (found.since, found.figures, found.cause, found.next_step) == (
        ago(hours=3),
        "31% of 420 sends failed.",
        "TikTok Ads responded: “Invalid currency”.",
        "Open the failed attempts in the delivery log, fix the problems that the network names, and send them again.",
    )


def test_a_silent_postback_shows_the_most_frequent_reasons() -> None:
    found = evaluate(
        counts(skipped={"consent": 2, "no_click": 35, "no_match_key": 1}, first_conversion_at=ago(hours=5))
    )
    assert (found.since, found.explanation, found.considered) == (
        ago(hours=5),
        "38 conversions were received, none could be sent: 35 had no ad click, 2 lacked the player's consent, "
        "1 had no match key.",
        38,
    )
    assert found.next_step == "Check that the ad links contain ttclid and that the landing page or game reports it."


def test_a_quiet_postback_shows_that_conversions_are_missing() -> None:
    assert evaluate(counts()).explanation == "No conversion was attributed to TikTok Ads in 24 h."
    assert evaluate(counts(skipped={"other_network": 1})).explanation == (
        "No conversion was attributed to TikTok Ads in 24 h. 1 conversion was attributed to other networks."
    )
    assert evaluate(counts(enabled=False)).explanation == "The postback is disabled."


NORMAL = "No recent activity: normal for a new postback."


@pytest.mark.parametrize(
    "given", [{}, {"skipped": {"no_click": 90}}, {"skipped": {"other_network": 3}}, {"skipped": {"outside_window": 1}}]
)
def test_a_new_postback_without_activity_is_told_that_this_is_normal(given: dict[str, Any]) -> None:
    found = evaluate(counts(created_at=ago(minutes=1), **given))
    assert (found.health, found.explanation, found.next_step) == (Health.QUIET, NORMAL, "")


def test_a_new_postback_names_the_conversions_from_before_it_was_added() -> None:
    found = evaluate(counts(created_at=ago(minutes=1), attributed=112, attributed_before=112))
    assert found.explanation == (
        f"{NORMAL} 112 conversions were attributed to TikTok Ads in 24 h, before it was added."
    )


def test_a_quiet_postback_counts_the_conversions_of_its_network() -> None:
    found = evaluate(counts(created_at=ago(days=3), attributed=1))
    assert found.explanation == "1 conversion was attributed to TikTok Ads in 24 h, but none was for this postback."
    assert found.next_step == "Check which trigger events of the postback are selected."


def test_retrying_says_what_waits_and_quotes_the_network() -> None:
    found = evaluate(counts(attempts=1, waiting=20, failing_since=ago(seconds=9), retried_message="Gateway down"))
    assert found.explanation == (
        "20 conversions wait: TikTok Ads failed or did not answer. TikTok Ads responded: “Gateway down”."
    )
    assert (found.since, found.dot) == (ago(seconds=9), "warn")
    assert found.next_step.startswith("Nothing to do. Failed calls are retried automatically.")


def test_attributed_conversions_are_counted_with_those_from_before_the_postback(game: Game) -> None:
    now = timezone.now()
    old = factories.config(game, pixel_id="A" * 20, created_at=now - timedelta(days=2))
    for network in ("tiktok", "tiktok", "reddit", None):
        player = factories.person(game)
        click = factories.touch(player, network=network) if network else None
        factories.conversion(player, touch=click, fanned_out_at=now - timedelta(hours=1))
    factories.conversion(factories.person(game), fanned_out_at=now, test=True)
    new = factories.config(game, pixel_id="B" * 20, created_at=now - timedelta(minutes=1))
    found = counting.count([old.pk, new.pk], now=now)
    assert [(found[row.pk].attributed, found[row.pk].attributed_before) for row in (old, new)] == [(2, 0), (2, 2)]
    assert (found[new.pk].is_new, found[old.pk].is_new) == (True, False)
    assert evaluate(found[new.pk]).explanation == (
        f"{NORMAL} 2 conversions were attributed to TikTok Ads in 24 h, before it was added."
    )


def test_a_backlog_says_how_long_the_oldest_waits() -> None:
    found = evaluate(counts(waiting=1200, overdue_since=ago(minutes=75)))
    assert found.explanation == "1,200 conversions wait, the oldest for 75 minutes."


@pytest.mark.parametrize(
    ("given", "since"),
    [
        ({}, LIMITED["limited_at"]),
        ({"failing_since": ago(minutes=7), "last_success_at": ago(minutes=8)}, ago(minutes=7)),
        # Some calls are accepted, and yet the queue does not move.
        ({"last_success_at": ago(seconds=1), "overdue_since": ago(minutes=6)}, ago(minutes=6)),
        ({"last_success_at": ago(minutes=1), "overdue_since": ago(minutes=6)}, LIMITED["limited_at"]),
    ],
)
def test_a_rate_limit_begins_when_the_network_accepted_nothing_more(given: dict[str, Any], since: datetime) -> None:
    assert evaluate(counts(**{**LIMITED, **given})).since == since


def test_a_quoted_message_has_no_personal_data() -> None:
    said = f"Bad user ada@mail.example +15550104477 203.0.113.7 2001:db8:0:1:1:1:1:1 {'ab12' * 16} on {PIXEL}"
    assert advice.without_personal_data(said, keep=PIXEL) == f"Bad user a…@mail.example +…77 … … ab12ab… on {PIXEL}"
    assert len(advice.without_personal_data("word " * 200)) == advice.MAX_QUOTED_LENGTH


def test_indicators_have_the_labels_of_the_pages() -> None:
    assert Indicator.CREDENTIAL_FAILURES.label == "Credential failures detected"
    assert Indicator.NO_ACTIVITY.label == "No recent activity"


# Counting -----------------------------------------------------------------------------------------------------


def attempted(config: PostbackConfig, *verdicts: str, hours_ago: float = 1) -> Delivery:
    """One delivery with these attempts, a minute apart; 'open' for one still on its way."""
    row = factories.delivery(config)
    first = timezone.now() - timedelta(hours=hours_ago)
    status = {"success": "success", "transient": "retried", "open": "sending"}
    for number, verdict in enumerate(verdicts, 1):
        at = first + timedelta(minutes=number)
        is_open = verdict == "open"
        DeliveryAttempt.objects.create(
            delivery=row,
            config=config,
            number=number,
            config_version=1,
            started_at=at,
            finished_at=None if is_open else at,
            status=status.get(verdict, "failed"),
            verdict="" if is_open else verdict,
            message="" if is_open else f"said {verdict}",
        )
    return row


@pytest.mark.parametrize(
    ("verdicts", "hours_ago", "expected"),
    [
        ((), 1, Indicator.NO_ACTIVITY),
        (("success",), 25, Indicator.NO_ACTIVITY),
        (("credential",), 25, Indicator.NO_ACTIVITY),
        (("success",), 1, None),
        (("open",), 1, None),
        (("transient",), 1, None),
        (("credential",), 1, Indicator.CREDENTIAL_FAILURES),
        (("success", "credential"), 1, Indicator.CREDENTIAL_FAILURES),
        (("credential", "open"), 1, Indicator.CREDENTIAL_FAILURES),
        (("credential", "transient"), 1, Indicator.CREDENTIAL_FAILURES),
        (("credential", "success"), 1, None),
        (("credential", "payload"), 1, None),
    ],
)
def test_the_icon_follows_the_newest_answer_about_the_credential(
    config: PostbackConfig, verdicts: tuple[str, ...], hours_ago: float, expected: Indicator | None
) -> None:
    if verdicts:
        attempted(config, *verdicts, hours_ago=hours_ago)
    assert evaluate_configs([config])[config.pk].indicator == expected


def test_a_rotation_alone_does_not_clear_the_warning(config: PostbackConfig) -> None:
    attempted(config, "success", "credential", "credential")
    config.validated_at = timezone.now()
    config.save()
    found = evaluate_configs([config])[config.pk]
    assert found.health == Health.CREDENTIAL_PROBLEM
    assert found.cause == "TikTok Ads responded: “said credential”."
    assert found.since == DeliveryAttempt.objects.get(number=2).started_at


def test_every_count_comes_from_its_rows(config: PostbackConfig) -> None:
    now = timezone.now()
    attempted(config, "success", "transient", "transient", "payload", "transient")
    for state, given in (
        ("delivered", {}),
        ("delivered", {"created_at": now - timedelta(hours=25)}),
        ("failed", {"finished_at": now - timedelta(minutes=3), "verdict": "payload"}),
        ("failed", {"finished_at": now - timedelta(hours=25), "verdict": "payload"}),
        ("held", {}),
        ("held", {"created_at": now - timedelta(days=5)}),
        ("skipped", {"reason": "no_click"}),  # of version 0.2
        ("skipped", {"reason": "other_network"}),
        ("skipped", {"reason": "consent"}),
        ("skipped", {"reason": "test_traffic"}),
        ("skipped", {"reason": "repeat_launch"}),
        ("cancelled", {"reason": "erased"}),
    ):
        factories.delivery(config, state=state, **given)
    Delivery.objects.filter(state="waiting").update(next_attempt_at=now - timedelta(minutes=2))
    Flow.objects.create(network="tiktok", pixel_id=config.pixel_id, failures=5, limited_at=now)
    Flow.objects.create(network="reddit", pixel_id=config.pixel_id, failures=1)

    found = counting.count([config.pk], now=now)[config.pk]

    assert (found.attempts, found.retried, found.last_verdict) == (5, 3, "payload")
    assert (found.retried_message, found.failed_message, found.refused_message) == (
        "said transient",
        "said payload",
        "",
    )
    assert found.failing_since == found.last_retried_at == DeliveryAttempt.objects.get(number=5).started_at
    assert found.last_success_at == DeliveryAttempt.objects.get(number=1).started_at
    assert (found.delivered, found.failed, found.waiting, found.held) == (1, 1, 1, 2)
    assert (found.failed_by, found.skipped) == ({"payload": 1}, {"consent": 1})
    assert found.first_failed_at == found.last_failed_at == now - timedelta(minutes=3)
    assert (found.overdue_since, found.limited_at, found.breaker_open) == (now - timedelta(minutes=2), now, True)


def test_of_many_rows_the_newest_are_counted(config: PostbackConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "SCAN_LIMIT", 2)
    attempted(config, "transient", "success", "success")
    found = counting.count([config.pk], now=timezone.now())[config.pk]
    assert (found.attempts, found.retried) == (2, 0)


def test_the_health_of_many_configs_takes_as_many_queries_as_of_one(game: Game) -> None:
    rows = [factories.config(game, pixel_id=f"PIXEL{number:015}") for number in range(5)]
    attempted(rows[0], "credential")
    attempted(rows[1], "success")
    assert queries_of(lambda: evaluate_configs(rows[:1])) == queries_of(lambda: evaluate_configs(rows))
    found = evaluate_configs(rows)
    assert [found[row.pk].health for row in rows] == [
        Health.CREDENTIAL_PROBLEM,
        Health.HEALTHY,
        *[Health.QUIET] * 3,
    ]


def test_the_health_of_no_configs_takes_no_query(db: None, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert evaluate_configs([]) == {}


def test_a_revoked_token_causes_a_warning_until_the_next_success(sandbox: Sandbox, config: PostbackConfig) -> None:
    player = factories.person(config.game)
    click = factories.touch(player)
    sandbox.state.add_fault("tiktok", "unauthorized", 1)
    factories.conversion(player, touch=click)
    fan_out.fan_out_due()
    sending.drain(network="tiktok", max_in_flight=1)
    refused = evaluate_configs([config])[config.pk]
    assert refused.indicator == Indicator.CREDENTIAL_FAILURES
    assert "Access token is incorrect or has been revoked" in refused.cause

    PostbackConfig.objects.update(suspected_at=None)
    Delivery.objects.update(state="waiting", next_attempt_at=timezone.now(), leased_until=None)
    sending.drain(network="tiktok", max_in_flight=1)
    assert evaluate_configs([config])[config.pk].indicator is None
