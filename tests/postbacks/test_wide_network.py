"""Every part of the network interface, with a network that uses all of them (wide.py)."""

import importlib
import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from audience.database.encryption import encrypt
from audience.models import FailedWork, Game, Touch
from audience.privacy import redaction
from postbacks import erasure, http
from postbacks.configs import credential_checks, credentials, hold, lifecycle, rules, upkeep
from postbacks.configs.forms import PostbackForm
from postbacks.configs.proposed_settings import ProposedSettings
from postbacks.delivery import claims, confirming, replays, sending
from postbacks.http import access_tokens, network_calls
from postbacks.models import CredentialCheck, Delivery, Flow, PostbackConfig, Purpose
from postbacks.networks import NETWORKS
from postbacks.networks.interface.call import Outcome, Request, Response, Target, Verdict
from postbacks.networks.interface.facts import Consent, Facts
from postbacks.outbox import fan_out, privacy_flags, reasons
from postbacks.preview import preview
from postbacks.reporting import audit
from tests import factories
from tests.postbacks import wide

ACCOUNTS = itertools.count(1_000_000_000)

pytestmark = pytest.mark.django_db


@pytest.fixture
def network(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[wide.Server]:
    """The network is registered, and its server answers."""
    with wide.serving() as server:
        # Modules that read NETWORKS when they are imported must not read this one.
        importlib.import_module("config.urls")
        monkeypatch.setitem(NETWORKS, "wide", wide.Wide())
        settings.NETWORK_URLS = {**settings.NETWORK_URLS, "wide": server.url}
        settings.NETWORK_RATES = {**settings.NETWORK_RATES, "wide": 1000.0}
        yield server


def posted(**given: Any) -> dict[str, Any]:
    """What a browser posts of the form."""
    return {
        "pixel_id": wide.PIXEL,
        "credential_key": wide.JSON_KEY,
        "credential_url_token": wide.URL_TOKEN,
        "credential_account": wide.ACCOUNT,
        "triggers": ["purchase"],
        "object_id_purchase": wide.ACTION,
        "enabled": "on",
        **given,
    }


def new_config(game: Game, **given: Any) -> PostbackConfig:
    goals = [{"event": "purchase", "sent_as": "", "once": False, "condition": None, "object_id": wide.ACTION}]
    fields = {"game": game, "network": "wide", "pixel_id": wide.PIXEL, "credential": wide.CREDENTIAL, "goals": goals}
    return PostbackConfig.objects.create(**{**fields, "triggers": [], "validated_at": timezone.now(), **given})


def goal(event: str, object_id: str) -> dict[str, Any]:
    named = {"event": event, "sent_as": "" if event == "purchase" else "launch", "once": False, "condition": None}
    return {**named, "object_id": object_id} if object_id else named


def clicked(game: Game, *, hours: float, **given: Any) -> Any:
    """A purchase of a player who clicked an ad so many hours ago."""
    player = factories.person(game)
    cookies = {"_wide": "c-1", "_wide2": "c-2"}
    click = factories.touch(player, network="wide", cookies=cookies, clicked_at=timezone.now() - timedelta(hours=hours))
    return factories.conversion(player, touch=click, context={"consent": {"tc_string": "CPXxRf"}}, **given)


# The form ------------------------------------------------------------------------------------------


def test_the_form_has_an_input_for_each_part_of_the_credential() -> None:
    form = PostbackForm(posted(), network=wide.Wide())
    assert form.is_valid(), form.errors
    assert form.cleaned_data["credential"] == wide.CREDENTIAL
    html = "".join(str(field) for field in form.credential_fields)
    assert "textarea" in html
    assert [canary for canary in wide.CANARIES if canary in html] == []
    assert wide.ACCOUNT in html


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("credential_key", "not JSON", "The service account key is incomplete. Paste the whole file."),
        ("credential_key", '{"private_key": 1}', "The service account key is incomplete. Paste the whole file."),
        ("credential_key", "", "This field is required."),
        ("credential_account", "12", "This does not look like a customer id. Ten digits."),
        ("object_id_purchase", "", "Enter the Conversion action ID. The digits after ctId=."),
        ("object_id_purchase", "ctId=1", "Enter the Conversion action ID. The digits after ctId=."),
    ],
)
def test_the_form_names_what_is_wrong_with_a_part(field: str, value: str, sentence: str) -> None:
    assert PostbackForm(posted(**{field: value}), network=wide.Wide()).errors == {field: [sentence]}


def test_a_row_of_the_goals_has_its_own_object_id() -> None:
    row = {
        "event": "level_up",
        "sent_as": "launch",
        "object_id": "555",
        "custom": "",
        "path": "",
        "op": "",
        "value": "",
    }
    given = {f"goals-0-{name}": value for name, value in row.items()}
    form = PostbackForm(posted(**given), network=wide.Wide())
    assert form.is_valid(), form.errors
    level_up = {"event": "level_up", "sent_as": "launch", "once": False, "condition": None, "object_id": "555"}
    purchase = {"event": "purchase", "sent_as": "", "once": False, "condition": None, "object_id": wide.ACTION}
    assert (form.cleaned_data["triggers"], form.cleaned_data["goals"]) == ([], [level_up, purchase])
    again = PostbackForm(initial={"triggers": [], "goals": form.cleaned_data["goals"]}, network=wide.Wide())
    assert (again.initial["triggers"], again.initial["object_id_purchase"]) == (["purchase"], wide.ACTION)


def test_a_goal_of_a_network_without_object_ids_stores_none(config: PostbackConfig) -> None:
    form = PostbackForm(
        {"pixel_id": config.pixel_id, "credential": "x", "triggers": ["purchase"]}, network=NETWORKS["tiktok"]
    )
    assert form.is_valid(), form.errors
    assert (form.cleaned_data["triggers"], form.cleaned_data["goals"]) == (["purchase"], [])
    assert "object_id_purchase" not in form.fields


def test_a_postback_is_added_and_its_plain_id_changed(network: wide.Server, game: Game, marketer: Client) -> None:
    url = f"/g/{game.slug}/integrations/wide/"
    marketer.post(url + "add/", posted())
    credentials.run_check(check_id=str(CredentialCheck.objects.get().pk))
    config = PostbackConfig.objects.get()
    assert config.credential == wide.CREDENTIAL
    assert network.calls["validate"][0]["auth"] == f"Bearer {wide.ACCESS_TOKEN}"
    assert network.calls["validate"][0]["query"] == {"token": wide.URL_TOKEN}
    assert network.calls["validate"][0]["body"] == {
        "id": str(CredentialCheck.objects.get().pk),
        "test": False,
        "actions": [wide.ACTION],
    }

    page = marketer.get(f"{url}{config.pk}/edit/").content.decode()
    assert [canary for canary in wide.CANARIES if canary in page] == []
    assert f'value="{wide.ACCOUNT}"' in page
    same = posted(credential_key="", credential_url_token="")
    marketer.post(f"{url}{config.pk}/edit/", same)
    assert CredentialCheck.objects.count() == 1  # nothing new for the network
    marketer.post(f"{url}{config.pk}/edit/", {**same, "credential_account": "9999999999"})
    credentials.run_check(check_id=str(CredentialCheck.objects.latest("created_at").pk))
    config.refresh_from_db()
    assert config.credential == {**wide.CREDENTIAL, "account": "9999999999"}


