"""What a careless or hostile user can enter for a custom URL, and what its server can send back."""

from dataclasses import replace
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audience.database.encryption import encrypt
from audience.models import Game
from postbacks.configs import click_parameters, credentials, versions
from postbacks.configs.forms import PostbackForm
from postbacks.configs.proposed_settings import ProposedSettings
from postbacks.configs.rules import SettingsRefused, credential_to_check, refusals
from postbacks.delivery import sending
from postbacks.models import CredentialCheck, Delivery, PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.networks.custom.imitation import ACCOUNTS
from postbacks.networks.interface.call import Request, Target
from postbacks.networks.interface.facts import Facts
from postbacks.outbox import fan_out
from postbacks.preview import preview
from postbacks.preview.request_preview import preview_request
from postbacks.sandbox.server import Sandbox
from tests import factories
from tests.postbacks.canned import answering
from tests.postbacks.facts import PURCHASE

CUSTOM = NETWORKS["custom"]
URL = "https://partner.example/pb"
GET = {"method": "GET", "url": URL, "click_parameters": "irclickid"}
POST = {"method": "POST", "url": URL, "body_format": "json", "click_parameters": "irclickid"}
SECRET = "canary-secret-5521"


def target(credential: dict[str, str]) -> Target:
    return CUSTOM.target(pixel_id="impact", credential=credential, base_url=CUSTOM.default_url)


def built(credential: dict[str, str], facts: Facts = PURCHASE) -> Request:
    return CUSTOM.build(target(credential), facts)


def posted(**given: str) -> dict[str, Any]:
    names = {part.name: part.form_name for part in CUSTOM.credential_fields}
    parts = {names[name]: value for name, value in ACCOUNTS.credential.items()}
    return {**parts, "pixel_id": "impact", "triggers": ["purchase"], "enabled": "on", **given}


# Templates -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [21, 300, 480, 900, 2040])
def test_a_deeply_nested_body_is_refused_with_a_sentence(depth: int) -> None:
    body = "[" * depth + "]" * depth
    assert CUSTOM.refusals({**POST, "body": body})["body"] in (
        "The body has more than 20 levels.",
        "The body is not valid JSON.",
    )
    assert preview_request(CUSTOM, {**POST, "body": body}, pixel_id="impact").url == ""


def test_a_body_of_twenty_levels_is_sent() -> None:
    body = '{"a":' * 20 + "{timestamp}" + "}" * 20
    assert CUSTOM.refusals({**POST, "body": body}) == {}
    assert built({**POST, "body": body}).body.count(b"{") == 20


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_json_has_not_is_refused(value: str) -> None:
    refused = CUSTOM.refusals({**POST, "body": f'{{"a": {value}}}'})
    assert refused == {"body": "The body has a number that cannot be sent."}


@pytest.mark.parametrize("text", [r'"\ud800"', r'"\u0000"', r'"\ue000secret"', r'{"\ud800": 1}', r'{"\u0000": 1}'])
def test_a_character_that_cannot_be_sent_or_stored_is_refused(text: str) -> None:
    assert CUSTOM.refusals({**POST, "body": f"[{text}]"}) == {"body": "The body has a character that cannot be sent."}


def test_a_macro_in_the_name_of_a_member_is_refused() -> None:
    """It would be sent as it is."""
    refused = CUSTOM.refusals({**POST, "body": '{"{event}": 1}'})
    assert refused == {"body": "{event} is the name of a member. Only values can contain macros."}


@pytest.mark.parametrize(
    ("parts", "name", "macro"),
    [
        ({"url": f"{URL}?c={{CLICK_ID}}"}, "url", "{CLICK_ID}"),
        ({"url": f"{URL}?c={{{{click_id}}}}"}, "url", "{{click_id}}"),
        ({"url": f"{URL}?c=${{click-id}}"}, "url", "{click-id}"),
        ({"url": f"{URL}/{{click_id"}, "url", "{click_id"),
        ({**POST, "body_format": "form", "body": "a={Event}"}, "body", "{Event}"),
        ({"headers": "X-Click: {Click_Id}"}, "headers", "{Click_Id}"),
    ],
)
def test_a_macro_in_another_spelling_is_not_sent_as_it_is(parts: dict[str, str], name: str, macro: str) -> None:
    assert CUSTOM.refusals({**GET, **parts}) == {name: f"The macro {macro} does not exist."}


def test_a_template_has_a_limited_number_of_macros() -> None:
    """A page of 2,048 characters in every one of 300 places would be stored with every attempt."""
    body = "&".join(["{page_url}"] * 101)
    refused = CUSTOM.refusals({**POST, "body_format": "form", "body": body})
    assert refused == {"body": "A request has at most 100 macros."}
    assert CUSTOM.refusals({**POST, "body_format": "form", "body": body[11:]}) == {}


