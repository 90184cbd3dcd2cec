"""A game's retention of events: what pruning deletes, what it keeps, and what an admin sees before."""

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from io import StringIO

import pytest
import time_machine
from auditlog.models import LogEntry
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client

from audience.digest import queue
from audience.games import game_settings
from audience.games.keys import NewKey, create_key
from audience.intake.messages import times
from audience.intake.messages.message import Message
from audience.intake.storing.accept import accept
from audience.models import Batch, BatchState, Conversion, Dialect, Event, Game, Kind, Person, Role
from audience.storage import partitions, prune, retention
from audience.storage.partitions import EVENTS
from audience.wording import dates
from tests import hub
from tests.audience.concurrency import in_thread
from tests.audience.test_partitions import foreign_keys_checked, homes

pytestmark = pytest.mark.django_db
NOON = datetime.combine(datetime.now(UTC).date(), time(12), UTC)
# With 90 days; older than any partition that the migration made.
KEPT = NOON.date() - timedelta(days=90)
YOUNGER, OLD = KEPT - timedelta(days=1), KEPT - timedelta(days=2)


@pytest.fixture(autouse=True)
def _at_noon() -> Iterator[None]:
    with time_machine.travel(NOON, tick=False):
        for day in (OLD, YOUNGER, KEPT):
            partitions.create_partition(EVENTS, day)
        prune.prune()  # of the weeks that the migration made the first may be over
        yield


def store(key: NewKey, *message_ids: str, day: date, digested: bool = True) -> None:
    at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    messages = [
        Message(kind=Kind.TRACK, name="purchase", message_id=one, event_at=at, day=day, user_id="user-1")
        for one in message_ids
    ]
    accept(key=key.key, dialect=Dialect.IMMUTABLE, messages=messages, received_at=NOON)
    if digested:
        queue.drain()
    foreign_keys_checked()


def stored() -> list[str]:
    return sorted(Event.objects.values_list("message_id", flat=True))


def names() -> set[str]:
    return {part.name for part in partitions.list_partitions(EVENTS)}


@pytest.fixture
def other_key(other_game: Game) -> NewKey:
    return create_key(game=other_game, name="web")


def test_events_are_kept_for_ever_by_default(key: NewKey) -> None:
    store(key, "old", day=OLD)

    assert prune.prune() == []
    assert stored() == ["old"]
    assert EVENTS.name(OLD) in names()


def test_a_day_that_no_game_keeps_is_dropped_as_a_partition(key: NewKey, game: Game) -> None:
    game_settings.set_kept_days(game=game, days=90)
    for day, message_id in ((OLD, "old"), (YOUNGER, "younger"), (KEPT, "kept")):
        store(key, message_id, day=day)
    would = prune.prune(dry_run=True)

    assert [(one.what, one.rows) for one in would] == [(f"events of {OLD}", 1), (f"events of {YOUNGER}", 1)]
    assert stored() == ["kept", "old", "younger"]
    assert prune.prune() == would
    assert stored() == ["kept"]
    assert names() & {EVENTS.name(OLD), EVENTS.name(YOUNGER), EVENTS.name(KEPT)} == {EVENTS.name(KEPT)}
    # What came of them stays.
    assert Conversion.objects.count() == 3
    assert Person.objects.count() == 1


