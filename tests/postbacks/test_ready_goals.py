"""Ready-made goals in the form of a postback: what each network is offered, and what a selected one is saved as."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from audience.models import Game
from postbacks.configs import goal_choices
from postbacks.configs.forms import PostbackForm
from postbacks.models import PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.networks.interface.ready_goals import READY_GOALS
from tests import factories, hub
from tests.postbacks.test_goal_forms import row

COMPLETE = {"property": "status", "op": "eq", "value": "complete"}


def form(*rows: dict[str, str], network: str = "tiktok") -> Any:
    data: dict[str, Any] = {"pixel_id": factories.PIXELS[network], "enabled": "on", "triggers": ["purchase"]}
    accounts = factories.ACCOUNTS[network]
    for part in NETWORKS[network].credential_fields:
        data[part.form_name] = accounts.stored_credential().get(part.name, "")
    for name, object_id in accounts.object_ids.items():
        data[f"object_id_{name}"] = object_id
    for number, one in enumerate(rows):
        data |= row(number, **one)
    return PostbackForm(data, network=NETWORKS[network])


def goals(form: Any) -> list[dict[str, Any]]:
    assert form.is_valid(), (form.errors, [row.problems for row in form.rows.forms])
    return [goal for goal in form.cleaned_data["goals"] if goal["event"] != "purchase"]


def test_a_selected_goal_fills_the_row() -> None:
    assert goals(form({"use": "ready:sign_up:0"}, {"use": "ready:level:1"})) == [
        {"event": "sign_up", "sent_as": "CompleteRegistration", "once": True, "condition": None},
        {"event": "progression", "sent_as": "", "once": False, "condition": COMPLETE},
    ]


def test_what_is_entered_beside_it_stays() -> None:
    entered = {"use": "ready:sign_up:0", "event": "account_made", "sent_as": "Subscribe"}
    own = {"use": "ready:level:1", "event": "level_up"}
    custom = {"use": "ready:achievement:0", "custom": "Badge", "path": "rank", "op": "gt", "value": "3"}
    assert goals(form(entered, own, custom)) == [
        {"event": "account_made", "sent_as": "Subscribe", "once": True, "condition": None},
        {"event": "level_up", "sent_as": "", "once": False, "condition": None},
        {
            "event": "achievement_unlocked",
            "sent_as": "Badge",
            "once": False,
            "condition": {"property": "rank", "op": "gt", "value": "3"},
        },
    ]


@pytest.mark.parametrize("kind", NETWORKS)
def test_every_offered_goal_can_be_saved_on_its_network(kind: str) -> None:
    ids = list(factories.ACCOUNTS[kind].object_ids.values())
    for value, ready, event in goal_choices.offered(NETWORKS[kind]):
        given = {"use": value, **({"object_id": ids[0]} if ids else {})}
        (goal,) = goals(form(given, network=kind))
        key = next(key for key, known in READY_GOALS.items() if known is ready)
        assert (goal["event"], goal["once"]) == (event.name, ready.once)
        assert goal["sent_as"] == NETWORKS[kind].ready_goals[key]
        assert goal["condition"] == event.condition


def test_google_refuses_one_without_its_conversion_action_and_x_saves_it_unmapped() -> None:
    refused = form({"use": "ready:sign_up:0"}, network="google")
    assert not refused.is_valid()
    assert refused.rows.forms[0].problems[0].startswith("Enter the Conversion action ID.")
    assert goals(form({"use": "ready:sign_up:0"}, network="x")) == [
        {"event": "sign_up", "sent_as": "", "once": True, "condition": None}
    ]


def test_a_goal_that_the_network_has_no_event_for_is_not_offered_and_refused() -> None:
    offered = {value for value, _, _ in goal_choices.offered(NETWORKS["snapchat"])}
    assert "ready:email_acquired:0" not in offered
    refused = form({"use": "ready:email_acquired:0"}, network="snapchat")
    assert refused.errors == {"goals": ["Check goal 1."]}
    assert refused.rows.forms[0].problems == ["Select one of the offered goals."]


@pytest.mark.parametrize(
    ("kind", "notes"),
    [
        (
            "snapchat",
            [
                "Snapchat Ads has no event for these, so they are not offered: email address given. Select a name "
                "from Snapchat's list. For your own events, use Custom event 1 to 5."
            ],
        ),
        (
            "reddit",
            [
                "Reddit Ads has no standard event for these, so they are sent under their own names: tutorial "
                "completed, level completed, achievement unlocked, subscription started."
            ],
        ),
        ("google", ["Each goal needs its own Conversion action ID."]),
        ("custom", []),
    ],
)
def test_the_form_says_what_the_network_has_no_event_for(kind: str, notes: list[str]) -> None:
    assert goal_choices.notes(NETWORKS[kind]) == notes


def test_the_document_names_every_event_and_every_standard_name() -> None:
    lines = (Path(__file__).resolve().parents[2] / "docs" / "goals.md").read_text().replace("\n  ", " ").splitlines()
    for key, ready in READY_GOALS.items():
        (line,) = [line for line in lines if line.startswith(f"- **{ready.label}**")]
        assert [event.name for event in ready.events if f"`{event.name}`" not in line] == []
        names = {NETWORKS[kind].ready_goals[key] for kind in ("tiktok", "meta", "reddit", "snapchat")}
        assert [name for name in names if name and name not in line] == []


@pytest.mark.django_db
def test_a_saved_one_is_shown_as_an_ordinary_row_to_edit(game: Game, marketer: Client) -> None:
    config = factories.config(game)
    url = f"/g/{game.slug}/integrations/tiktok/{config.pk}/edit/"
    page = hub.normalized_html(marketer.get(url).content.decode())
    assert '<option value="ready:sign_up:0">Sign-up: sign_up as Complete registration</option>' in page
    label = "Level completed: progression, if status is complete</option>"
    assert f'<option value="ready:level:1">{label}' in page
    assert (
        "TikTok Ads has no standard event for these, so they are sent under their own names: tutorial completed" in page
    )
    data = {"pixel_id": config.pixel_id, "enabled": "on", "triggers": ["purchase"], **row(0, use="ready:level:1")}
    assert marketer.post(url, data)["Location"] == f"/g/{game.slug}/integrations/tiktok/"
    assert PostbackConfig.objects.get().goals == [
        {"event": "progression", "sent_as": "", "once": False, "condition": COMPLETE}
    ]
    page = hub.normalized_html(marketer.get(url).content.decode())
    assert 'name="goals-0-event" value="progression"' in page
    assert 'name="goals-0-value" value="complete"' in page
    assert '<option value="ready:level:1" selected>' not in page


# Filling the row before saving --------------------------------------------------------------------


@pytest.fixture
def fill(game: Game) -> str:
    return f"/g/{game.slug}/integrations/tiktok/goal-row/"


@pytest.mark.django_db
def test_a_selected_goal_fills_the_row_at_once_and_nothing_is_saved(fill: str, marketer: Client) -> None:
    html = hub.normalized_html(marketer.post(f"{fill}?row=2", row(2, use="ready:sign_up:1")).content.decode())
    assert html.startswith('<fieldset class="goal"')
    assert "<legend>Goal 3</legend>" in html
    assert 'name="goals-2-event" value="Signed Up"' in html
    assert '<option value="CompleteRegistration" selected>' in html
    assert 'name="goals-2-once" autocomplete' not in html
    assert "checked" in html
    assert '<option value="" selected>A goal that is entered here</option>' in html
    assert "errorlist" not in html
    assert not PostbackConfig.objects.exists()


@pytest.mark.django_db
def test_it_keeps_what_is_entered(fill: str, marketer: Client) -> None:
    entered = row(0, use="ready:level:1", event="level_up", sent_as="custom", custom="<Level>")
    html = hub.normalized_html(marketer.post(f"{fill}?row=0", entered).content.decode())
    assert 'name="goals-0-event" value="level_up"' in html
    assert 'name="goals-0-custom" value="&lt;Level&gt;"' in html
    assert 'complete"' not in html


@pytest.mark.django_db
def test_another_choice_changes_nothing(fill: str, game: Game, marketer: Client, viewer: Client) -> None:
    for use in ("", "game:1", "ready:none:0", "ready:sign_up:9"):
        assert marketer.post(f"{fill}?row=0", row(0, use=use)).status_code == 204
    email = row(0, use="ready:email_acquired:0")
    assert marketer.post(f"/g/{game.slug}/integrations/snapchat/goal-row/?row=0", email).status_code == 204
    for number in ("", "x", "-1", "100", "99", "²"):
        assert marketer.post(f"{fill}?row={number}", row(0, use="ready:sign_up:0")).status_code == 404
    assert marketer.get(f"{fill}?row=0").status_code == 405
    assert viewer.post(f"{fill}?row=0", row(0, use="ready:sign_up:0")).status_code == 403