# Secrets -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header", ["X-Key: {secret}:{event}", f"X-Key: {SECRET}:{{event}}", f"X-Key: {SECRET}", f"X-Key: Bearer {SECRET}"]
)
def test_no_preview_shows_a_secret_of_a_header(header: str) -> None:
    result = preview_request(CUSTOM, {**GET, "headers": header, "token": SECRET}, pixel_id="impact")
    assert SECRET not in str(result)
    assert "********" in result.headers["X-Key"]


def test_a_secret_beside_a_macro_of_a_header_is_masked_in_answers() -> None:
    assert SECRET in built({**GET, "headers": f"X-Key: {SECRET}:{{event}}"}).secrets


def test_short_and_usual_values_of_headers_are_no_secrets() -> None:
    """They would be masked in the status and the message of every answer, and in the preview."""
    parts = {**GET, "url": f"{URL}/v2?c={{click_id}}", "headers": "X-Version: 2\nDNT: 1\nAccept: application/json"}
    assert built(parts).secrets == ()
    assert preview_request(CUSTOM, parts, pixel_id="impact").url == "https://partner.example/pb/v2?c=click-5521"


@pytest.mark.parametrize("part", ["token", "headers"])
def test_a_stored_secret_is_not_sent_to_another_host(part: str) -> None:
    """Whoever may change the URL could read it there."""
    stored = {**GET, "token": SECRET, "headers": "Authorization: Bearer {secret}"}
    config = PostbackConfig(network="custom", credential=stored)
    entered = {"url": "https://elsewhere.example/?k={secret}", "token": SECRET, "headers": stored["headers"]}
    without = {name: value for name, value in entered.items() if name != part}
    with pytest.raises(SettingsRefused, match=r"^Enter the \w+ again: the stored value is for partner\.example\.$"):
        credential_to_check(without, network="custom", config=config)
    assert credential_to_check(entered, network="custom", config=config)["token"] == SECRET
    same = {"url": "https://partner.example/v2?k={secret}"}
    assert credential_to_check(same, network="custom", config=config)["token"] == SECRET


def test_the_form_names_the_secrets_that_another_host_needs() -> None:
    stored = {**ACCOUNTS.credential}
    given = posted(credential="", credential_headers="", credential_url="https://elsewhere.example/?k={secret}")
    errors = PostbackForm(given, network=CUSTOM, editing=True, stored=stored).errors
    assert errors == {
        "credential": ["Enter the secret again: the stored value is for partner.example."],
        "credential_headers": ["Enter the headers again: the stored value is for partner.example."],
    }


# Click parameters ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("_fbp", "fbp", "_epik", "_twclid", "_ttp", "_gcl_aw", "gcl_aw", "_scid", "scid", "_rdt_uuid"),
        *("page_url", "page_location", "landing_page", "tab_url", "install_referrer", "deep_link", "page_referrer"),
        *("eventid", "productid", "itemid", "anonymousid", "messageid", "message_id", "checkoutid", "checkout_id"),
        *("currency_code", "currencycode", "order-id", "event.id", "items", "products", "category", "cookies"),
    ],
)
def test_a_name_that_events_have_anyway_is_no_click_parameter(name: str) -> None:
    """Every event with it would be a click, and the last click wins."""
    assert refusals({**GET, "click_parameters": name}, CUSTOM) == {
        "click_parameters": f"{name} is the name of a common property, not of a click ID. Choose another name."
    }


@pytest.mark.parametrize(
    "name", ["irclickid", "msclkid", "epik", "_ef_transaction_id", "tblci", "dicbo", "im_ref", "cjevent", "ttclid"]
)
def test_the_parameters_of_networks_are_click_parameters(name: str) -> None:
    assert refusals({**GET, "click_parameters": name}, CUSTOM) == {}


@pytest.mark.django_db
def test_a_parameter_that_is_named_later_changes_no_click_of_before(game: Game) -> None:
    """Moving and erasing events find the click that each of them made: the first name of a URL stays the first."""
    config = factories.config(game, network="custom", click_parameters=["z_click"])
    versions.record(config=config, change="Created", set_by=None)
    config.click_parameters = ["a_click", "z_click", "*"]
    versions.save(config=config, change="Credential rotated", set_by=None)
    config.click_parameters = ["a_click"]
    versions.save(config=config, change="Credential rotated", set_by=None)
    assert click_parameters.of_game(game) == ["z_click", "a_click"]


@pytest.mark.django_db
def test_the_postbacks_of_a_game_name_a_limited_number_of_parameters(game: Game) -> None:
    """Each of them is looked for in every event, also after it was removed."""
    config = factories.config(game, network="custom", click_parameters=[f"name-{number}" for number in range(46)])
    proposed = ProposedSettings(
        network="custom",
        pixel_id="impact",
        triggers=["purchase"],
        credential={**ACCOUNTS.credential, "click_parameters": "new1, new2, new3, new4"},
    )
    credentials.request_check(game=game, proposed=proposed, requested_by=None)
    versions.record(config=config, change="Created", set_by=None)
    PostbackConfig.objects.update(click_parameters=["newest"], deleted_at=timezone.now())
    with pytest.raises(SettingsRefused, match="^The postbacks of a game can have at most 50 click parameters"):
        credentials.request_check(game=game, proposed=proposed, requested_by=None)
    assert CredentialCheck.objects.count() == 1


