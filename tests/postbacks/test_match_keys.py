"""The match keys that destinations of Segment and RudderStack fill from one event, in our requests (match-keys.md)."""

import hashlib
from typing import Any

import pytest

from audience.games.keys import NewKey, create_key
from audience.models import Conversion, Dialect, Game
from postbacks.delivery import sending
from postbacks.networks.interface.facts import Address, AdvertisingId, Name, Screen
from postbacks.networks.tiktok import payload
from postbacks.outbox import fan_out
from postbacks.outbox.personal_facts import read_personal
from postbacks.preview.preview import build_preview
from postbacks.sandbox.server import Sandbox
from tests import factories
from tests.audience.wire import digest, post

COOKIE = "1735888000000.6ff3ff0b-5de3-4be7-9b2c-ec8a9c8f5a33"
IDFA = "AEBE52E7-03EE-455A-B3C4-E57283966239"
ADDRESS = {"city": "São Paulo", "state": "SP", "country": "BR", "postal_code": "01310-100"}
# One purchase with every field that the mappings read.
PURCHASE: dict[str, Any] = {
    "event": "purchase",
    "userId": "U-1",
    "anonymousId": "A-1",
    "properties": {
        "value": 9.99,
        "currency": "BRL",
        "email": ["ana@example.com", "ana.work@example.com"],
        "phone": ["+5511987654321", "+5511987654322"],
        "ttp": "ttp-1",
        "uuid": COOKIE,
    },
    "context": {
        "traits": {"first_name": "Ana", "last_name": "d'Ávila", "address": ADDRESS},
        "locale": "pt-BR",
        "os": {"name": "iOS"},
        "device": {"advertisingId": IDFA, "type": "ios", "adTrackingEnabled": True},
        "screen": {"width": 1170, "height": 2532},
    },
}
# The landing of the same player, by which the address and the browser are known.
LANDING = {
    "anonymousId": "A-1",
    "context": {"ip": "203.0.113.7", "userAgent": "Mozilla/5.0", "page": {"url": "https://g.example/?CLICK"}},
}


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def key(game: Game) -> NewKey:
    return create_key(game=game, name="rudderstack", dialect=Dialect.RUDDERSTACK)


def deliver(*calls: tuple[str, dict[str, Any]], key: NewKey, network: str) -> None:
    for path, call in calls:
        assert post(path, call, key).status_code == 200
        digest()
    fan_out.fan_out_due()
    sending.drain(network=network, max_in_flight=1)


def landing(click: str) -> tuple[str, dict[str, Any]]:
    context = LANDING["context"] | {"page": {"url": f"https://g.example/?{click}"}}  # type: ignore[operator]
    return "/v1/page", LANDING | {"context": context}


@pytest.mark.django_db
def test_tiktok_receives_every_match_key_that_their_mappings_fill(sandbox: Sandbox, game: Game, key: NewKey) -> None:
    factories.config(game)
    deliver(landing("ttclid=E.C.P.1"), ("/v1/track", PURCHASE), key=key, network="tiktok")

    [request] = sandbox.received("tiktok")
    assert request["body"]["data"][0]["user"] == {
        "ttclid": "E.C.P.1",
        "ttp": "ttp-1",
        "email": [sha256("ana@example.com"), sha256("ana.work@example.com")],
        "phone": [sha256("+5511987654321"), sha256("+5511987654322")],
        "external_id": sha256("U-1"),
        "ip": "203.0.113.7",
        "user_agent": "Mozilla/5.0",
        "locale": "pt-BR",
        "first_name": sha256("ana"),
        "last_name": sha256("dávila"),
        "city": "sãopaulo",
        "state": "sp",
        "country": "br",
        "zip_code": sha256("01310100"),
    }


