"""The form of a custom URL: its inputs, ready-made requests, and the request while the user types."""

from typing import Any

import pytest
from django.test import Client

from audience.models import Game
from postbacks.configs.forms import PostbackForm
from postbacks.models import CredentialCheck, PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.networks.custom.imitation import ACCOUNTS
from postbacks.networks.custom.presets import PRESETS
from postbacks.preview import preview
from postbacks.preview.request_preview import preview_request
from postbacks.sandbox.server import Sandbox
from tests import factories

pytestmark = pytest.mark.django_db
CUSTOM = NETWORKS["custom"]
SECRET = "canary-secret"


def posted(**given: str) -> dict[str, Any]:
    """What a browser posts, with the parts of the imitation's credential."""
    names = {part.name: part.form_name for part in CUSTOM.credential_fields}
    parts = {names[name]: value for name, value in ACCOUNTS.credential.items()}
    return {**parts, "pixel_id": "impact", "triggers": ["purchase"], "enabled": "on", **given}


@pytest.fixture
def url(game: Game) -> str:
    return f"/g/{game.slug}/integrations/custom/"


def test_the_form_has_an_input_of_the_right_kind_for_each_part() -> None:
    form = PostbackForm(network=CUSTOM)
    widgets = {field.name: field.field.widget.__class__.__name__ for field in form.credential_fields}
    assert widgets == {
        "credential_method": "Select",
        "credential_url": "Textarea",
        "credential_body_format": "Select",
        "credential_body": "Textarea",
        "credential_headers": "HiddenTextarea",
        "credential": "PasswordInput",
        "credential_click_parameters": "TextInput",
        "credential_success_statuses": "TextInput",
        "credential_success_path": "TextInput",
        "credential_permanent_statuses": "TextInput",
        "credential_transient_statuses": "TextInput",
    }
    assert form["credential_success_statuses"].value() == "2xx"


def test_a_postback_is_added_by_the_form(sandbox: Sandbox, game: Game, marketer: Client, url: str) -> None:
    marketer.post(url + "add/", posted(pixel_id=ACCOUNTS.pixel))
    check = CredentialCheck.objects.get()
    assert (check.state, check.pixel_id) == ("pending", ACCOUNTS.pixel)
    assert dict(check.credential) == dict(ACCOUNTS.credential)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("credential_url", "http://partner.example/", "This address cannot be called: it must start with https://."),
        ("credential_url", "https://127.0.0.1/", "This address cannot be called: this address is not on the public"),
        ("credential_url", "https://partner.example/?c={clickid}", "The macro {clickid} does not exist."),
        ("credential_url", "https://partner.example/a b", "This url contains a space, a line break or another"),
        ("credential_method", "DELETE", "Select one of the choices."),
        ("credential_body", '{"a": }', "The body is not valid JSON (line 1, character 7)."),
        ("credential_headers", "Host: a", "The header Host is set by Afterclick."),
        ("credential", "", "Enter the secret that replaces {secret}."),
        ("credential_click_parameters", "", "This field is required."),
        ("credential_success_statuses", "ok", "Enter statuses such as 200, 2xx or 400-404, separated by commas"),
        ("pixel_id", "<b>", "This does not look like a Custom URL name."),
    ],
)
def test_the_form_names_what_is_wrong(field: str, value: str, sentence: str) -> None:
    errors = PostbackForm(posted(**{field: value}), network=CUSTOM).errors
    assert list(errors) == [field]
    assert str(errors[field][0]).startswith(sentence)


def test_an_edit_keeps_the_stored_secret_and_checks_it_with_what_was_entered(game: Game, marketer: Client) -> None:
    config = factories.config(game, network="custom")
    edit = f"/g/{game.slug}/integrations/custom/{config.pk}/edit/"
    page = marketer.get(edit).content.decode()
    assert "https://partner.example/conversions" in page
    assert [secret for secret in (ACCOUNTS.token, "Authorization: Bearer") if secret in page] == []
    same = posted(pixel_id=config.pixel_id, credential="", credential_headers="", triggers=config.triggers)
    marketer.post(edit, same)
    assert CredentialCheck.objects.count() == 0, "nothing new for the server"
    marketer.post(edit, {**same, "credential_url": "https://partner.example/v2?key={secret}"})
    assert CredentialCheck.objects.get().credential["token"] == ACCOUNTS.token


def test_ready_made_requests_fill_the_form(marketer: Client, url: str) -> None:
    page = marketer.get(url + "add/").content.decode()
    assert [preset.label for preset in PRESETS if f">\n  {preset.label}</a>" not in page] == []
    page = marketer.get(url + "add/?preset=impact").content.decode()
    assert "https://api.impact.com/Advertisers/ACCOUNT_SID/Conversions" in page
    assert "Authorization: Basic {secret_base64}" in page
    assert "The secret is your account SID and auth token" in page
    assert "irclickid, im_ref" in page
    assert "trc.taboola.com" not in page


