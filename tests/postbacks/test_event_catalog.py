"""The event catalog with its goals: which goals count an event, which never can, and the pages."""

from typing import Any

import pytest
from auditlog.models import LogEntry
from django.test import Client

from audience.catalog.descriptions import describe_event
from audience.catalog.figures import EventKey, last_days, track
from audience.games.keys import NewKey, create_key
from audience.models import DescribedEvent, Dialect, EventCount, Game, PropertyCount, PropertyType, Role
from postbacks.configs import game_goals
from postbacks.models import PostbackConfig
from postbacks.outbox.goals import Goal
from postbacks.reporting.catalog import events
from postbacks.reporting.catalog.events import CatalogEvent, EventDetails
from tests import factories, hub
from tests.audience.immutable import message, page, purchase
from tests.audience.test_event_counts import count

pytestmark = pytest.mark.django_db
LEVEL = {"property": "level", "op": "gte", "value": "5"}


@pytest.fixture
def marketer(game: Game) -> Client:
    return hub.member(game, Role.MARKETER)


@pytest.fixture
def viewer(game: Game) -> Client:
    return hub.member(game, Role.VIEWER)


def listed(game: Game, **given: Any) -> dict[str, CatalogEvent]:
    return {row.title: row for row in events.list_events(game=game, period=last_days(7), **given).events}


def details(game: Game, name: str) -> EventDetails:
    return events.event_details(game=game, key=track(name), period=last_days(7))


def sentences(row: CatalogEvent) -> list[str]:
    return [check.sentence for check in row.checks]


def with_goal(game: Game, condition: dict[str, Any] | None = None, **given: Any) -> PostbackConfig:
    goal = {"event": "level_up", "sent_as": "", "once": False, "condition": condition}
    return factories.config(game, triggers=[], goals=[goal], **given)


# Figures and goals


def test_the_list_has_what_is_sent_counted_by_goals_and_described(key: NewKey, game: Game) -> None:
    with_goal(game)
    game_goals.add(game=game, name="VIP", definition=Goal("purchase", once=True), added_by=None)
    describe_event(game=game, name="won", description="The game was won.", required={}, described_by=None)
    count(key, *(message() for _ in range(3)), purchase("u"), page("a"))
    rows = listed(game)

    assert list(rows) == ["sign_in", "Page", "purchase", "level_up", "won"]
    assert [(row.number, row.is_predefined, row.is_described, row.becomes_conversion) for row in rows.values()] == [
        (3, True, False, False),
        (1, False, False, False),
        (1, True, False, True),
        (0, False, False, True),
        (0, False, True, False),
    ]
    assert [use.label for use in rows["level_up"].uses] == ["“level_up”"]
    assert [(use.label, use.config) for use in rows["purchase"].uses] == [("“VIP”", None)]
    assert (rows["won"].description, rows["sign_in"].description) == ("The game was won.", "The player signed in.")
    assert sentences(rows["level_up"]) == [
        "The goal “level_up” counts level_up, which the game did not send in this period."
    ]


def test_the_list_is_searched_and_filtered(key: NewKey, game: Game) -> None:
    describe_event(
        game=game, name="won", description="A match was WON.", required={"x": PropertyType.ANY}, described_by=None
    )
    count(key, message(), message(eventName="won"), message(eventName="lost"))

    assert list(listed(game, search="match")) == ["won"]
    assert list(listed(game, search="LOS")) == ["lost"]
    assert list(listed(game, only_with_checks=True)) == ["won"]
    assert listed(game, search="nothing") == {}


def test_test_events_are_listed_apart_and_without_goals_that_are_not_sent(
    key: NewKey, sandbox_key: NewKey, game: Game
) -> None:
    with_goal(game)
    count(key, message())
    count(sandbox_key, message(eventName="tried"))
    tested = events.list_events(game=game, period=last_days(7, test=True)).events

    assert [(row.title, row.number) for row in tested] == [("tried", 1)]
    assert "tried" not in listed(game)


def test_other_names_are_counted(key: NewKey, game: Game) -> None:
    count(key, message(eventName="ada@player.example"), message())

    assert events.list_events(game=game, period=last_days(7)).others == 1
    assert list(listed(game)) == ["sign_in"]


