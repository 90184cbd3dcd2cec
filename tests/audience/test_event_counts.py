"""What a game sends, counted after the digest: figures, repeats, limits, failures, retention."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audience import tasks
from audience.digest import count_limits, event_counts, event_shapes, queue
from audience.games.keys import NewKey, create_key
from audience.models import (
    Batch,
    BatchState,
    Conversion,
    Dialect,
    Event,
    EventCount,
    FailedWork,
    Game,
    PropertyCount,
    SenderCount,
    UncountedBatches,
    ValueProblemCount,
)
from audience.models.event_counts import OTHER_KIND, OTHER_LIBRARY
from audience.storage import prune
from tests.audience import wire
from tests.audience.immutable import LIBRARY, digest, identify, launch, message, page, purchase, send
from tests.effort import examples

pytestmark = pytest.mark.django_db
TODAY = datetime.now(UTC).date()


def count(key: NewKey, *messages: Any) -> None:
    """Send a batch, digest it and count its events."""
    if messages:
        digest(key, *messages)
    event_counts.count_due()


def events(**given: Any) -> dict[str, int]:
    rows = EventCount.objects.filter(**given)
    return {row.name or row.kind: row.number for row in rows}


def properties(name: str = "sign_in") -> dict[tuple[str, str], int]:
    return {(row.path, row.type): row.number for row in PropertyCount.objects.filter(name=name)}


def senders(**given: Any) -> dict[tuple[str, str], int]:
    rows = SenderCount.objects.filter(**given or {"name": "sign_in"})
    return {(row.library, row.library_version): row.number for row in rows}


def everything() -> list[list[Any]]:
    models = (EventCount, SenderCount, PropertyCount, ValueProblemCount)
    return [sorted(model.objects.values_list(*_columns(model))) for model in models]  # type: ignore[attr-defined]


def _columns(model: Any) -> list[str]:
    return [field.attname for field in model._meta.fields if field.attname != "id"]


def test_events_are_counted_by_name_and_other_messages_by_kind(key: NewKey, game: Game) -> None:
    count(key, message(), message(), purchase("u"), page("a"), page("a", eventName="Home"), identify("u", "a"))

    assert events() == {"sign_in": 2, "purchase": 1, "page": 2, "identify": 1}
    row = EventCount.objects.get(name="sign_in")
    assert (row.game, row.day, row.test, row.kind) == (game, TODAY, False, "track")
    assert row.last_at == max(Event.objects.filter(name="sign_in").values_list("received_at", flat=True))
    assert not UncountedBatches.objects.exists()


def test_properties_are_counted_by_the_type_of_their_value(key: NewKey) -> None:
    one = {"a": "x", "b": 1, "c": 1.5, "d": True, "e": [1], "f": {"g": 2, "h": {"i": 1}}, "j": None, "k": ""}
    count(key, message(properties=one), message(properties={"a": 5}), message(properties={}), message())

    assert properties() == {
        ("a", "text"): 1,
        ("a", "number"): 1,
        ("b", "number"): 1,
        ("c", "number"): 1,
        ("d", "boolean"): 1,
        ("e", "list"): 1,
        ("f", "object"): 1,
        ("f.g", "number"): 1,
        ("f.h", "object"): 1,
        ("j", "empty"): 1,
        ("k", "empty"): 1,
    }


def test_a_property_with_a_dot_in_its_name_precedes_one_in_an_object(key: NewKey) -> None:
    count(key, message(properties={"cart": {"total": "free"}, "cart.total": 5}))

    assert properties() == {("cart", "object"): 1, ("cart.total", "number"): 1}


def test_keys_and_sdks_are_counted(key: NewKey, game: Game) -> None:
    other = create_key(game=game, name="backend", dialect=Dialect.PARCELVOY)
    count(key, message(), message(context={"library": "unity", "libraryVersion": "2.0"}))
    wire.post("/api/client/events", [{"external_id": "u", "name": "sign_in"}], other)
    queue.drain()
    count(key)

    rows = SenderCount.objects.order_by("library").values_list("key_id", "library", "library_version", "number")
    expected = [
        (other.key.pk, "", "", 1),
        (key.key.pk, "my-studio-backend", "1.0.0", 1),
        (key.key.pk, "unity", "2.0", 1),
    ]
    assert list(rows) == expected


def test_test_messages_are_counted_apart(key: NewKey, sandbox_key: NewKey) -> None:
    count(key, message(), message(test=True))
    count(sandbox_key, message())

    assert events(test=False) == {"sign_in": 1}
    assert events(test=True) == {"sign_in": 2}


def test_the_day_is_that_of_the_receipt_in_utc(key: NewKey) -> None:
    with time_machine.travel(datetime(2026, 3, 1, 23, 59, tzinfo=UTC), tick=False):
        count(key, message(eventTimestamp="2026-02-28T12:00:00Z"))
        row = EventCount.objects.get()

    assert (row.day.isoformat(), row.last_at) == ("2026-03-01", datetime(2026, 3, 1, 23, 59, tzinfo=UTC))


def test_conversion_events_without_an_amount_are_counted_by_the_reason(key: NewKey) -> None:
    amounts: list[dict[str, Any]] = [
        *({"value": 5}, {"value": 5}, {"value": "free", "currency": "USD"}, {"value": 5, "currency": "GOLD"}),
        *({"value": -5, "currency": "USD"}, {}, {"value": 5, "currency": "USD"}, {"value": "€ 5"}),
    ]
    count(key, *(purchase("u", properties=one) for one in amounts), launch("u"))

    counted = {(row.name, row.problem): row.number for row in ValueProblemCount.objects.all()}
    assert counted == {
        ("purchase", "no_currency"): 2,
        ("purchase", "unreadable"): 1,
        ("purchase", "unknown_currency"): 1,
        ("purchase", "negative"): 1,
        ("purchase", "no_amount"): 1,
    }


# Repeats


def test_a_message_that_is_sent_again_is_counted_once(key: NewKey) -> None:
    one = message()
    count(key, one)
    count(key, one, message())

    assert events() == {"sign_in": 2}


def test_digesting_a_batch_again_does_not_count_it_twice(key: NewKey) -> None:
    count(key, message(properties={"level": 3}), purchase("u", properties={"value": 5}))
    before = everything()
    Batch.objects.update(state=BatchState.PENDING)
    assert queue.drain() == 1
    count(key)

    assert everything() == before
    assert events() == {"sign_in": 1, "purchase": 1}


def test_a_run_that_fails_counts_nothing_and_the_next_counts_once(key: NewKey) -> None:
    spoiled = identify("user-bad")
    send(key, spoiled, message())
    Event.objects.filter(message_id=spoiled["messageId"]).update(links=[["steam"]])
    queue.drain()
    count(key)
    assert (events(), UncountedBatches.objects.count()) == ({}, 0)

    Event.objects.update(links=[])
    Batch.objects.update(next_attempt_at=timezone.now())
    queue.drain()
    count(key)
    assert events() == {"sign_in": 1, "identify": 1}


def test_counting_twice_adds_nothing(key: NewKey) -> None:
    digest(key, message())
    assert (event_counts.count_due(), event_counts.count_due()) == (1, 0)
    assert events() == {"sign_in": 1}


def test_the_task_counts(key: NewKey) -> None:
    digest(key, message())
    tasks.count_events()

    assert events() == {"sign_in": 1}


def test_the_digest_has_priority(key: NewKey) -> None:
    digest(key, message())
    send(key, message())
    Batch.objects.filter(state=BatchState.PENDING).update(next_attempt_at=timezone.now() - timedelta(seconds=6))
    assert event_counts.count_due() == 0
    assert events() == {}

    queue.drain()
    assert event_counts.count_due() == 2
    assert events() == {"sign_in": 2}


def test_a_run_that_cannot_be_counted_stops_no_other(key: NewKey, game: Game) -> None:
    count(key, message())
    EventCount.objects.update(number=2**63 - 1)  # nothing can be added to it
    digest(key, message())
    digest(key, purchase("u"))
    assert event_counts.count_due() == 1
    assert events(name="purchase") == {"purchase": 1}
    failure = FailedWork.objects.get()
    assert (failure.game, failure.queue, failure.row) == (
        *(game, "rollup"),
        f"event counts {UncountedBatches.objects.get().pk}",
    )
    assert Conversion.objects.count() == 1

    EventCount.objects.filter(name="sign_in").update(number=1)
    assert event_counts.count_due() == 0
    FailedWork.objects.update(next_attempt_at=timezone.now())
    event_counts.count_due()
    assert events() == {"sign_in": 2, "purchase": 1}
    assert not FailedWork.objects.exists()
    assert not UncountedBatches.objects.exists()


# Limits


@pytest.fixture
def _small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"MAX_NAMES": 3, "MAX_SENDERS": 2, "MAX_PROPERTIES": 2, "MAX_PROPERTY_ROWS": 5}.items():
        monkeypatch.setattr(count_limits, name, value)


@pytest.mark.usefixtures("_small_limits")
def test_further_names_are_counted_together(key: NewKey) -> None:
    count(key, message(eventName="a"), message(eventName="a"), message(eventName="b"), page("x"))
    count(key, *(message(eventName=f"name-{number}", properties={"p": 1}) for number in range(5)))
    count(key, message(eventName="b"), message(eventName="name-4"), message(eventName="new"))

    assert events() == {"a": 2, "b": 2, "name-0": 1, "page": 1, OTHER_KIND: 6}
    assert senders(kind=OTHER_KIND) == {("my-studio-backend", "1.0.0"): 6}
    assert set(PropertyCount.objects.values_list("name", flat=True)) == {"name-0"}


@pytest.mark.usefixtures("_small_limits")
def test_invented_names_do_not_hide_conversion_events_nor_test_events(key: NewKey, sandbox_key: NewKey) -> None:
    count(key, *(message(eventName=f"name-{number}") for number in range(5)))
    count(key, purchase("u"))
    count(sandbox_key, message())

    assert events(test=False)["purchase"] == 1
    assert events(test=True) == {"sign_in": 1}


@pytest.mark.usefixtures("_small_limits")
def test_further_sdks_are_counted_together(key: NewKey) -> None:
    contexts = [{"library": f"sdk-{number}", "libraryVersion": "1"} for number in range(4)]
    count(key, *(message(context=context) for context in contexts), message(context=contexts[0]))

    assert senders() == {("sdk-0", "1"): 2, ("sdk-1", "1"): 1, (OTHER_LIBRARY, ""): 2}
    assert events() == {"sign_in": 5}


@pytest.mark.usefixtures("_small_limits")
def test_further_properties_are_counted_together(key: NewKey) -> None:
    count(key, message(properties={"a": 1, "b": 2, "c": 3}), message(properties={"a": 1}))
    count(key, message(properties={"a": "x", "d": 1}))
    assert properties() == {("a", "number"): 2, ("a", "text"): 1, ("b", "number"): 1, ("", ""): 2}

    count(key, message(eventName="other", properties={"a": 1, "b": 1}))
    assert properties("other") == {("a", "number"): 1, ("", ""): 1}


def test_an_event_with_many_properties_is_read_up_to_a_limit(key: NewKey) -> None:
    many = {f"p{number:03}": number for number in range(250)}
    count(key, message(properties=many), message(properties={"p000": 1}))

    assert PropertyCount.objects.exclude(path="").count() == count_limits.MAX_PROPERTIES == event_shapes.MAX_READ
    assert (properties()["p000", "number"], properties()["", ""]) == (2, 1)


def test_an_event_whose_properties_are_too_large_is_counted_without_them(key: NewKey) -> None:
    count(key, message(properties={"a": "x" * event_counts.MAX_TEXT}), message(properties={"a": 1}))

    assert events() == {"sign_in": 2}
    assert properties() == {("a", "number"): 1, ("", ""): 1}


@pytest.mark.parametrize(
    "name", ["mail ada@player.example", "x%40player.example", "+1 (555) 010-4477", "5550104477", "2026-11-29"]
)
def test_a_name_with_an_address_is_not_stored(key: NewKey, name: str) -> None:
    library = {"library": f"sdk of {name}", "libraryVersion": "1"}
    count(key, message(eventName=name, context=library), message(properties={name: 1, "cart": {name: 1}}))

    assert events() == {OTHER_KIND: 1, "sign_in": 1}
    assert properties() == {("cart", "object"): 1, ("", ""): 2}
    assert not any(name in str(row) for table in everything() for row in table if "@" in name or "%40" in name)


@pytest.mark.parametrize("name", ["x" * 256, "\ufffd", "'; DROP TABLE x; --", "<script>", "%s", "\u202e", "a.b"])
def test_a_hostile_name_is_counted(key: NewKey, name: str) -> None:
    count(key, message(eventName=name, properties={name[:100]: 1, "x" * 101: 1, "": 1}))

    assert events() == {name: 1}
    assert properties(name) == {(name[:100], "number"): 1, ("", ""): 2}


def test_a_library_that_is_no_text_is_counted(game: Game) -> None:
    app = create_key(game=game, name="app", dialect=Dialect.RUDDERSTACK)
    for number, library in enumerate(({"name": {"a": 1}, "version": [1]}, "x" * 300, None, 5)):
        sent = {"event": "sign_in", "userId": "u", "messageId": f"m-{number}", "context": {"library": library}}
        wire.post("/v1/track", sent, app)
    queue.drain()
    count(app)

    assert senders() == {("{'a': 1}", "[1]"): 1, ("x" * 64, ""): 1, ("", ""): 2}


# Retention


def test_counts_are_kept_for_90_days_or_as_long_as_events(game: Game, other_game: Game) -> None:
    other_game.kept_days = 31
    other_game.save()
    for row in (game, other_game):
        for days in (31, 32, 90, 91):
            key = {"game": row, "day": TODAY - timedelta(days=days), "test": False, "number": 1}
            named = {**key, "kind": "track", "name": "won"}
            EventCount.objects.create(**named, last_at=timezone.now())
            SenderCount.objects.create(**named, key_id=0, library="", library_version="")
            PropertyCount.objects.create(**named, path="a", type="text")
            ValueProblemCount.objects.create(**key, name="won", problem="no_amount")
    would = prune.prune(dry_run=True)
    assert [(one.what, one.rows) for one in prune.prune()] == [(one.what, one.rows) for one in would]
    assert sum(one.rows for one in would) == 4 * (1 + 3)

    for model in (EventCount, SenderCount, PropertyCount, ValueProblemCount):
        days = {
            row: sorted((TODAY - one.day).days for one in model.objects.filter(game=row)) for row in (game, other_game)
        }  # type: ignore[attr-defined]
        assert days == {game: [31, 32, 90], other_game: [31]}


# Figures

NAMES = st.sampled_from(["level_up", "Level Up", "won", "purchase", "naïve ü", "a'b\"c"])
VALUES: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "x", "9.99", "\u2028", "🎮"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "b", ".", ""]), inner, max_size=3)
    ),
    max_leaves=6,
)
PROPERTIES = st.dictionaries(st.sampled_from(["value", "a", "a.b", "c", "", "é"]), VALUES, max_size=5)
MESSAGES = st.lists(
    st.tuples(NAMES, PROPERTIES, st.booleans(), st.sampled_from(["unity", "web"])), min_size=1, max_size=12
)


def type_of(value: Any) -> str:
    if value is None or value == "":
        return "empty"
    if isinstance(value, bool):
        return "boolean"
    return {str: "text", int: "number", float: "number", list: "list", dict: "object"}[type(value)]


def paths_in(stored: dict[str, Any]) -> dict[str, str]:
    inner = {
        f"{name}.{key}": one for name, value in stored.items() if type(value) is dict for key, one in value.items()
    }
    return {path: type_of(value) for path, value in {**inner, **stored}.items()}


@settings(max_examples=examples(15), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(MESSAGES, min_size=1, max_size=3))
def test_the_figures_are_those_of_a_query_over_the_events(key: NewKey, batches: Any) -> None:
    for model in (EventCount, SenderCount, PropertyCount, UncountedBatches):
        model.objects.all().delete()
    Event.objects.all().delete()
    for batch in batches:
        sent = [
            message(eventName=name, properties=one, test=test, context={**LIBRARY, "library": library})
            for name, one, test, library in batch
        ]
        digest(key, *sent)
    event_counts.count_due()

    by_event: Counter[Any] = Counter()
    by_sender: Counter[Any] = Counter()
    by_path: Counter[Any] = Counter()
    for event in Event.objects.all():
        by_event[event.test, event.name] += 1
        by_sender[event.test, event.name, event.key_id, event.context["library"], "1.0.0"] += 1
        for path, kind in paths_in(event.properties).items():
            by_path[event.test, event.name, path, kind if path else ""] += 1
    rows = SenderCount.objects.values_list("test", "name", "key_id", "library", "library_version", "number")
    assert {(row.test, row.name): row.number for row in EventCount.objects.all()} == by_event
    assert {tuple(key): number for *key, number in rows} == by_sender
    paths = PropertyCount.objects.values_list("test", "name", "path", "type", "number")
    assert {tuple(key): number for *key, number in paths} == by_path
