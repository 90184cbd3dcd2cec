"""The counts behind the charts equal a count of the rows, and are kept when rows are deleted."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction
from django.db.migrations import RunSQL
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import TruncHour
from django.utils import timezone

from audience import tasks
from audience.games.keys import create_key
from audience.hub.toolkit.date_range import preset_bounds
from audience.models import Batch, Conversion, ConversionCount, Game, Reason, RequestCount, Touch
from audience.privacy import erasure
from audience.storage import prune, rollups
from postbacks import tasks as postback_tasks
from postbacks.delivery import replays, sending
from postbacks.hub.overview import delivery_totals, figures
from postbacks.models import AttemptCount, Delivery, DeliveryAttempt, PostbackConfig
from postbacks.outbox import fan_out
from postbacks.reporting import latency
from postbacks.reporting.campaigns import refresh
from postbacks.reporting.rollups import ROLLUPS
from postbacks.sandbox.server import Sandbox
from tests import factories
from tests.audience.concurrency import in_thread
from tests.audience.immutable import ago, click, digest, identify, purchase, send

pytestmark = pytest.mark.django_db
COUNTS = "counts_by_the_minute"
EVERY = (*rollups.ROLLUPS, *ROLLUPS)
STATES = ("waiting", "held", "delivered", "failed", "skipped", "cancelled")


def roll_up(*, now: datetime | None = None) -> int:
    return rollups.roll_up(EVERY, now=now or timezone.now())


def rows_of(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        return int(cursor.fetchone()[0])


def tails() -> int:
    return sum(rows_of(f"{one.name}tail") for one in EVERY)


# Counting over the tables, as the pages did -------------------------------------------------

Counted = dict[tuple[Any, ...], tuple[Any, ...]]


def hourly(rows: QuerySet[Any], at: str, *keys: str, **sums: Any) -> Counted:
    """`sums` by the hour of `at` and `keys`, those that are not nothing."""
    found = rows.order_by().annotate(hour=TruncHour(at, tzinfo=UTC)).values("hour", *keys).annotate(**sums)
    return {
        tuple(row[key] for key in ("hour", *keys)): tuple(row[name] for name in sums)
        for row in found
        if any(row[name] for name in sums)
    }


def tables() -> list[Counted]:
    came = Conversion.objects.filter(test=False).exclude(reason__in=(Reason.REPEAT_LAUNCH, Reason.ERASED))
    conversions = hourly(came, "event_at", "game_id", "touch__network", "currency", n=Count("*"), v=Sum("value"))
    parts = {"accepted": Sum("accepted"), "duplicates": Sum("duplicates"), "rejected": Sum("rejected")}
    return [
        hourly(Batch.objects.all(), "received_at", "game_id", "key_id", n=Count("*"), **parts),
        {(at, game, network or "", code): found for (at, game, network, code), found in conversions.items()},
        hourly(DeliveryAttempt.objects.exclude(status="sending"), "started_at", "config_id", "status", n=Count("*")),
    ]


def counts() -> list[Counted]:
    parts = {"accepted": Sum("accepted"), "duplicates": Sum("duplicates"), "rejected": Sum("rejected")}
    keys = ("starts_at", "game_id", "network", "currency")
    conversions = hourly(
        ConversionCount.objects.all(), *keys, n=Sum("number"), v=Sum("value"), with_value=Sum("valued")
    )
    numbered = {"n": Sum("number")}
    return [
        hourly(RequestCount.objects.all(), "starts_at", "game_id", "key_id", n=Sum("requests"), **parts),
        {key: (n, value if valued else None) for key, (n, value, valued) in conversions.items()},
        hourly(AttemptCount.objects.all(), "starts_at", "config_id", "status", **numbered),
    ]


# Playing ------------------------------------------------------------------------------------


class Play:
    """One game's random traffic of two days, and everything that changes it afterward."""

    def __init__(self, game: Game, seed: int) -> None:
        self.game, self.pick = game, random.Random(seed)
        self.keys = [create_key(game=game, name=name).key for name in ("web", "game server")]
        self.configs = [factories.config(game), factories.config(game, network="reddit")]
        self.people = [factories.person(game, user=f"user-{number}") for number in range(6)]
        self.touches = [
            factories.touch(person, network=network, click_id=f"{person.pk}-{network}")
            for person in self.people
            for network in ("tiktok", "google")
        ]

    def at(self) -> datetime:
        return timezone.now() - timedelta(seconds=self.pick.uniform(0, 48 * 3600))

    def request(self) -> None:
        parts = {part: self.pick.randrange(4) for part in ("accepted", "duplicates", "rejected")}
        fields = {"dialect": "immutable", "event_ids": [], "state": "done", "received_at": self.at()}
        Batch.objects.create(game=self.game, key=self.pick.choice(self.keys), **fields, **parts)

    def purchase(self) -> None:
        touch = self.pick.choice([None, *self.touches])
        person = touch.person if touch and touch.pk else self.pick.choice(self.people)
        value = self.pick.choice([None, Decimal("9.99"), Decimal("-3.5"), Decimal(0)])
        currency = self.pick.choice(["", "USD", "EUR"])
        is_test = self.pick.random() < 0.1
        factories.conversion(
            person, touch=touch, event_at=self.at(), value=value, currency=currency, test=is_test, reason=""
        )

    def decide(self) -> None:
        """Some conversions are won by another click, lose theirs, or count no more."""
        ids = list(Conversion.objects.values_list("pk", flat=True))
        for pk in self.pick.sample(ids, min(3, len(ids))):
            row = Conversion.objects.get(pk=pk)
            theirs = list(Touch.objects.filter(person=row.person))
            reason = self.pick.choice(["", "no_click", "repeat_launch", "erased"])
            Conversion.objects.filter(pk=pk).update(touch=self.pick.choice([None, *theirs]), reason=reason)

    def deliver(self) -> None:
        at = self.at()
        row = factories.delivery(self.pick.choice(self.configs), state=self.pick.choice(STATES), created_at=at)
        for _ in range(self.pick.randrange(3)):
            status = self.pick.choice(["sending", "success", "failed", "retried"])
            latency_ms = self.pick.choice([None, self.pick.randrange(12_000)])
            factories.attempt(row, started_at=at, status=status, latency_ms=latency_ms)

    def close(self) -> None:
        DeliveryAttempt.objects.filter(status="sending").update(status=self.pick.choice(["success", "retried"]))
        state = self.pick.choice(STATES)
        Delivery.objects.filter(config=self.pick.choice(self.configs), state="waiting").update(state=state)

    def erase(self) -> None:
        person = self.people.pop()
        value = person.identities.get().value
        erasure.request_erasure(game=self.game, namespace="user", subject=value, requested_by="a test")
        assert erasure.drain() == 1
        self.touches = [touch for touch in self.touches if touch.person_id != person.pk]

    def replay(self) -> None:
        failed = Delivery.objects.filter(config=self.configs[0], state="failed", conversion__isnull=False)
        if failed.exists():
            at = timezone.now()
            failed.update(finished_at=at, next_attempt_at=None, first_attempt_at=at, safe_until=at + timedelta(hours=9))
            replay = replays.start(
                config=self.configs[0], failed_from=None, failed_until=None, verdict="", requested_by=None
            )
            replays.advance()
            replays.cancel(replay=replay)


