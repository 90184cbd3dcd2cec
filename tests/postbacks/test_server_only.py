"""Goals that count events from a server key only: what is sent, the reason of the others, and the form."""

import re
from typing import Any

import pytest
from django.test import Client

from audience.digest import queue
from audience.games.keys import create_key
from audience.models import ApiKey, Conversion, Event, Game, KeyKind, Person, Reason
from postbacks.configs.forms import PostbackForm
from postbacks.models import Delivery, PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.outbox import fan_out, goals, reasons
from postbacks.outbox.goals import Goal, GoalRefused
from postbacks.preview import dry_run, preview
from postbacks.reporting import conversion_detail
from tests import factories
from tests.audience import immutable
from tests.postbacks.test_goal_fan_out import happened, told
from tests.postbacks.test_goal_forms import form
from tests.postbacks.test_guide import code, send

pytestmark = pytest.mark.django_db

FROM_SERVER = {"event": "purchase", "server_only": True}
ONCE = {**FROM_SERVER, "once": True}


@pytest.fixture
def player(game: Game) -> Person:
    return factories.person(game, anonymous="anon-1", user="user-1")


def bought(player: Person, *, from_server: bool | None, **given: Any) -> Conversion:
    return happened(player, trigger="purchase", from_server=from_server, **given)


# Fan-out


def test_only_events_with_a_server_key_are_sent(game: Game, player: Person) -> None:
    factories.config(game, triggers=[], goals=[FROM_SERVER])
    own, forged, old = (bought(player, from_server=known) for known in (True, False, None))
    fan_out.fan_out_due()

    assert told(own) == ("waiting", "")
    assert told(forged) == ("skipped", "not_from_server")
    assert told(old) == ("skipped", "not_from_server")


def test_an_unmet_condition_is_recorded_before_a_public_key(game: Game, player: Person) -> None:
    condition = {"property": "value", "op": "gt", "value": "10"}
    factories.config(game, triggers=[], goals=[{**FROM_SERVER, "condition": condition}])
    small = bought(player, from_server=False, properties={"value": 1})
    big = bought(player, from_server=False, properties={"value": 11})
    fan_out.fan_out_due()
    assert [told(small), told(big)] == [("skipped", "filtered"), ("skipped", "not_from_server")]


def test_a_goal_for_any_key_takes_what_a_server_only_goal_before_it_refuses(game: Game, player: Person) -> None:
    factories.config(game, triggers=[], goals=[FROM_SERVER, {"event": "purchase", "sent_as": "AddToCart"}])
    own, other = bought(player, from_server=True), bought(player, from_server=False)
    fan_out.fan_out_due()
    assert [own.deliveries.get().sent_as, other.deliveries.get().sent_as] == ["", "AddToCart"]


def test_an_earlier_event_of_a_public_key_does_not_use_up_once_per_player(game: Game, player: Person) -> None:
    factories.config(game, triggers=[], goals=[ONCE])
    forged = bought(player, from_server=False, minutes_ago=60)
    fan_out.fan_out_due()
    own, second = (bought(player, from_server=True, minutes_ago=minutes) for minutes in (2, 1))
    fan_out.fan_out_due()

    assert told(forged) == ("skipped", "not_from_server")
    assert told(own) == ("waiting", "")
    assert told(second) == ("skipped", "repeat")


def test_an_unsent_event_of_a_public_key_makes_no_repeat_of_the_servers_event(game: Game, player: Person) -> None:
    factories.config(game, triggers=[], goals=[{"event": "purchase", "once": True}])
    forged = bought(player, from_server=False, minutes_ago=50_000)
    fan_out.fan_out_due()
    own, second = (bought(player, from_server=True, minutes_ago=minutes) for minutes in (2, 1))
    fan_out.fan_out_due()

    assert told(forged)[0] == "skipped"
    assert told(own) == ("waiting", "")
    assert told(second) == ("skipped", "repeat")