def test_a_header_that_a_user_entered_is_not_shown_again(marketer: Client, url: str) -> None:
    given = posted(credential_headers="Authorization: Bearer canary", credential_url="no address")
    assert "canary" not in marketer.post(url + "add/", given).content.decode()


# The request while typing --------------------------------------------------------------------------


def test_the_request_is_shown_while_typing_and_nothing_is_sent_or_saved(
    sandbox: Sandbox, marketer: Client, url: str
) -> None:
    page = marketer.get(url + "add/").content.decode()
    assert f'hx-post="{url}request/"' in page
    given = posted(
        credential_method="GET",
        credential_url="https://partner.example/pb?c={click_id}&k={secret}&v={value}",
        credential_body_format="none",
        credential_body="",
        credential=SECRET,
    )
    html = marketer.post(url + "request/", given).content.decode()
    assert "GET https://partner.example/pb?c=click-5521&amp;k=********&amp;v=9.99" in html
    assert "Authorization: Bearer ********" in html
    assert SECRET not in html
    assert (sandbox.received("custom"), CredentialCheck.objects.count()) == ([], 0)


def test_the_preview_names_what_is_wrong_and_shows_what_it_can() -> None:
    credential = {**ACCOUNTS.credential, "url": "https://partner.example/{order_id}", "success_statuses": "x"}
    result = preview_request(CUSTOM, credential, pixel_id="impact")
    assert result.problems == [
        "URL: {order_id} is not available for every event. Use it only after the “?”.",
        "Statuses of success: Enter statuses such as 200, 2xx or 400-404, separated by commas.",
    ]
    assert result.url == "https://partner.example/order-1001"
    broken = preview_request(CUSTOM, {**ACCOUNTS.credential, "body": "{"}, pixel_id="impact")
    assert (broken.url, broken.problems) == ("", ["Body template: The body is not valid JSON (line 1, character 2)."])


def test_the_body_is_shown_with_line_breaks() -> None:
    result = preview_request(CUSTOM, {**ACCOUNTS.credential, "body": '{"a": "{event}"}'}, pixel_id="impact")
    assert (result.method, result.body) == ("POST", '{\n  "a": "purchase"\n}')


def test_a_preview_of_an_edit_uses_the_stored_secret_without_showing_it(game: Game, marketer: Client, url: str) -> None:
    config = factories.config(game, network="custom")
    given = posted(credential="", credential_headers="")
    html = marketer.post(f"{url}request/?config={config.pk}", given).content.decode()
    assert "Authorization: Bearer ********" in html
    assert ACCOUNTS.token not in html
    other = factories.config(factories.game(), network="custom")
    assert marketer.post(f"{url}request/?config={other.pk}", given).status_code == 404


def test_viewers_and_networks_without_templates_have_no_such_preview(
    game: Game, viewer: Client, marketer: Client
) -> None:
    assert viewer.post(f"/g/{game.slug}/integrations/custom/request/", {}).status_code == 403
    assert marketer.post(f"/g/{game.slug}/integrations/tiktok/request/", {}).status_code == 404


# Pages of the postback -----------------------------------------------------------------------------


def test_the_preview_of_a_conversion_is_that_of_the_template(game: Game, marketer: Client, viewer: Client) -> None:
    template = {"method": "GET", "url": "https://partner.example/?c={click_id}&e={email_sha256}&n={event}"}
    config = factories.config(game, network="custom", credential={**template, "click_parameters": "irclickid"})
    player = factories.person(game, user="user-1", traits={"email": "ada@example.com"})
    touch = factories.touch(player, network="other", parameter="irclickid", click_id="click-1234567890")
    conversion = factories.conversion(player, touch=touch)
    result = preview.build_preview(conversion, PostbackConfig.objects.get(pk=config.pk), addresses=True)
    assert result.body is not None
    assert result.body["query"]["c"] == "click-1234567890"
    assert {row.label: row.paths for row in result.fields if row.label in ("Ad click ID", "Email", "Value")} == {
        "Ad click ID": ["query.c"],
        "Email": ["query.e"],
    }
    page = f"/g/{game.slug}/integrations/custom/preview/?conversion={conversion.pk}"
    assert "click-1234567890" in marketer.get(page).content.decode()
    assert "click-1234567890" not in viewer.get(page).content.decode()


def test_the_page_of_the_network_has_its_postback_and_no_match_quality(game: Game, marketer: Client, url: str) -> None:
    factories.config(game, network="custom")
    page = marketer.get(url).content.decode()
    assert "partner-1" in page
    assert "Match quality" not in page
    assert "/help/networks/custom/" in page
    assert marketer.get("/help/networks/custom/").status_code == 200
    assert marketer.get(url + "quality/").status_code == 200


def test_the_pages_of_a_game_without_a_postback_open(marketer: Client, url: str) -> None:
    for name in ("", "preview/", "add/", "quality/"):
        assert marketer.get(url + name).status_code == 200
