"""Copying the settings of a postback to another network: names, what is left out, and that nothing is saved."""

import re
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from audience.models import Game
from postbacks.configs import credentials, lifecycle
from postbacks.configs.copying import CopiedSettings, copied_settings
from postbacks.models import CredentialCheck, PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.networks.reddit.imitation import ACCOUNTS as REDDIT_ACCOUNTS
from postbacks.sandbox.server import Sandbox
from tests import factories, hub

BIG = {"property": "value", "op": "gt", "value": "10"}


def goal(event: str, sent_as: str = "", **given: Any) -> dict[str, Any]:
    return {"event": event, "sent_as": sent_as, "once": False, "condition": None, **given}


def copied(network: str, to: str, *goals: dict[str, Any], triggers: tuple[str, ...] = ("purchase",)) -> CopiedSettings:
    config = PostbackConfig(network=network, pixel_id="p", triggers=list(triggers), goals=list(goals))
    return copied_settings(config, NETWORKS[to])


def sent_as(settings: CopiedSettings) -> list[str]:
    return [goal["sent_as"] for goal in settings.goals]


@pytest.mark.parametrize(
    ("network", "to", "event", "before", "after"),
    [
        ("tiktok", "reddit", "sign_up", "CompleteRegistration", "SIGN_UP"),
        ("tiktok", "snapchat", "account_made", "CompleteRegistration", "SIGN_UP"),
        ("reddit", "meta", "email_acquired", "LEAD", "Lead"),
        ("x", "tiktok", "sign_up", "", "CompleteRegistration"),
        ("meta", "x", "sign_up", "CompleteRegistration", ""),
        ("meta", "google", "wishlist_add", "AddToWishlist", ""),
        ("meta", "snapchat", "level_complete", "", "LEVEL_COMPLETE"),
        ("snapchat", "meta", "level_complete", "LEVEL_COMPLETE", ""),
        ("tiktok", "reddit", "viewed", "ViewContent", "VIEW_CONTENT"),
        ("tiktok", "meta", "vip", "Gold player", "Gold player"),
        ("tiktok", "reddit", "vip", "Purchase", "PURCHASE"),
        ("reddit", "snapchat", "vip", "PURCHASE", "PURCHASE"),
        ("tiktok", "custom", "vip", "Gold player", "Gold player"),
        ("tiktok", "x", "vip", "Gold player", ""),
        ("tiktok", "google", "vip", "Gold player", ""),
    ],
)
def test_a_goal_gets_the_other_networks_name(network: str, to: str, event: str, before: str, after: str) -> None:
    assert sent_as(copied(network, to, goal(event, before))) == [after]


def test_a_trigger_event_under_its_usual_name_is_no_sign_up() -> None:
    launch = goal("game_launch", "CompleteRegistration", condition=BIG)
    assert sent_as(copied("tiktok", "reddit", launch)) == [""]
    assert sent_as(copied("tiktok", "meta", launch)) == ["CompleteRegistration"]


def test_conditions_boxes_and_goals_of_the_game_are_kept_and_object_ids_are_not() -> None:
    given = goal("sign_up", "", once=True, condition=BIG, server_only=True, game_goal="g", object_id="ol288")
    (kept,) = copied("x", "tiktok", given).goals
    assert kept == {
        **goal("sign_up", "CompleteRegistration", once=True, condition=BIG),
        "server_only": True,
        "game_goal": "g",
    }


def test_a_trigger_event_of_which_only_the_object_id_is_set_is_a_ticked_one() -> None:
    settings = copied("x", "tiktok", goal("purchase", object_id="ol288"), triggers=("game_launch",))
    assert (settings.triggers, settings.goals) == (["game_launch", "purchase"], [])


def test_what_could_not_be_copied_is_said() -> None:
    assert copied("tiktok", "snapchat", goal("vip", "Gold player", condition=BIG), goal("x", "Subscribe")).notes == [
        "The credential and the pixel code were not copied. Enter those of Snapchat Ads.",
        "Snapchat Ads has no event for “vip, if value is more than 10”: select one, or clear the goal.",
    ]
    assert copied("tiktok", "reddit", goal("x", "Subscribe")).notes[1:] == [
        "“x” was sent as Subscribe. It is sent under its default name here, unless you select another one."
    ]
    assert copied("tiktok", "google", goal("x", "Subscribe"), goal("vip", "Gold player")).notes[1:] == [
        "Enter the Conversion action ID of each event: Google Ads has its own."
    ]
    assert copied("tiktok", "x").notes[1:] == ["Enter the Event ID of each event: X Ads has its own."]
    assert copied("custom", "tiktok").notes == [
        "The credential, the request, the click parameters and the name were not copied. Enter those of TikTok Ads."
    ]


# Pages --------------------------------------------------------------------------------------------


@pytest.fixture
def config(game: Game) -> PostbackConfig:
    goals = [goal("sign_up", "CompleteRegistration", once=True), goal("vip", "Gold player", condition=BIG)]
    return factories.config(game, triggers=["purchase"], goals=goals, enabled=False)


