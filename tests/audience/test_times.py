"""Times of a client's clock in every dialect: how they are bounded, the day, the order, and retries."""

import importlib
import json
from base64 import b64encode
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection, transaction
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from audience.digest import queue
from audience.games.keys import NewKey, create_key
from audience.intake.messages.times import limit_to_receipt, parse_time, read_timing
from audience.intake.rejections import RevalidationStatus, revalidate_rejection
from audience.models import (
    Batch,
    BatchState,
    Conversion,
    Device,
    Dialect,
    Event,
    Game,
    Group,
    Identity,
    Person,
    Rejection,
    Role,
)
from tests import factories, hub
from tests.audience.wire import authorised
from tests.effort import examples

NOW = datetime(2026, 4, 8, 12, 0, tzinfo=UTC)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
TICK = timedelta(microseconds=1)


# Reading


@pytest.mark.parametrize(
    "written",
    [
        "2026-04-08T12:00:00Z",
        " 2026-04-08 12:00:00 ",
        "2026-04-08T14:00:00 +02:00",
        "2026-04-08 14:00:00 +0200",
        "2026-04-08 14:00:00 +02",
        "2026-04-08 12:00:00 Z",
        # Ruby's Time#to_s.
        "2026-04-08 12:00:00 UTC",
        # HTTP's Date, a mail's, and one without the day of the week.
        "Wed, 08 Apr 2026 12:00:00 GMT",
        "Wed, 8 Apr 2026 14:00:00 +0200",
        "8 Apr 2026 12:00:00 -0000",
        1775649600,
        1775649600.0,
        1775649600000,
        "1775649600",
        "1775649600000",
        "1775649600.000",
    ],
)
def test_times_are_parsed_in_every_format_that_clients_use(written: Any) -> None:
    assert parse_time(written) == NOW


@pytest.mark.parametrize(
    "written",
    [
        *(None, "", " ", "yesterday", "Invalid Date", "NaN", True, False, [], {}, {"$date": 1775649600000}),
        *(
            "2026-04-08 Z",
            "2026-04-08T12:0 0Z",
            "2026-02-30T00:00:00Z",
            "2026-04-08T12:00:00 +25:00",
            "1e9",
            "١٧٧٥٦٤٩٦٠٠",
        ),
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "Fri, 31 Dec 9999 23:59:59 -1400"),
        *("Mon, 01 Jan 0001 00:00:00 GMT", "Wed, 08 Apr 26 12:00:00 GMT", "Wed, 08 Apr 2026 12:00:00 +9999"),
        *(1e18, 10**30, -(10**30), 1e308, "9" * 16, "9" * 5000, "2026-04-08T12:00:00Z" + " " * 5000 + "x"),
    ],
)
def test_text_that_is_not_a_time_is_rejected(written: Any) -> None:
    assert parse_time(written) is None


# Correcting


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("ahead", [SECOND, HOUR, DAY, timedelta(days=3650)])
def test_a_clock_that_is_ahead_is_set_right_by_the_time_of_sending(ahead: timedelta, both: bool) -> None:
    stated = NOW + ahead - 10 * SECOND
    timing = read_timing(stated.isoformat(), received_at=NOW, sent_at=NOW + ahead, both_directions=both)

    assert (timing.event_at, timing.day, timing.note) == (NOW - 10 * SECOND, stated.date(), "")


