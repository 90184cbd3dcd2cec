"""The ledger: data that balances, and each kind of violation."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone

from audience.digest import queue
from audience.games.keys import NewKey
from audience.models import Batch, BatchState, Conversion, Event, FailedWork, Game, GoalEvent
from postbacks.configs import lifecycle
from postbacks.models import ConfigVersion, Delivery, PostbackConfig
from postbacks.outbox import fan_out
from postbacks.reporting import audit
from tests import factories
from tests.audience import immutable
from tests.audience.concurrency import in_thread, wait_for_a_lock

pytestmark = pytest.mark.django_db


def config(game: Game, network: str = "tiktok", **given: Any) -> PostbackConfig:
    """A postback of two days ago, with its version kept."""
    row = factories.config(game, network=network, created_at=timezone.now() - timedelta(days=2), **given)
    keep_version(row, row.version)
    return row


def keep_version(row: PostbackConfig, number: int) -> None:
    ConfigVersion.objects.update_or_create(
        config=row,
        number=number,
        defaults={"pixel_id": row.pixel_id, "triggers": row.triggers, "enabled": True, "change": "Added"},
    )


def world() -> Game:
    """Six TikTok conversions in every state, a Reddit one without consent, an organic one, a repeat and a test."""
    game = factories.game(slug="starfall")
    config(game)
    reddit = config(game, "reddit")
    player = factories.person(game, anonymous="anon-1", user="user-1")
    click = factories.touch(player)
    for _ in range(6):
        factories.conversion(player, touch=click)
    fan_out.fan_out_due()
    for state, row in zip(STATES, Delivery.objects.filter(network="tiktok").order_by("pk"), strict=False):
        STATES[state](row)
    other = factories.person(game, anonymous="anon-2")
    factories.conversion(other, touch=factories.touch(other, network="reddit"), consent_level="none")
    factories.conversion(factories.person(game))
    factories.conversion(other, touch=other.touches.get(), test=True)
    for reason in ("", "repeat_launch"):
        factories.conversion(other, touch=other.touches.get(), trigger="game_launch", reason=reason)
    fan_out.fan_out_due()
    assert reddit.deliveries.filter(state="waiting").count() == 1
    return game


def delivered(row: Delivery) -> None:
    factories.attempt(row)
    ended(row, state="delivered", verdict="success")


def failed(row: Delivery) -> None:
    factories.attempt(row, status="failed", verdict="payload")
    ended(row, state="failed", verdict="payload")


def held(row: Delivery) -> None:
    ended(row, state="held")
    PostbackConfig.objects.filter(pk=row.config_id).update(held_at=timezone.now(), held_for="token")


def erased(row: Delivery) -> None:
    ended(row, state="cancelled", reason="erased")
    Conversion.objects.filter(pk=row.conversion_id).delete()


def erased_after(row: Delivery) -> None:
    delivered(row)
    Conversion.objects.filter(pk=row.conversion_id).delete()


def ended(row: Delivery, **fields: Any) -> None:
    Delivery.objects.filter(pk=row.pk).update(next_attempt_at=None, finished_at=timezone.now(), **fields)


STATES: dict[str, Callable[[Delivery], None]] = {
    "delivered": delivered,
    "failed": failed,
    "held": held,
    "erased": erased,
    "erased after": erased_after,
}


def today() -> str:
    return datetime.now(UTC).date().isoformat()


def broken() -> dict[str, list[str]]:
    """The checks that do not hold, with their examples."""
    return {finding.name: finding.examples for finding in audit.run().findings if finding.count}


def test_every_conversion_is_accounted_for_by_game_network_and_day() -> None:
    world()
    report = audit.run()
    assert report.violations == []
    lines = {line.network: line for line in report.rows}
    tiktok, reddit = lines["tiktok"], lines["reddit"]
    assert (tiktok.game, tiktok.day.isoformat()) == ("starfall", today())
    assert (tiktok.eligible, tiktok.erased) == (6, 2)
    assert tiktok.states == {"delivered": 2, "failed": 1, "held": 1, "cancelled": 1, "waiting": 1}
    assert (reddit.eligible, reddit.states, reddit.skipped) == (2, {"skipped": 1, "waiting": 1}, {"consent": 1})


def test_the_balance_has_a_row_per_day_within_the_period() -> None:
    row, player = config(factories.game()), None
    player = factories.person(row.game)
    click = factories.touch(player, clicked_at=timezone.now() - timedelta(days=20))
    for days in (0, 1, 1, 9):
        factories.conversion(player, touch=click, event_at=timezone.now() - timedelta(days=days, seconds=1))
    fan_out.fan_out_due()
    assert [line.eligible for line in audit.run().rows] == [2, 1]
    assert [line.eligible for line in audit.run(days=1).rows] == [1]
    assert [line.eligible for line in audit.run(days=0).rows] == [1, 2, 1]


def test_a_postback_created_after_or_deleted_before_the_fan_out_is_not_due() -> None:
    game = factories.game()
    row = config(game)
    gone = config(game, pixel_id="GONEGONEGONEGONEGONE", deleted_at=timezone.now() - timedelta(hours=1), enabled=False)
    player = factories.person(game)
    factories.conversion(player, touch=factories.touch(player))
    fan_out.fan_out_due()
    config(game, pixel_id="LATELATELATELATELATE")
    PostbackConfig.objects.filter(pixel_id__startswith="LATE").update(created_at=timezone.now())
    assert [line.eligible for line in audit.run().rows] == [1]
    assert broken() == {}
    assert set(Delivery.objects.values_list("config", flat=True)) == {row.pk} != {gone.pk}


def test_a_launch_made_a_repeat_by_a_merge_after_it_was_sent_is_counted_apart_from_the_balance() -> None:
    row = config(factories.game())
    delivery = factories.delivery(row)
    delivered(delivery)
    Conversion.objects.update(trigger="game_launch", reason="repeat_launch")
    report = audit.run()
    assert (report.rows, report.repeats, report.violations) == ([], 1, [])
    assert "Not counted: 1 launches that became repeats by a merge of players" in report.text()


@pytest.mark.django_db(transaction=True)
def test_a_postback_is_deleted_only_after_a_running_fan_out() -> None:
    row = config(factories.game())
    player = factories.person(row.game)
    factories.conversion(player, touch=factories.touch(player))
    decided, looked = threading.Event(), threading.Event()

    def decide() -> None:
        with transaction.atomic():
            fan_out.fan_out_due()
            decided.set()
            looked.wait(20)

    fanning = in_thread(decide)
    assert decided.wait(20)
    deleting = in_thread(lambda: lifecycle.delete(config=row))
    wait_for_a_lock()
    looked.set()
    for thread in (fanning, deleting):
        thread.join(20)
    row.refresh_from_db()
    fanned_out_at = Conversion.objects.get().fanned_out_at
    assert row.deleted_at is not None
    assert fanned_out_at is not None
    assert row.deleted_at > fanned_out_at
    assert audit.run().violations == []


# What a violation looks like --------------------------------------------------------------------


def lose(row: Delivery) -> str:
    row.delete()
    return str(row.conversion_id)


def unsend(row: Delivery) -> str:
    Delivery.objects.filter(pk=row.pk).update(state="delivered", next_attempt_at=None)
    return str(row.pk)


def forget_success(row: Delivery) -> str:
    factories.attempt(row)
    return str(row.pk)


def forget_time(row: Delivery) -> str:
    Delivery.objects.filter(pk=row.pk).update(next_attempt_at=None)
    return str(row.pk)


def hold_for_nothing(row: Delivery) -> str:
    Delivery.objects.filter(pk=row.pk).update(state="held", next_attempt_at=None)
    return str(row.pk)


def skip_silently(row: Delivery) -> str:
    Delivery.objects.filter(pk=row.pk).update(state="skipped", next_attempt_at=None)
    Conversion.objects.update(reason="consent")
    return str(row.pk)


def fail_silently(row: Delivery) -> str:
    Delivery.objects.filter(pk=row.pk).update(state="failed", next_attempt_at=None)
    return str(row.pk)


def send_too_late(row: Delivery) -> str:
    factories.attempt(row, status="retried", verdict="transient")
    Delivery.objects.filter(pk=row.pk).update(safe_until=timezone.now() - timedelta(hours=1))
    return str(row.pk)


def send_twice(row: Delivery) -> str:
    for _ in range(2):
        factories.attempt(row, status="sending", verdict="", finished_at=None)
    return str(row.pk)


def forget_version(row: Delivery) -> str:
    Delivery.objects.filter(pk=row.pk).update(config_version=7)
    return f"{row.config_id} v7"


def remember_payload(row: Delivery) -> str:
    factories.attempt(row, status="failed", verdict="payload", payload={"email": "x"})
    erased(row)
    return str(row.pk)


def leave_open(row: Delivery) -> str:
    Conversion.objects.filter(pk=row.conversion_id).delete()
    return str(row.pk)


def explain_nothing(row: Delivery) -> str:
    long_ago = timezone.now() - timedelta(hours=1)
    Delivery.objects.filter(pk=row.pk).update(state="skipped", reason="consent", finished_at=long_ago)
    Conversion.objects.update(fanned_out_at=long_ago)
    return str(row.conversion_id)


@pytest.mark.parametrize(
    ("spoil", "check"),
    [
        (lose, "conversions_fanned_out"),
        (unsend, "delivered_were_accepted"),
        (forget_success, "accepted_are_delivered"),
        (forget_time, "waiting_have_a_time"),
        (hold_for_nothing, "held_have_a_cause"),
        (skip_silently, "skipped_have_a_reason"),
        (fail_silently, "failed_have_a_verdict"),
        (send_too_late, "attempts_in_time"),
        (send_twice, "one_attempt_open"),
        (forget_version, "versions_are_kept"),
        (remember_payload, "erased_are_closed"),
        (leave_open, "erased_are_closed"),
        (explain_nothing, "conversions_explained"),
    ],
)
def test_each_invariant_reports_the_row_that_violates_it(spoil: Callable[[Delivery], str], check: str) -> None:
    row = config(factories.game())
    delivery = factories.delivery(row)
    assert broken() == {}
    example = spoil(delivery)
    assert broken() == {check: [example]}


def test_a_missing_delivery_breaks_the_balance() -> None:
    delivery = factories.delivery(config(factories.game(slug="starfall")))
    delivery.delete()
    report = audit.run()
    assert report.violations == ["balance", "conversions_fanned_out"]
    assert [(line.eligible, line.accounted, line.balances) for line in report.rows] == [(1, 0, False)]


def test_a_delivery_skipped_as_another_networks_although_it_was_its_own_breaks_the_balance() -> None:
    delivery = factories.delivery(config(factories.game()))
    Delivery.objects.update(state="skipped", reason="other_network", next_attempt_at=None)
    Conversion.objects.update(reason="other_network")
    assert delivery.network == "tiktok"
    assert audit.run().violations == ["balance"]


def test_two_counted_launches_of_one_player_are_reported_even_without_the_index() -> None:
    row = config(factories.game())
    player = factories.person(row.game)
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX one_launch_per_person")  # comes back with the end of this test's transaction
    for _ in range(2):
        factories.conversion(player, trigger="game_launch", reason="no_click")
    assert broken() == {"launches_counted_once": [str(player.pk)]}


def test_an_invariant_lists_at_most_five_examples() -> None:
    row = config(factories.game())
    for _ in range(7):
        fail_silently(factories.delivery(row))
    (finding,) = [finding for finding in audit.run().findings if finding.count]
    assert (finding.count, len(finding.examples)) == (7, 5)


# Events -----------------------------------------------------------------------------------------


def test_a_digested_purchase_without_a_conversion_is_a_violation(key: NewKey) -> None:
    immutable.digest(key, immutable.purchase("user-1"), immutable.launch("user-1"), immutable.message())
    assert broken() == {}
    lost = Conversion.objects.get(trigger="purchase")
    lost.delete()
    assert broken() == {"events_converted": [str(Event.objects.get(name="purchase").pk)]}


def test_events_still_in_the_queue_or_set_aside_are_undecided_not_lost(key: NewKey) -> None:
    immutable.send(key, immutable.purchase("user-1"))
    immutable.send(key, immutable.purchase("user-2"))
    Batch.objects.filter(pk=Batch.objects.latest("pk").pk).update(state=BatchState.FAILED)
    report = audit.run()
    assert report.violations == ["nothing_set_aside"]
    assert [(row.queue, row.count) for row in report.undecided] == [("batches", 1), ("batches set aside", 1)]
    queue.drain()
    report = audit.run()
    assert [(row.queue, row.count) for row in report.undecided] == [("batches set aside", 1), ("conversions", 1)]
    assert "Undecided: 1 conversions of sky-raiders, the oldest for 0 s." in report.text()


def test_a_conversion_set_aside_is_undecided_and_a_violation_of_its_game(game: Game, other_game: Game) -> None:
    row = factories.conversion(factories.person(game))
    given: dict[str, Any] = {"queue": "fan_out", "row": str(row.pk)}
    failure = FailedWork.objects.create(game=game, attempts=3, **given)
    assert audit.run(game=game).violations == []
    assert [row.queue for row in audit.run(game=game).undecided] == ["conversions"]

    FailedWork.objects.filter(pk=failure.pk).update(set_aside_at=timezone.now())
    report = audit.run(game=game)
    assert report.violations == ["nothing_set_aside"]
    assert [finding.examples for finding in report.findings if finding.count] == [[f"fan_out {row.pk}"]]
    assert [(row.queue, row.count) for row in report.undecided] == [("conversions set aside", 1)]
    assert audit.run(game=other_game).violations == []

    FailedWork.objects.create(game=None, queue="prune", row="old rejections", set_aside_at=timezone.now())
    assert audit.run(game=other_game).violations == ["nothing_set_aside"]


def test_events_of_a_goal_are_checked_only_from_its_creation_on(key: NewKey, game: Game) -> None:
    immutable.digest(key, immutable.message(eventName="sign_in"))
    goal = GoalEvent.objects.create(game=game, name="sign_in")
    assert broken() == {}
    GoalEvent.objects.filter(pk=goal.pk).update(created_at=timezone.now() - timedelta(minutes=1))
    assert broken() == {"events_converted": [str(Event.objects.get().pk)]}


# The command ------------------------------------------------------------------------------------


def say(*arguments: str) -> str:
    out = StringIO()
    call_command("audit", *arguments, stdout=out)
    return out.getvalue()


def test_an_audit_without_games_says_there_is_nothing_to_audit() -> None:
    assert say() == "Nothing to audit yet.\n"
    assert json.loads(say("--json"))["ok"] is True


def test_the_table_shows_the_outcomes_of_the_eligible_conversions() -> None:
    world()
    said = say().splitlines()
    assert said[0].startswith("Ledger of starfall, events since ")
    heading = "game      network  day         eligible  delivered  waiting  held  failed  skipped  cancelled"
    reddit = f"starfall  reddit   {today()}         2          0        1     0       0        1          0"
    tiktok = f"starfall  tiktok   {today()}         6          2        1     1       1        0          1"
    assert said[2:5] == [heading, f"{reddit}  skipped: consent 1", tiktok]
    assert said[5] == "2 of the eligible conversions are of erased players, of whom only the delivery is stored."
    assert "ok         balance. Eligible is the sum of the outcomes." in said
    assert said[-1] == "The ledger balances."


def test_a_violation_sets_the_exit_code() -> None:
    delivery = factories.delivery(config(factories.game(slug="starfall")))
    delivery.delete()
    out = StringIO()
    with pytest.raises(SystemExit) as left:
        call_command("audit", stdout=out)
    assert left.value.code == 1
    assert "VIOLATION: 1 eligible, 0 accounted for" in out.getvalue()
    assert "VIOLATION  conversions_fanned_out: 1. Every conversion that was fanned out" in out.getvalue()
    assert f"           for example {delivery.conversion_id}" in out.getvalue()
    assert out.getvalue().endswith("2 of 17 checks found violations.\n")


def test_the_json_output_is_one_object_with_both_sides_of_the_balance() -> None:
    world()
    report = json.loads(say("--json", "--game", "starfall", "--days", "3"))
    assert (report["ok"], report["violations"], report["games"]) == (True, [], ["starfall"])
    assert report["balance"][0] == {
        "game": "starfall",
        "network": "reddit",
        "day": today(),
        "eligible": 2,
        "accounted": 2,
        "waiting": 1,
        "held": 0,
        "delivered": 0,
        "failed": 0,
        "skipped": 1,
        "cancelled": 0,
        "skipped_by_reason": {"consent": 1},
        "may_have_arrived": 0,
        "accepted": 0,
        "confirmed": 0,
        "erased": 0,
        "balances": True,
    }
    assert {check["check"]: check["ok"] for check in report["checks"]}["events_converted"] is True


def test_the_audit_can_be_limited_to_one_game() -> None:
    factories.delivery(config(factories.game(slug="lost"))).delete()
    factories.delivery(config(factories.game(slug="kept")))
    assert say("--game", "kept").splitlines()[-1] == "The ledger balances."
    with pytest.raises(SystemExit):
        say("--game", "lost")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [(["--game", "nowhere"], "The game “nowhere” does not exist."), (["--days", "-1"], "--days must not be negative.")],
)
def test_a_wrong_argument_of_the_audit_command_is_explained(arguments: list[str], problem: str) -> None:
    with pytest.raises(CommandError, match=problem):
        say(*arguments)


@pytest.mark.django_db(transaction=True)
def test_the_audit_reads_one_snapshot_and_cannot_write() -> None:
    with audit._snapshot(), connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')")
        assert cursor.fetchone() == ("repeatable read", "on")
    assert audit.run().games == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')")
        assert cursor.fetchone() == ("read committed", "off")
