"""Goals in the form: rows become goals, invalid rows have errors, and goals become rows."""

import re
from typing import Any

import pytest
from django.test import Client

from audience.models import Game, GoalEvent
from postbacks.configs import credentials
from postbacks.configs.forms import PostbackForm
from postbacks.models import CredentialCheck, PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.networks.reddit.imitation import ACCOUNTS as REDDIT_ACCOUNTS
from postbacks.networks.tiktok.imitation import ACCOUNTS as TIKTOK_ACCOUNTS
from postbacks.sandbox.server import Sandbox
from tests import factories, hub

HTMX = {"HX-Request": "true"}
BIG = {
    "event": "purchase",
    "sent_as": "Subscribe",
    "once": True,
    "condition": {"property": "cart.total", "op": "gt", "value": "10"},
}


def row(number: int, **given: str) -> dict[str, str]:
    """What a browser posts of one row."""
    blank = {"event": "", "sent_as": "", "custom": "", "path": "", "op": "", "value": ""}
    return {f"goals-{number}-{name}": value for name, value in {**blank, **given}.items()}


def posted(*rows: dict[str, str], **given: Any) -> dict[str, Any]:
    """The whole form with these rows."""
    fields = {"pixel_id": TIKTOK_ACCOUNTS.pixel, "credential": TIKTOK_ACCOUNTS.token, "enabled": "on", **given}
    for number, one in enumerate(rows):
        fields |= row(number, **one)
    return fields


def form(*rows: dict[str, str], network: str = "tiktok", **given: Any) -> Any:
    pixel = {"tiktok": TIKTOK_ACCOUNTS.pixel, "reddit": REDDIT_ACCOUNTS.pixel}[network]
    return PostbackForm(posted(*rows, **{"pixel_id": pixel, **given}), network=NETWORKS[network])


# Rows ---------------------------------------------------------------------------------------------


def test_filled_rows_become_goals_and_blank_rows_are_ignored() -> None:
    filled = form(
        {"event": " purchase ", "sent_as": "Subscribe", "once": "on", "path": "cart.total", "op": "gt", "value": "10"},
        {},
        {"event": "tutorial_done", "sent_as": "custom", "custom": "Tutorial"},
        {"event": "level_up", "path": "region", "op": "in", "value": "EU, US ,"},
        {"event": "sign_up", "path": "email", "op": "exists"},
    )
    assert filled.is_valid(), filled.errors
    plain = {"sent_as": "", "once": False, "condition": None}
    assert filled.cleaned_data["goals"] == [
        BIG,
        {**plain, "event": "tutorial_done", "sent_as": "Tutorial"},
        {**plain, "event": "level_up", "condition": {"property": "region", "op": "in", "value": ["EU", "US"]}},
        {**plain, "event": "sign_up", "condition": {"property": "email", "op": "exists"}},
    ]
    assert filled.cleaned_data["triggers"] == []


def test_a_goal_for_every_event_of_an_order_is_a_row_and_not_a_ticked_event() -> None:
    goal = {"event": "purchase", "sent_as": "", "once": False, "condition": None, "repeat_orders": True}
    filled = form({"event": "purchase", "repeat_orders": "on"})
    assert filled.is_valid(), filled.errors
    assert (filled.cleaned_data["goals"], filled.cleaned_data["triggers"]) == ([goal], [])
    stored = PostbackForm(network=NETWORKS["tiktok"], initial={"goals": [goal]})
    assert stored.rows.forms[0].initial["repeat_orders"] is True
    assert stored.initial["triggers"] == []