def test_a_forged_launch_does_not_replace_the_servers_launch(game: Game) -> None:
    factories.config(game, triggers=[], goals=[{"event": "game_launch", "server_only": True}])
    web = create_key(game=game, name="web")
    own = create_key(game=game, name="backend", kind=KeyKind.SERVER)
    immutable.digest(web, immutable.click("anon-1", eventTimestamp=immutable.ago(days=4)))
    immutable.digest(web, immutable.identify("user-1", "anon-1"))
    immutable.digest(web, immutable.launch("user-1", eventTimestamp=immutable.ago(days=2)))
    fan_out.fan_out_due()
    assert [c.reason for c in Conversion.objects.all()] == [Reason.NOT_FROM_SERVER]

    immutable.digest(own, immutable.launch("user-1"))
    fan_out.fan_out_due()
    assert {c.from_server: c.reason for c in Conversion.objects.all()} == {False: Reason.REPEAT_LAUNCH, True: ""}
    assert Delivery.objects.get(state="waiting").conversion == Conversion.objects.get(from_server=True)


# Goals


def test_server_only_is_stored_with_a_goal_only_where_it_is_set() -> None:
    goal = Goal("purchase", server_only=True)
    plain = {"event": "purchase", "sent_as": "", "once": False, "condition": None}
    assert goal.as_json() == {**plain, "server_only": True}
    assert Goal.from_json(goal.as_json()) == goal
    assert str(goal) == "Purchase, only from a server key"
    assert Goal("purchase").as_json() == plain


def test_a_goal_behind_one_that_takes_servers_events_only_is_reached() -> None:
    assert len(goals.parse([FROM_SERVER, {"event": "purchase"}])) == 2
    with pytest.raises(GoalRefused, match="counts every"):
        goals.parse([{"event": "purchase"}, {**FROM_SERVER, "condition": {"property": "value", "op": "exists"}}])
    with pytest.raises(GoalRefused, match="on or off"):
        goals.parse([{"event": "purchase", "server_only": "yes"}])


def test_not_from_server_is_tested_after_the_condition_and_before_the_repeat() -> None:
    place = reasons.ORDER.index
    assert place(Reason.FILTERED) < place(Reason.NOT_FROM_SERVER) < place(Reason.REPEAT)


# The form


def test_a_box_makes_the_trigger_event_count_from_a_server_key_only() -> None:
    filled = form(triggers=["game_launch", "purchase"], server_only=["purchase"])
    assert filled.is_valid(), filled.errors
    assert filled.cleaned_data["triggers"] == ["game_launch"]
    assert filled.cleaned_data["goals"] == [Goal("purchase", server_only=True).as_json()]
    assert "server_only" not in filled.cleaned_data


def test_the_box_is_ticked_again_when_the_postback_is_edited(game: Game) -> None:
    own = {"event": "level_up", "sent_as": "", "once": True, "condition": None, "server_only": True}
    kept = [own, Goal("purchase", server_only=True).as_json()]
    shown = PostbackForm(initial={"triggers": ["game_launch"], "goals": kept}, editing=True, network=NETWORKS["tiktok"])

    assert shown.initial["triggers"] == ["game_launch", "purchase"]
    assert shown.initial["server_only"] == ["purchase"]
    assert [row["server_only"].value() for row in shown.rows.forms[:2]] == [True, None]
    assert [row["event"].value() for row in shown.rows.forms[:2]] == ["level_up", None]


def test_a_box_without_its_event_is_refused() -> None:
    filled = form(triggers=["game_launch"], server_only=["purchase"])
    assert filled.errors == {"server_only": ["Select the trigger event above too, or clear it here."]}


def test_a_box_behind_a_goal_that_takes_everything_is_refused() -> None:
    filled = form({"event": "purchase"}, triggers=["purchase"], server_only=["purchase"])
    assert filled.errors == {
        "server_only": ["Goal 1 already counts “purchase” with this condition."],
    }