# Answers -------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "answer", "state", "message"),
    [
        (200, "[" * 60_000, "waiting", "HTTP 200 without a readable answer"),
        (200, '{"a":' * 900 + "1" + "}" * 900, "failed", '{"a":' * 99 + '{"a"…'),
        (200, "\0\x01 binary \ufffd", "waiting", "\x01 binary \ufffd"),
        (200, '{"ok": true, "message": "\\ud800 \\u0000 done"}', "delivered", "? done"),
        (
            200,
            '{"ok": "yes", "message": {"message": ["x"]}}',
            "delivered",
            '{"ok": "yes", "message": {"message": ["x"]}}',
        ),
        (200, '{"ok": 0, "error": 5}', "failed", '{"ok": 0, "error": 5}'),
        (200, "{" + " " * 70_000 + '"ok": true}', "waiting", "HTTP 200 without a readable answer"),
        (400, f"You sent Bearer {ACCOUNTS.token}", "failed", "You sent Bearer [hidden]"),
        (
            301,
            "",
            "waiting",
            "The server responded with a redirect, which is not followed. Enter the URL that it leads to.",
        ),
    ],
)
def test_no_answer_breaks_a_delivery(
    settings: Any, game: Game, status: int, answer: str, state: str, message: str
) -> None:
    config = factories.config(game, network="custom", credential={**ACCOUNTS.credential, "success_path": "ok"})
    touch = factories.touch(factories.person(game), network="other", parameter="irclickid")
    factories.conversion(touch.person, touch=touch)
    fan_out.fan_out_due()
    headers = {"Location": "http://169.254.169.254/"}
    with answering(status, answer, headers) as url:
        settings.NETWORK_URLS = {**settings.NETWORK_URLS, "custom": url}
        sending.drain(network="custom", max_in_flight=1)
    row = Delivery.objects.get(config=config)
    assert (row.state, row.attempts.get().message) == (state, message)


# Pages ---------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("step", ["{secret}", "{secret_base64}", "{postback}"])
def test_the_preview_of_a_conversion_shows_an_address_with_a_secret_or_a_name(
    game: Game, viewer: Client, step: str
) -> None:
    """The address of many webhooks has its token in the path."""
    parts = {**GET, "url": f"https://hooks.example/{step}/x?k={{secret}}&c={{click_id}}", "token": SECRET}
    config = factories.config(game, network="custom", credential=parts)
    touch = factories.touch(factories.person(game), network="other", parameter="irclickid", click_id="click-1")
    conversion = factories.conversion(touch.person, touch=touch)
    result = preview.build_preview(conversion, PostbackConfig.objects.get(pk=config.pk), addresses=True)
    shown = {"{postback}": "partner-1"}.get(step, "********")
    assert result.body == {
        "method": "GET",
        "url": f"https://hooks.example/{shown}/x",
        "query": {"k": "********", "c": "click-1"},
    }
    page = viewer.get(f"/g/{game.slug}/integrations/custom/preview/?conversion={conversion.pk}")
    assert (page.status_code, SECRET in page.content.decode()) == (200, False)


@pytest.mark.django_db
def test_a_test_click_id_that_the_path_cannot_take_is_refused(sandbox: Sandbox, game: Game) -> None:
    check = CredentialCheck.objects.create(
        game=game,
        network="custom",
        pixel_id="impact",
        credential={**ACCOUNTS.credential, "url": "https://partner.example/{click_id}"},
        triggers=["purchase"],
        has_test_code=True,
    )
    credentials.run_check(check_id=str(check.pk), encrypted_test_code=encrypt(".."))
    check.refresh_from_db()
    assert (check.state, check.message) == (
        "refused",
        "The test event cannot be created with this click id of a test click: "
        "A value in the URL would change the path.",
    )
    assert (sandbox.received("custom"), PostbackConfig.objects.count()) == ([], 0)


def test_a_click_id_without_a_name_in_the_query_is_no_name_in_the_log() -> None:
    request = built({**GET, "url": f"{URL}?{{click_id}}"}, replace(PURCHASE, click_id="click-1"))
    assert request.url == f"{URL}?click-1"
    assert request.shown == {"method": "GET", "url": URL, "query": {"": "click-1"}}


@pytest.mark.django_db
def test_no_page_says_that_a_test_event_counts_nowhere(game: Game, marketer: Client) -> None:
    """A partner has no test view: with a real click ID it may count the event."""
    factories.config(game, network="custom")
    pages = f"/g/{game.slug}/integrations/custom/"
    form, page = (marketer.get(pages + name).content.decode() for name in ("add/", ""))
    assert "It applies only" not in form
    assert "With a click ID, the event is a game launch, which the server may count." in form
    assert ("neither by" in page, "The server may count it" in page) == (False, True)
