"""Validating a batch: warnings, the conversion and the goals of each message, without storing anything."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.apps import apps
from django.utils import timezone

from audience.catalog.descriptions import describe_event
from audience.games.keys import NewKey, create_key, revoke_key
from audience.models import Dialect, Game, KeyKind, PropertyType
from audience.models.goals import add_goal_events
from postbacks.configs import game_goals
from postbacks.outbox.goals import Goal
from postbacks.preview.batch_validation import ValidatedMessage, validate_batch
from tests import factories
from tests.audience.immutable import message, purchase
from tests.audience.test_event_counts import count
from tests.audience.wire import compact_json

pytestmark = pytest.mark.django_db
AT_LEAST_50 = {"property": "value", "op": "gte", "value": "50"}


def validated(game: Game, *messages: Any, **given: Any) -> list[ValidatedMessage]:
    body = compact_json({"messages": list(messages)})
    given = given or {"dialect": Dialect.IMMUTABLE}
    return list(validate_batch(game=game, body=body, **given).messages)


def everything() -> dict[str, list[Any]]:
    models = [
        model for name in ("audience", "postbacks", "consent") for model in apps.get_app_config(name).get_models()
    ]
    return {model._meta.label: list(model.objects.order_by("pk").values()) for model in models}  # type: ignore[attr-defined]


def test_it_answers_as_the_route_and_stores_nothing(key: NewKey, game: Game) -> None:
    factories.config(game)
    before = everything()
    body = compact_json({"messages": [message(), {}, purchase("u")]})
    result = validate_batch(game=game, key=key.key, body=body)

    assert everything() == before
    assert result.status == 200
    assert '"accepted":2,"rejected":1' in result.answer
    assert [one.checked.status.value for one in result.messages] == ["accepted", "rejected", "accepted"]
    rejected = result.messages[1]
    assert {error.code for error in rejected.checked.errors} == {"MISSING_REQUIRED_FIELD"}
    assert (rejected.warnings, rejected.conversion, rejected.ignored) == ((), None, ())


def test_a_purchase_has_its_amount_and_the_goals_that_would_count_it(game: Game) -> None:
    plain = factories.config(game, triggers=["purchase"])
    vip = {"event": "purchase", "sent_as": "Subscribe", "once": False, "condition": AT_LEAST_50}
    rich = factories.config(game, network="reddit", triggers=["purchase"], goals=[vip])
    off = factories.config(game, network="snapchat", triggers=["purchase"], enabled=False)
    server = {"event": "purchase", "sent_as": "", "once": False, "condition": None, "server_only": True}
    trusted = factories.config(game, network="tiktok", pixel_id="C" * 20, triggers=[], goals=[server])
    game_goals.add(game=game, name="Unused", definition=Goal("purchase"), added_by=None)
    [found] = validated(game, purchase("u", properties={"value": 60, "currency": "usd", "transaction_id": "T-1"}))

    conversion = found.conversion
    assert conversion is not None
    amounts = (conversion.trigger, conversion.value, conversion.currency, conversion.order_id)
    assert amounts == ("purchase", Decimal("60.00"), "USD", "T-1")
    assert (conversion.problem, conversion.reason) == ("", "")
    assert [(match.use.config, str(match.use.goal), match.reason) for match in conversion.goals] == [
        (plain, "Purchase", ""),
        (rich, "Purchase, if value is at least 50, as Subscribe", ""),
        (rich, "Purchase", "An earlier goal of this postback counts the event."),
        (off, "Purchase", "The postback was disabled for this event"),
        (trusted, "Purchase, only from a server key", "The goal counts only events that were sent with a server key"),
        (None, "Purchase", "No postback uses this goal."),
    ]
    [small] = validated(game, purchase("u", properties={"value": 10, "currency": "USD"}))
    assert small.conversion is not None
    assert [match.counts for match in small.conversion.goals] == [True, False, True, False, False, False]
    key = create_key(game=game, name="backend", kind=KeyKind.SERVER)
    [sent] = validated(game, purchase("u"), key=key.key)
    assert sent.conversion is not None
    assert [match.counts for match in sent.conversion.goals] == [True, False, True, False, True, False]


@pytest.mark.parametrize(
    ("properties", "problem", "reason"),
    [
        ({"value": 5}, "no currency", ""),
        ({"value": -5, "currency": "USD"}, "a negative amount", "A negative amount is a refund, not a purchase"),
        ({}, "", ""),
    ],
)
def test_an_amount_that_cannot_be_sent_is_explained(
    game: Game, properties: dict[str, Any], problem: str, reason: str
) -> None:
    [found] = validated(game, purchase("u", properties=properties))

    assert found.conversion is not None
    assert (found.conversion.value, found.conversion.problem, found.conversion.reason) == (None, problem, reason)
    assert len(found.warnings) == 1


def test_a_test_event_would_never_be_sent(game: Game, sandbox_key: NewKey) -> None:
    for given in ({"dialect": Dialect.IMMUTABLE}, {"key": sandbox_key.key}):
        [found] = validated(game, purchase("u", test=True), **given)
        assert found.conversion is not None
        assert found.conversion.reason == "Test traffic is never sent"


def test_only_events_that_goals_count_become_conversions(game: Game) -> None:
    add_goal_events(game=game, names=["level_up"])
    found = validated(game, message(eventName="level_up"), message(eventName="won"), message(eventName="game_launch"))

    assert [one.conversion is not None for one in found] == [True, False, True]


def test_the_warnings_are_those_of_the_catalog(key: NewKey, game: Game) -> None:
    describe_event(game=game, name="won", description="", required={"level": PropertyType.NUMBER}, described_by=None)
    count(key, message(eventName="won", properties={"level": 1, "world": "forest"}))
    found = validated(
        game,
        message(eventName="won", properties={"world": 5}),
        message(eventName="Won"),
        purchase("u", properties={"value": "5"}),
    )

    assert [[check.sentence for check in one.warnings] for one in found] == [
        ["No won event has level.", "world is a number. In other won events it is text."],
        ["“Won” differs from “won” only in case or separators. They are counted as different events."],
        ["1 purchase without a currency.", "1 purchase in which value is text, not a number. Send amounts as numbers."],
    ]


def test_the_click_and_unfilled_macros_of_a_message_are_named(game: Game) -> None:
    context = {"library": "web", "libraryVersion": "1", "pageUrl": "https://game.example/?ttclid=T1"}
    unfilled = {**context, "pageUrl": "https://game.example/?ttclid=__CLICKID__"}
    clicked, macro = validated(game, message(context=context), message(context=unfilled))

    assert (clicked.click, clicked.ignored) == ("tiktok", [])
    assert (macro.click, macro.ignored) == ("", ["ttclid=__CLICKID__ is a macro that the ad network did not replace."])


def test_a_duplicate_is_named(key: NewKey, game: Game) -> None:
    one = purchase("u")
    count(key, one)
    [found] = validated(game, one, key=key.key)

    assert found.checked.status.value == "duplicate"


def test_a_key_that_cannot_send_events_is_refused(
    game: Game, other_game: Game, key: NewKey, secret_key: NewKey
) -> None:
    foreign, revoked = create_key(game=other_game, name="theirs"), create_key(game=game, name="old")
    revoke_key(key=revoked.key)
    ended = create_key(game=game, name="ended").key
    ended.expires_at = timezone.now() - timedelta(days=1)
    for given, sentence in (
        ({"key": foreign.key}, "The key belongs to another game."),
        ({"key": revoked.key}, "The key was revoked or has expired."),
        ({"key": ended}, "The key was revoked or has expired."),
        ({"key": secret_key.key}, "A secret key sends no events."),
        ({"key": key.key, "dialect": Dialect.PARCELVOY}, "The key’s format is Immutable Audience."),
        ({"key": None}, "Select a key or a format."),
        ({"dialect": Dialect.IMMUTABLE, "route": "batch"}, "Immutable Audience has no route “batch”."),
    ):
        with pytest.raises(ValueError, match=sentence):
            validated(game, message(), **given)


def test_the_number_of_queries_does_not_depend_on_the_number_of_names(
    game: Game, django_assert_max_num_queries: Any
) -> None:
    batch = [{"type": "track", "event": f"event {number}", "anonymousId": "a"} for number in range(500)]
    with django_assert_max_num_queries(30):
        result = validate_batch(game=game, body=compact_json({"batch": batch}), dialect=Dialect.RUDDERSTACK)

    assert [one.checked.status.value for one in result.messages] == ["accepted"] * 500