def test_a_row_counts_from_a_server_key_only() -> None:
    filled = form({"event": "level_up", "server_only": "on"})
    assert filled.is_valid(), filled.errors
    assert filled.cleaned_data["goals"] == [Goal("level_up", server_only=True).as_json()]


# What the pages say


def test_a_dry_run_and_a_preview_show_what_a_server_only_goal_refuses(game: Game, player: Person) -> None:
    config = factories.config(game, triggers=["purchase"], goals=[])
    forged = bought(player, from_server=False)
    bought(player, from_server=True)
    proposed = PostbackConfig(game=game, network="tiktok", pixel_id=config.pixel_id, triggers=[], goals=[FROM_SERVER])

    run = dry_run.run(proposed=proposed, current=config)
    assert (run.sent, run.sent_before) == (1, 2)
    assert [(line.reason, line.count, line.before) for line in run.reasons] == [(Reason.NOT_FROM_SERVER, 1, 0)]
    assert preview.build_preview(forged, proposed, addresses=True).reason == Reason.NOT_FROM_SERVER


def page(client: Client, conversion: Conversion) -> str:
    url = f"/g/{conversion.game.slug}/conversions/{conversion.pk}/"
    return re.sub(r"<[^>]+>|\s+", " ", client.get(url).content.decode()).replace("  ", " ")


def test_the_page_of_a_purchase_shows_its_key_and_origin(game: Game, marketer: Client) -> None:
    key = create_key(game=game, name="Website")
    immutable.send(key, immutable.purchase("user-1"), Origin="https://game.example")
    queue.drain()
    conversion, event = Conversion.objects.get(), Event.objects.get()
    sender = conversion_detail.load_detail(conversion, addresses=True).sender
    assert (sender.key, sender.origin) == (key.key, "https://game.example")
    shown = " ".join(page(marketer, conversion).split())
    assert f"Website {key.key.prefix}… , publishable key, Immutable Audience. Public: anyone who opens" in shown
    assert "Origin https://game.example" in shown
    opened = marketer.get(f"/g/{game.slug}/events/{event.day}/{event.pk}/").content.decode()
    assert "publishable key (public)" in " ".join(opened.split())
    assert "https://game.example" in opened


@pytest.mark.parametrize(
    ("key_id", "from_server", "description"),
    [
        (9_999, True, "A deleted server key"),
        (9_999, False, "A deleted key"),
        (None, None, "Not recorded. The event is older than this record, and counts as sent with a public key"),
    ],
)
def test_the_page_of_a_purchase_says_that_its_key_is_unknown_or_deleted(
    player: Person, key_id: int | None, from_server: bool | None, description: str
) -> None:
    conversion = bought(player, from_server=from_server, key_id=key_id)
    assert (
        conversion_detail.load_detail(
            conversion_detail.with_details(Conversion.objects.filter(pk=conversion.pk)).get(), addresses=True
        ).sender.description
        == description
    )
    assert not ApiKey.objects.exists()


def test_the_origin_is_shown_after_the_key_was_deleted(player: Person) -> None:
    conversion = bought(player, from_server=False, key_id=9_999, origin="https://game.example")
    assert conversion_detail.sender_of(conversion, None).origin == "https://game.example"


def test_the_guide_has_real_purchases_come_with_a_server_key(game: Game, marketer: Client) -> None:
    shown = marketer.get(f"/g/{game.slug}/start/").content.decode()
    assert "Report real purchases from your own server" in " ".join(shown.split())
    assert "x-immutable-api-key: YOUR_SERVER_KEY" in shown


def test_the_guides_purchase_of_a_server_counts_as_from_a_server(game: Game, marketer: Client) -> None:
    key = create_key(game=game, name="backend", kind=KeyKind.SERVER)
    command = code(marketer.get(f"/g/{game.slug}/start/").content.decode(), "server")
    answer = send(Client(), command.replace("YOUR_SERVER_KEY", key.value))
    assert answer.json() == {"success": True, "accepted": 1, "rejected": 0, "rejections": []}
    queue.drain()
    assert Conversion.objects.get().from_server is True