@pytest.mark.parametrize("seed", range(4))
def test_the_counts_are_those_of_the_tables_whenever_they_are_rolled_up(game: Game, seed: int) -> None:
    play = Play(game, seed)
    steps: list[Callable[[], Any]] = [play.request, play.purchase, play.deliver] * 4
    steps += [play.decide, play.close, roll_up]
    for number in range(90):
        play.pick.choice(steps)()
        if number in (40, 80):
            play.erase()
            play.replay()
        if number % 15 == 0:
            assert counts() == tables()
    assert counts() == tables()
    assert tails() > 0
    roll_up()
    assert (tails(), counts()) == (0, tables())
    roll_up(now=timezone.now() + timedelta(days=3))
    assert counts() == tables()


def test_received_events_are_counted_through_every_step(game: Game, sandbox: Sandbox) -> None:
    key = create_key(game=game, name="web")
    factories.config(game)
    send(key, {"type": "nothing"})
    digest(key, click("a-1", eventTimestamp=ago(minutes=5)), purchase("u-1"))
    assert [row.network for row in ConversionCount.objects.filter(number__gt=0)] == [""]
    # Two players turn out to be one, who clicked.
    digest(key, identify("u-1", anonymous_id="a-1"))
    fan_out.fan_out_due()
    sending.drain(network="tiktok", max_in_flight=1)
    assert counts() == tables()
    now = timezone.now()
    since, until = preset_bounds("24h", ZoneInfo("UTC"), now=now)
    events = figures.read_events(game, [since, until]).values()
    assert (sum(one.accepted for one in events), sum(one.rejected for one in events)) == (3, 1)
    conversions = figures.read_conversions(game, since=since, until=until)
    assert {network: tally.count for network, tally in conversions.items()} == {"tiktok": 1}
    roll_up()
    assert (tails(), counts()) == (0, tables())
    refresh.refresh()
    assert delivery_totals.by_network(game, [], since=now - timedelta(days=1), until=now)[0].accepted == 1