@pytest.mark.parametrize("behind", [SECOND, HOUR, DAY, timedelta(days=20000)])
def test_a_clock_that_is_behind_is_set_right_only_in_both_directions(behind: timedelta) -> None:
    stated, sent_at = NOW - behind - 10 * SECOND, NOW - behind
    corrected = read_timing(stated.isoformat(), received_at=NOW, sent_at=sent_at, both_directions=True)
    as_it_is = read_timing(stated.isoformat(), received_at=NOW, sent_at=sent_at)

    assert corrected.event_at == NOW - 10 * SECOND
    assert as_it_is.event_at == (stated if behind <= DAY else NOW)
    assert corrected.day == as_it_is.day == max(stated.date(), date(2000, 1, 1))


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize(
    "sent_at",
    [
        # DateTime.MinValue, 0, and a message that was sent before it happened.
        *(datetime(1, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC), NOW - DAY),
        # Far enough to move the message to before 2000.
        *(datetime(9999, 12, 31, tzinfo=UTC), datetime(2060, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_time_of_sending_that_cannot_be_true_corrects_nothing(sent_at: datetime, both: bool) -> None:
    stated = NOW - HOUR
    timing = read_timing(stated.isoformat(), received_at=NOW, sent_at=sent_at, both_directions=both)

    assert (timing.event_at, timing.day, timing.note) == (stated, NOW.date(), "")


@pytest.mark.parametrize(
    ("stated", "day", "note"),
    [
        (None, None, ""),
        (" ", None, ""),
        ("Invalid Date", None, "unreadable"),
        ({}, None, "unreadable"),
        ("1999-12-31T23:59:59Z", date(2000, 1, 1), "out_of_range"),
        ("0001-01-01T00:00:00Z", date(2000, 1, 1), "out_of_range"),
        (0, date(2000, 1, 1), "out_of_range"),
    ],
)
def test_a_time_that_no_clock_shows_becomes_the_receipt(stated: Any, day: date | None, note: str) -> None:
    timing = read_timing(stated, received_at=NOW)

    assert (timing.event_at, timing.day, timing.note) == (NOW, day, note)


@pytest.mark.parametrize(
    ("stated", "day", "note"),
    [
        ("2026-04-08T12:01:00Z", date(2026, 4, 8), ""),
        ("2026-04-08T12:01:01Z", date(2026, 4, 8), "ahead"),
        ("2100-12-31T23:59:59Z", date(2100, 12, 31), "ahead"),
        ("2101-01-01T00:00:00Z", date(2100, 12, 31), "out_of_range"),
        ("9999-12-31T23:59:59Z", date(2100, 12, 31), "out_of_range"),
    ],
)
def test_a_time_after_the_receipt_is_noted(stated: str, day: date, note: str) -> None:
    timing = read_timing(stated, received_at=NOW)

    assert (timing.day, timing.note) == (day, note)
    assert limit_to_receipt([timing.event_at], NOW) == [NOW]


# Bounding


def test_times_before_the_receipt_stay_as_they_are() -> None:
    given = [NOW - SECOND, NOW - DAY, NOW - SECOND]

    assert limit_to_receipt(given, NOW) == given
    assert limit_to_receipt([], NOW) == []


def test_times_after_the_receipt_keep_their_order_before_it() -> None:
    given = [NOW + 2 * HOUR, NOW - HOUR, NOW + HOUR, NOW + HOUR]

    assert limit_to_receipt(given, NOW) == [NOW, NOW - HOUR, NOW - 2 * TICK, NOW - TICK]


def test_a_message_without_a_time_stays_behind_the_one_before_it() -> None:
    """A click of a clock that is ahead, then a purchase without a time."""
    assert limit_to_receipt([NOW + HOUR, NOW], NOW) == [NOW - TICK, NOW]
    assert limit_to_receipt([NOW, NOW + HOUR, NOW], NOW) == [NOW - 2 * TICK, NOW - TICK, NOW]


def test_a_message_just_before_the_receipt_makes_room_for_those_after_it() -> None:
    """A click that was received as soon as it happened, and purchases of a clock that is ahead."""
    assert limit_to_receipt([NOW - TICK, NOW + HOUR, NOW + HOUR], NOW) == [NOW - 2 * TICK, NOW - TICK, NOW]
    assert limit_to_receipt([NOW + HOUR, NOW + HOUR, NOW - TICK, NOW - 9 * TICK], NOW) == [
        NOW - TICK,
        NOW,
        NOW - 2 * TICK,
        NOW - 9 * TICK,
    ]


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(st.timedeltas(min_value=-DAY, max_value=DAY) | st.just(timedelta()), max_size=30))
def test_no_time_is_after_the_receipt_and_the_order_is_kept(distances: list[timedelta]) -> None:
    given = [NOW + distance for distance in distances]
    result = limit_to_receipt(given, NOW)

    assert all(at <= NOW for at in result)
    ahead = [(at, result[place]) for place, at in enumerate(given) if at > NOW]
    assert [after for _, after in sorted(ahead)] == sorted(after for _, after in ahead)
    assert len({after for _, after in ahead}) == len(ahead)
    long_before = NOW - len(given) * TICK
    stayed = [(at, after) for at, after in zip(given, result, strict=True) if at < long_before]
    assert all(at == after for at, after in stayed)


# Over HTTP


@pytest.fixture
def keys(game: Game) -> dict[str, NewKey]:
    return {dialect: create_key(game=game, name=dialect, dialect=dialect) for dialect in Dialect}


PATHS = {
    "immutable": "/v1/audience/messages",
    "rudderstack": "/v1/batch",
    "metarouter": "/v1/batch",
    "parcelvoy": "/api/client/events",
}


def uuid_of(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def body(dialect: str, times: list[Any], **fields: Any) -> Any:
    """A track event for each time, all of one player, with ids that a retry repeats."""
    if dialect == "parcelvoy":
        return [
            {"external_id": "u", "name": "e", "message_id": uuid_of(place), "created_at": at, **fields}
            for place, at in enumerate(times)
        ]
    common = [{"type": "track", "messageId": uuid_of(place), "userId": "u", **fields} for place in range(len(times))]
    if dialect == "immutable":
        context = {"library": "test", "libraryVersion": "1"}
        return {
            "messages": [
                {"context": context, "eventName": "e", "eventTimestamp": at, **one}
                for one, at in zip(common, times, strict=True)
            ]
        }
    return {"batch": [{"event": "e", "timestamp": at, **one} for one, at in zip(common, times, strict=True)]}


def sent(key: NewKey, payload: Any, path: str = "") -> HttpResponse:
    own = {"x-immutable-publishable-key": key.value} if key.key.dialect == "immutable" else authorised(key)
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    answer = Client().generic("POST", path or PATHS[key.key.dialect], data, "application/json", headers=own)
    assert answer.status_code in {200, 204}, answer.content
    return answer


def moments() -> list[datetime]:
    return list(Event.objects.order_by("id").values_list("event_at", flat=True))


pytestmark = pytest.mark.django_db
every_dialect = pytest.mark.parametrize("dialect", list(PATHS))


@every_dialect
def test_no_event_happens_after_it_was_received(keys: dict[str, NewKey], dialect: str) -> None:
    times = [NOW + 2 * HOUR, NOW - HOUR, NOW + HOUR, NOW + 3 * HOUR]
    with time_machine.travel(NOW, tick=False):
        sent(keys[dialect], body(dialect, [at.isoformat() for at in times]))

    assert moments() == [NOW - TICK, NOW - HOUR, NOW - 2 * TICK, NOW]
    assert [event.context.get("_time_note") for event in Event.objects.order_by("id")] == [
        *("ahead", None, "ahead", "ahead")
    ]


@pytest.mark.parametrize("dialect", ["rudderstack", "metarouter", "parcelvoy"])
@pytest.mark.parametrize(
    ("stated", "day", "note"),
    [
        ("Invalid Date", "2026-04-08", "unreadable"),
        ({"a": 1}, "2026-04-08", "unreadable"),
        ("0001-01-01T00:00:00Z", "2000-01-01", "out_of_range"),
        ("9999-12-31T23:59:59Z", "2100-12-31", "out_of_range"),
        (0, "2000-01-01", "out_of_range"),
    ],
)
def test_a_time_that_no_clock_shows_is_the_receipt_and_marked(
    keys: dict[str, NewKey], dialect: str, stated: Any, day: str, note: str
) -> None:
    with time_machine.travel(NOW, tick=False):
        sent(keys[dialect], body(dialect, [stated]))

    event = Event.objects.get()
    assert (event.event_at, event.day.isoformat(), event.context["_time_note"]) == (NOW, day, note)


@pytest.mark.parametrize(
    "stated", ["Invalid Date", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", 0, "2031-05-05T00:00:00Z", "2026-04-07"]
)
@pytest.mark.parametrize("dialect", ["rudderstack", "metarouter", "parcelvoy"])
@pytest.mark.parametrize("later", [HOUR, 20 * HOUR, timedelta(days=9)])
def test_a_retry_is_the_same_event_however_odd_its_time(
    keys: dict[str, NewKey], dialect: str, stated: Any, later: timedelta
) -> None:
    for at in (NOW, NOW + later):
        with time_machine.travel(at, tick=False):
            sent(keys[dialect], body(dialect, [stated]))

    assert Event.objects.count() == 1
    assert list(Batch.objects.order_by("id").values_list("accepted", "duplicates")) == [(1, 0), (0, 1)]


def test_the_sender_cannot_set_the_time_note(keys: dict[str, NewKey]) -> None:
    context = {"library": "x", "libraryVersion": "1", "_time_note": "unreadable"}
    at = (NOW - HOUR).isoformat()
    with time_machine.travel(NOW, tick=False):
        sent(keys["immutable"], body("immutable", [at], context=context))
        sent(keys["rudderstack"], body("rudderstack", [at], context=context, messageId="m-2"))
        sent(keys["rudderstack"], {"context": {"_time_note": ["x"]}, **body("rudderstack", [at], messageId="m-3")})
        sent(keys["rudderstack"], body("rudderstack", ["?"], context={"_time_note": "ahead"}, messageId="m-4"))

    assert [event.context.get("_time_note") for event in Event.objects.order_by("id")] == [
        *(None, None, None, "unreadable")
    ]


def test_immutable_still_refuses_what_it_refuses(keys: dict[str, NewKey]) -> None:
    times = [
        *(
            "yesterday",
            "1775649600",
            "Wed, 08 Apr 2026 12:00:00 GMT",
            "2026-04-08 12:00:00 +0000",
            "2026-04-08T12:00:00",
        ),
        *((NOW - timedelta(days=31)).isoformat(), (NOW + timedelta(hours=25)).isoformat(), "9999-12-31T23:59:59Z"),
    ]
    with time_machine.travel(NOW, tick=False):
        answer = sent(keys["immutable"], body("immutable", times)).json()

    assert (answer["accepted"], answer["rejected"]) == (0, 8)
    assert [entry["errors"][0]["code"] for entry in answer["rejections"]] == [
        *(["INVALID_FORMAT"] * 5),
        *(["INVALID_VALUE"] * 3),
    ]
    assert not Event.objects.exists()


@pytest.mark.parametrize(
    ("dialect", "stated", "event_at"),
    [
        # A minute ago by a clock that is a day ahead, or two hours behind.
        ("rudderstack", NOW + DAY - 60 * SECOND, NOW - 60 * SECOND),
        ("metarouter", NOW + DAY - 60 * SECOND, NOW - 60 * SECOND),
        ("immutable", NOW + DAY - 60 * SECOND, NOW - 60 * SECOND),
        ("parcelvoy", NOW + DAY - 60 * SECOND, NOW - 60 * SECOND),
        ("rudderstack", NOW - 2 * HOUR - 60 * SECOND, NOW - 2 * HOUR - 60 * SECOND),
        ("metarouter", NOW - 2 * HOUR - 60 * SECOND, NOW - 60 * SECOND),
        ("immutable", NOW - 2 * HOUR - 60 * SECOND, NOW - 60 * SECOND),
        ("parcelvoy", NOW - 2 * HOUR - 60 * SECOND, NOW - 60 * SECOND),
    ],
)
def test_the_key_decides_in_which_directions_a_clock_is_corrected(
    game: Game, dialect: str, stated: datetime, event_at: datetime
) -> None:
    """A key of any other dialect than RudderStack's on the shared routes is treated as MetaRouter's."""
    key = create_key(game=game, name="backend", dialect=dialect)
    batch = {**body("rudderstack", [stated.isoformat()]), "sentAt": (stated + 60 * SECOND).isoformat()}
    with time_machine.travel(NOW, tick=False):
        Client().post("/v1/batch", json.dumps(batch), "application/json", headers={"Authorization": _basic(key)})

    event = Event.objects.get()
    assert (event.event_at, event.day) == (event_at, stated.date())


def _basic(key: NewKey) -> str:
    return "Basic " + b64encode(f"{key.value}:".encode()).decode()


# What follows from an event's time


@every_dialect
def test_a_click_of_a_clock_that_is_ahead_wins_the_purchase(keys: dict[str, NewKey], dialect: str) -> None:
    """The click is stamped a day ahead, less a minute; the purchase is a backend's, without a time."""
    click = {"ttclid": "E.C.P.click"}
    field = "data" if dialect == "parcelvoy" else "properties"
    with time_machine.travel(NOW, tick=False):
        sent(keys[dialect], body(dialect, [(NOW + DAY - 60 * SECOND).isoformat()], **{field: click}))
    with time_machine.travel(NOW + 2 * SECOND, tick=False):
        purchase = {"event": "purchase", "userId": "u", "properties": {"value": 5, "currency": "USD"}}
        sent(keys["rudderstack"], purchase, "/v1/track")
        queue.drain()

    conversion = Conversion.objects.get()
    assert conversion.touch is not None
    assert (conversion.touch.click_id, conversion.touch.clicked_at) == ("E.C.P.click", NOW)


def test_a_trait_group_or_device_from_the_future_does_not_win_for_ever(keys: dict[str, NewKey]) -> None:
    rudderstack, parcelvoy = keys["rudderstack"], keys["parcelvoy"]
    device = {"os": "ios", "model": "m", "app_build": "1", "app_version": "1", "external_id": "u", "device_id": "d"}
    for at, stated, word in ((NOW, "9999-12-31T23:59:59Z", "old"), (NOW + SECOND, None, "new")):
        with time_machine.travel(at, tick=False):
            sent(rudderstack, {"userId": "u", "traits": {"plan": word}, "timestamp": stated}, "/v1/identify")
            group = {"userId": "u", "groupId": "g", "traits": {"plan": word}, "timestamp": stated}
            sent(rudderstack, group, "/v1/group")
            sent(parcelvoy, {**device, "token": word, "created_at": stated}, "/api/client/devices")
            queue.drain()

    person = Person.objects.get()
    assert (person.traits["plan"], person.trait_times["plan"]) == ("new", (NOW + SECOND).isoformat())
    assert (person.first_seen_at, person.last_seen_at) == (NOW, NOW + SECOND)
    assert Group.objects.values_list("traits", "updated_at").get() == ({"plan": "new"}, NOW + SECOND)
    assert Device.objects.values_list("token", "updated_at").get() == ("new", NOW + SECOND)


def test_an_event_stored_without_a_bound_is_bounded_by_the_digest(keys: dict[str, NewKey]) -> None:
    """By an earlier release, and digested by this one."""
    with time_machine.travel(NOW, tick=False):
        sent(keys["rudderstack"], {"event": "purchase", "userId": "u"}, "/v1/track")
        sent(keys["rudderstack"], {"userId": "u", "traits": {"plan": "a"}}, "/v1/identify")
        Event.objects.update(event_at=datetime(9999, 12, 31, tzinfo=UTC))
        queue.drain()

    assert Conversion.objects.get().event_at == NOW
    person = Person.objects.get()
    assert (person.first_seen_at, person.last_seen_at, person.trait_times) == (NOW, NOW, {"plan": NOW.isoformat()})


def test_times_ahead_that_an_earlier_release_stored_are_bounded(game: Game) -> None:
    at, far = timezone.now() - DAY, datetime(9999, 12, 31, tzinfo=UTC)
    traits = {"old": (NOW - DAY).isoformat(), "new": far.isoformat()}
    person = factories.person(game, anonymous="a-1", first_seen_at=at, last_seen_at=far, trait_times=traits)
    untouched = factories.person(game, trait_times={"old": traits["old"]}, first_seen_at=at, last_seen_at=at)
    Identity.objects.update(first_seen_at=far)
    touch = factories.touch(person, clicked_at=far)
    device = Device.objects.create(game=game, person=person, device_id="d", updated_at=far)
    group = Group.objects.create(game=game, group_id="g", updated_at=at)
    migration = importlib.import_module("audience.migrations.0027_no_times_ahead")
    with connection.cursor() as cursor:
        for query in (*migration.REPAIRS, migration.TRAITS):
            cursor.execute(query)

    for row in (person, untouched, touch, device, group):
        row.refresh_from_db()
    identity = Identity.objects.get()
    ahead = [person.last_seen_at, identity.first_seen_at, touch.clicked_at, device.updated_at]
    ahead.append(datetime.fromisoformat(person.trait_times["new"]))
    assert all(at < parse_time <= timezone.now() for parse_time in ahead)
    assert (person.first_seen_at, group.updated_at, untouched.last_seen_at) == (at, at, at)
    assert datetime.fromisoformat(person.trait_times["old"]) == NOW - DAY
    assert untouched.trait_times == {"old": traits["old"]}


def test_a_rejection_validated_again_is_bounded_by_the_time_it_came(keys: dict[str, NewKey]) -> None:
    member = {"type": "track", "userId": "u", "messageId": "m", "timestamp": (NOW + DAY).isoformat()}
    with time_machine.travel(NOW, tick=False):
        for dialect in ("rudderstack", "metarouter"):
            answer = Client().post(
                "/v1/batch",
                json.dumps({"batch": [member], "sentAt": (NOW + DAY + HOUR).isoformat()}),
                "application/json",
                headers=authorised(keys[dialect]),
            )
            assert answer.status_code == 400
    for kept in Rejection.objects.all():
        Rejection.objects.filter(pk=kept.pk).update(raw={**kept.raw, "event": "e", "messageId": f"m-{kept.pk}"})
        with time_machine.travel(NOW + timedelta(days=3), tick=False):
            assert revalidate_rejection(rejection=kept, requested_by="ada").status == RevalidationStatus.ACCEPTED

    assert moments() == [NOW - HOUR, NOW - HOUR]
    assert set(Event.objects.values_list("day", "received_at")) == {(NOW.date() + DAY, NOW)}


@pytest.mark.parametrize(
    ("stated", "sentence"),
    [
        ("Invalid Date", "The time in the message could not be read"),
        ("0001-01-01T00:00:00Z", "The time in the message is before 2000 or after 2100"),
        ("9999-12-31T23:59:59Z", "The time in the message is before 2000 or after 2100"),
        (None, ""),
    ],
)
def test_the_page_of_an_event_shows_how_its_time_was_corrected(
    game: Game, keys: dict[str, NewKey], stated: str | None, sentence: str
) -> None:
    sent(keys["rudderstack"], body("rudderstack", [stated], context={"locale": "nb"}))
    event = Event.objects.get()
    page = hub.member(game, Role.VIEWER).get(f"/g/{game.slug}/events/{event.day}/{event.pk}/").content.decode()

    assert ("so the time of receipt is used as the event time." in page) == bool(sentence)
    assert sentence in page
    assert "_time_note" not in page
    assert "locale" in page


# Whatever is stated

ODD = st.sampled_from(
    [
        *("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00"),
        *("1970-01-01T00:00:00Z", "1999-12-31T23:59:59Z", "2000-01-01T00:00:00Z", "2100-12-31T23:59:59Z"),
        *("", " ", "null", "Invalid Date", "NaN", 0, -1, 1, 1e11, 99_999_999_999, 1e18, -1e18, 10**30, 1e308),
        *("0", "-62135596800", "253402300799", "253402300800000", "Wed, 08 Apr 2026 12:00:00 GMT"),
    ]
)
STATED = (
    ODD
    | st.datetimes().map(datetime.isoformat)
    | st.timedeltas(-20 * DAY, 20 * DAY).map(lambda distance: (NOW + distance).isoformat())
    | st.integers(-(10**14), 10**14)
    | st.integers(-(10**14), 10**14).map(str)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.none()
    | st.booleans()
    | st.text(max_size=30)
)
LATER = st.timedeltas(timedelta(), 30 * DAY)


@pytest.fixture
def rolled_back() -> Any:
    """A context for one example, whose rows are gone after it."""

    class Example:
        def __enter__(self) -> None:
            self.block = transaction.atomic()
            self.block.__enter__()

        def __exit__(self, *error: object) -> None:
            transaction.set_rollback(True)
            self.block.__exit__(None, None, None)

    return Example()


@pytest.mark.long
@every_dialect
@settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate],  # each example is four transactions: shrinking one takes minutes
)
@given(times=st.lists(STATED, min_size=1, max_size=6), sent_at=STATED, original=STATED, later=LATER)
@example(times=["9999-12-31T23:59:59Z"], sent_at="9999-12-31T23:59:59Z", original=None, later=DAY)
@example(times=["0001-01-01T00:00:00Z"], sent_at="0001-01-01T00:00:00Z", original="0001-01-01T00:00:00Z", later=DAY)
def test_any_time_is_bounded_and_its_retry_found(
    keys: dict[str, NewKey],
    rolled_back: Any,
    dialect: str,
    times: list[Any],
    sent_at: Any,
    original: Any,
    later: timedelta,
) -> None:
    """A retry of a message with a stated time is found, whenever it comes. One without any is looked for on its own
    day and the day before."""
    payload = body(dialect, times)
    if dialect in {"rudderstack", "metarouter"}:
        for member in payload["batch"]:
            member["originalTimestamp"] = original
        payload["sentAt"] = sent_at
    with rolled_back:
        stored = []
        for at in (NOW, NOW + later):
            with time_machine.travel(at, tick=False):
                sent(keys[dialect], payload)
                stored.append(dict(Event.objects.values_list("id", "day")))
                queue.drain()
                assert not Batch.objects.exclude(state=BatchState.DONE).exists()

        for event in Event.objects.all():
            assert datetime(2000, 1, 1, tzinfo=UTC) <= event.event_at <= event.received_at
            assert date(2000, 1, 1) <= event.day <= date(2100, 12, 31)
        if dialect == "immutable":
            return  # it refuses by the time of receipt, which a retry changes
        others = [original] if dialect != "parcelvoy" else []
        if later < DAY or all(any(map(_is_stated, [at, *others])) for at in times):
            assert stored[0] == stored[1]


def _is_stated(value: Any) -> bool:
    return value is not None and not (isinstance(value, str) and not value.strip())