def test_expired_events_are_deleted_from_a_day_that_another_game_keeps(
    key: NewKey, other_key: NewKey, game: Game, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audience.storage.prune_steps.ROWS_AT_ONCE", 2)
    game_settings.set_kept_days(game=game, days=90)
    store(key, *(f"mine-{number}" for number in range(5)), day=OLD)
    store(other_key, "theirs", day=OLD)
    (would,) = (one for one in prune.prune(dry_run=True) if one.what.startswith("events of Sky"))
    assert (would.what, would.rows, would.partition) == (f"events of Sky Raiders before {KEPT}", 5, "")
    prune.prune()

    assert stored() == ["theirs"]
    assert homes() == {EVENTS.name(OLD): 1}


def test_the_longer_of_two_retentions_keeps_the_partition(key: NewKey, game: Game, other_game: Game) -> None:
    game_settings.set_kept_days(game=game, days=90)
    game_settings.set_kept_days(game=other_game, days=200)
    store(create_key(game=other_game, name="web"), "theirs", day=OLD)
    prune.prune()
    assert stored() == ["theirs"]

    game_settings.set_kept_days(game=other_game, days=91)
    prune.prune()
    assert stored() == []
    assert EVENTS.name(OLD) not in names()


@pytest.mark.parametrize("state", [BatchState.PENDING, BatchState.FAILED])
def test_an_event_that_is_not_digested_stays(key: NewKey, game: Game, state: str) -> None:
    game_settings.set_kept_days(game=game, days=90)
    store(key, "digested", day=OLD)
    store(key, "waits", day=OLD, digested=False)
    store(key, "imported", day=date(2019, 1, 1), digested=False)
    Batch.objects.exclude(state=BatchState.DONE).update(state=state)
    prune.prune()
    assert stored() == ["imported", "waits"]
    assert EVENTS.name(OLD) in names()

    Batch.objects.update(state=BatchState.PENDING)
    queue.drain()
    prune.prune()
    assert stored() == []
    assert Conversion.objects.count() == 3


def test_an_event_whose_day_does_not_show_its_age_is_kept_by_its_receipt(key: NewKey, game: Game) -> None:
    """A clock in 1970 or in 2090: the first would be deleted at once, the second never."""
    game_settings.set_kept_days(game=game, days=90)
    for day in (times.FIRST_DAY, times.LAST_DAY, date(2090, 5, 5)):
        store(key, str(day), day=day)
    prune.prune()
    assert stored() == ["2000-01-01", "2090-05-05", "2100-12-31"]
    assert retention.count_older_events(game, 90).events == 0

    store(key, "waits", day=times.LAST_DAY, digested=False)
    with time_machine.travel(NOON + timedelta(days=91), tick=False):
        assert retention.count_older_events(game, 90).events == 1
        prune.prune()
    assert stored() == ["waits"]
    assert Batch.objects.filter(state=BatchState.PENDING).count() == 1


def test_old_events_of_the_default_partition_are_deleted_row_by_row(key: NewKey, other_key: NewKey, game: Game) -> None:
    game_settings.set_kept_days(game=game, days=90)
    for day in (date(2019, 1, 1), date(2020, 1, 1), NOON.date()):
        store(key, f"mine-{day}", day=day)
        store(other_key, f"theirs-{day}", day=day)
    prune.prune()

    assert stored() == [f"mine-{NOON.date()}", "theirs-2019-01-01", "theirs-2020-01-01", f"theirs-{NOON.date()}"]


def test_a_partition_is_checked_again_under_its_lock_before_it_is_dropped(key: NewKey, game: Game) -> None:
    game_settings.set_kept_days(game=game, days=90)
    store(key, "old", day=OLD)
    (drop,) = (step for step in prune.steps(NOON) if step.preview().partition == EVENTS.name(OLD))
    store(key, "late", day=OLD, digested=False)

    assert drop.execute(float("inf")).partition == ""
    assert stored() == ["late", "old"]


def test_the_shortest_retention_is_31_days(game: Game) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        game_settings.set_kept_days(game=game, days=30)
    game.kept_days = 30
    with pytest.raises(ValidationError, match="greater than or equal to 31"):
        game.full_clean()
    game_settings.set_kept_days(game=game, days=31)
    game_settings.set_kept_days(game=game, days=None)


def test_events_that_a_shorter_retention_deletes_are_counted_up_to_10000_and_estimated_beyond(
    key: NewKey, other_key: NewKey, game: Game, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(key, "a", "b", "c", day=OLD)
    store(key, "kept", day=KEPT)
    store(other_key, "theirs", day=OLD)
    assert retention.count_older_events(game, 90) == retention.OlderEvents(KEPT, 3, is_exact=True)

    monkeypatch.setattr(retention, "MAX_COUNTED", 2)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE audience_event")
    found = retention.count_older_events(game, 90)
    assert (found.before, found.is_exact) == (KEPT, False)
    assert 3 <= found.events <= 6


def edit(client: Client, game: Game, **given: object) -> str:
    return client.post(f"/g/{game.slug}/privacy/retention/", given, follow=True).content.decode()


def test_an_admin_sees_what_a_shorter_retention_deletes_and_types_the_name(key: NewKey, game: Game) -> None:
    store(key, "old", "older", day=OLD)
    admin = hub.member(game, Role.ADMIN)
    page = edit(admin, game, kept_days="90")
    assert f"2 events of the days before {dates.day(KEPT)} are deleted within a few minutes" in " ".join(page.split())
    assert "Enter Sky Raiders to confirm" in page
    page = edit(admin, game, kept_days="90", confirmation="sky")
    assert "This is not “Sky Raiders”. Nothing was changed or deleted." in page
    game.refresh_from_db()
    assert game.kept_days is None

    page = edit(admin, game, kept_days="90", confirmation="Sky Raiders")
    assert "Events of Sky Raiders are now kept for 90 days. Older events are deleted within a few minutes." in page
    assert f"Events of the days before {dates.day(KEPT)} are deleted" in " ".join(page.split())
    game.refresh_from_db()
    assert game.kept_days == 90
    entry = LogEntry.objects.get_for_object(game).latest("pk")
    assert entry.changes == {"kept_days": ["None", "90"]}
    assert entry.actor.username == "admin-of-sky-raiders"
    assert "Days to keep events" in admin.get(f"/g/{game.slug}/audit-log/").content.decode()


def test_a_longer_retention_needs_no_confirmation(game: Game) -> None:
    game_settings.set_kept_days(game=game, days=90)
    admin = hub.member(game, Role.ADMIN)
    assert "kept for 365 days" in edit(admin, game, kept_days="365")
    assert "Events and the delivery log are kept forever." in edit(admin, game, kept_days="")
    game.refresh_from_db()
    assert game.kept_days is None


@pytest.mark.parametrize(("given", "said"), [("30", "at least 31 days"), ("4000", "At most"), ("x", "whole number")])
def test_an_invalid_retention_is_refused(game: Game, given: str, said: str) -> None:
    assert said in edit(hub.member(game, Role.ADMIN), game, kept_days=given, confirmation="Sky Raiders")
    game.refresh_from_db()
    assert game.kept_days is None


def test_other_members_see_the_retention(game: Game) -> None:
    marketer = hub.member(game, Role.MARKETER)
    page = marketer.get(f"/g/{game.slug}/privacy/").content.decode()
    assert "kept forever" in page
    assert "privacy/retention/" not in page
    assert marketer.get(f"/g/{game.slug}/privacy/retention/").status_code == 403


def said(*arguments: str) -> list[str]:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue().splitlines()


def test_the_command_prunes_and_with_dry_run_only_reports(key: NewKey, other_key: NewKey, game: Game) -> None:
    game_settings.set_kept_days(game=game, days=90)
    store(key, "a", day=OLD)
    store(key, "b", day=YOUNGER)
    store(other_key, "theirs", day=YOUNGER)
    first = said("prune", "--dry-run")
    assert stored() == ["a", "b", "theirs"]
    second = said("prune")

    assert [line.rpartition(", ")[0] for line in first[:-1]] == [
        f"events of {OLD}: partition {EVENTS.name(OLD)}, about 1 row",
        f"events of Sky Raiders before {KEPT}: 1 row",
    ]
    assert first[:-1] == second[:-1]
    assert first[-1].startswith("Would delete 2 rows, ")
    assert second[-1] == first[-1].replace("Would delete", "Deleted")
    assert stored() == ["theirs"]
    assert said("prune") == ["Deleted 0 rows, 0 partitions, 0 bytes."]


def test_the_command_lists_partitions_and_makes_them(game: Game) -> None:
    game_settings.set_kept_days(game=game, days=90)
    lines = said("partitions", "--ahead", "1")
    by_name = {line.split()[0]: line.split() for line in lines}

    assert lines[0] == "All partitions already exist."
    assert by_name[EVENTS.name(YOUNGER)][1:5] == [str(YOUNGER), "to", "before", str(KEPT)]
    assert by_name[EVENTS.name(YOUNGER)][-2:] == ["no", "longer"]
    assert by_name[EVENTS.name(KEPT)][-1] == "yes"
    assert by_name["audience_batch_default"][1:4] == ["all", "other", "days"]
    far = NOON.date() + timedelta(days=9)
    ninth = said("partitions", "--ahead", "9")[0]
    assert ninth == f"Created {EVENTS.name(far - timedelta(days=1))}, {EVENTS.name(far)}."
    with pytest.raises(CommandError, match="from 0 to 366"):
        said("partitions", "--ahead", "-1")


@pytest.mark.django_db(transaction=True)
def test_old_events_that_arrive_while_their_day_is_dropped_are_all_stored(key: NewKey, game: Game) -> None:
    game_settings.set_kept_days(game=game, days=90)
    sent = [f"m{number}" for number in range(60)]
    going = threading.Event()

    def send() -> None:
        for message_id in sent:
            store(key, message_id, day=OLD, digested=False)
            going.set()

    sender = in_thread(send)
    going.wait(20)
    while sender.is_alive():
        prune.prune()
    sender.join(20)
    prune.prune()
    assert stored() == sorted(sent)

    queue.drain()
    prune.prune()
    assert stored() == []
    assert Conversion.objects.count() == len(sent)