def test_a_typed_custom_name_is_used_without_selecting_it() -> None:
    filled = form({"event": "tutorial_done", "custom": "Tutorial"})
    assert filled.is_valid()
    assert filled.cleaned_data["goals"][0]["sent_as"] == "Tutorial"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"once": "on"}, "Enter the name of the event."),
        ({"event": "x" * 101}, "An event name has at most 100 characters."),
        ({"event": "a", "op": "like"}, "Select one of the offered operators."),
        ({"event": "a", "op": "gt", "value": "1"}, "Enter the property that the condition reads."),
        ({"event": "a", "path": "x"}, "Select one of the offered operators."),
        ({"event": "a", "path": "x", "op": "gt"}, "Enter the value to compare with."),
        ({"event": "a", "path": "x", "op": "in", "value": " , "}, "Enter the value to compare with."),
        ({"event": "a", "path": "x", "op": "gte", "value": "ten"}, "Enter a number: “is at least” compares numbers."),
        ({"event": "a", "sent_as": "custom"}, "Enter the custom name."),
        (
            {"event": "a", "sent_as": "Search", "custom": "b"},
            "Select “A custom name” or clear the custom name.",
        ),
        ({"event": "a", "custom": "x" * 51}, f"TikTok Ads does not accept an event named “{'x' * 51}”."),
        ({"event": "a", "custom": "naïve"}, "TikTok Ads does not accept an event named “naïve”."),
        ({"event": "größer"}, "TikTok Ads does not accept an event named “größer”."),
    ],
)
def test_an_invalid_row_shows_the_reason(given: dict[str, str], problem: str) -> None:
    refused = form({"event": "fine"}, given, triggers=["purchase"])
    assert not refused.is_valid()
    assert refused.errors == {"goals": ["Check goal 2."]}
    (said,) = refused.rows.forms[1].problems
    assert said.startswith(problem)
    assert refused.rows.forms[0].problems == []


def test_a_goal_twice_is_refused_at_the_second_row() -> None:
    same = {"event": "a", "path": "x", "op": "gt", "value": "1"}
    refused = form(same, {}, same)
    assert refused.errors == {"goals": ["Check goal 3."]}
    assert refused.rows.forms[2].problems == ["This goal is the same as goal 1."]


def test_more_than_twenty_goals_are_refused_at_the_rows_beyond() -> None:
    refused = form(*[{"event": f"e{number}"} for number in range(21)])
    assert refused.errors == {"goals": ["Check goal 21."]}
    assert refused.rows.forms[20].problems == ["A postback has at most 20 goals."]


@pytest.mark.parametrize("rows", [[], [{}, {}]])
def test_a_form_without_trigger_and_goal_shows_the_error_at_the_triggers(rows: list[dict[str, str]]) -> None:
    assert form(*rows).errors == {"triggers": ["Select at least one trigger event."]}


def test_reddit_takes_a_custom_name_of_64_characters() -> None:
    assert form({"event": "a", "custom": "x" * 64}, network="reddit", credential="a.b.c").is_valid()


# Pages --------------------------------------------------------------------------------------------


@pytest.fixture
def url(game: Game) -> str:
    return f"/g/{game.slug}/integrations/tiktok/"


@pytest.mark.django_db
def test_a_new_form_offers_three_blank_rows_and_the_networks_names(url: str, marketer: Client) -> None:
    page = marketer.get(url + "add/").content.decode()
    assert re.findall(r"<legend>(Goal \d+)</legend>", page) == ["Goal 1", "Goal 2", "Goal 3"]
    assert '<option value="CompletePayment">Complete payment</option>' in page
    assert '<option value="custom">A custom name</option>' in page
    assert "TikTok cannot optimize for custom events" in page
    assert re.search(r'<details class="disclosure">\s*<summary>More goals</summary>', page)
    assert hub.inline_code(page) == []


@pytest.mark.django_db
def test_goals_are_saved_with_the_check_followed_and_listed(
    url: str, game: Game, marketer: Client, sandbox: Sandbox
) -> None:
    rows = [
        {"event": "purchase", "sent_as": "Subscribe", "once": "on", "path": "cart.total", "op": "gt", "value": "10"},
        {"event": "tutorial_done"},
    ]
    marketer.post(url + "add/", posted(*rows))
    check = CredentialCheck.objects.get()
    assert check.goals == [BIG, {"event": "tutorial_done", "sent_as": "", "once": False, "condition": None}]
    assert not GoalEvent.objects.exists()
    credentials.run_check(check_id=str(check.pk))
    config = PostbackConfig.objects.get()
    assert (config.goals, config.triggers) == (check.goals, [])
    assert list(GoalEvent.objects.values_list("game", "name")) == [(game.pk, "tutorial_done")]
    page = hub.normalized_html(marketer.get(url).content.decode())
    label = "Purchase, if cart.total is more than 10, once per player, as Subscribe"
    assert f'<span class="badge">{label}</span><span class="badge">tutorial_done</span>' in page


