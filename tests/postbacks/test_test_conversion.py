"""A test conversion: one synthetic event to the network's test view, counted nowhere."""

import re
from typing import Any

import pytest
from django.test import Client

from audience.database.encryption import encrypt
from audience.models import Conversion, Game, Role
from postbacks.configs import credentials
from postbacks.models import CredentialCheck, Delivery, PostbackConfig
from postbacks.networks.tiktok.imitation import ACCOUNTS as TIKTOK_ACCOUNTS
from postbacks.sandbox.server import Sandbox
from tests import factories, hub

pytestmark = pytest.mark.django_db
TEST_CODE = "TEST-4711"


@pytest.fixture
def url(game: Game) -> str:
    return f"/g/{game.slug}/integrations/tiktok/"


def asked(of: PostbackConfig, **given: Any) -> dict[str, Any]:
    return {"config": str(of.pk), "trigger": "purchase", "test_code": TEST_CODE, **given}


def answered() -> CredentialCheck:
    """Play the worker, whose task carries the code encrypted."""
    check = CredentialCheck.objects.get()
    credentials.run_check(check_id=str(check.pk), encrypted_test_code=encrypt(TEST_CODE))
    check.refresh_from_db()
    return check


def test_a_test_conversion_goes_to_the_test_view_and_is_counted_nowhere(
    config: PostbackConfig, marketer: Client, url: str, sandbox: Sandbox
) -> None:
    assert "Send a test conversion" in marketer.get(url).content.decode()
    where = marketer.post(url + "test/", asked(config))["Location"]
    assert where == f"{url}checks/{CredentialCheck.objects.get().pk}/"
    assert "Checking with TikTok Ads…" in marketer.get(where).content.decode()
    assert answered().state == "passed"
    (request,) = sandbox.received("tiktok", test=True)
    assert (request["body"]["test_event_code"], request["body"]["data"][0]["event"]) == (TEST_CODE, "Purchase")
    assert sandbox.received("tiktok") == []
    page = marketer.get(where, follow=True).content.decode()
    assert f"TikTok Ads accepted the test conversion for {config.pixel_id}. Check the test view of the network." in page
    assert "was saved" not in page
    assert (Delivery.objects.count(), Conversion.objects.count()) == (0, 0)
    before, after = config, PostbackConfig.objects.get()
    assert (after.version, after.validated_at) == (before.version, before.validated_at)


def test_a_test_conversion_for_reddit_has_reddits_fields(game: Game, marketer: Client, sandbox: Sandbox) -> None:
    config = factories.config(game, network="reddit")
    marketer.post(f"/g/{game.slug}/integrations/reddit/test/", asked(config, trigger="game_launch"))
    assert answered().state == "passed"
    (request,) = sandbox.received("reddit", test=True)
    (event,) = request["body"]["data"]["events"]
    assert event["type"] == {"tracking_type": "CUSTOM", "custom_event_name": "game_launch"}
    assert request["body"]["data"]["test_id"] == TEST_CODE


def test_a_refusal_shows_the_networks_message_and_the_postback_is_unchanged(
    config: PostbackConfig, marketer: Client, url: str, sandbox: Sandbox
) -> None:
    where = marketer.post(url + "test/", asked(config))["Location"]
    sandbox.state.add_fault("tiktok", "unauthorized", 1)
    assert answered().state == "refused"
    page = marketer.get(where).content.decode()
    assert "TikTok Ads refused" in page
    assert "Nothing was counted." in page
    assert f'href="{url}">Back' in page
    config.refresh_from_db()
    assert (config.enabled, config.held_at, config.suspected_at) == (True, None, None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"test_code": " "}, "Test event code: This field is required."),
        ({"trigger": "odd"}, "Event: Select a valid choice."),
        ({"config": "odd"}, "Postback: "),
    ],
)
def test_a_test_conversion_that_cannot_be_sent_says_why_and_makes_no_call(
    config: PostbackConfig, marketer: Client, url: str, change: dict[str, str], said: str
) -> None:
    page = marketer.post(url + "test/", asked(config, **change), follow=True).content.decode()
    assert f"Nothing was sent. {said}" in page
    assert TEST_CODE not in page
    assert CredentialCheck.objects.count() == 0


def test_the_code_and_the_token_are_never_rendered(
    config: PostbackConfig, marketer: Client, url: str, sandbox: Sandbox
) -> None:
    where = marketer.post(url + "test/", asked(config))["Location"]
    pages = [marketer.get(where).content.decode()]
    answered()
    pages += [marketer.get(where, follow=True).content.decode(), marketer.get(url).content.decode()]
    for page in pages:
        assert TEST_CODE not in page
        assert TIKTOK_ACCOUNTS.token not in page


def test_a_test_conversion_needs_a_marketer_and_a_postback_of_the_game(
    config: PostbackConfig, other_game: Game, url: str
) -> None:
    viewer = hub.member(config.game, Role.VIEWER)
    assert "Send a test conversion" not in viewer.get(url).content.decode()
    assert viewer.post(url + "test/", asked(config)).status_code == 403
    stranger = hub.member(other_game, Role.ADMIN)
    page = stranger.post(f"/g/{other_game.slug}/integrations/tiktok/test/", asked(config), follow=True).content.decode()
    assert re.search(r"Nothing was sent\. Postback: Select a valid choice", page)
    assert CredentialCheck.objects.count() == 0