@pytest.mark.django_db
def test_the_menu_of_a_postback_leads_to_the_choice_of_a_network(
    game: Game, config: PostbackConfig, marketer: Client
) -> None:
    url = f"/g/{game.slug}/integrations/tiktok/{config.pk}/copy/"
    assert f'href="{url}"' in marketer.get(f"/g/{game.slug}/integrations/tiktok/").content.decode()
    page = marketer.get(url).content.decode()
    kinds = re.findall(rf'href="/g/{game.slug}/integrations/(\w+)/add/\?copy={config.pk}"', page)
    assert kinds == [kind for kind in NETWORKS if kind != "tiktok"]


@pytest.mark.django_db
def test_the_other_networks_form_is_filled_and_nothing_is_saved(
    game: Game, config: PostbackConfig, marketer: Client
) -> None:
    page = marketer.get(f"/g/{game.slug}/integrations/reddit/add/?copy={config.pk}").content.decode()
    assert re.search(r'name="goals-0-event" value="sign_up"', page)
    assert '<option value="SIGN_UP" selected>' in page
    assert re.search(r'name="goals-1-custom" value="Gold player"', page)
    assert re.search(r'name="goals-1-value" value="10"', page)
    assert re.search(r'name="triggers" value="purchase"[^>]* checked', page)
    assert not re.search(r'name="triggers" value="game_launch"[^>]* checked', page)
    assert not re.search(r'name="enabled"[^>]* checked', page)
    assert "Copied from TikTok Ads" in page
    assert "The credential and the pixel code were not copied. Enter those of Reddit Ads." in page
    assert config.credential["token"] not in page
    assert not re.search(r'name="pixel_id" value', page)
    assert hub.inline_code(page) == []
    assert (PostbackConfig.objects.count(), CredentialCheck.objects.count()) == (1, 0)


@pytest.mark.django_db
def test_the_copy_is_saved_once_its_own_credential_is_validated(
    game: Game, config: PostbackConfig, marketer: Client, sandbox: Sandbox
) -> None:
    url = f"/g/{game.slug}/integrations/reddit/add/?copy={config.pk}"
    given = {"pixel_id": REDDIT_ACCOUNTS.pixel, "credential": "", "triggers": ["purchase"]}
    given |= {"goals-0-event": "sign_up", "goals-0-sent_as": "SIGN_UP", "goals-0-once": "on"}
    assert "This field is required." in marketer.post(url, given).content.decode()
    marketer.post(url, {**given, "credential": REDDIT_ACCOUNTS.token})
    assert PostbackConfig.objects.count() == 1
    credentials.run_check(check_id=str(CredentialCheck.objects.get().pk))
    made = PostbackConfig.objects.get(network="reddit")
    assert (made.goals, made.enabled) == ([goal("sign_up", "SIGN_UP", once=True)], False)
    assert made.credential["token"] == REDDIT_ACCOUNTS.token


@pytest.mark.django_db
def test_a_filled_form_is_saved_although_its_source_was_deleted_meanwhile(
    game: Game, config: PostbackConfig, marketer: Client
) -> None:
    url = f"/g/{game.slug}/integrations/reddit/add/?copy={config.pk}"
    lifecycle.delete(config=config)
    given = {"pixel_id": REDDIT_ACCOUNTS.pixel, "credential": REDDIT_ACCOUNTS.token, "triggers": ["purchase"]}
    assert "/integrations/reddit/checks/" in marketer.post(url, given)["Location"]
    assert marketer.get(url).status_code == 404


@pytest.mark.django_db
def test_a_postback_of_a_network_that_is_no_longer_there_is_not_copied(game: Game, marketer: Client) -> None:
    gone = factories.config(game)
    PostbackConfig.objects.update(network="gone")
    assert marketer.get(f"/g/{game.slug}/integrations/reddit/add/?copy={gone.pk}").status_code == 404


@pytest.mark.django_db
def test_an_unknown_a_deleted_and_another_games_postback_are_404(
    game: Game, other_game: Game, config: PostbackConfig, marketer: Client
) -> None:
    foreign = factories.config(other_game)
    gone = factories.config(game, pixel_id="CGONEGONEGONEGONEGON", deleted_at=config.validated_at)
    for pk in ("x", uuid4(), foreign.pk, gone.pk):
        assert marketer.get(f"/g/{game.slug}/integrations/reddit/add/?copy={pk}").status_code == 404
        if pk != "x":
            assert marketer.get(f"/g/{game.slug}/integrations/tiktok/{pk}/copy/").status_code == 404
    # The postback of another network than that of the address.
    assert marketer.get(f"/g/{game.slug}/integrations/reddit/{config.pk}/copy/").status_code == 404


@pytest.mark.django_db
def test_viewers_cannot_copy(game: Game, config: PostbackConfig, viewer: Client) -> None:
    assert viewer.get(f"/g/{game.slug}/integrations/tiktok/{config.pk}/copy/").status_code == 403
    assert viewer.get(f"/g/{game.slug}/integrations/reddit/add/?copy={config.pk}").status_code == 403
    assert "/copy/" not in viewer.get(f"/g/{game.slug}/integrations/tiktok/").content.decode()