def test_what_is_rolled_back_was_never_counted(game: Game) -> None:
    play = Play(game, 1)
    roll_up()
    before = counts()
    with transaction.atomic():
        for step in (play.request, play.purchase, play.deliver):
            step()
        assert counts() != before
        transaction.set_rollback(True)
    assert (counts(), tails()) == (before, 0)


def test_counts_outlive_the_rows_that_are_dropped_by_age(game: Game) -> None:
    play = Play(game, 2)
    for _ in range(5):
        play.request()
        play.deliver()
    Batch.objects.update(received_at=timezone.now() - prune.BATCH_RETENTION - timedelta(weeks=2))
    before = counts()
    prune.prune()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("TRUNCATE postbacks_deliveryattempt")  # as dropping a partition does, it fires no trigger
    assert (Batch.objects.count(), DeliveryAttempt.objects.count()) == (0, 0)
    assert counts() == before
    roll_up()
    assert counts() == before


def test_counts_per_minute_become_counts_per_quarter_hour_later(game: Game) -> None:
    now = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
    for minutes in (0, 1, 29, 31, 90, 200, 211, 215):
        fields = {"dialect": "immutable", "duplicates": 0, "rejected": 0, "event_ids": [], "state": "done"}
        Batch.objects.create(game=game, received_at=now - timedelta(minutes=minutes), accepted=1, **fields)
    roll_up(now=now)
    found = RequestCount.objects.order_by("starts_at").values_list("starts_at", "accepted")
    assert [(f"{at:%H:%M}", accepted) for at, accepted in found] == [
        ("08:45", 2),
        ("09:00", 1),
        ("11:00", 1),
        ("11:59", 1),
        ("12:01", 1),
        ("12:29", 1),
        ("12:30", 1),
    ]


def test_a_late_row_is_added_to_its_quarter_hour(game: Game) -> None:
    now = timezone.now()
    play = Play(game, 3)
    old = now.replace(minute=0, second=0, microsecond=0) - timedelta(days=10)
    for _ in range(2):
        factories.conversion(play.people[0], event_at=old + timedelta(minutes=17), value=Decimal(2), currency="USD")
        roll_up(now=now)
    found = ConversionCount.objects.filter(starts_at__lt=now - timedelta(days=9))
    assert list(found.values_list("starts_at", "number", "value")) == [(old + timedelta(minutes=15), 2, Decimal(4))]


def test_a_tail_of_many_is_folded_a_part_at_a_time(game: Game, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollups, "MAX_ROWS", 2)
    play = Play(game, 4)
    roll_up()
    for _ in range(5):
        play.request()
    assert roll_up() == 5
    assert (tails(), counts()) == (0, tables())


