"""The page Goals, its forms, and goals of the game in the form of a postback."""

import re
from typing import Any
from uuid import uuid4

import pytest
from auditlog.models import LogEntry
from django.test import Client

from audience.models import Game, Role
from postbacks.configs import game_goals
from postbacks.models import GameGoal, PostbackConfig
from postbacks.outbox.goals import Goal
from tests import factories, hub
from tests.postbacks.test_goal_forms import row

pytestmark = pytest.mark.django_db
AT_LEAST_50 = {"property": "value", "op": "gte", "value": "50"}
VIP = {"name": "VIP", "event": "purchase", "path": "value", "op": "gte", "value": "50", "once": "on"}


@pytest.fixture
def url(game: Game) -> str:
    return f"/g/{game.slug}/goals/"


@pytest.fixture
def goal(game: Game) -> GameGoal:
    definition = Goal.from_json({"event": "purchase", "condition": AT_LEAST_50, "once": True})
    return game_goals.add(game=game, name="VIP", definition=definition, added_by=None)


def used(goal: GameGoal, **given: Any) -> dict[str, Any]:
    return {**Goal.from_json(goal.definition).as_json(), **given}


def text(client: Client, url: str) -> str:
    return hub.normalized_html(client.get(url).content.decode())


def test_the_empty_page_says_what_a_goal_is_for(url: str, marketer: Client, viewer: Client) -> None:
    page = text(marketer, url)
    assert "No goals yet" in page
    assert f'href="{url}add/"' in page
    assert hub.inline_code(page) == []
    page = text(viewer, url)
    assert "Marketers and admins of the game can add one." in page
    assert "add/" not in page


def test_a_goal_is_added_listed_and_recorded(url: str, game: Game, marketer: Client) -> None:
    answer = marketer.post(url + "add/", {**VIP, "name": " VIP "}, follow=True)
    assert "VIP was saved. Select it in the form of each postback that should send it." in answer.content.decode()
    goal = GameGoal.objects.get()
    assert (goal.game, goal.name, goal.event, goal.condition, goal.once) == (
        *(game, "VIP", "purchase", AT_LEAST_50),
        True,
    )
    assert goal.created_by.username == f"marketer-of-{game.slug}"
    page = text(marketer, url)
    assert "<span>Purchase, if value is at least 50, once per player</span>" in page
    assert "No postbacks yet" in page
    entry = LogEntry.objects.get(content_type__model="gamegoal")
    assert (entry.action, entry.actor, entry.additional_data) == (0, goal.created_by, {"game": game.pk})
    admin = hub.member(game, Role.ADMIN)
    assert re.search(
        r'Created <span class="muted">Goal</span>', admin.get(f"/g/{game.slug}/audit-log/").content.decode()
    )


@pytest.mark.parametrize(
    ("changes", "field", "problem"),
    [
        ({"name": ""}, "name", "This field is required."),
        ({"name": "x" * 65}, "name", "Ensure this value has at most 64 characters (it has 65)."),
        ({"name": "a\x00"}, "name", "Null characters are not allowed."),
        ({"event": " "}, "event", "Enter the name of the event."),
        ({"event": "x" * 101}, "event", "An event name has at most 100 characters."),
        ({"op": ""}, "op", "Select one of the offered operators."),
        ({"op": "like"}, "op", "Select one of the offered operators."),
        ({"path": ""}, "path", "Enter the property that the condition reads."),
        ({"value": "ten"}, "value", "Enter a number: “is at least” compares numbers."),
    ],
)
def test_a_mistake_is_shown_at_its_field_and_nothing_is_saved(
    url: str, marketer: Client, changes: dict[str, str], field: str, problem: str
) -> None:
    answer = marketer.post(url + "add/", {**VIP, **changes})
    assert answer.context["form"].errors == {field: [problem]}
    assert problem in answer.content.decode()
    assert not GameGoal.objects.exists()


def test_a_ready_made_goal_fills_the_form(url: str, marketer: Client) -> None:
    page = text(marketer, url + "add/?ready=ready:level:1")
    assert 'name="name" value="Level completed"' in page
    assert 'name="event" value="progression"' in page
    assert 'name="path" value="status"' in page
    assert '<option value="eq" selected>is</option>' in page
    assert '<option value="ready:level:1" selected>Level completed: progression, if status is complete</option>' in page
    assert 'name="event" required' not in page
    assert marketer.get(url + "add/?ready=ready:none:7").status_code == 200


