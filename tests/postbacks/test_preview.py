"""The preview: the body that a conversion would have, without sending it."""

import json
import re
from dataclasses import fields as fields_of
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audience.models import Conversion, Game, Role
from postbacks.delivery import sending
from postbacks.models import Delivery, PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.networks.interface.facts import Facts
from postbacks.networks.tiktok.imitation import ACCOUNTS as TIKTOK_ACCOUNTS
from postbacks.preview import fields, preview
from postbacks.sandbox.server import Sandbox
from tests import factories, hub

pytestmark = pytest.mark.django_db
NOW = timezone.now()
EMAIL_SHA256 = "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514"


def purchase(game: Game, *, network: str = "tiktok", user: str = "", **given: Any) -> Conversion:
    """By a player with an address, from a click of this network."""
    player = factories.person(game, user=user, traits={"email": "user@example.com"})
    click = factories.touch(player, network=network, page_url="https://game.example/landing?ttclid=E.C.P.click")
    items = [{"item_id": "7", "item_name": "Gem pack", "price": 4.5, "quantity": 2}]
    properties = {"value": 9, "currency": "USD", "transaction_id": "order-1001", "items": items}
    return factories.conversion(player, touch=click, **{"properties": properties, **given})


def table(found: preview.Preview) -> dict[str, tuple[str, str]]:
    return {field.label: (field.state.value, field.value) for field in found.fields}


@pytest.fixture
def url(game: Game) -> str:
    return f"/g/{game.slug}/integrations/tiktok/preview/"


def test_every_fact_is_labelled_and_every_unused_fact_is_listed() -> None:
    facts = {field.name for field in fields_of(Facts)}
    assert facts == {*fields.LABELS, "sent_as"}
    unused = {kind: set(fields.LABELS) - set(fields.fields_by_fact(kind)) for kind in NETWORKS}
    others = {"click_parameter", "clicked_at", "consent", "has_full_consent", "object_id"}
    of_game = {"advertising_id", "screen"}
    of_browser = {"locale", "page_url", "referrer"}
    of_person = {"address", "name", "external_id"}
    more = {"more_emails", "more_phones"}
    assert unused == {
        "tiktok": others | of_game,
        "reddit": others | more | {"address", "name", "locale", "order_id", "referrer"},
        "snapchat": others | of_game | {"locale", "referrer"},
        # Its goals name objects, not events.
        "x": others - {"object_id"}
        | of_game
        | of_browser
        | of_person
        | more
        | {"cookies", "data_use", "order_id", "trigger"},
        "meta": others - {"clicked_at"} | of_game | {"locale"},
        "google": {"clicked_at"}
        | of_game
        | of_browser
        | of_person
        | {"cookies", "data_use", "ip", "items", "order_id", "trigger"},
        # Those of the ready-made request: others are macros of templates.
        "custom": others
        | of_game
        | of_browser
        | of_person
        | more
        | {"cookies", "data_use", "email", "event_at", "hashes", "ip", "items", "order_id", "phone", "user_agent"},
    }


@pytest.mark.parametrize("network", NETWORKS)
def test_the_previewed_body_equals_the_sent_body(sandbox: Sandbox, game: Game, network: str) -> None:
    config = factories.config(game, network=network)
    conversion = purchase(game, network=network, user="player-42")
    shown = preview.build_preview(conversion, config, addresses=True)
    factories.delivery(config, conversion=conversion, event_id=conversion.message_id)
    sending.drain(network=network, max_in_flight=1)
    assert shown.body == Delivery.objects.get().attempts.get().payload
    if not config.kind.has_templates:
        assert shown.body == sandbox.received(network)[-1]["body"]
    assert (shown.reason, shown.problem, shown.has_match_key) == (None, "", True)


def test_a_preview_shows_which_fields_are_filled_hashed_and_missing(config: PostbackConfig) -> None:
    shown = table(preview.build_preview(purchase(config.game), config, addresses=True))
    assert shown["Event"] == ("filled", "Purchase")
    assert shown["Ad click ID"] == ("filled", "E.C.P.click")
    assert shown["Email"] == ("hashed", EMAIL_SHA256)
    assert shown["Value"] == ("filled", "9.0")
    assert shown["Items"] == ("filled", "7, Gem pack, 4.5, 2")
    assert shown["Phone number"] == ("missing", "")
    assert shown["Language"] == ("missing", "")


def test_an_unusable_value_is_not_shown_as_missing(config: PostbackConfig) -> None:
    conversion = purchase(config.game, properties={"phone": "555 1234", "value": 5})
    shown = table(preview.build_preview(conversion, config, addresses=True))
    assert (shown["Phone number"], shown["Value"], shown["Currency"]) == (
        ("unusable", ""),
        ("unusable", ""),
        ("missing", ""),
    )
    gems = purchase(config.game, properties={"value": 5, "currency": "GEM"})
    shown = table(preview.build_preview(gems, config, addresses=True))
    assert (shown["Value"], shown["Currency"]) == (("unusable", ""), ("unusable", ""))


def test_an_anonymous_player_is_sent_as_one(config: PostbackConfig) -> None:
    found = preview.build_preview(purchase(config.game, consent_level="anonymous"), config, addresses=True)
    shown = table(found)
    assert (shown["Ad click ID"], shown["Email"], shown["IP address at the click"]) == (
        ("filled", "E.C.P.click"),
        ("withheld", ""),
        ("withheld", ""),
    )
    assert found.body
    assert found.body["data"][0]["user"] == {"ttclid": "E.C.P.click"}