@pytest.mark.django_db
@pytest.mark.parametrize(("system", "field"), [("iOS", "idfa"), ("Android", "aaid")])
def test_reddit_receives_every_match_key_that_their_mappings_fill(
    sandbox: Sandbox, game: Game, key: NewKey, system: str, field: str
) -> None:
    factories.config(game, network="reddit")
    purchase = PURCHASE | {"context": PURCHASE["context"] | {"os": {"name": system}}}
    deliver(landing("rdt_cid=5185847163480834048"), ("/v1/track", purchase), key=key, network="reddit")

    [request] = sandbox.received("reddit")
    [event] = request["body"]["data"]["events"]
    assert event["click_id"] == "5185847163480834048"
    assert event["user"] == {
        "email": sha256("ana@example.com"),
        "phone_number": sha256("+5511987654321"),
        "external_id": sha256("U-1"),
        "ip_address": "203.0.113.7",
        "user_agent": "Mozilla/5.0",
        "uuid": COOKIE,
        field: sha256(IDFA),
        "screen_dimensions": {"width": 1170, "height": 2532},
    }


@pytest.mark.django_db
@pytest.mark.parametrize("user_id", [None, "null", "guest", "00000000-0000-0000-0000-000000000000"])
@pytest.mark.parametrize(("network", "path"), [("tiktok", ("data", 0)), ("reddit", ("data", "events", 0))])
def test_an_anonymous_id_is_sent_to_no_network_as_a_user_id(
    sandbox: Sandbox, game: Game, key: NewKey, network: str, path: tuple[Any, ...], user_id: str | None
) -> None:
    factories.config(game, network=network)
    click = "ttclid=E.C.P.1" if network == "tiktok" else "rdt_cid=5185847163480834048"
    deliver(landing(click), ("/v1/track", PURCHASE | {"userId": user_id}), key=key, network=network)

    [request] = sandbox.received(network)
    event = request["body"]
    for step in path:
        event = event[step]
    assert "external_id" not in event["user"]


@pytest.mark.django_db
def test_a_cookie_is_sent_for_a_purchase_without_a_click_too(sandbox: Sandbox, game: Game, key: NewKey) -> None:
    config = factories.config(game)
    deliver(("/v1/track", PURCHASE), key=key, network="tiktok")

    preview = build_preview(Conversion.objects.select_related("game", "touch", "person").get(), config, addresses=True)
    assert preview.body is not None
    user = preview.body["data"][0]["user"]
    assert (user["ttp"], user["external_id"]) == ("ttp-1", sha256("U-1"))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("network", "integrations", "path"),
    [
        ("tiktok", {"TikTok Conversions": {"ttclid": "E.C.P.9", "ttp": "ttp-9"}}, ("data", 0, "user")),
        ("reddit", {"Reddit Conversions Api": {"click_id": "518", "uuid": COOKIE}}, ("data", "events", 0)),
        ("reddit", {"Reddit Conversions API": {"click_id": "518", "uuid": COOKIE}}, ("data", "events", 0)),
    ],
)
def test_ids_in_the_integrations_of_an_event_reach_their_network(
    sandbox: Sandbox, game: Game, key: NewKey, network: str, integrations: dict[str, Any], path: tuple[Any, ...]
) -> None:
    factories.config(game, network=network)
    properties = {"value": 1, "currency": "EUR"}
    purchase = {"event": "purchase", "userId": "u", "integrations": integrations, "properties": properties}
    deliver(("/v1/track", purchase), key=key, network=network)

    [request] = sandbox.received(network)
    sent = request["body"]
    for step in path:
        sent = sent[step]
    user = sent if network == "tiktok" else sent["user"]
    found = {"ttclid": sent.get("ttclid"), "click_id": sent.get("click_id"), "ttp": user.get("ttp")}
    found["uuid"] = user.get("uuid")
    assert {name: value for name, value in found.items() if value} == next(iter(integrations.values()))


@pytest.mark.django_db
def test_a_click_id_without_a_network_counts_with_a_campaign_of_reddit_beside_it(
    sandbox: Sandbox, game: Game, key: NewKey
) -> None:
    factories.config(game, network="reddit")
    for user, name, context in (("u-1", "clickId", {"campaign": {"source": "Reddit"}}), ("u-2", "click_id", {})):
        properties = {"value": 1, "currency": "EUR", name: f"518{user[-1]}"}
        call = {"event": "purchase", "userId": user, "properties": properties, "context": context}
        deliver(("/v1/track", call), key=key, network="reddit")

    assert [request["body"]["data"]["events"][0]["click_id"] for request in sandbox.received("reddit")] == ["5181"]