def test_a_change_says_how_many_postbacks_changed(url: str, game: Game, goal: GameGoal, marketer: Client) -> None:
    config = factories.config(game, triggers=[], goals=[used(goal, sent_as="Subscribe")])
    page = text(marketer, f"{url}{goal.pk}/edit/")
    assert f'Used by<a href="/g/{game.slug}/integrations/tiktok/">TikTok Ads {config.pixel_id}</a>' in page
    assert 'name="value" value="50"' in page
    answer = marketer.post(f"{url}{goal.pk}/edit/", {**VIP, "value": "99", "version": "1"}, follow=True)
    assert "VIP was saved. 1 postback changed with it." in answer.content.decode()
    config.refresh_from_db()
    assert (config.goals[0]["condition"]["value"], config.version) == ("99", 2)
    page = text(marketer, f"/g/{game.slug}/integrations/tiktok/{config.pk}/history/")
    assert "Goal of this game changed: VIP" in page
    assert f"marketer-of-{game.slug}@studio.example" in page


def test_a_form_that_is_out_of_date_is_refused(url: str, goal: GameGoal, marketer: Client) -> None:
    marketer.post(f"{url}{goal.pk}/edit/", {**VIP, "value": "99", "version": "1"})
    for version in ("1", "", "0", "x"):
        answer = marketer.post(f"{url}{goal.pk}/edit/", {**VIP, "value": "10", "version": version})
        assert answer.status_code == 200
    answer = marketer.post(f"{url}{goal.pk}/edit/", {**VIP, "value": "10", "version": "1"})
    assert "This goal was changed by someone else, so nothing was saved." in answer.content.decode()
    goal.refresh_from_db()
    assert (goal.condition["value"], goal.version) == ("99", 2)


def test_a_change_that_a_network_does_not_take_is_shown_in_the_form(
    url: str, game: Game, goal: GameGoal, marketer: Client
) -> None:
    config = factories.config(game, network="snapchat", triggers=[], goals=[used(goal)])
    answer = marketer.post(f"{url}{goal.pk}/edit/", {**VIP, "event": "vip", "version": "1"})
    problem = (
        f"Snapchat Ads {config.pixel_id} cannot use the goal with this change. Goal 1: Snapchat Ads does not accept "
        "an event named “vip”."
    )
    assert problem in answer.content.decode()
    goal.refresh_from_db()
    assert goal.event == "purchase"


def test_a_goal_in_use_lists_its_postbacks_instead_of_a_button(
    url: str, game: Game, goal: GameGoal, marketer: Client
) -> None:
    config = factories.config(game, goals=[used(goal)])
    for answer in (marketer.get(f"{url}{goal.pk}/delete/"), marketer.post(f"{url}{goal.pk}/delete/")):
        page = answer.content.decode()
        assert f"/g/{game.slug}/integrations/tiktok/{config.pk}/edit/" in page
        assert "Delete goal</button>" not in page
    assert GameGoal.objects.count() == 1
    config.goals = []
    config.save()
    assert "Delete goal</button>" in marketer.get(f"{url}{goal.pk}/delete/").content.decode()
    answer = marketer.post(f"{url}{goal.pk}/delete/", follow=True)
    assert "The goal VIP was deleted." in answer.content.decode()
    assert not GameGoal.objects.exists()
    actions = LogEntry.objects.filter(content_type__model="gamegoal").values_list("action", flat=True)
    assert set(actions) == {LogEntry.Action.CREATE, LogEntry.Action.DELETE}


def test_a_postback_of_a_network_that_is_no_longer_there_stops_nothing(
    url: str, game: Game, goal: GameGoal, marketer: Client
) -> None:
    factories.config(game, goals=[used(goal)])
    PostbackConfig.objects.update(network="gone")
    assert "No postbacks yet" in text(marketer, url)
    answer = marketer.post(f"{url}{goal.pk}/edit/", {**VIP, "value": "99", "version": "1"})
    assert answer["Location"] == url


def test_viewers_see_goals_and_change_none(url: str, game: Game, goal: GameGoal, viewer: Client) -> None:
    page = text(viewer, url)
    assert "VIP" in page
    assert "/edit/" not in page
    for path in ("add/", f"{goal.pk}/edit/", f"{goal.pk}/delete/"):
        assert viewer.get(url + path).status_code == viewer.post(url + path, VIP).status_code == 403
    assert (GameGoal.objects.count(), goal.version) == (1, 1)


