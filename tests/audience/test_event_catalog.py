"""The event catalog: figures of a period, soft checks, predefined events, and descriptions of a studio's own events."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from auditlog.models import LogEntry

from audience.catalog import checks, descriptions, figures, predefined
from audience.catalog.checks import CheckCode
from audience.catalog.descriptions import DescriptionRefused, describe_event, forget_description
from audience.catalog.figures import EventFigures, EventKey, last_days, track
from audience.catalog.similar_names import similar_names
from audience.games.keys import NewKey, revoke_key
from audience.models import ApiKey, DescribedEvent, Event, Game, PropertyType
from audience.models.described_events import MAX_DESCRIPTION
from tests.audience.immutable import message, page, purchase
from tests.audience.test_event_counts import count
from tests.test_help_documents import rows

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 4, 8, 12, tzinfo=UTC)
NUMBER, TEXT, ANY = PropertyType.NUMBER, PropertyType.TEXT, PropertyType.ANY


def read(game: Game, name: str = "sign_in", *, days: int = 30, test: bool = False) -> EventFigures:
    return figures.read_one(game=game, key=track(name), period=last_days(days, test=test))


def sentences(game: Game, name: str, required: dict[str, PropertyType] | None = None) -> list[str]:
    return [check.sentence for check in checks.of_event(read(game, name), required)]


# Figures


def test_the_figures_of_a_period_are_those_of_its_days(key: NewKey, game: Game) -> None:
    for days, properties in ((40, {"a": 1}), (6, {"a": "x"}), (0, {})):
        with time_machine.travel(NOW - timedelta(days=days), tick=False):
            count(key, message(eventTimestamp=(NOW - timedelta(days=days)).isoformat(), properties=properties))
    with time_machine.travel(NOW, tick=False):
        found = {days: read(game, days=days) for days in (1, 6, 7, 30)}
        assert {days: one.number for days, one in found.items()} == {1: 1, 6: 1, 7: 2, 30: 2}
        assert found[1].properties == {}
        assert found[7].properties["a"].types == {TEXT: 1}
        assert (found[7].last_at, found[7].properties["a"].share_of(2)) == (NOW, 0.5)
        assert figures.last_sent(game=game, key=track("sign_in")) == NOW
        assert figures.names(game=game, period=last_days(1)) == [track("sign_in")]


def test_the_figures_of_all_events_have_those_of_each(key: NewKey, game: Game) -> None:
    count(key, purchase("u", properties={"value": "5"}), page("a"), message(properties={"x": None}), message(test=True))
    found = figures.read_all(game=game, period=last_days(1))

    assert set(found) == {track("purchase"), track("sign_in"), EventKey("page", "")}
    assert found[track("purchase")] == read(game, "purchase")
    assert found[track("purchase")].problems == {"no_currency": 1}
    assert (found[track("sign_in")].number, found[track("sign_in")].properties["x"].empty) == (1, 1)
    assert read(game, test=True).number == 1
    assert read(game, "unknown") == EventFigures(track("unknown"))


def test_another_game_has_figures_of_its_own(key: NewKey, other_game: Game) -> None:
    count(key, message())

    assert figures.read_all(game=other_game, period=last_days(1)) == {}
    assert figures.senders(game=other_game, key=track("sign_in"), period=last_days(1)) == []


def test_the_senders_of_an_event_have_the_names_of_their_keys(key: NewKey, game: Game) -> None:
    count(key, message(), message(), message(context={"library": "unity", "libraryVersion": "2"}))
    revoke_key(key=key.key)
    found = figures.senders(game=game, key=track("sign_in"), period=last_days(1))
    assert [(one.key, one.library, one.version, one.number) for one in found] == [
        ("web", "my-studio-backend", "1.0.0", 2),
        ("web", "unity", "2", 1),
    ]

    ApiKey.objects.all().delete()
    deleted = figures.senders(game=game, key=track("sign_in"), period=last_days(1))
    assert {one.key for one in deleted} == {"A deleted key"}


def test_a_single_event_has_figures_like_a_counted_one(key: NewKey, game: Game) -> None:
    count(key, message(properties={"a": 1, "b": {"c": ""}, "d": [1]}))
    one, counted = figures.of_event(Event.objects.get()), read(game)

    assert (one.key, one.number, one.properties) == (counted.key, 1, counted.properties)


# Checks


def test_purchases_without_an_amount_or_currency_are_named_with_their_number(key: NewKey, game: Game) -> None:
    sent: list[dict[str, Any]] = [*([{"value": 5}] * 3), {"value": "12", "currency": "USD"}, {"currency": "USD"}]
    sent += [{"value": "1,234", "currency": "USD"}, {"value": -1, "currency": "USD"}, {"value": 1, "currency": "GOLD"}]
    count(key, *(purchase("u", properties=one) for one in sent))

    assert sentences(game, "purchase") == [
        "1 purchase without an amount.",
        "3 purchases without a currency.",
        "1 purchase with a currency that is not in ISO 4217.",
        "1 purchase with an amount that cannot be read.",
        "1 purchase with a negative amount, which is a refund.",
        "2 purchases in which value is text, not a number. Send amounts as numbers.",
    ]


def test_a_missing_property_of_a_predefined_event_is_named(key: NewKey, game: Game) -> None:
    count(key, message(eventName="wishlist_add", properties={"game_id": 5}), message(eventName="wishlist_add"))
    count(key, message(eventName="milestone_reached"), message(eventName="scroll_depth", properties={"depth": True}))

    assert sentences(game, "wishlist_add") == ["1 wishlist_add event without game_id."]
    assert sentences(game, "milestone_reached") == ["No milestone_reached event has name."]
    assert sentences(game, "scroll_depth") == [
        "1 scroll_depth event in which depth is true or false, not a number or text."
    ]


def test_a_property_with_several_types_is_named(key: NewKey, game: Game) -> None:
    count(key, *(message(properties={"level": one, "note": "x"}) for one in (1, 2, "3", None)))

    [check] = checks.of_event(read(game))
    assert check.sentence == "level has several types: a number in 2 and text in 1 sign_in events."
    assert (check.code, check.path, check.number) == (CheckCode.SEVERAL_TYPES, "level", 1)


def test_required_properties_of_a_description_are_checked(key: NewKey, game: Game) -> None:
    count(key, message(properties={"level": "x", "world": "forest", "note": ""}), message(properties={"level": 2}))

    assert sentences(game, "sign_in", {"level": NUMBER, "world": ANY, "note": TEXT, "coupon": ANY}) == [
        "1 sign_in event in which level is text, not a number.",
        "1 sign_in event without world.",
        "No sign_in event has note.",
        "No sign_in event has coupon.",
    ]


def test_a_property_beyond_the_limit_is_not_called_missing(key: NewKey, game: Game) -> None:
    count(key, message(eventName="wishlist_add", properties={f"p{number:03}": 1 for number in range(150)} | {"z": 1}))
    found = checks.of_event(read(game, "wishlist_add"))

    assert [check.code for check in found] == [CheckCode.TOO_MANY]


def test_names_that_differ_in_case_or_separators_are_named() -> None:
    sent = [track(name) for name in ("Purchase", "level_up", "levelUp", "won", "!", "?")] + [EventKey("page", "")]
    found = similar_names(sent, {"purchase", "level-up"})

    different = "only in case or separators. They are counted as different events."
    assert {key.name: [one.sentence for one in listed] for key, listed in found.items()} == {
        "Purchase": [
            f"“Purchase” differs from “purchase” {different} Only “purchase” becomes a conversion without a goal."
        ],
        "level_up": [f"“level_up” differs from “level-up” and “levelUp” {different}"],
        "levelUp": [f"“levelUp” differs from “level-up” and “level_up” {different}"],
    }


def test_of_many_similar_names_the_expected_and_a_few_others_are_listed() -> None:
    sent = [track(f"level{'_' * number}up") for number in range(500)]
    found = similar_names(sent, {"levelUp"})

    different = "only in case or separators. They are counted as different events."
    assert len(found) == 500
    [check] = found[sent[0]]
    assert (
        check.sentence
        == f"“levelup” differs from “levelUp”, “{sent[499].name}”, “{sent[498].name}” and 497 more {different}"
    )
    assert sum(len(check.sentence) for checks in found.values() for check in checks) < 1_000_000


def test_a_type_that_no_earlier_event_had_is_named(key: NewKey, game: Game) -> None:
    count(key, message(properties={"level": 1}), message(properties={"level": "2"}), message(properties={"x": None}))
    one = EventFigures(track("sign_in"), 1)
    for path, kind in (("level", "list"), ("x", "text"), ("new", "text")):
        one.add_property(path, kind, 1)

    [check] = checks.unlike(one, read(game))
    assert check.sentence == "level is a list. In other sign_in events it is a number or text."


def test_messages_of_other_kinds_have_no_checks(key: NewKey, game: Game) -> None:
    count(key, page("a", properties={"value": 1}), page("a", properties={"value": "x"}))
    found = figures.read_one(game=game, key=EventKey("page", ""), period=last_days(1))

    assert checks.of_event(found) == []


# Predefined events


def test_the_predefined_events_are_those_of_the_document() -> None:
    documented: dict[str, str] = {}
    for names, properties in rows("events", "Predefined events of Immutable Audience"):
        documented |= dict.fromkeys(re.findall(r"\w+", names), properties)
    stated = {name: re.findall(r"\w+\??", properties) for name, properties in documented.items()}
    known = {
        name: [f"{one.name}{'' if one.required else '?'}" for one in event.properties]
        for name, event in predefined.EVENTS.items()
    }
    assert known == stated


# Descriptions


def entries() -> list[Any]:
    return list(LogEntry.objects.filter(content_type__model="describedevent").order_by("pk"))


def describe(game: Game, **changes: Any) -> DescribedEvent:
    fields = {"name": "level_up", "description": "A level was reached.", "required": {"level": NUMBER}}
    return describe_event(game=game, described_by=None, **{**fields, **changes})


def test_a_description_is_stored_with_one_audit_entry(game: Game) -> None:
    row = describe(
        game, name=" level_up ", description="A level\n was  reached.", required={"world": ANY, "level": NUMBER}
    )

    stored = DescribedEvent.objects.get()
    assert (stored, stored.game, stored.name, stored.description) == (row, game, "level_up", "A level was reached.")
    assert stored.required == ["level: number", "world: any"]
    assert stored.required_types == {"level": NUMBER, "world": ANY}
    assert descriptions.description_of(game=game, name="level_up") == row
    [entry] = entries()
    assert (entry.action, entry.additional_data) == (LogEntry.Action.CREATE, {"game": game.pk})


def test_a_change_is_recorded_and_saving_the_same_is_none(game: Game) -> None:
    first = describe(game)
    assert describe(game).version == first.version == 1
    assert describe(game, description="Better.", version=1).version == 2

    assert [entry.action for entry in entries()] == [
        LogEntry.Action.CREATE,
        LogEntry.Action.UPDATE,
    ]
    assert entries()[-1].changes == {"description": ["A level was reached.", "Better."]}


@pytest.mark.parametrize("version", [0, 2])
def test_a_change_of_a_version_that_is_not_current_is_refused(game: Game, version: int) -> None:
    describe(game)
    with pytest.raises(DescriptionRefused, match="was changed by someone else"):
        describe(game, description="Mine.", version=version)
    assert DescribedEvent.objects.get().description == "A level was reached."


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 257}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"description": "x" * (MAX_DESCRIPTION + 1)}, "description"),
        ({"description": "", "required": {}}, "description"),
        ({"required": {"": ANY}}, "required"),
        ({"required": {" x": ANY}}, "required"),
        ({"required": {"x" * 101: ANY}}, "required"),
        ({"required": {f"p{number}": ANY for number in range(51)}}, "required"),
    ],
)
def test_an_invalid_description_is_refused_and_nothing_is_stored(
    game: Game, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(DescriptionRefused) as refused:
        describe(game, **changes)
    assert refused.value.field == field
    assert not DescribedEvent.objects.exists()
    assert entries() == []


def test_a_game_has_a_limited_number_of_descriptions(game: Game, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptions, "MAX_DESCRIBED", 1)
    describe(game)
    with pytest.raises(DescriptionRefused, match="A game has at most 1 descriptions."):
        describe(game, name="won")
    assert describe(game, description="Changed.").version == 2


def test_forgetting_a_description_is_recorded_and_concerns_one_game(game: Game, other_game: Game) -> None:
    describe(game)
    describe(other_game)
    assert forget_description(game=game, name="level_up") is True
    assert forget_description(game=game, name="level_up") is False

    assert [row.game for row in DescribedEvent.objects.all()] == [other_game]
    entry = entries()[-1]
    assert (entry.action, entry.additional_data) == (LogEntry.Action.DELETE, {"game": game.pk})