@pytest.mark.parametrize(
    ("condition", "properties", "sentence"),
    [
        (LEVEL, {"level": 3}, ""),
        (LEVEL, {"level": "3"}, ""),
        (LEVEL, {}, "reads the property level, which no level_up event has. It never counts."),
        (LEVEL, {"level": None}, "reads the property level, which no level_up event has. It never counts."),
        (LEVEL, {"level": True}, "compares the property level, which has no value that can be compared in any "),
        (LEVEL, {"level": [5]}, "compares the property level, which has no value that can be compared in any "),
        ({"property": "level", "op": "eq", "value": "true"}, {"level": True}, ""),
        ({"property": "level", "op": "exists"}, {"level": [5]}, ""),
        ({"property": "cart.total", "op": "gt", "value": "1"}, {"cart": {"total": 5}}, ""),
        ({"property": "cart.total", "op": "gt", "value": "1"}, {"cart": {"sum": 5}}, "reads the property cart.total"),
        ({"property": "a.b.c", "op": "gt", "value": "1"}, {"a": {"b": {"c": 5}}}, ""),
        ({"property": "a.b.c", "op": "gt", "value": "1"}, {"a": {"x": 1}}, "reads the property a.b.c"),
        ({"property": "value", "op": "gt", "value": "1"}, {"revenue": 5, "currency": "USD"}, ""),
        ({"property": "value", "op": "gt", "value": "1"}, {"currency": "USD"}, "reads the property value"),
    ],
)
def test_a_goal_that_can_never_count_is_named(
    key: NewKey, game: Game, condition: dict[str, Any], properties: dict[str, Any], sentence: str
) -> None:
    with_goal(game, condition)
    count(key, message(eventName="level_up", properties=properties))
    found = [text for text in sentences(listed(game)["level_up"]) if text.startswith("The goal ")]

    assert [sentence in text for text in found] == ([True] if sentence else [])


def test_the_details_of_an_event_have_its_properties_keys_and_goals(key: NewKey, game: Game) -> None:
    config = with_goal(game, LEVEL)
    describe_event(game=game, name="level_up", description="", required={"world": PropertyType.TEXT}, described_by=None)
    count(key, *(message(eventName="level_up", properties=one) for one in ({"level": 1}, {"level": "2", "x": ""}, {})))
    found = details(game, "level_up")

    rows = {row.path: row for row in found.properties}
    assert list(rows) == ["level", "world", "x"]
    assert (rows["level"].filled, round(rows["level"].share, 3)) == (2, 0.667)
    assert dict(rows["level"].types) == {PropertyType.NUMBER: 1, PropertyType.TEXT: 1}
    assert [use.config for use in rows["level"].uses] == [config]
    assert (rows["x"].filled, rows["x"].empty, rows["x"].types) == (0, 1, [])
    assert (rows["world"].is_required, rows["world"].expected, rows["world"].filled) == (True, (PropertyType.TEXT,), 0)
    assert [(one.key, one.library, one.number) for one in found.senders] == [("web", "my-studio-backend", 3)]
    assert found.described == DescribedEvent.objects.get()
    assert "No level_up event has world." in sentences(found.event)


def test_an_event_that_was_never_sent_has_empty_details(game: Game) -> None:
    found = details(game, "purchase")

    assert (found.event.number, found.last_at, found.senders) == (0, None, [])
    assert [row.path for row in found.properties if row.is_required] == ["currency", "value"]


# Pages


def text(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200
    found = answer.content.decode()
    assert hub.inline_code(found) == []
    return hub.normalized_html(found)


def test_the_empty_page_names_the_next_step(game: Game, viewer: Client) -> None:
    found = text(viewer, f"/g/{game.slug}/catalogue/")

    assert "No events yet" in found
    assert f'href="/g/{game.slug}/start/"' in found
    assert "<code>achievement_unlocked</code>" in found
    assert "Describe an event" not in found


def test_the_page_lists_events_with_their_warnings(key: NewKey, game: Game, marketer: Client) -> None:
    with_goal(game, enabled=False)
    count(key, *(purchase("u", properties={"value": 5}) for _ in range(2)), message(eventName="Level Up"))
    found = text(marketer, f"/g/{game.slug}/catalogue/")

    assert "2 purchases without a currency." in found
    assert "“Level Up” differs from “level_up” only in case or separators." in found
    assert f'href="/g/{game.slug}/catalogue/event/?name=Level+Up"' in found
    assert f'href="/g/{game.slug}/catalogue/describe/"' in found
    assert "TikTok Ads, off" in found
    only = text(marketer, f"/g/{game.slug}/catalogue/?warnings=1&range=30d")
    assert "2 purchases without a currency." in only
    assert f'href="/g/{game.slug}/catalogue/event/?name=Level+Up&amp;range=30d"' in only
    nothing = text(marketer, f"/g/{game.slug}/catalogue/?q=zebra")
    assert "No events found" in nothing


def test_the_page_of_an_event_shows_its_figures(key: NewKey, game: Game, marketer: Client) -> None:
    with_goal(game, LEVEL)
    count(key, *(message(eventName="level_up", properties={"level": number}) for number in (1, 2)))
    count(key, message(eventName="level_up"))
    found = text(marketer, f"/g/{game.slug}/catalogue/event/?name=level_up")

    assert "<code>level</code>" in found
    assert '66.7%<span class="second">2</span>' in found
    assert "Read by the goal “level_up, if level is at least 5”" in found
    assert "my-studio-backend" in found
    assert f"/g/{game.slug}/catalogue/describe/?name=level_up" in found
    kind = text(marketer, f"/g/{game.slug}/catalogue/event/?kind=page")
    assert "The event was not sent in this period." in kind
    assert "describe" not in kind
    answer = marketer.get(f"/g/{game.slug}/catalogue/event/")
    assert (answer.status_code, answer["Location"]) == (302, f"/g/{game.slug}/catalogue/")


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "a/b?c=d&e#f", "..", "%s %(x)s", "{{ x }}", "x" * 256, "ü 🎮"]
)
def test_a_hostile_name_is_shown_and_has_a_page(key: NewKey, game: Game, marketer: Client, name: str) -> None:
    count(key, message(eventName=name, properties={name[:100]: 1}))
    page_of = [row for row in events.list_events(game=game, period=last_days(7)).events if row.key.name == name]
    assert len(page_of) == 1
    text(marketer, f"/g/{game.slug}/catalogue/")
    answer = marketer.get(f"/g/{game.slug}/catalogue/event/", {"name": name})
    assert answer.status_code == 200
    assert answer.context["row"].title == name
    assert answer.context["row"].number == 1
    assert "<script>alert" not in answer.content.decode()