def test_another_games_and_an_unknown_goal_are_404(url: str, game: Game, other_game: Game, marketer: Client) -> None:
    definition = Goal.from_json({"event": "purchase"})
    foreign = game_goals.add(game=other_game, name="Theirs", definition=definition, added_by=None)
    for pk in (foreign.pk, uuid4()):
        for path in (f"{pk}/edit/", f"{pk}/delete/"):
            assert marketer.get(url + path).status_code == marketer.post(url + path, VIP).status_code == 404
    assert "Theirs" not in text(marketer, url)
    assert GameGoal.objects.get().name == "Theirs"


# The form of a postback ---------------------------------------------------------------------------


@pytest.fixture
def form(game: Game) -> str:
    return f"/g/{game.slug}/integrations/tiktok/{factories.config(game).pk}/edit/"


def posted(*rows: dict[str, str]) -> dict[str, Any]:
    fields: dict[str, Any] = {"pixel_id": factories.PIXELS["tiktok"], "enabled": "on", "triggers": ["game_launch"]}
    for number, one in enumerate(rows):
        fields |= row(number, **one)
    return fields


def test_a_postback_uses_a_goal_of_the_game_under_its_networks_name(
    form: str, url: str, game: Game, goal: GameGoal, marketer: Client
) -> None:
    choice = f"game:{goal.pk}"
    label = "VIP (Purchase, if value is at least 50, once per player)"
    assert f'<option value="{choice}">{label}</option>' in text(marketer, form)
    marketer.post(form, posted({"use": choice, "sent_as": "Subscribe"}))
    config = PostbackConfig.objects.get()
    assert config.goals == [used(goal, sent_as="Subscribe")]
    page = text(marketer, form)
    assert f'<option value="{choice}" selected>' in page
    assert '<option value="Subscribe" selected>' in page
    assert 'name="goals-0-event" value' not in page
    assert f"TikTok Ads {config.pixel_id}" in text(marketer, url)
    # Saving the form as it is shown changes nothing.
    marketer.post(form, posted({"use": choice, "sent_as": "Subscribe"}))
    config.refresh_from_db()
    assert config.version == 2


def test_a_row_with_a_goal_of_the_game_has_no_definition_of_its_own(
    form: str, goal: GameGoal, marketer: Client
) -> None:
    for extra in ({"event": "purchase"}, {"path": "x", "op": "exists"}, {"once": "on"}, {"server_only": "on"}):
        answer = marketer.post(form, posted({"use": f"game:{goal.pk}", **extra}))
        assert "This row uses a goal of this game. Clear the event name, the condition and the checkboxes" in (
            answer.content.decode()
        )
    assert PostbackConfig.objects.get().version == 1


def test_a_cleared_row_no_longer_uses_the_goal(form: str, goal: GameGoal, marketer: Client) -> None:
    marketer.post(form, posted({"use": f"game:{goal.pk}", "sent_as": "Subscribe"}))
    marketer.post(form, posted({}))
    assert PostbackConfig.objects.get().goals == []


def test_a_goal_of_another_game_is_neither_offered_nor_taken(form: str, other_game: Game, marketer: Client) -> None:
    definition = Goal.from_json({"event": "purchase", "condition": AT_LEAST_50})
    foreign = game_goals.add(game=other_game, name="Theirs", definition=definition, added_by=None)
    assert "Theirs" not in text(marketer, form)
    answer = marketer.post(form, posted({"use": f"game:{foreign.pk}"}))
    assert "Select one of the offered goals." in answer.content.decode()
    assert PostbackConfig.objects.get().goals == []


def test_the_dry_run_of_a_form_counts_the_goal_of_the_game(
    form: str, game: Game, goal: GameGoal, marketer: Client
) -> None:
    factories.conversion(factories.person(game), properties={"value": 60, "currency": "USD"})
    config = PostbackConfig.objects.get()
    trial = f"/g/{game.slug}/integrations/tiktok/{config.pk}/dry-run/"
    answer = marketer.post(trial, posted({"use": f"game:{goal.pk}", "sent_as": "Subscribe"}))
    assert answer.status_code == 200
    assert answer.context["problems"] == []