def test_the_tasks_of_the_beat_fold_both(game: Game) -> None:
    play = Play(game, 5)
    play.request()
    play.deliver()
    assert tails() > 0
    tasks.roll_up()
    postback_tasks.roll_up()
    assert (tails(), counts()) == (0, tables())


@pytest.mark.django_db(transaction=True)
def test_workers_that_fold_and_write_at_once_lose_nothing() -> None:
    game = factories.game()
    fields = {"dialect": "immutable", "duplicates": 0, "rejected": 0, "event_ids": [], "state": "done"}

    def write() -> None:
        for _ in range(60):
            Batch.objects.create(game=game, received_at=timezone.now(), accepted=1, **fields)

    def folding() -> None:
        while any(thread.is_alive() for thread in writers):
            roll_up()

    writers = [in_thread(write) for _ in range(3)]
    folders = [in_thread(folding) for _ in range(2)]
    seen = 0
    while any(thread.is_alive() for thread in writers):
        now = RequestCount.objects.filter(game_id=game.pk).aggregate(n=Sum("requests", default=0))["n"]
        assert now >= seen
        seen = now
    for thread in (*writers, *folders):
        thread.join()
    found = RequestCount.objects.filter(game_id=game.pk).aggregate(n=Sum("requests"), accepted=Sum("accepted"))
    assert found == {"n": 180, "accepted": 180}


# Latency ------------------------------------------------------------------------------------


def test_the_database_sorts_into_the_buckets_that_are_read() -> None:
    asked = [ms for bound in latency.BOUNDS for ms in (bound - 1, bound, bound + 1)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT ms, postbacks_latency_bucket(ms) FROM unnest(%s::integer[]) AS ms", [asked])
        found = dict(cursor.fetchall())
        cursor.execute("SELECT postbacks_latency_bucket(NULL)")
        assert cursor.fetchone() == (latency.UNANSWERED,)
    assert found == {ms: sum(bound < ms for bound in latency.BOUNDS) for ms in asked}


@pytest.mark.parametrize("seed", range(3))
def test_the_time_of_an_answer_is_the_exact_one_rounded_up(game: Game, config: PostbackConfig, seed: int) -> None:
    pick = random.Random(seed)
    row = factories.delivery(config, state="delivered")
    took = [round(pick.lognormvariate(5, 1)) for _ in range(pick.randrange(1, 150))]
    for ms in took:
        factories.attempt(row, latency_ms=ms)
    factories.attempt(row, latency_ms=None, status="retried")
    exact = sorted(took)[-(-95 * len(took) // 100) - 1]
    now = timezone.now()
    tiktok = delivery_totals.by_network(game, [], since=now - timedelta(days=1), until=now)[0]
    assert tiktok.p95 == next(bound for bound in latency.BOUNDS if bound >= exact)


def test_without_an_answer_there_is_no_time() -> None:
    assert latency.percentile({}, 0.95) is None
    assert latency.percentile({latency.UNANSWERED: 3}, 0.95) is None
    assert latency.percentile({len(latency.BOUNDS): 1}, 0.95) == 15_000


# The migration ------------------------------------------------------------------------------


def sql_of(app: str, part: str) -> RunSQL:
    """The SQL of the migration whose name has this part."""
    migrations = MigrationExecutor(connection).loader.disk_migrations
    (migration,) = (found for (of, name), found in migrations.items() if of == app and part in name)
    sql = migration.operations[0]
    assert isinstance(sql, RunSQL)
    return sql


def test_an_upgrade_counts_existing_rows(game: Game) -> None:
    play = Play(game, 6)
    for _ in range(10):
        for step in (play.request, play.purchase, play.deliver):
            step()
    before = counts()
    for app, names in (("postbacks", (COUNTS, "no_counts_of_deliveries")), ("audience", (COUNTS,))):
        statements = [sql_of(app, name) for name in names]
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            for sql in reversed(statements):
                cursor.execute(str(sql.reverse_sql))
            for sql in statements:
                cursor.execute(str(sql.sql))
    assert (tails(), counts()) == (0, before)
    play.request()
    play.close()
    assert counts() == tables()