def test_an_optional_plain_part_is_cleared_by_a_blank_input_and_kept_without_one(
    network: wide.Server, game: Game, marketer: Client
) -> None:
    config = new_config(game, credential={**wide.CREDENTIAL, "manager": "5555555555"})
    url = f"/g/{game.slug}/integrations/wide/{config.pk}/edit/"
    same = posted(credential_key="", credential_url_token="")
    marketer.post(url, same)
    marketer.post(url, {**same, "credential_manager": "5555555555"})
    assert CredentialCheck.objects.count() == 0  # nothing new for the network
    marketer.post(url, {**same, "credential_manager": ""})
    credentials.run_check(check_id=str(CredentialCheck.objects.get().pk))
    config.refresh_from_db()
    assert config.credential == wide.CREDENTIAL


def test_after_a_refused_check_the_form_shows_the_stored_plain_parts(
    network: wide.Server, game: Game, marketer: Client
) -> None:
    config = new_config(game)
    network.answers["validate"] = [(401, {"message": "no"})]
    url = f"/g/{game.slug}/integrations/wide/{config.pk}/edit/"
    marketer.post(url, posted(credential_account="9999999999"))
    check = CredentialCheck.objects.get()
    credentials.run_check(check_id=str(check.pk))
    check.refresh_from_db()
    assert check.state == "refused"
    assert f'value="{wide.ACCOUNT}"' in marketer.get(f"{url}?check={check.pk}").content.decode()


# Test events ---------------------------------------------------------------------------------------