# The facts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("traits", "properties", "person", "expected"),
    [
        ({"firstName": "Ada"}, {"first_name": "Bo"}, {"last_name": "Cy"}, Name(first="Ada")),
        ({}, {"last_name": " Cy "}, {"first_name": "Ada"}, Name(last="Cy")),
        ({}, {"user_data": {"address": [{"first_name": "Ada"}]}}, {}, Name(first="Ada")),
        ({"first_name": "null"}, {"first_name": ["Bo"]}, {"firstName": "Ada", "lastName": True}, Name(first="Ada")),
        ({}, {"name": "Gem pack", "first_name": ""}, {}, None),
    ],
)
def test_a_name_is_of_the_closest_source_that_states_one(
    traits: Any, properties: Any, person: Any, expected: Name | None
) -> None:
    assert read_personal(traits, properties, person, {})["name"] == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ({"city": "Köln", "country": "de"}, Address(city="Köln", country="DE")),
        ([{"postalCode": 50667, "region": "NW"}], Address(postal_code="50667", state="NW")),
        ({"country": "Germany", "zip": "50667"}, Address(postal_code="50667")),
        ({"countryCode": "+49"}, Address(country="DE")),
        ({"country": "nowhere", "city": "undefined"}, None),
        ("1 Main Street", None),
        ([], None),
    ],
)
def test_an_address_is_read_from_its_object_only(address: Any, expected: Address | None) -> None:
    assert read_personal({}, {"address": address, "city": "Sim City"}, {}, {})["address"] == expected


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ({"device": {"advertisingId": IDFA, "type": "ios"}}, AdvertisingId(idfa=IDFA)),
        ({"device": {"advertisingId": IDFA}, "os": {"name": "iPadOS"}}, AdvertisingId(idfa=IDFA)),
        ({"device": {"advertisingId": IDFA.lower()}, "os": {"name": "Android"}}, AdvertisingId(aaid=IDFA.lower())),
        ({"device": {"advertisingId": IDFA, "type": "ios", "adTrackingEnabled": False}}, None),
        ({"device": {"advertisingId": "00000000-0000-0000-0000-000000000000", "type": "ios"}}, None),
        ({"device": {"advertisingId": "idfa", "type": "ios"}}, None),
        ({"device": {"advertisingId": IDFA}, "os": {"name": "Windows"}}, None),
        ({"device": [IDFA], "os": "ios"}, None),
    ],
)
def test_an_advertising_id_is_named_by_its_system(context: Any, expected: AdvertisingId | None) -> None:
    assert read_personal({}, {}, {}, context)["advertising_id"] == expected


@pytest.mark.parametrize(
    ("screen", "expected"),
    [
        ("1920x1080", Screen(1920, 1080)),
        ("390.0x844.0", Screen(390, 844)),
        ("32767x1", Screen(32767, 1)),
        ("32768x1", None),
        ("0x844", None),
        ("1920 x 1080", None),
        ({"width": 1}, None),
        (None, None),
    ],
)
def test_a_screen_has_sides_that_reddit_accepts(screen: Any, expected: Screen | None) -> None:
    assert read_personal({}, {}, {}, {"screen": screen})["screen"] == expected


@pytest.mark.parametrize(
    ("stated", "sent"),
    [("94035-1234", "94035"), ("SW1A 1AA", "sw1a1aa"), ("1012-AB", "1012ab"), ("-", None), (None, None)],
)
def test_a_postal_code_is_sent_without_spaces_and_additions(stated: str | None, sent: str | None) -> None:
    assert payload.postal_code(stated) == sent


@pytest.mark.parametrize(
    ("stated", "sent"),
    [("St. Anne-on-Sea", "stanneonsea"), ("Mu\u0308nchen", "m\u00fcnchen"), ("東京", "東京"), (" !", None)],
)
def test_a_place_is_sent_in_lower_case_with_its_own_letters(stated: str, sent: str | None) -> None:
    assert payload.bare(stated) == sent
