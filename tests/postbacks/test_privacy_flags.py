"""Limited data use: what events and the game state, and what the networks receive."""

import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from auditlog.models import LogEntry
from django.test import Client
from django.utils import timezone

from audience.models import Conversion, Game, Role
from consent.models import Level
from postbacks.delivery import sending
from postbacks.http import post
from postbacks.models import Delivery
from postbacks.networks import NETWORKS
from postbacks.networks.interface.facts import Consent, DataUse
from postbacks.outbox import conversion_facts, fan_out, privacy_flags
from postbacks.preview import preview
from postbacks.sandbox.server import Sandbox
from tests import factories, hub
from tests.postbacks.facts import PURCHASE, schema, target

LIMITED, UNLIMITED = DataUse(limited=True), DataUse(limited=False)
CALIFORNIA = DataUse(limited=True, country="US", region="US-CA")


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({}, None),
        ({"limited_data_use": True}, LIMITED),
        ({"limitedDataUse": "true"}, LIMITED),
        ({"limited_data_use": False}, UNLIMITED),
        ({"limited_data_use": "perhaps"}, None),
        ({"limited_data_use": "Yes"}, LIMITED),
        ({"limited_data_use": 1.0}, LIMITED),
        ({"limited_data_use": "no"}, UNLIMITED),
        ({"data_processing_options": ["LDU"]}, LIMITED),
        ({"data_processing_options": "ldu"}, LIMITED),
        ({"data_processing_options": []}, UNLIMITED),
        ({"data_processing_options": {"modes": ["LDU"], "country": "us", "region": "US-CA"}}, CALIFORNIA),
        ({"data_processing_options": {"modes": "LDU", "country": "United States", "region": 7}}, LIMITED),
        # A state alone is no code of ISO 3166-2.
        ({"data_processing_options": {"modes": ["LDU"], "country": "US", "region": "CA"}}, CALIFORNIA),
        ({"data_processing_options": {"modes": ["LDU"], "region": "CA"}}, LIMITED),
        ({"data_processing_options": {"modes": ["LDU"], "country": "US-CA"}}, LIMITED),
        ({"data_processing_options": {"modes": 7}}, None),
        (
            {
                "data_processing_options": ["LDU"],
                "data_processing_options_country": 1,
                "data_processing_options_state": 1000,
            },
            CALIFORNIA,
        ),
        (
            {
                "data_processing_options": ["LDU"],
                "data_processing_options_country": 0,
                "data_processing_options_state": 0,
            },
            LIMITED,
        ),
        ({"gpc": True}, LIMITED),
        ({"globalPrivacyControl": 1}, LIMITED),
        ({"Sec-GPC": "1"}, LIMITED),
        ({"gpc": False}, None),
        ({"us_privacy": "1YYN"}, LIMITED),
        ({"usPrivacy": "1yyn"}, LIMITED),
        ({"us_privacy": "1YNN"}, None),
        ({"us_privacy": "1---"}, None),
        ({"consent": {"limited_data_use": True}}, LIMITED),
        ({"privacy": {"gpc": True}}, LIMITED),
        ({"limited_data_use": False, "gpc": True}, LIMITED),
        ({"limited_data_use": False, "consent": {"limited_data_use": True}}, LIMITED),
    ],
)
def test_limited_data_use_is_read_from_context_and_properties(stated: dict[str, Any], expected: DataUse | None) -> None:
    assert privacy_flags.data_use(stated, {}, always_limited=False) == expected
    assert privacy_flags.data_use({}, stated, always_limited=False) == expected


@pytest.mark.parametrize("damaged", [None, [], "x", 7, {"consent": 7, "privacy": [1], "gpp": {"a": 1}}])
def test_damaged_json_states_nothing(damaged: Any) -> None:
    assert privacy_flags.data_use(damaged, damaged, always_limited=False) is None
    assert privacy_flags.consent(damaged, damaged) is None


def test_an_event_cannot_lift_the_rule_of_its_game() -> None:
    assert privacy_flags.data_use({}, {"limited_data_use": False}, always_limited=True) == LIMITED
    options = {"data_processing_options": {"modes": [], "country": "US", "region": "US-CA"}}
    assert privacy_flags.data_use({}, options, always_limited=True) == CALIFORNIA


def test_a_consent_string_may_be_long() -> None:
    assert privacy_flags.consent({"tcf": "C" * 2048}, {"gpp": "DBA"}) == Consent(tcf="C" * 2048, gpp="DBA")
    assert privacy_flags.consent({"tcf": "C" * 2049}, {}) is None


def sent(kind: str, use: DataUse | None) -> Any:
    body = json.loads(NETWORKS[kind].build(target(factories.PIXELS[kind]), replace(PURCHASE, data_use=use)).body)
    jsonschema.validate(body, schema(kind))
    return body["data"][0] if kind == "tiktok" else body["data"]["events"][0]