def test_an_address_in_a_name_is_masked_for_viewers(game: Game, viewer: Client, marketer: Client) -> None:
    """Names with addresses are not counted, but a member may have entered one."""
    describe_event(
        game=game,
        name="mail of ada@player.example",
        description="For bob@player.example.",
        required={},
        described_by=None,
    )
    url = f"/g/{game.slug}/catalogue/"

    assert "mail of a…@player.example" in text(viewer, url)
    assert "For b…@player.example." in text(viewer, url)
    assert "mail of ada@player.example" in text(marketer, url)


def test_a_marketer_describes_an_event_and_deletes_the_description(game: Game, marketer: Client) -> None:
    url = f"/g/{game.slug}/catalogue/describe/"
    sent = {"name": "won", "description": "A match was won.", "required": "level: Number\n\n world \ncart.total: list"}
    answer = marketer.post(url, sent, follow=True)
    assert "The description of won was saved." in answer.content.decode()
    row = DescribedEvent.objects.get()
    assert (row.game, row.required, row.updated_by.username) == (
        *(game, ["cart.total: list", "level: number", "world: any"]),
        f"marketer-of-{game.slug}",
    )
    form = text(marketer, f"{url}?name=won")
    assert "level: number" in form
    changed = marketer.post(f"{url}?name=won", {**sent, "description": "Changed.", "version": "1"}, follow=True)
    assert "Changed." in changed.content.decode()
    stale = marketer.post(f"{url}?name=won", {**sent, "description": "Mine.", "version": "1"})
    assert "was changed by someone else" in stale.content.decode()
    assert DescribedEvent.objects.get().description == "Changed."

    marketer.post(f"/g/{game.slug}/catalogue/forget/", {"name": "won"})
    assert not DescribedEvent.objects.exists()
    page_of_log = hub.member(game, Role.ADMIN).get(f"/g/{game.slug}/audit-log/").content.decode()
    assert "Event description" in page_of_log
    assert [entry.action for entry in LogEntry.objects.filter(content_type__model="describedevent").order_by("pk")] == [
        *(LogEntry.Action.CREATE, LogEntry.Action.UPDATE, LogEntry.Action.DELETE)
    ]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"name": ""}, "Enter the name of the event."),
        ({"required": "level: integer"}, "“integer” is not a type."),
        ({"description": "", "required": ""}, "Enter a description or a required property."),
        ({"required": f"{'x' * 101}: text"}, "A property has 1 to 100 characters."),
    ],
)
def test_an_invalid_description_is_refused_with_a_sentence(
    game: Game, marketer: Client, changes: dict[str, str], problem: str
) -> None:
    sent = {"name": "won", "description": "A match was won.", "required": "level: number", **changes}
    answer = marketer.post(f"/g/{game.slug}/catalogue/describe/", sent)

    assert problem in answer.content.decode()
    assert not DescribedEvent.objects.exists()


def test_a_viewer_cannot_describe(game: Game, viewer: Client) -> None:
    for url in ("describe", "forget"):
        answer = viewer.post(f"/g/{game.slug}/catalogue/{url}/", {"name": "won", "description": "x"})
        assert answer.status_code == 403
    assert not DescribedEvent.objects.exists()


def test_the_pages_read_counts_and_no_events(
    key: NewKey, game: Game, marketer: Client, django_assert_max_num_queries: Any
) -> None:
    app = create_key(game=game, name="app", dialect=Dialect.RUDDERSTACK)
    assert app.key.pk
    day = last_days(1).last
    named = {"game": game, "day": day, "test": False, "kind": "track", "number": 1}
    EventCount.objects.bulk_create(EventCount(**named, name=f"n{n}", last_at="2026-11-01T00:00Z") for n in range(60))
    PropertyCount.objects.bulk_create(
        PropertyCount(**named, name=f"n{n}", path=f"p{m}", type="text") for n in range(60) for m in range(20)
    )
    for url in ("", "event/?name=n1"):
        with django_assert_max_num_queries(25) as queries:
            text(marketer, f"/g/{game.slug}/catalogue/{url}")
        assert not any('audience_event"' in query["sql"] for query in queries.captured_queries)
    assert EventKey("track", "n1") in {row.key for row in events.list_events(game=game, period=last_days(1)).events}
