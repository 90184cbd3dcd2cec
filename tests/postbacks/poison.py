"""A row that fails and one that does not for each task of the beat, for tests/postbacks/test_poison.py."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import time_machine
from django.contrib.auth import get_user_model
from django.core import mail
from django.db import connection
from django.utils import timezone
from django.utils.module_loading import import_string

from audience.games.keys import create_key
from audience.models import (
    Batch,
    Conversion,
    Erasure,
    Event,
    FailedWork,
    Game,
    Identity,
    ModeledMatch,
    Queue,
    Rejection,
)
from audience.privacy import erasure
from config.task_settings import BEAT
from consent.models import ConsentDecision
from postbacks.delivery import replays, sending
from postbacks.models import (
    AdvertQuarter,
    Alert,
    AlertChoice,
    AlertHook,
    CredentialCheck,
    Delivery,
    DeliveryAttempt,
    HookMessage,
    Notice,
    PostbackConfig,
    Replay,
)
from postbacks.monitoring.alerts.digests import write_digests
from tests import factories
from tests.audience import immutable

TRIGGER = """
CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql
  AS $$ BEGIN RAISE {condition} USING MESSAGE = 'poisoned'; END $$;
CREATE TRIGGER {name} BEFORE {on} ON {table} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION {name}();
"""
FAR = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def execute(query: str, *params: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(query, params or None)


def count(query: str, *params: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute(query, params)
        return int(cursor.fetchone()[0])


def refuse(table: str, when: str, *, on: str = "UPDATE", condition: str = "data_exception") -> Callable[[], None]:
    """Make the database refuse to change rows with the error `condition`; return a function that ends it."""
    name = f"poison_{uuid4().hex[:8]}"
    execute(TRIGGER.format(name=name, table=table, when=when, on=on, condition=condition))
    return lambda: execute(f"DROP TRIGGER {name} ON {table}; DROP FUNCTION {name}")


@dataclass
class Poison:
    """A row that fails and a neighbour that does not. `error` is the stored error; `repair` removes the cause."""

    task: str
    queue: str
    row: str
    error: str
    neighbour_is_processed: Callable[[], bool]
    repair: Callable[[], object]
    is_processed: Callable[[], bool]
    run: Callable[[], object] | None = None
    game: Game | None = None
    failures: Callable[[], list[tuple[int, bool, str]]] = field(init=False)
    make_due: Callable[[], object] = field(init=False)

    def __post_init__(self) -> None:
        self.failures = self._failed_batches if self.queue == "digest" else self._failed_work
        model: Any = Batch if self.queue == "digest" else FailedWork
        self.make_due = lambda: model.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))

    def run_task(self) -> None:
        (self.run or import_string(str(BEAT[self.task]["task"])))()

    def _failed_work(self) -> list[tuple[int, bool, str]]:
        """(attempts, set aside, error) of the row; nothing else failed."""
        rows = FailedWork.objects.values_list("queue", "row", "attempts", "set_aside_at", "error")
        assert {(queue, row) for queue, row, *_ in rows} <= {(self.queue, self.row)}, list(rows)
        return [(attempts, set_aside_at is not None, error) for *_, attempts, set_aside_at, error in rows]

    def _failed_batches(self) -> list[tuple[int, bool, str]]:
        rows = Batch.objects.filter(pk=self.row, attempts__gt=0, state__in=("pending", "failed"))
        return [(row.attempts, row.state == "failed", row.error) for row in rows]


POISONED = "DataError: poisoned"
FAILED_AS = {"state": "failed", "reason": "", "verdict": "payload", "confirmation": ""}


def digest() -> Poison:
    game = factories.game()
    key = create_key(game=game, name="web")
    immutable.send(key, immutable.message(userId="bad"))
    Event.objects.update(links=[["malformed"]])
    bad = Batch.objects.get()
    immutable.send(key, immutable.message(userId="good"))

    def has_identity(user: str) -> bool:
        return Identity.objects.filter(value=user).exists()

    error = "ValueError: not enough values to unpack (expected 2, got 1)"
    repair = lambda: Event.objects.update(links=[])  # noqa: E731
    row = str(bad.pk)
    return Poison("digest", "digest", row, error, lambda: has_identity("good"), repair, lambda: has_identity("bad"))


def erase() -> Poison:
    game = factories.game()
    person, _ = factories.person(game, user="bad"), factories.person(game, user="good")
    bad, good = [
        erasure.request_erasure(game=game, namespace="user", subject=name, requested_by="test")
        for name in ("bad", "good")
    ]
    repair = refuse("audience_person", f"OLD.id = '{person.pk}'", on="DELETE")

    def done(pk: Any) -> bool:
        return Erasure.objects.filter(pk=pk, state="done").exists()

    return Poison("erase", Queue.ERASURE, str(bad.pk), POISONED, lambda: done(good.pk), repair, lambda: done(bad.pk))


def partition() -> Poison:
    at = datetime(2031, 5, 1, 12, tzinfo=UTC)
    day = date(2031, 5, 3)
    columns = "game_id, day, message_id, kind, name, user_id, anonymous_id, device_id, session_id, group_id, links,"
    columns += "event_at, received_at, dialect, surface, request_ip, consent_level, test, properties, traits, context,"
    columns += "integrations, raw"
    values = "1, %s, 'm', 'track', '', '', '', '', '', '', '[]', now(), now(), 'immutable', '', '', '', false,"
    values += "'{}', '{}', '{}', '{}', '{}'"
    execute(f"INSERT INTO audience_event ({columns}) VALUES ({values})", day)
    repair = refuse("audience_event_default", f"OLD.day = '{day}'", on="DELETE")

    def run() -> None:
        with time_machine.travel(at, tick=False):
            import_string(str(BEAT["partitions"]["task"]))()

    def exists(name: str) -> bool:
        return count("SELECT count(to_regclass(%s))", name) == 1

    name = "audience_event_20310503"
    neighbour = lambda: exists("audience_event_20310504")  # noqa: E731
    return Poison("partitions", Queue.PARTITION, name, POISONED, neighbour, repair, lambda: exists(name), run=run)


def prune() -> Poison:
    game, old = factories.game(), timezone.now() - timedelta(days=60)
    fields = {"game": game, "dialect": "immutable", "received_at": old}
    bad, good = (Rejection.objects.create(**fields, errors=[], raw={}) for _ in range(2))
    Batch.objects.create(**fields, accepted=0, duplicates=0, rejected=0, event_ids=[], state="done")
    repair = refuse("audience_rejection", f"OLD.id = {bad.pk}", on="DELETE")

    def is_deleted(row: Rejection) -> bool:
        return not Rejection.objects.filter(pk=row.pk).exists()

    row = f"audience_rejection {bad.pk}"
    neighbours = lambda: is_deleted(good) and not Batch.objects.exists()  # noqa: E731
    return Poison("prune", Queue.PRUNE, row, POISONED, neighbours, repair, lambda: is_deleted(bad))


def roll_up_intake() -> Poison:
    bad, good = factories.game(), factories.game()
    max_integer = 2**31 - 1
    for game, number in ((bad, max_integer), (bad, max_integer), (good, 1)):
        execute(
            "INSERT INTO audience_requesttail VALUES (%s, date_trunc('minute', now()), 0, %s, 0, 0, 0)", game.pk, number
        )
    remaining = "SELECT count(*) FROM audience_requesttail WHERE game_id = %s"
    return Poison(
        "roll-up-intake",
        Queue.ROLLUP,
        f"audience_request {bad.pk}",
        "DataError: integer out of range",
        lambda: count(remaining, good.pk) == 0,
        lambda: execute("UPDATE audience_requesttail SET requests = 1 WHERE game_id = %s", bad.pk),
        lambda: count(remaining, bad.pk) == 0,
        game=bad,
    )


def roll_up_postbacks() -> Poison:
    game = factories.game()
    bad, good = factories.config(game), factories.config(game, network="reddit")
    for config, number in ((bad, 2**31 - 1), (bad, 2**31 - 1), (good, 1)):
        execute(
            "INSERT INTO postbacks_attempttail VALUES (%s, date_trunc('minute', now()), 'success', 1, %s)",
            config.pk,
            number,
        )
    remaining = "SELECT count(*) FROM postbacks_attempttail WHERE config_id = %s"
    return Poison(
        "roll-up-postbacks",
        Queue.ROLLUP,
        f"postbacks_attempt {bad.pk}",
        "DataError: integer out of range",
        lambda: count(remaining, good.pk) == 0,
        lambda: execute("UPDATE postbacks_attempttail SET number = 1 WHERE config_id = %s", bad.pk),
        lambda: count(remaining, bad.pk) == 0,
        game=game,
    )


def refresh_figures() -> Poison:
    touches = [factories.touch(factories.person(factories.game())) for _ in range(2)]
    bad, good = (touch.game_id for touch in touches)
    repair = refuse("postbacks_advertquarter", f"NEW.game_id = {bad}", on="INSERT")

    def has_figures(game: int) -> bool:
        return AdvertQuarter.objects.filter(game_id=game).exists()

    row = "campaign figures"
    return Poison("figures", Queue.ROLLUP, row, POISONED, lambda: has_figures(good), repair, lambda: has_figures(bad))


def match_launches() -> Poison:
    games = [factories.game(joins=["modeled"]) for _ in range(2)]
    for game in games:
        browser, player = factories.person(game, anonymous="browser"), factories.person(game, user="player")
        agent, at = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)", timezone.now()
        touch = factories.touch(browser, user_agent=agent)
        stated = {"game_id": game.pk, "anonymous_id": "browser", "level": "full", "source": "page"}
        ConsentDecision.objects.create(**stated, decided_at=touch.clicked_at)
        launch = {"trigger": "game_launch", "properties": {}, "event_at": at, "consent_level": "full"}
        factories.conversion(player, **launch, context={"ip": touch.ip, "user_agent": agent})
    bad, good = games
    repair = refuse("audience_modeledmatch", f"NEW.game_id = {bad.pk}", on="INSERT")

    def is_matched(game: Game) -> bool:
        return ModeledMatch.objects.filter(game=game, result="matched").exists()

    row = "modeled matches"
    run = "modeled-matches"
    return Poison(run, Queue.ROLLUP, row, POISONED, lambda: is_matched(good), repair, lambda: is_matched(bad))


def prune_attempts() -> Poison:
    game, long_ago = factories.game(kept_days=31), timezone.now() - timedelta(days=60)
    config = factories.config(game)
    deliveries = [factories.delivery(config, state="delivered", finished_at=long_ago) for _ in range(2)]
    bad, good = (factories.attempt(row, ago=timedelta(days=60)) for row in deliveries)
    repair = refuse("postbacks_deliveryattempt", f"OLD.id = {bad.pk}", on="DELETE")

    def is_deleted(row: DeliveryAttempt) -> bool:
        return not DeliveryAttempt.objects.filter(pk=row.pk).exists()

    row = f"postbacks_deliveryattempt {bad.pk}"
    neighbour = lambda: is_deleted(good)  # noqa: E731
    return Poison("prune-attempts", Queue.PRUNE, row, POISONED, neighbour, repair, lambda: is_deleted(bad))


def fan_out() -> Poison:
    """A time that PostgreSQL can store and Python cannot represent."""
    config = factories.config(factories.game())
    click = factories.touch(factories.person(config.game))
    bad, good = factories.conversion(click.person, touch=click), factories.conversion(click.person, touch=click)
    execute("UPDATE audience_conversion SET event_at = '12000-01-01Z' WHERE id = %s", bad.pk)

    def is_fanned_out(row: Conversion) -> bool:
        return count("SELECT count(*) FROM postbacks_delivery WHERE conversion_id = %s", row.pk) == 1

    repair = lambda: execute("UPDATE audience_conversion SET event_at = now() WHERE id = %s", bad.pk)  # noqa: E731
    error = "DataError: timestamp too large (after year 10K): …"
    neighbour = lambda: is_fanned_out(good)  # noqa: E731
    return Poison("fan-out", Queue.FAN_OUT, str(bad.pk), error, neighbour, repair, lambda: is_fanned_out(bad))


def deliver() -> Poison:
    config = factories.config(factories.game())
    bad, good = factories.delivery(config), factories.delivery(config)
    repair = refuse("postbacks_delivery", f"NEW.id = '{bad.pk}'")

    def delivered(row: Delivery) -> bool:
        return Delivery.objects.filter(pk=row.pk, state="delivered").exists()

    run = lambda: sending.drain(network="tiktok", max_in_flight=1)  # noqa: E731
    row = str(bad.pk)
    return Poison(
        "deliver", Queue.SENDING, row, POISONED, lambda: delivered(good), repair, lambda: delivered(bad), run=run
    )


def confirm() -> Poison:
    config = factories.config(factories.game())
    due = {"state": "delivered", "confirmation": "awaited", "confirm_after": timezone.now() - timedelta(hours=1)}
    bad, good = factories.delivery(config), factories.delivery(config)
    Delivery.objects.filter(pk__in=[bad.pk, good.pk]).update(**due)
    repair = refuse("postbacks_delivery", f"NEW.id = '{bad.pk}'")

    def ended(row: Delivery) -> bool:  # without a receipt the network cannot be asked
        return Delivery.objects.filter(pk=row.pk, confirmation="unknown").exists()

    return Poison("confirm", Queue.CONFIRMATION, str(bad.pk), POISONED, lambda: ended(good), repair, lambda: ended(bad))


def checks() -> Poison:
    game, created_at = factories.game(), timezone.now() - timedelta(minutes=1)
    fields = {"game": game, "network": "tiktok", "purpose": "daily", "triggers": ["purchase"], "created_at": created_at}
    fields |= {"credential": {"token": factories.TOKENS["tiktok"]}, "pixel_id": factories.PIXELS["tiktok"]}
    bad, good = CredentialCheck.objects.create(**fields), CredentialCheck.objects.create(**fields)
    repair = refuse("postbacks_credentialcheck", f"NEW.id = '{bad.pk}'")

    def passed(row: CredentialCheck) -> bool:
        return CredentialCheck.objects.filter(pk=row.pk, state="passed").exists()

    return Poison("checks", Queue.CHECK, str(bad.pk), POISONED, lambda: passed(good), repair, lambda: passed(bad))


def alerts() -> Poison:
    game, held = factories.game(), {"held_at": timezone.now(), "held_for": "token"}
    bad, good = factories.config(game, **held), factories.config(game, network="reddit", **held)
    repair = refuse("postbacks_alert", f"NEW.config_id = '{bad.pk}'", on="INSERT")

    def opened(config: PostbackConfig) -> bool:
        return Alert.objects.filter(config=config, recovered_at=None).exists()

    return Poison("alerts", Queue.ALERT, str(bad.pk), POISONED, lambda: opened(good), repair, lambda: opened(bad))


def _member(game: Game, name: str) -> Any:
    user = get_user_model().objects.create_user(name, f"{name}@example.com")
    game.memberships.create(user=user, role="marketer")
    return user


def notices() -> Poison:
    game = factories.game()
    config = factories.config(game)
    alert = Alert.objects.create(game=game, config=config, health="on_hold", cause="Refused.", next_step="Rotate it.")
    rows = [
        Notice.objects.create(game=game, alert=alert, kind="opened", user=_member(game, name))
        for name in ("bad", "good")
    ]
    repair = refuse("postbacks_notice", f"NEW.id = '{rows[0].pk}'")

    def sent(name: str) -> bool:
        return [f"{name}@example.com"] in [message.to for message in mail.outbox]

    row = str(rows[0].pk)
    return Poison("notices", Queue.NOTICE, row, POISONED, lambda: sent("good"), repair, lambda: sent("bad"))


def hook_messages() -> Poison:
    game = factories.game()
    hook = AlertHook.objects.create(game=game, url="https://127.0.0.1/", secret={"key": "whsec_k"})
    rows = [factories.delivery(factories.config(game, network=name), state="failed") for name in ("tiktok", "reddit")]
    bad, good = [
        HookMessage.objects.create(
            game=game, hook=hook, event="conversion.failed", row=row.pk, ended_as=dict(FAILED_AS)
        )
        for row in rows
    ]
    repair = refuse("postbacks_hookmessage", f"NEW.id = '{bad.pk}'")

    def run() -> None:
        AlertHook.objects.update(next_call_at=None, paused_until=None, failures=0)
        import_string(str(BEAT["hook-messages"]["task"]))()

    def is_tried(message: HookMessage) -> bool:  # the address must not be called
        return HookMessage.objects.filter(pk=message.pk, attempts_made=1, result__startswith="Not sent").exists()

    row = str(bad.pk)
    return Poison(
        "hook-messages", Queue.NOTICE, row, POISONED, lambda: is_tried(good), repair, lambda: is_tried(bad), run=run
    )


def digests() -> Poison:
    game = factories.game()
    rows = [AlertChoice.objects.create(game=game, user=_member(game, name), told="daily") for name in ("bad", "good")]
    repair = refuse("postbacks_alertchoice", f"NEW.id = {rows[0].pk}")
    at = timezone.now().replace(hour=12)

    def written(row: AlertChoice) -> bool:
        return AlertChoice.objects.filter(pk=row.pk, digest_sent_on=at.date()).exists()

    bad, good = rows
    return Poison(
        "digests",
        Queue.ALERT_DIGEST,
        f"choice {bad.pk}",
        POISONED,
        lambda: written(good),
        repair,
        lambda: written(bad),
        run=lambda: write_digests(now=at),
    )


def replay() -> Poison:
    game = factories.game()
    configs = [factories.config(game), factories.config(game, network="reddit")]
    failed = {"state": "failed", "verdict": "payload", "finished_at": timezone.now() - timedelta(minutes=5)}
    rows = [factories.delivery(config, **failed, next_attempt_at=None) for config in configs]
    options = {"failed_from": None, "failed_until": None, "verdict": "", "requested_by": None}
    started = [replays.start(config=config, **options) for config in configs]
    repair = refuse("postbacks_replay", f"NEW.id = '{started[0].pk}'")

    def queued(row: Delivery) -> bool:
        return Delivery.objects.filter(pk=row.pk, state="waiting").exists()

    bad, good = rows
    assert Replay.objects.count() == 2
    row = str(started[0].pk)
    return Poison("replay", Queue.REPLAY, row, POISONED, lambda: queued(good), repair, lambda: queued(bad))


# One for each task of the beat.
CASES: dict[str, Callable[[], Poison]] = {
    "digest": digest,
    "erase": erase,
    "partitions": partition,
    "prune": prune,
    "roll-up-intake": roll_up_intake,
    "roll-up-postbacks": roll_up_postbacks,
    "figures": refresh_figures,
    "modeled-matches": match_launches,
    "prune-attempts": prune_attempts,
    "fan-out": fan_out,
    "deliver": deliver,
    "confirm": confirm,
    "checks": checks,
    "alerts": alerts,
    "notices": notices,
    "hook-messages": hook_messages,
    "digests": digests,
    "replay": replay,
}


@contextmanager
def poisoned(task: str) -> Iterator[Poison]:
    """Yield the case of a task; undo its changes of the schema at the end."""
    poison = CASES[task]()
    is_repaired = False

    def repair() -> object:
        nonlocal is_repaired
        is_repaired = True
        return inner()

    inner, poison.repair = poison.repair, repair
    try:
        yield poison
    finally:
        if not is_repaired:
            poison.repair()
        for name in ("audience_event_2031%", "audience_batch_2031%"):
            with connection.cursor() as cursor:
                cursor.execute("SELECT relname FROM pg_class WHERE relname LIKE %s AND relkind = 'r'", [name])
                for (table,) in cursor.fetchall():
                    cursor.execute(f"DROP TABLE {table}")