def test_without_consent_there_is_no_body(config: PostbackConfig) -> None:
    found = preview.build_preview(purchase(config.game, consent_level="none"), config, addresses=True)
    assert (found.body, found.reason, found.problem) == (
        None,
        "consent",
        "The player did not consent, so nothing is sent.",
    )
    assert {filling for filling, _ in table(found).values()} == {"withheld", "missing"}


def test_without_a_match_key_it_says_so(config: PostbackConfig) -> None:
    player = factories.person(config.game)
    click = factories.touch(player, click_id="")
    found = preview.build_preview(factories.conversion(player, touch=click), config, addresses=True)
    assert (found.has_match_key, found.reason) == (False, "no_match_key")
    assert found.body is not None


def test_a_preview_names_an_event_that_cannot_be_built(config: PostbackConfig) -> None:
    conversion = purchase(config.game, trigger="!")
    found = preview.build_preview(conversion, config, addresses=True)
    assert (found.body, found.problem) == (
        None,
        "This event cannot be converted to a TikTok Ads event (ValueError).",
    )


def test_a_preview_uses_the_event_name_of_the_goal(config: PostbackConfig) -> None:
    config.goals = [{"event": "level_complete", "sent_as": "Subscribe", "once": False, "condition": None}]
    found = preview.build_preview(purchase(config.game, trigger="level_complete"), config, addresses=True)
    assert (table(found)["Event"], found.reason) == (("filled", "Subscribe"), None)


def test_a_preview_takes_a_conversions_age_as_of_its_arrival(config: PostbackConfig) -> None:
    at = NOW - timedelta(days=40)
    found = preview.build_preview(purchase(config.game, event_at=at, created_at=at), config, addresses=True)
    assert found.reason is None


def test_the_newest_conversions_of_the_network_are_offered_else_the_newest_of_all(game: Game) -> None:
    assert preview.recent_conversions(game, "tiktok") == []
    other = purchase(game, network="reddit")
    assert preview.recent_conversions(game, "tiktok") == [other]
    older = purchase(game, event_at=NOW - timedelta(hours=3))
    newer = purchase(game, event_at=NOW - timedelta(hours=2))
    purchase(game, test=True)
    purchase(game, reason="erased")
    purchase(factories.game())
    assert preview.recent_conversions(game, "tiktok") == [newer, older]


# Pages ------------------------------------------------------------------------------------------


def body_on(page: str) -> Any:
    found = re.search(r"<pre[^>]*>(.*?)</pre>", page, re.DOTALL)
    assert found
    return json.loads(unescape(found[1]))


def test_the_page_shows_the_body_and_never_the_token(config: PostbackConfig, url: str, sandbox: Sandbox) -> None:
    conversion = purchase(config.game)
    page = hub.member(config.game, Role.MARKETER).get(url).content.decode()
    assert body_on(page)["data"][0]["event_id"] == conversion.message_id
    assert "E.C.P.click" in page
    assert TIKTOK_ACCOUNTS.token not in page
    assert "not-needed" not in page
    assert (sandbox.received("tiktok"), Delivery.objects.count()) == ([], 0)


def test_a_viewer_sees_what_is_filled_and_not_with_what(config: PostbackConfig, url: str) -> None:
    purchase(config.game, user="player-42")
    page = hub.member(config.game, Role.VIEWER).get(url).content.decode()
    for secret in ("E.C.P.click", EMAIL_SHA256, "203.0.113.7", "order-1001", "user@example.com", "player-42"):
        assert secret not in page
    sent = body_on(page)["data"][0]
    assert (sent["user"]["email"], sent["user"]["ttclid"]) == ("b4c9a289…", "…")
    assert sent["page"]["url"] == "https://game.example/landing?…"
    assert sent["properties"]["value"] == 9
    assert "Hashed" in page


def test_a_conversion_can_be_chosen(config: PostbackConfig, url: str) -> None:
    marketer = hub.member(config.game, Role.MARKETER)
    older = purchase(config.game, event_at=NOW - timedelta(hours=3))
    newer = purchase(config.game)
    stranger = purchase(factories.game())
    for asked, expected in ((older, older), (newer, newer), (stranger, newer), ("odd", newer)):
        page = marketer.get(url, {"conversion": str(getattr(asked, "pk", asked))}).content.decode()
        assert body_on(page)["data"][0]["event_id"] == expected.message_id


def test_a_second_postback_can_be_chosen(config: PostbackConfig, url: str) -> None:
    purchase(config.game)
    second = factories.config(config.game, pixel_id=TIKTOK_ACCOUNTS.second_pixel)
    page = hub.member(config.game, Role.MARKETER).get(url, {"config": str(second.pk)}).content.decode()
    assert body_on(page)["event_source_id"] == TIKTOK_ACCOUNTS.second_pixel


def test_a_preview_works_before_a_postback_exists(game: Game, url: str) -> None:
    purchase(game)
    page = hub.member(game, Role.MARKETER).get(url).content.decode()
    assert "No postback is set up yet" in page
    assert body_on(page)["data"][0]["event"] == "Purchase"


def test_without_conversions_the_preview_names_the_next_step(game: Game, url: str) -> None:
    page = hub.member(game, Role.VIEWER).get(url)
    assert "No conversions yet" in page.content.decode()


def test_it_is_for_members_only(config: PostbackConfig, other_game: Game, url: str) -> None:
    assert hub.member(other_game, Role.ADMIN).get(url).status_code == 404
    assert Client().get(url).status_code == 302