@pytest.mark.django_db
def test_the_form_shows_the_goals_of_a_postback_and_three_blank_rows(url: str, game: Game, marketer: Client) -> None:
    config = factories.config(game, goals=[BIG, {"event": "tutorial_done", "sent_as": "Tutorial"}])
    page = marketer.get(f"{url}{config.pk}/edit/").content.decode()
    assert len(re.findall(r"<legend>Goal \d+</legend>", page)) == 5
    assert re.search(r'<details class="disclosure" open>\s*<summary>More goals</summary>', page)
    assert '<option value="Subscribe" selected>' in page
    assert '<option value="gt" selected>' in page
    assert re.search(r'name="goals-0-path" value="cart.total"', page)
    assert re.search(r'name="goals-0-once"[^>]* checked', page)
    assert re.search(r'name="goals-1-custom" value="Tutorial"', page)


@pytest.mark.django_db
def test_editing_goals_needs_no_check_and_a_cleared_row_is_removed(url: str, game: Game, marketer: Client) -> None:
    config = factories.config(game, triggers=["purchase"], goals=[BIG, {"event": "tutorial_done"}])
    given = posted({}, {"event": "tutorial_done"}, {"event": "level_up"}, credential="", triggers=["purchase"])
    assert marketer.post(f"{url}{config.pk}/edit/", given)["Location"] == url
    config.refresh_from_db()
    assert [goal["event"] for goal in config.goals] == ["tutorial_done", "level_up"]
    assert config.version == 2
    assert not CredentialCheck.objects.exists()
    assert set(GoalEvent.objects.values_list("name", flat=True)) == {"tutorial_done", "level_up"}


@pytest.mark.django_db
def test_a_client_that_posts_no_rows_leaves_the_goals_as_they_are(url: str, game: Game, marketer: Client) -> None:
    config = factories.config(game, triggers=["purchase"], goals=[BIG])
    marketer.post(f"{url}{config.pk}/edit/", posted(credential="", triggers=["game_launch"]))
    config.refresh_from_db()
    assert (config.goals, config.triggers) == ([BIG], ["game_launch"])


@pytest.mark.django_db
def test_a_refusal_of_the_network_brings_the_goals_back(
    url: str, game: Game, marketer: Client, sandbox: Sandbox
) -> None:
    marketer.post(url + "add/", posted({"event": "tutorial_done", "custom": "Tutorial"}, credential="0" * 40))
    check = CredentialCheck.objects.get()
    credentials.run_check(check_id=str(check.pk))
    page = marketer.get(f"{url}add/?check={check.pk}").content.decode()
    assert re.search(r'name="goals-0-event" value="tutorial_done"', page)
    assert re.search(r'name="goals-0-custom" value="Tutorial"', page)


@pytest.mark.django_db
@pytest.mark.parametrize("headers", [{}, HTMX])
def test_an_error_is_shown_at_its_row_and_nothing_is_saved(url: str, marketer: Client, headers: Any) -> None:
    given = posted({"event": "fine"}, {"event": "a", "path": "x", "op": "gt", "value": "ten"}, {})
    page = hub.normalized_html(marketer.post(url + "add/", given, headers=headers).content.decode())
    at_rows = dict(re.findall(r'<div id="(goals-\d)_errors"[^>]*>(.*?)</div>', page))
    assert at_rows == {
        "goals-0": "",
        "goals-1": '<ul class="errorlist"><li>Enter a number: “is more than” compares numbers.</li></ul>',
        "goals-2": "",
    }
    assert "Check goal 2." in page
    assert not CredentialCheck.objects.exists()
    assert not PostbackConfig.objects.exists()
    if not headers:
        assert re.search(r'name="goals-1-value" value="ten"', page)