@pytest.mark.parametrize(
    ("use", "tiktok", "reddit"),
    [
        (None, None, None),
        (UNLIMITED, False, None),
        (LIMITED, True, {"modes": ["LDU"]}),
        (CALIFORNIA, True, {"modes": ["LDU"], "country": "US", "region": "US-CA"}),
    ],
)
def test_each_network_is_asked_in_its_own_field(use: DataUse | None, tiktok: bool | None, reddit: Any) -> None:
    assert sent("tiktok", use).get("limited_data_use") is tiktok
    assert sent("reddit", use)["user"].get("data_processing_options") == reddit


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("tiktok", "yes", "Invalid value for limited_data_use: not a valid boolean."),
        ("reddit", {"modes": ["CCPA"]}, "There were 1 invalid conversion events. None were processed."),
        ("reddit", {"modes": ["LDU"], "state": "CA"}, 'JSON error "unknown field" on field "state"'),
    ],
)
def test_the_imitations_refuse_what_the_networks_refuse(sandbox: Sandbox, kind: str, value: Any, message: str) -> None:
    accounts = factories.ACCOUNTS[kind]
    network = NETWORKS[kind]
    aim = network.target(
        pixel_id=accounts.pixel, credential=accounts.stored_credential(), base_url=sandbox.url, test_code=None
    )
    request = network.build(aim, replace(PURCHASE, event_at=timezone.now(), data_use=LIMITED))
    body = json.loads(request.body)
    if kind == "tiktok":
        body["data"][0]["limited_data_use"] = value
    else:
        body["data"]["events"][0]["user"]["data_processing_options"] = value
    outcome = network.classify(post(replace(request, body=json.dumps(body).encode())))
    assert outcome.verdict == "payload"
    assert outcome.message.startswith(message)


def purchase(game: Game, *, network: str = "tiktok", **fields: Any) -> Conversion:
    player = factories.person(game)
    return factories.conversion(player, touch=factories.touch(player, network=network), **fields)


@pytest.mark.django_db
@pytest.mark.parametrize("level", [Level.FULL, Level.ANONYMOUS])
def test_limited_data_use_is_sent_at_every_level(game: Game, level: Level) -> None:
    row = purchase(game, properties={"limited_data_use": True})
    assert conversion_facts.read_facts(row, event_id="e", level=level).data_use == LIMITED


@pytest.mark.django_db
@pytest.mark.parametrize(("rule", "properties"), [(False, {"limited_data_use": True}), (True, {})])
def test_a_delivery_asks_for_limited_data_use_by_its_event_or_by_the_rule(
    game: Game, sandbox: Sandbox, rule: bool, properties: dict[str, Any]
) -> None:
    for network in ("tiktok", "reddit"):
        factories.config(game, network=network)
        purchase(game, network=network, properties=properties)
    fan_out.fan_out_due()
    # A rule that is set later holds for what still waits.
    Game.objects.update(limited_data_use=rule)
    for network in ("tiktok", "reddit"):
        sending.drain(network=network, max_in_flight=1, seconds=5)
    assert Delivery.objects.filter(state="delivered").count() == 2
    (tiktok,), (reddit,) = sandbox.received("tiktok"), sandbox.received("reddit")
    assert tiktok["body"]["data"][0]["limited_data_use"] is True
    assert reddit["body"]["data"]["events"][0]["user"]["data_processing_options"] == {"modes": ["LDU"]}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("rule", "properties", "text"),
    [
        (
            False,
            {"limited_data_use": True},
            "Limited data use is requested from networks that support it, as the event states.",
        ),
        (
            True,
            {},
            "Limited data use is requested from networks that support it, as for every conversion of this game.",
        ),
        (False, {"limited_data_use": False}, "The event states that networks can use its data without limits."),
    ],
)
def test_the_page_of_a_conversion_says_why_limited_data_use_is_asked_for(
    game: Game, viewer: Client, rule: bool, properties: dict[str, Any], text: str
) -> None:
    Game.objects.update(limited_data_use=rule)
    row = purchase(game, properties=properties)
    page = viewer.get(f"/g/{game.slug}/conversions/{row.pk}/").content.decode()
    assert text in hub.normalized_html(page)


@pytest.mark.django_db
def test_the_preview_lists_limited_data_use_only_where_it_is_stated(game: Game) -> None:
    config = factories.config(game)
    limited = preview.build_preview(purchase(game, properties={"gpc": True}), config, addresses=True)
    assert [(row.paths, row.value) for row in limited.fields if row.label == "Limited data use"] == [
        (["data[].limited_data_use"], "True")
    ]
    plain = preview.build_preview(purchase(game), config, addresses=True)
    assert "Limited data use" not in [row.label for row in plain.fields]


@pytest.mark.django_db
def test_an_admin_sets_the_rule_and_the_audit_log_has_it(game: Game) -> None:
    admin = hub.member(game, Role.ADMIN)
    url = f"/g/{game.slug}/privacy/consent/"
    answer = admin.post(url, {"unstated": "send", "limited_data_use": "on"}, follow=True).content.decode()
    assert "Limited data use is requested with every conversion." in answer
    game.refresh_from_db()
    assert (game.limited_data_use, game.strict_consent) == (True, False)
    assert LogEntry.objects.get_for_object(game).latest("pk").changes == {"limited_data_use": ["False", "True"]}
    assert "Limited data use for every conversion" in admin.get(f"/g/{game.slug}/audit-log/").content.decode()
    assert "checked" in admin.get(url).content.decode().split('name="limited_data_use"')[1].partition(">")[0]
    admin.post(url, {"unstated": "send"})
    game.refresh_from_db()
    assert game.limited_data_use is False