@pytest.fixture
def tests_without_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network takes test events at an endpoint of their own."""
    monkeypatch.setattr(wide.Wide, "test_code_label", "")
    monkeypatch.setattr(wide.Wide, "has_test_endpoint", True)


@pytest.mark.usefixtures("tests_without_code")
def test_a_network_with_an_endpoint_for_tests_needs_no_test_code(
    network: wide.Server, game: Game, marketer: Client
) -> None:
    config, url = new_config(game), f"/g/{game.slug}/integrations/wide/"
    assert "test_code" not in PostbackForm(network=wide.Wide()).fields
    assert 'name="test_code"' not in marketer.get(url + "add/").content.decode()
    page = marketer.get(url).content.decode()
    assert "Send a test conversion" in page
    assert 'name="test_code"' not in page

    where = marketer.post(url + "test/", {"config": str(config.pk), "trigger": "purchase"})["Location"]
    check = CredentialCheck.objects.get()
    assert where == f"{url}checks/{check.pk}/"
    credentials.run_check(check_id=str(check.pk))
    check.refresh_from_db()
    assert (check.purpose, check.state) == ("test", "passed")
    assert network.calls["validate"][0]["body"]["test"] is True
    assert network.calls["events"] == []


@pytest.mark.usefixtures("tests_without_code")
def test_a_check_before_saving_is_no_test_conversion(network: wide.Server, game: Game, marketer: Client) -> None:
    marketer.post(f"/g/{game.slug}/integrations/wide/add/", posted())
    check = CredentialCheck.objects.get()
    credentials.run_check(check_id=str(check.pk))
    assert not network.calls["validate"][0]["body"].get("test")


def test_a_network_without_test_events_offers_no_test_conversion(
    network: wide.Server, game: Game, marketer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wide.Wide, "test_code_label", "")
    config, url = new_config(game), f"/g/{game.slug}/integrations/wide/"
    assert "Send a test conversion" not in marketer.get(url).content.decode()
    asked = {"config": str(config.pk), "trigger": "purchase"}
    page = marketer.post(url + "test/", asked, follow=True).content.decode()
    assert "Nothing was sent. Wide Ads has no test events, so the event would count." in page
    assert CredentialCheck.objects.count() == 0


def test_a_refused_check_names_the_test_code_only_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = Outcome(Verdict.PAYLOAD, None, "No such tag.")
    start = "Wide Ads did not accept tag ID w-1 (“No such tag”). Copy it again from Events Manager"
    explained = wide.Wide().explain(refused, "w-1", undecided="")
    assert explained == f"{start}, and check the Test code if you entered one."
    monkeypatch.setattr(wide.Wide, "test_code_label", "")
    assert wide.Wide().explain(refused, "w-1", undecided="") == f"{start}."


def test_the_help_of_the_form_links_to_the_document_of_the_network(
    network: wide.Server, game: Game, marketer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, link = f"/g/{game.slug}/integrations/wide/add/", 'href="/help/networks/x/"'
    assert link not in marketer.get(url).content.decode()
    monkeypatch.setattr(wide.Wide, "document", "x")
    assert link in marketer.get(url).content.decode()


def test_a_check_names_the_objects_of_all_goals(network: wide.Server, game: Game, marketer: Client) -> None:
    row = {"event": "level_up", "sent_as": "launch", "object_id": "555"}
    marketer.post(f"/g/{game.slug}/integrations/wide/add/", posted(**{f"goals-0-{key}": row[key] for key in row}))
    credentials.run_check(check_id=str(CredentialCheck.objects.get().pk))
    config = PostbackConfig.objects.get()
    assert [call["body"]["actions"] for call in network.calls["validate"]] == [["555", wide.ACTION]]
    hold.hold(config=config, access="token", message="no")
    credentials.request_release(config=config, requested_by=None)
    credentials.run_check(check_id=str(CredentialCheck.objects.latest("created_at").pk))
    assert network.calls["validate"][1]["body"]["actions"] == ["555", wide.ACTION]


def test_a_new_object_id_is_checked_before_it_is_saved_and_a_removed_one_is_not(
    network: wide.Server, game: Game
) -> None:
    config = new_config(game)
    both = [*config.goals, goal("level_up", "555")]
    proposed = ProposedSettings.of(config, goals=both)
    check = lifecycle.change(config=config, proposed=proposed, changed_by=None)
    assert check is not None
    network.answers["validate"] = [(400, {"message": "555 is unknown"})]
    credentials.run_check(check_id=str(check.pk))
    config.refresh_from_db()
    assert config.goals == [goal("purchase", wide.ACTION)]
    PostbackConfig.objects.update(goals=both)
    config.refresh_from_db()
    proposed = ProposedSettings.of(config, goals=[goal("purchase", wide.ACTION)])
    assert lifecycle.change(config=config, proposed=proposed, changed_by=None) is None


class ObjectIdsAreOptional(wide.Wide):
    """Events without an object id are left out. It has no test events, shows each check and cannot limit data use."""

    object_id = replace(wide.Wide.object_id, required=False)
    test_code_label = ""
    check_note = "Each check is shown."
    daily_check = False
    limits_data_use = False

    def object_id_problem(self, object_id: str, *, pixel_id: str) -> str:
        return f"{object_id} is not of {pixel_id}." if object_id == "999" else ""


@pytest.fixture
def optional(network: wide.Server, monkeypatch: pytest.MonkeyPatch) -> wide.Server:
    monkeypatch.setitem(NETWORKS, "wide", ObjectIdsAreOptional())
    return network


def test_an_event_without_an_optional_object_id_is_saved_and_not_sent(
    optional: wide.Server, game: Game, marketer: Client
) -> None:
    url = f"/g/{game.slug}/integrations/wide/"
    page = marketer.get(f"{url}add/").content.decode()
    assert "Without it, these events are not sent and are listed as not mapped." in page
    assert "Each check is shown." in page
    assert 'name="test_code"' not in page
    marketer.post(
        f"{url}add/",
        posted(triggers=["game_launch", "purchase"], object_id_game_launch=wide.ACTION, object_id_purchase=""),
    )
    credentials.run_check(check_id=str(CredentialCheck.objects.get().pk))
    conversion = clicked(game, hours=7)
    fan_out.fan_out_due()
    row = Delivery.objects.get()
    conversion.refresh_from_db()
    assert (row.state, row.reason, conversion.reason) == ("skipped", "not_mapped", "not_mapped")


@pytest.mark.parametrize(
    ("goals", "sentence"),
    [
        ([("purchase", "")], "Enter the Conversion action ID of at least one event."),
        ([("purchase", wide.ACTION), ("level_up", "999")], f"999 is not of {wide.PIXEL}."),
    ],
)
def test_no_object_id_at_all_and_one_of_another_pixel_are_refused(
    optional: wide.Server, game: Game, goals: list[tuple[str, str]], sentence: str
) -> None:
    proposed = ProposedSettings(
        network="wide",
        pixel_id=wide.PIXEL,
        triggers=[],
        goals=[{**goal(event, object_id), "sent_as": "launch"} for event, object_id in goals],
        credential=wide.CREDENTIAL,
    )
    with pytest.raises(rules.SettingsRefused) as refused:
        credentials.request_check(game=game, proposed=proposed, requested_by=None)
    assert str(refused.value) == sentence


def test_a_network_that_shows_each_check_is_not_checked_daily(optional: wide.Server, game: Game) -> None:
    config = new_config(game, validated_at=timezone.now() - timedelta(days=2))
    upkeep.check_daily()
    assert CredentialCheck.objects.count() == 0
    PostbackConfig.objects.update(held_at=timezone.now(), held_for="token")
    upkeep.check_daily()
    assert CredentialCheck.objects.values_list("config", "purpose").get() == (config.pk, "release")


def test_a_network_without_test_events_gets_no_test_conversion(optional: wide.Server, game: Game) -> None:
    with pytest.raises(rules.SettingsRefused, match=r"^Wide Ads has no test events, so the event would count\.$"):
        credentials.request_test(config=new_config(game), test_code="T1", trigger="purchase", requested_by=None)


def test_an_event_of_limited_use_is_not_sent_to_a_network_without_a_mode_for_it(
    optional: wide.Server, game: Game
) -> None:
    new_config(game)
    properties = {"value": 9.99, "currency": "USD"}
    limited = clicked(game, hours=7, properties={**properties, "limited_data_use": True})
    stated_off = clicked(game, hours=7, properties={**properties, "limited_data_use": False})
    fan_out.fan_out_due()
    assert {row.conversion_id: (row.state, row.reason) for row in Delivery.objects.all()} == {
        limited.pk: ("skipped", "limited_use"),
        stated_off.pk: ("waiting", ""),
    }


@pytest.mark.parametrize(
    ("value", "errors"), [("once", {}), ("twice", {"credential_unanswered": ["Select one of the choices."]})]
)
def test_a_setting_of_the_postback_is_one_of_its_choices(value: str, errors: Any) -> None:
    form = PostbackForm(posted(credential_unanswered=value), network=wide.Wide())
    assert form.errors == errors
    assert '<option value="once"' in str(form["credential_unanswered"])
    if not errors:
        assert form.cleaned_data["credential"] == {**wide.CREDENTIAL, "unanswered": "once"}


@pytest.mark.parametrize(
    ("first", "second", "state", "code", "calls"),
    [
        ((200, {"message": "ok"}), (202, {}), "passed", "0", 0),
        ((409, {"message": "unclear"}), (202, {}), "passed", "202", 1),
        # Once more with a new access token.
        ((409, {"message": "unclear"}), (401, {"message": "no"}), "refused", "401", 2),
        ((409, {"message": "unclear"}), (503, {"message": "later"}), "unverified", "503", 1),
        ((401, {"message": "no"}), (202, {}), "refused", "401", 0),
    ],
)
def test_a_check_that_proves_too_little_is_followed_by_a_second_one(
    network: wide.Server, game: Game, first: Any, second: Any, state: str, code: str, calls: int
) -> None:
    network.answers |= {"validate": [first], "validate-again": [second]}
    check = credential_checks.create(config=new_config(game), purpose=Purpose.DAILY)
    credentials.run_check(check_id=str(check.pk))
    check.refresh_from_db()
    assert (check.state, check.provider_code) == (state, code)
    assert len(network.calls["validate-again"]) == calls
    assert {call["auth"] for call in network.calls["validate-again"]} <= {f"Bearer {wide.ACCESS_TOKEN}"}


def test_a_check_with_a_test_code_is_not_followed_by_a_second_one(network: wide.Server, game: Game) -> None:
    network.answers |= {"validate": [(409, {"message": "unclear"})]}
    check = credentials.request_test(config=new_config(game), test_code="T-1", trigger="purchase", requested_by=None)
    credentials.run_check(check_id=str(check.pk), encrypted_test_code=encrypt("T-1"))
    check.refresh_from_db()
    assert (check.state, network.calls["validate-again"]) == ("unverified", [])


# Fan-out -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("may_have_arrived", "sent"), [(False, "555"), (True, wide.ACTION)])
def test_a_corrected_object_id_is_sent_unless_the_network_may_have_the_event(
    network: wide.Server, game: Game, may_have_arrived: bool, sent: str
) -> None:
    new_config(game)
    clicked(game, hours=7)
    fan_out.fan_out_due()
    PostbackConfig.objects.update(goals=[goal("purchase", "555")])
    Delivery.objects.update(may_have_arrived=may_have_arrived)
    sending.drain(network="wide", max_in_flight=1)
    assert [call["body"]["action"] for call in network.calls["events"]] == [sent]


def test_a_rollback_restores_the_whole_credential_without_a_part_that_was_added(
    network: wide.Server, game: Game
) -> None:
    before = {"key": wide.JSON_KEY, "account": wide.ACCOUNT}
    given = {"previous_credential": before, "previous_until": timezone.now() + timedelta(hours=1)}
    check = lifecycle.roll_back(config=new_config(game, **given), requested_by=None)
    assert CredentialCheck.objects.get(pk=check.pk).credential == before


def test_a_delivery_waits_until_the_network_accepts_its_event(network: wide.Server, game: Game) -> None:
    new_config(game)
    young, old = clicked(game, hours=1), clicked(game, hours=7)
    fan_out.fan_out_due()
    rows = {row.conversion_id: row for row in Delivery.objects.all()}
    moment = young.touch.clicked_at + timedelta(hours=6)
    assert (rows[young.pk].state, rows[young.pk].next_attempt_at, rows[young.pk].not_before) == (
        "waiting",
        moment,
        moment,
    )
    assert rows[old.pk].next_attempt_at <= timezone.now()
    assert {row.object_id for row in rows.values()} == {wide.ACTION}


@pytest.mark.parametrize(
    ("properties", "outcome"),
    [
        ({"value": 0, "currency": "USD"}, ("waiting", "")),
        ({"value": 9.99}, ("skipped", "no_value")),
        ({"value": 500, "currency": "GEM"}, ("skipped", "no_value")),
        ({}, ("skipped", "no_value")),
    ],
    ids=str,
)
def test_an_event_that_the_network_refuses_without_a_value_is_not_sent_without_one(
    network: wide.Server, game: Game, properties: dict[str, Any], outcome: tuple[str, str]
) -> None:
    new_config(game)
    conversion = clicked(game, hours=7, properties=properties)
    fan_out.fan_out_due()
    row = Delivery.objects.get()
    conversion.refresh_from_db()
    assert (row.state, row.reason) == outcome
    assert conversion.reason == row.reason


@pytest.mark.parametrize(
    ("currency", "outcome"), [("EUR", ("waiting", "")), ("eur", ("waiting", "")), ("USD", ("skipped", "no_value"))]
)
def test_a_value_in_a_currency_that_the_network_does_not_accept_is_none(
    network: wide.Server, game: Game, monkeypatch: pytest.MonkeyPatch, currency: str, outcome: tuple[str, str]
) -> None:
    monkeypatch.setattr(wide.Wide, "currencies", frozenset({"EUR", "JPY"}))
    new_config(game)
    clicked(game, hours=7, properties={"value": 9.99, "currency": currency})
    fan_out.fan_out_due()
    row = Delivery.objects.get()
    assert (row.state, row.reason) == outcome


def test_a_conversion_without_a_match_key_says_what_the_network_needs(
    network: wide.Server, game: Game, marketer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_config(game)
    click = factories.touch(factories.person(game), network="wide", click_id="")
    conversion = factories.conversion(click.person, touch=click)
    fan_out.fan_out_due()
    assert Delivery.objects.get().reason == "no_match_key"
    url, usual = f"/g/{game.slug}/conversions/{conversion.pk}/", "Send the player’s email with identify"
    assert usual in marketer.get(url).content.decode()
    assert reasons.next_step("no_match_key", "wide") == "Send wclid or an email address with the events."

    monkeypatch.setattr(wide.Wide, "match_key_help", "Send the shoe size of the player.")
    page = marketer.get(url).content.decode()
    assert "Send the shoe size of the player." in page
    assert usual not in page
    assert reasons.next_step("no_match_key", "wide") == "Send the shoe size of the player."
    assert reasons.next_step("no_value", "wide") == reasons.TEXTS["no_value"].next_step


def test_an_event_that_needs_no_value_is_sent_without_one(network: wide.Server, game: Game) -> None:
    goals = [{"event": "purchase", "sent_as": "launch", "once": False, "condition": None, "object_id": wide.ACTION}]
    new_config(game, goals=goals)
    clicked(game, hours=7, properties={"value": 500, "currency": "GEM"})
    fan_out.fan_out_due()
    assert Delivery.objects.get().state == "waiting"


def test_a_held_delivery_still_waits_until_the_network_accepts_its_event(network: wide.Server, game: Game) -> None:
    config = new_config(game, held_at=timezone.now(), held_for="token")
    conversion = clicked(game, hours=1)
    fan_out.fan_out_due()
    assert Delivery.objects.get().state == "held"
    hold.release(config=config)
    row = Delivery.objects.get()
    assert (row.state, row.next_attempt_at) == ("waiting", conversion.touch.clicked_at + timedelta(hours=6))


def test_a_delivery_that_is_not_due_yet_still_waits_after_its_postback_was_disabled(
    network: wide.Server, game: Game
) -> None:
    config = new_config(game)
    clicked(game, hours=1)
    fan_out.fan_out_due()
    lifecycle.disable(config=config)
    lifecycle.enable(config=config)
    sending.drain(network="wide", max_in_flight=2)
    row = Delivery.objects.get()
    assert network.calls["events"] == []
    assert (row.state, row.attempts_made) == ("waiting", 0)
    assert row.not_before is not None
    assert row.next_attempt_at == row.not_before


def test_a_cookie_of_the_old_column_is_filled_in_under_its_name(game: Game) -> None:
    player = factories.person(game)
    for network in ("tiktok", "reddit", "meta"):
        factories.touch(player, network=network, click_id=network, browser_id=f"{network}-cookie")
    with connection.cursor() as cursor:
        cursor.execute(importlib.import_module("audience.migrations.0030_fill_cookies_of_touches").FILL)
    assert dict(Touch.objects.values_list("network", "cookies")) == {
        "tiktok": {"_ttp": "tiktok-cookie"},
        "reddit": {"_rdt_uuid": "reddit-cookie"},
        "meta": {},
    }


def test_what_a_network_may_repeat_of_a_player_includes_the_cookies(game: Game) -> None:
    conversion = clicked(game, hours=7)
    Touch.objects.update(cookies={"_wide": "cookie-one", "_wide2": "cookie-two"})
    assert {"cookie-one", "cookie-two"} <= set(redaction.personal_values([conversion.person_id]))


# Facts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("context", "stated"),
    [
        ({}, None),
        ({"consent": "yes", "gdpr": "perhaps"}, None),
        ({"consent": {"tcString": "CPX", "gdprApplies": True}}, Consent(tcf="CPX", gdpr=True)),
        (
            {"gpp": "DBA", "gpp_sid": "7,8", "us_privacy": "1YNN", "gdpr": 0},
            Consent(gpp="DBA", gpp_sid="7,8", us_privacy="1YNN", gdpr=False),
        ),
        (
            {"consent": {"ad_user_data": "granted", "ad_personalization": "denied"}},
            Consent(ad_user_data=True, ad_personalization=False),
        ),
    ],
)
def test_consent_is_read_as_the_event_states_it(context: dict[str, Any], stated: Consent | None) -> None:
    assert privacy_flags.consent(context, {}) == stated
    assert privacy_flags.consent({}, context) == stated


# The access token ----------------------------------------------------------------------------------


@pytest.fixture
def call(network: wide.Server) -> Callable[[], http.NetworkCall]:
    """Send one event with a credential that no test has used before."""
    credential = {**wide.CREDENTIAL, "account": str(next(ACCOUNTS))}
    target = wide.Wide().target(pixel_id=wide.PIXEL, credential=credential, base_url=network.url)
    known = Facts(trigger="purchase", event_id="e-1", event_at=timezone.now())
    return lambda: http.call(wide.Wide(), target, lambda filled: wide.Wide().build(filled, known))


def token(value: str, expires_in: float = 3600) -> tuple[int, Any]:
    return 200, {"access_token": value, "expires_in": expires_in}


def test_an_access_token_is_kept_until_shortly_before_its_end(
    network: wide.Server, call: Callable[[], http.NetworkCall]
) -> None:
    network.answers["token"] = [token("first-token", expires_in=60), token("second-token")]
    for _ in range(3):
        assert call().outcome.verdict == Verdict.SUCCESS
    auth = [sent["auth"] for sent in network.calls["events"]]
    assert auth == ["Bearer first-token", "Bearer second-token", "Bearer second-token"]


@pytest.mark.parametrize("seconds", [float("inf"), 1e300, float("nan"), -5.0])
def test_an_access_token_with_an_absurd_lifetime_is_used(
    network: wide.Server, call: Callable[[], http.NetworkCall], seconds: float
) -> None:
    network.answers["token"] = [(200, {"access_token": wide.ACCESS_TOKEN, "expires_in": seconds})]
    assert call().outcome.verdict == Verdict.SUCCESS


def test_a_kept_token_that_is_refused_is_replaced_once(
    network: wide.Server, call: Callable[[], http.NetworkCall]
) -> None:
    network.answers["token"] = [token("first-token"), token("second-token")]
    network.answers["events"] = [(200, {}), (401, {"message": "expired"}), (200, {}), (401, {"message": "revoked"})]
    assert call().outcome.verdict == Verdict.SUCCESS
    assert call().outcome.verdict == Verdict.SUCCESS
    assert len(network.calls["token"]) == 2
    refused = call()
    assert (refused.outcome.verdict, refused.outcome.message) == (Verdict.CREDENTIAL, "revoked")
    assert len(network.calls["token"]) == 3
    assert len(network.calls["events"]) == 5


def test_a_new_token_that_is_refused_is_a_refused_credential(
    network: wide.Server, call: Callable[[], http.NetworkCall]
) -> None:
    network.answers["events"] = [(401, {"message": "no access"})]
    assert (call().outcome.verdict, len(network.calls["token"])) == (Verdict.CREDENTIAL, 1)


@pytest.mark.parametrize(
    ("answer", "verdict", "message"),
    [
        ((401, {"message": f"bad key {wide.PRIVATE_KEY}"}), Verdict.CREDENTIAL, "bad key [hidden]"),
        ((503, {"message": "later"}), Verdict.TRANSIENT, "later"),
        ((200, {}), Verdict.TRANSIENT, "The answer to the request for an access token could not be read."),
    ],
)
def test_without_an_access_token_no_event_is_sent(
    network: wide.Server, call: Callable[[], http.NetworkCall], answer: Any, verdict: Verdict, message: str
) -> None:
    network.answers["token"] = [answer]
    made = call()
    assert (made.request, made.outcome.verdict, made.outcome.message) == (None, verdict, message)
    assert made.outcome.unknown is False
    assert network.calls["events"] == []


def test_of_two_secrets_that_begin_alike_nothing_is_left_in_an_answer(network: wide.Server) -> None:
    credential = {**wide.CREDENTIAL, "url_token": wide.PRIVATE_KEY + "-and-more"}
    target = wide.Wide().target(pixel_id=wide.PIXEL, credential=credential, base_url=network.url)
    network.answers["events"] = [(400, {"message": f"bad {credential['url_token']}"})]
    known = Facts(trigger="purchase", event_id="e-1", event_at=timezone.now())
    made = http.call(wide.Wide(), target, lambda filled: wide.Wide().build(filled, known))
    assert made.outcome.message == "bad [hidden]"


def test_processes_share_one_access_token(network: wide.Server, call: Callable[[], http.NetworkCall]) -> None:
    call()
    access_tokens.forget()  # as in another process
    call()
    assert len(network.calls["token"]) == 1
    assert [sent["auth"] for sent in network.calls["events"]] == [f"Bearer {wide.ACCESS_TOKEN}"] * 2


def test_threads_share_one_access_token(network: wide.Server, call: Callable[[], http.NetworkCall]) -> None:
    with ThreadPoolExecutor(8) as pool:
        verdicts = [made.outcome.verdict for made in pool.map(lambda _: call(), range(24))]
    assert verdicts == [Verdict.SUCCESS] * 24
    assert len(network.calls["token"]) == 1


# Delivery ------------------------------------------------------------------------------------------


def everything_stored() -> str:
    """All rows of the postbacks' and the audience's tables as text."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE tablename ~ '^(postbacks|audience|auditlog)_'")
        tables = [name for (name,) in cursor.fetchall()]
        found = []
        for table in tables:
            cursor.execute(f'SELECT string_agg(row::text, chr(10)) FROM "{table}" row')
            found.append(str(cursor.fetchone()[0]))
    return "\n".join(found)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("status", "words", "state"),
    [
        (200, "ok", "delivered"),
        (400, f"bad {wide.URL_TOKEN} {wide.ACCESS_TOKEN} {wide.PRIVATE_KEY}", "failed"),
        (401, f"unknown token {wide.ACCESS_TOKEN} in ?token={wide.URL_TOKEN}", "waiting"),
        (503, f"try /events?token={wide.URL_TOKEN} later", "waiting"),
    ],
)
def test_no_secret_of_a_call_is_stored_logged_or_shown(
    network: wide.Server,
    game: Game,
    marketer: Client,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    status: int,
    words: str,
    state: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    new_config(game)
    clicked(game, hours=7)
    network.answers["events"] = [(status, {"message": words})]
    fan_out.fan_out_due()
    sending.drain(network="wide", max_in_flight=2)
    row = Delivery.objects.get()
    assert (row.state, row.attempts.count()) == (state, 1)
    sent = network.calls["events"][0]
    assert (sent["query"], sent["auth"]) == ({"token": wide.URL_TOKEN}, f"Bearer {wide.ACCESS_TOKEN}")
    assert sent["body"] == {
        "account": wide.ACCOUNT,
        "action": wide.ACTION,
        "id": row.event_id,
        "click": "E.C.P.click",
        "cookies": {"_wide": "c-1", "_wide2": "c-2"},
        "tcf": "CPXxRf",
    }

    logged = caplog.text + "".join(capsys.readouterr())
    assert "delivery_attempted" in logged
    url = f"/g/{game.slug}/integrations/wide/"
    attempt = row.attempts.get()
    pages = [url, f"{url}attempts/{attempt.pk}/", f"/g/{game.slug}/conversions/{row.conversion_id}/", f"{url}preview/"]
    shown = [marketer.get(page, follow=True).content.decode() for page in pages]
    for text in (logged, everything_stored(), *shown):
        assert [canary for canary in wide.CANARIES if canary in text] == []


def test_a_refused_token_and_a_slow_token_service_do_not_exceed_the_timeout_of_a_call(
    network: wide.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty calls with the same kept token: none of them waits for the requests of the others one by one."""

    def post(request: Request, *, timeout: float) -> Response:
        if is_working or not request.url.endswith("/token"):
            if not is_working:
                refused.wait()  # all of them at the same time
            return Response(200 if is_working else 401, {}, b'{"access_token": "kept-token", "expires_in": 3600}', 1)
        time.sleep(timeout)
        return Response(None, {}, b"", round(timeout * 1000), "timeout")

    def call(_: int) -> http.NetworkCall:
        target = kind.target(pixel_id=wide.PIXEL, credential=wide.CREDENTIAL, base_url=f"{network.url}/hanging")
        check = partial(kind.check, event_id="e-1", now=timezone.now())
        return http.call(kind, target, check, timeout=1.0)

    kind, is_working, refused = wide.Wide(), True, threading.Barrier(20)
    monkeypatch.setattr(network_calls, "post", post)
    assert call(0).outcome.verdict == Verdict.SUCCESS
    is_working, begun = False, time.monotonic()
    with ThreadPoolExecutor(20) as pool:
        made = list(pool.map(call, range(20)))
    assert time.monotonic() - begun < 4
    assert {each.outcome.verdict for each in made} == {Verdict.TRANSIENT}


@pytest.mark.parametrize(("setting", "state"), [("", "waiting"), ("once", "failed")])
def test_a_call_without_an_answer_is_repeated_unless_a_setting_of_the_postback_forbids_it(
    network: wide.Server, game: Game, monkeypatch: pytest.MonkeyPatch, setting: str, state: str
) -> None:
    new_config(game, credential={**wide.CREDENTIAL, "account": str(next(ACCOUNTS)), "unanswered": setting})
    clicked(game, hours=7)
    fan_out.fan_out_due()
    real = network_calls.post

    def post(request: Request, *, timeout: float) -> Response:
        lost = Response(None, {}, b"", 10_000, "timeout")
        return lost if "/events?" in request.url else real(request, timeout=timeout)

    monkeypatch.setattr(network_calls, "post", post)
    sending.drain(network="wide", max_in_flight=2)
    row = Delivery.objects.get()
    assert (row.state, row.verdict, row.may_have_arrived, row.reason) == (state, "transient", True, "")
    said = {
        "waiting": "No answer within 10 s",
        "failed": "No answer within 10 s. The event may have arrived. It is not sent again because of a setting of the "
        "postback.",
    }
    assert row.attempts.get().message == said[state]


def test_an_event_whose_answer_cannot_be_read_is_not_repeated_either(
    network: wide.Server, game: Game, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_config(game, credential={**wide.CREDENTIAL, "unanswered": "once"})
    clicked(game, hours=7)

    def classify(*_: Any) -> None:
        raise KeyError("code")

    monkeypatch.setattr(wide.Wide, "classify", classify)
    fan_out.fan_out_due()
    sending.drain(network="wide", max_in_flight=2)
    row = Delivery.objects.get()
    assert (row.state, row.may_have_arrived) == ("failed", True)
    assert row.attempts.get().message == (
        "The answer could not be read (KeyError). The event may have arrived. It is not sent again because of a "
        "setting of the postback."
    )


@pytest.mark.parametrize(("setting", "state"), [("", "delivered"), ("once", "failed")])
def test_the_event_of_a_killed_worker_is_repeated_unless_a_setting_of_the_postback_forbids_it(
    network: wide.Server, game: Game, setting: str, state: str
) -> None:
    new_config(game, credential={**wide.CREDENTIAL, "unanswered": setting})
    clicked(game, hours=7)
    fan_out.fan_out_due()
    assert list(claims.claim(network="wide"))
    past = timezone.now() - timedelta(seconds=1)
    Delivery.objects.update(leased_until=past, next_attempt_at=past)
    sending.drain(network="wide", max_in_flight=2)
    row = Delivery.objects.get()
    assert (row.state, row.may_have_arrived) == (state, state == "failed")


def test_a_preview_has_the_settings_of_the_postback_and_no_credential(network: wide.Server, game: Game) -> None:
    config = new_config(game, credential={**wide.CREDENTIAL, "unanswered": "once"})
    shown = preview.build_preview(clicked(game, hours=7), config, addresses=True)
    assert shown.body
    assert (shown.body["setting"], shown.body["account"]) == ("once", wide.ACCOUNT)


# Confirmation --------------------------------------------------------------------------------------


def delivered(network: wide.Server, game: Game) -> Delivery:
    """A delivery that the network has accepted, to be confirmed in half an hour."""
    new_config(game)
    clicked(game, hours=7)
    fan_out.fan_out_due()
    sending.drain(network="wide", max_in_flight=2)
    row = Delivery.objects.get()
    assert (row.state, row.confirmation, row.attempts.get().request_id) == ("delivered", "awaited", "r-1")
    assert row.finished_at is not None
    assert row.confirm_after == row.finished_at + timedelta(minutes=30)
    return row


def ask_again(row: Delivery, *, after: timedelta = timedelta(minutes=31)) -> Delivery:
    """Run the step as if the delivery had been accepted so long ago."""
    Delivery.objects.update(finished_at=timezone.now() - after, confirm_after=timezone.now())
    confirming.confirm_due()
    return Delivery.objects.get(pk=row.pk)


def test_no_confirmation_is_requested_before_it_is_due(network: wide.Server, game: Game) -> None:
    delivered(network, game)
    confirming.confirm_due()
    assert network.calls["status/r-1"] == []


def test_a_confirmed_delivery_stays_delivered(network: wide.Server, game: Game) -> None:
    row = ask_again(delivered(network, game))
    assert (row.state, row.confirmation, row.confirm_after) == ("delivered", "confirmed", None)
    assert row.attempts.count() == 1
    (asked,) = network.calls["status/r-1"]
    assert (asked["method"], asked["auth"]) == ("GET", f"Bearer {wide.ACCESS_TOKEN}")
    confirming.confirm_due()
    assert len(network.calls["status/r-1"]) == 1


def test_a_delivery_that_is_refused_later_fails_with_the_networks_message(
    network: wide.Server, game: Game, marketer: Client
) -> None:
    words = f"The click is too recent ({wide.URL_TOKEN})."
    network.answers["status/r-1"] = [(200, {"state": "refused", "message": words})]
    row = ask_again(delivered(network, game))
    assert (row.state, row.verdict, row.confirmation, row.confirm_after) == ("failed", "payload", "refused", None)
    sent, refused = row.attempts.order_by("number")
    assert (sent.status, refused.status, refused.number) == ("success", "failed", 2)
    assert (refused.message, refused.provider_code) == ("The click is too recent ([hidden]).", "TOO_RECENT_CLICK")
    assert refused.payload is None
    log = marketer.get(f"/g/{game.slug}/integrations/wide/").content.decode()
    assert "The click is too recent" in log
    assert marketer.get(f"/g/{game.slug}/integrations/wide/attempts/{refused.pk}/").status_code == 200
    found = {finding.name: finding.count for finding in audit.run(days=0).findings}
    assert (found["accepted_are_delivered"], found["attempts_in_time"]) == (0, 0)


@pytest.mark.parametrize("answer", [(503, {}), (200, {"state": "processing"}), (401, {"message": "no"})])
def test_an_inconclusive_confirmation_is_requested_again_for_a_limited_time(
    network: wide.Server, game: Game, answer: Any
) -> None:
    network.answers["status/r-1"] = [answer]
    row = ask_again(delivered(network, game), after=timedelta(hours=2))
    assert (row.state, row.confirmation) == ("delivered", "awaited")
    assert row.confirm_after is not None
    assert timedelta(minutes=119) < row.confirm_after - timezone.now() <= timedelta(minutes=121)
    row = ask_again(row, after=timedelta(hours=16))  # the last query is after a day
    assert (row.confirmation, row.finished_at is not None) == ("awaited", True)
    assert row.confirm_after == row.finished_at + timedelta(hours=24)
    row = ask_again(row, after=timedelta(hours=24))
    assert (row.state, row.confirmation, row.confirm_after) == ("delivered", "unknown", None)


def test_a_replay_that_is_accepted_without_a_receipt_awaits_no_confirmation_and_keeps_no_earlier_refusal(
    network: wide.Server, game: Game
) -> None:
    network.answers["status/r-1"] = [(200, {"state": "refused", "message": "The click is too recent."})]
    row = ask_again(delivered(network, game))
    assert (row.state, row.confirmation) == ("failed", "refused")
    network.answers["events"] = [(200, {"message": "ok"})]
    replays.send_again(row)
    sending.drain(network="wide", max_in_flight=2)
    row.refresh_from_db()
    assert (row.state, row.confirmation, row.confirm_after) == ("delivered", "", None)


@pytest.mark.parametrize(("length", "confirmation"), [(512, "confirmed"), (513, "")])
def test_a_receipt_that_was_cut_is_not_used_for_a_confirmation(
    network: wide.Server, game: Game, caplog: pytest.LogCaptureFixture, length: int, confirmation: str
) -> None:
    receipt = "r" * length
    network.answers["events"] = [(200, {"message": "ok", "receipt": receipt})]
    network.answers[f"status/{receipt}"] = [(200, {"state": "confirmed"})]
    new_config(game)
    clicked(game, hours=7)
    fan_out.fan_out_due()
    sending.drain(network="wide", max_in_flight=2)
    row = ask_again(Delivery.objects.get())
    assert (row.state, row.confirmation) == ("delivered", confirmation)
    assert row.attempts.get().request_id == (receipt if confirmation else "")
    assert ("request_id_too_long" in caplog.text) is not bool(confirmation)


def test_no_confirmation_is_requested_after_the_time_limit_of_a_run(
    network: wide.Server, game: Game, monkeypatch: pytest.MonkeyPatch
) -> None:
    def call(*args: Any, **given: Any) -> http.NetworkCall:
        time.sleep(1.2)
        return real(*args, **given)

    delivered(network, game)
    clicked(game, hours=8)
    fan_out.fan_out_due()
    sending.drain(network="wide", max_in_flight=2)
    Delivery.objects.update(confirm_after=timezone.now())
    real = http.call
    monkeypatch.setattr(http, "call", call)
    confirming.confirm_due(seconds=1)
    assert sorted(Delivery.objects.values_list("confirmation", flat=True)) == ["awaited", "confirmed"]
    FailedWork.objects.create(game=game, queue="confirmation", row=str(Delivery.objects.get(confirmation="awaited").pk))
    confirming.confirm_due(seconds=-1)
    assert sorted(Delivery.objects.values_list("confirmation", flat=True)) == ["awaited", "confirmed"]


@pytest.mark.parametrize(("days", "confirmation"), [(6, "awaited"), (8, "unknown")])
def test_a_confirmation_that_fails_again_and_again_is_unknown_after_a_week(
    network: wide.Server, game: Game, days: int, confirmation: str
) -> None:
    row = delivered(network, game)
    network.answers["status/r-1"] = [(200, {"state": "refused"})]  # without the message that the network reads
    ask_again(row)
    FailedWork.objects.update(set_aside_at=timezone.now())
    row = ask_again(row, after=timedelta(days=days))
    assert (row.state, row.confirmation, row.confirm_after is None) == (
        "delivered",
        confirmation,
        confirmation == "unknown",
    )
    assert FailedWork.objects.exists() is (confirmation == "awaited"), "nothing is left to retry of one that ended"


def test_one_delivery_that_cannot_be_confirmed_stops_no_other(network: wide.Server, game: Game) -> None:
    first = delivered(network, game)
    clicked(game, hours=8)
    network.answers["events"] = [(200, {"receipt": "r-2"})]
    network.answers["status/r-2"] = [(200, {"state": "refused"})]  # without the message that the network reads
    fan_out.fan_out_due()
    sending.drain(network="wide", max_in_flight=2)
    Delivery.objects.update(confirm_after=timezone.now())
    Delivery.objects.exclude(pk=first.pk).update(confirm_after=timezone.now() - timedelta(hours=1))
    confirming.confirm_due()
    assert dict(Delivery.objects.values_list("confirmation", "state")) == {
        "confirmed": "delivered",
        "awaited": "delivered",
    }
    assert FailedWork.objects.values_list("queue", "game").get() == ("confirmation", game.pk)


def test_what_a_network_refuses_later_of_an_erased_player_is_not_stored(
    network: wide.Server, game: Game, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The erasure comes while the network is asked."""
    row, real = delivered(network, game), http.call
    assert row.conversion is not None
    player = row.conversion.person_id

    def call(*args: Any, **given: Any) -> http.NetworkCall:
        made = real(*args, **given)
        erasure.erase_deliveries([player])
        Delivery.objects.filter(pk=row.pk).update(conversion=None)
        return made

    network.answers["status/r-1"] = [(200, {"state": "refused", "message": "Unknown: ada@example.com"})]
    monkeypatch.setattr(http, "call", call)
    row = ask_again(row)
    assert (row.state, row.confirmation, row.confirm_after) == ("delivered", "unknown", None)
    assert row.attempts.count() == 1
    assert "ada@example.com" not in everything_stored()


def test_a_later_refusal_is_recorded_whatever_characters_it_holds(network: wide.Server, game: Game) -> None:
    row = delivered(network, game)
    network.answers["status/r-1"] = [(200, {"state": "refused", "message": "too\x00 recent \ud83d"})]
    row = ask_again(row)
    assert (row.state, row.confirmation) == ("failed", "refused")
    assert row.attempts.get(number=2).message == "too  recent ?"
    assert FailedWork.objects.count() == 0


def violations() -> list[str]:
    """The violated invariants, without that of the versions: the configs here have none."""
    return [name for name in audit.run(days=0).violations if name != "versions_are_kept"]


def test_an_event_that_the_network_does_not_process_for_now_is_sent_again(network: wide.Server, game: Game) -> None:
    network.answers["status/r-1"] = [(200, {"state": "again"})]
    row = ask_again(delivered(network, game))
    assert (row.state, row.confirmation, row.finished_at) == ("waiting", "again", None)
    assert row.next_attempt_at == row.not_before
    assert row.next_attempt_at is not None
    assert timedelta(minutes=359) < row.next_attempt_at - timezone.now() <= timedelta(hours=6)
    Delivery.objects.update(next_attempt_at=timezone.now(), not_before=None)
    sending.drain(network="wide", max_in_flight=2)
    network.answers["status/r-1"] = [(200, {"state": "confirmed"})]
    row = ask_again(row)
    assert (row.state, row.confirmation) == ("delivered", "confirmed")
    statuses = list(row.attempts.order_by("number").values_list("status", "provider_code"))
    assert statuses == [("success", "0"), ("retried", "BUSY"), ("success", "0")]
    assert violations() == []


@pytest.mark.parametrize(("age", "state"), [(timedelta(hours=65), "waiting"), (timedelta(hours=67), "failed")])
def test_it_is_sent_again_for_three_days(network: wide.Server, game: Game, age: timedelta, state: str) -> None:
    network.answers["status/r-1"] = [(200, {"state": "again"})]
    row = delivered(network, game)
    row.attempts.update(finished_at=timezone.now() - age)
    assert ask_again(row).state == state


def test_a_click_that_the_network_does_not_know_is_unmatched(network: wide.Server, game: Game) -> None:
    network.answers["status/r-1"] = [(200, {"state": "unmatched"})]
    row = ask_again(delivered(network, game))
    assert (row.state, row.confirmation) == ("failed", "unmatched")
    assert violations() == []
    with pytest.raises(replays.NotSendable, match="does not know this click"):
        replays.send_again(row)


@pytest.mark.parametrize(("first_answers", "confirmation"), [([], "refused"), ([(503, {})], "confirmed")])
def test_a_duplicate_is_this_event_if_the_network_may_have_received_it_before(
    network: wide.Server, game: Game, first_answers: Any, confirmation: str
) -> None:
    network.answers["events"] = [*first_answers, (200, {"message": "ok", "receipt": "r-1"})]
    network.answers["status/r-1"] = [(200, {"state": "duplicate"})]
    new_config(game)
    clicked(game, hours=7)
    fan_out.fan_out_due()
    for _ in network.answers["events"][:2]:
        Delivery.objects.update(next_attempt_at=timezone.now())
        sending.drain(network="wide", max_in_flight=2)
    assert ask_again(Delivery.objects.get()).confirmation == confirmation


@pytest.mark.parametrize("result", ["again", "refused"])
def test_a_duplicate_after_a_refusal_is_another_event(network: wide.Server, game: Game, result: str) -> None:
    network.answers["status/r-1"] = [(200, {"state": result, "message": "No."}), (200, {"state": "duplicate"})]
    row = ask_again(delivered(network, game))
    if result == "refused":
        replays.send_again(row)
    Delivery.objects.update(next_attempt_at=timezone.now(), not_before=None)
    sending.drain(network="wide", max_in_flight=2)
    assert Delivery.objects.get().confirmation == "awaited"
    row = ask_again(row)
    assert (row.state, row.confirmation) == ("failed", "refused")


@pytest.mark.parametrize("freezes", [True, False])
def test_what_was_sent_first_is_sent_again_where_a_repeat_replaces_the_event(
    network: wide.Server, game: Game, monkeypatch: pytest.MonkeyPatch, freezes: bool
) -> None:
    monkeypatch.setattr(wide.Wide, "freezes_body", freezes)
    network.answers["events"] = [(503, {}), (200, {"message": "ok"})]
    new_config(game)
    clicked(game, hours=7)
    fan_out.fan_out_due()
    sending.drain(network="wide", max_in_flight=2)
    Touch.objects.update(click_id="another")
    Delivery.objects.update(next_attempt_at=timezone.now())
    sending.drain(network="wide", max_in_flight=2)
    first, second = (call["body"] for call in network.calls["events"])
    assert (first == second, second["click"]) == (freezes, "E.C.P.click" if freezes else "another")


def test_what_the_network_refused_is_built_anew(
    network: wide.Server, game: Game, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wide.Wide, "freezes_body", True)
    network.answers["events"] = [(400, {}), (200, {"message": "ok"})]
    new_config(game)
    clicked(game, hours=7)
    fan_out.fan_out_due()
    sending.drain(network="wide", max_in_flight=2)
    Touch.objects.update(click_id="another")
    replays.send_again(Delivery.objects.get())
    sending.drain(network="wide", max_in_flight=2)
    assert network.calls["events"][1]["body"]["click"] == "another"


# Requests that users write -------------------------------------------------------------------------


class Entered(wide.Wide):
    """Users write its requests: the log shows a part of each, and the postback says what answers mean."""

    pixel_is_name = True
    daily_check = False

    def build(self, target: Target, facts: Facts) -> Request:
        return replace(super().build(target, facts), shown={"event": facts.trigger})

    def classify_answer(self, response: Response, target: Target) -> Outcome:
        return replace(self.classify(response), message=f"as {target.credential['account']} says")

    def click_parameters_of(self, credential: Mapping[str, str]) -> list[str]:
        return [f"click_{credential['account']}"]

    def refusals(self, credential: Mapping[str, str]) -> dict[str, str]:
        return {"account": "This account is closed."} if credential.get("account") == "0000000000" else {}

    def entered_url(self, credential: Mapping[str, str]) -> str:
        return "http://partner.example/" if credential.get("account") == "1111111111" else ""


@pytest.fixture
def entered(network: wide.Server, monkeypatch: pytest.MonkeyPatch) -> wide.Server:
    monkeypatch.setitem(NETWORKS, "wide", Entered())
    return network


def test_the_log_has_what_a_request_shows_and_an_answer_means_what_the_postback_says(
    entered: wide.Server, game: Game
) -> None:
    config = new_config(game)
    clicked(game, hours=7)
    fan_out.fan_out_due()
    sending.drain(network="wide", max_in_flight=1)
    attempt = Delivery.objects.get().attempts.get()
    assert (attempt.payload, attempt.message) == ({"event": "purchase"}, f"as {wide.ACCOUNT} says")
    assert Flow.objects.values_list("pixel_id", flat=True).get() == str(config.pk)


@pytest.mark.parametrize(
    ("account", "sentence"),
    [
        ("0000000000", "This account is closed."),
        ("1111111111", "This address cannot be called: it must start with https://."),
    ],
)
def test_parts_that_a_network_refuses_reach_no_network(
    entered: wide.Server, game: Game, account: str, sentence: str
) -> None:
    proposed = ProposedSettings(
        network="wide",
        pixel_id=wide.PIXEL,
        triggers=[],
        goals=new_config(game, pixel_id="w-2").goals,
        credential={**wide.CREDENTIAL, "account": account},
    )
    with pytest.raises(rules.SettingsRefused) as refused:
        credentials.request_check(game=game, proposed=proposed, requested_by=None)
    assert str(refused.value) == sentence
    assert CredentialCheck.objects.count() == 0


def test_a_saved_postback_has_the_click_parameters_of_its_credential(entered: wide.Server, game: Game) -> None:
    proposed = ProposedSettings(
        network="wide",
        pixel_id=wide.PIXEL,
        triggers=[],
        goals=new_config(game, pixel_id="w-2").goals,
        credential=wide.CREDENTIAL,
    )
    check = credentials.request_check(game=game, proposed=proposed, requested_by=None)
    credentials.run_check(check_id=str(check.pk))
    config = PostbackConfig.objects.get(pixel_id=wide.PIXEL)
    assert config.click_parameters == [f"click_{wide.ACCOUNT}"]
    assert config.takes("other", f"click_{wide.ACCOUNT}")
    assert not config.takes("other", "irclickid")


@pytest.mark.parametrize(("daily", "checks"), [(True, 1), (False, 0)])
def test_a_network_may_have_no_daily_check(
    entered: wide.Server, game: Game, monkeypatch: pytest.MonkeyPatch, daily: bool, checks: int
) -> None:
    monkeypatch.setattr(Entered, "daily_check", daily)
    new_config(game, validated_at=timezone.now() - timedelta(days=3))
    upkeep.check_daily()
    assert CredentialCheck.objects.count() == checks


# All of it -----------------------------------------------------------------------------------------


def test_from_the_form_to_a_refusal_that_comes_later(network: wide.Server, game: Game, marketer: Client) -> None:
    url = f"/g/{game.slug}/integrations/wide/"
    marketer.post(url + "add/", posted(credential_account=str(next(ACCOUNTS))))
    credentials.run_check(check_id=str(CredentialCheck.objects.get().pk))
    conversion = clicked(game, hours=7)
    fan_out.fan_out_due()
    network.answers["token"] = [token("next-token")]
    network.answers["events"] = [(401, {"message": "expired"}), (200, {"message": "ok", "receipt": "r-1"})]
    sending.drain(network="wide", max_in_flight=1)
    network.answers["status/r-1"] = [(200, {"state": "refused", "message": "The click is too recent."})]
    row = ask_again(Delivery.objects.get(conversion=conversion))

    assert [call["auth"] for call in network.calls["events"]] == [f"Bearer {wide.ACCESS_TOKEN}", "Bearer next-token"]
    assert (row.state, row.confirmation, row.object_id) == ("failed", "refused", wide.ACTION)
    statuses = list(row.attempts.order_by("number").values_list("status", "message"))
    assert statuses == [("success", "ok"), ("failed", "The click is too recent.")]
    page = marketer.get(url).content.decode()
    assert "The click is too recent." in page
    assert [canary for canary in (*wide.CANARIES, "next-token") if canary in page + everything_stored()] == []
