"""Emails, phone numbers, addresses and hashes: what each network receives of what an event states."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audience.games.keys import NewKey, create_key
from audience.models import Conversion, Dialect, Game, Person, Touch
from consent.models import Level
from postbacks.delivery import sending
from postbacks.networks import NETWORKS
from postbacks.networks.interface.facts import Facts
from postbacks.outbox import conversion_facts, fan_out
from postbacks.preview.preview import build_preview
from postbacks.sandbox.server import Sandbox
from tests import factories
from tests.audience import immutable
from tests.audience.wire import digest, post
from tests.postbacks.facts import AT, EVENT_ID, target

VECTORS = json.loads((Path(__file__).parents[1] / "fixtures" / "networks" / "contacts.json").read_text())
SHARED = [kind for kind in ("tiktok", "reddit") if kind in NETWORKS]
# Reddit names the number and the address otherwise.
FIELDS = {"tiktok": ("email", "phone", "ip"), "reddit": ("email", "phone_number", "ip_address")}


def sha256(text: str | None) -> str | None:
    return None if text is None else hashlib.sha256(text.encode()).hexdigest()


def facts_of(
    properties: dict[str, Any],
    *,
    traits: dict[str, Any] | None = None,
    person: dict[str, Any] | None = None,
    user: dict[str, Any] | None = None,
    ip: str = "",
) -> Facts:
    """The facts of a purchase of a player without a user id. `traits` hold for the event, `person` for the player."""
    stated = {"traits": traits, "user": user}
    row = Person(game=Game(pk=1), traits=person or {})
    row.first_user_id = None
    conversion = Conversion(
        game=row.game,
        person=row,
        touch=Touch(ip=ip),
        trigger="purchase",
        event_at=AT,
        anonymous_id="",
        properties=properties,
        context={name: value for name, value in stated.items() if value},
    )
    return conversion_facts.read_facts(conversion, event_id=EVENT_ID, level=Level.FULL)


def sent(kind: str, facts: Facts) -> tuple[str | None, str | None, str | None]:
    """Return (email, phone number, address) of the body."""
    body = json.loads(NETWORKS[kind].build(target("CSANDBOX0AFTERCLICK1"), facts).body)
    event = body["data"][0] if kind == "tiktok" else body["data"]["events"][0]
    email, phone, ip = (event.get("user", {}).get(name) for name in FIELDS[kind])
    return email, phone, ip


@pytest.mark.parametrize("kind", SHARED)
@pytest.mark.parametrize("vector", VECTORS["emails"], ids=lambda vector: str(vector["stated"]))
def test_an_email_is_recognised_and_normalised_by_the_networks_rule(kind: str, vector: dict[str, Any]) -> None:
    assert sent(kind, facts_of({"email": vector["stated"]}))[0] == sha256(vector[kind])


@pytest.mark.parametrize("kind", SHARED)
@pytest.mark.parametrize("vector", VECTORS["phones"], ids=lambda vector: f"{vector['stated']} {vector.get('country')}")
def test_a_phone_number_is_sent_in_e164_or_left_out(kind: str, vector: dict[str, Any]) -> None:
    country = {"country": vector["country"]} if "country" in vector else {}
    assert sent(kind, facts_of({"phone": vector["stated"], **country}))[1] == sha256(vector["sent"])


@pytest.mark.parametrize("kind", SHARED)
@pytest.mark.parametrize("vector", VECTORS["addresses"], ids=lambda vector: vector["stated"])
def test_only_an_address_of_the_internet_is_sent(kind: str, vector: dict[str, Any]) -> None:
    assert sent(kind, facts_of({}, ip=vector["stated"]))[2] == vector["sent"]


@pytest.mark.parametrize("kind", SHARED)
def test_the_normalisation_of_a_network_may_be_repeated(kind: str) -> None:
    for vector in VECTORS["emails"]:
        facts = facts_of({"email": vector["stated"]})
        assert sent(kind, replace(facts, email=vector[kind] or "-"))[0] == sent(kind, facts)[0]


# Which of several values counts ----------------------------------------------------------------------


def test_the_traits_of_the_event_precede_its_properties_and_those_the_traits_of_the_player() -> None:
    person = {"email": "person@example.com", "phone": "+15554440003"}
    properties = {"email": "properties@example.com", "phone": "+15554440002"}
    facts = facts_of(properties, traits={"email": "event@example.com"}, person=person)
    assert (facts.email, facts.phone) == ("event@example.com", "+15554440002")


def test_contacts_are_read_where_mappings_for_tiktok_have_them() -> None:
    user, person = {"email": "alex@example.com", "phone": "+15554441234"}, {"email": "person@example.com"}
    for facts in (facts_of({}, user=user, person=person), facts_of({"context": {"user": user}}, person=person)):
        assert (facts.email, facts.phone) == ("alex@example.com", "+15554441234")


def test_a_contact_that_cannot_be_read_gives_way_to_the_next_one() -> None:
    facts = facts_of({"email": "n/a", "phone": "0"}, person={"emailAddress": "a@example.com", "phone": "+15554441234"})
    assert (facts.email, facts.phone) == ("a@example.com", "+15554441234")


def test_a_list_of_contacts_is_read_to_the_first_usable_one() -> None:
    assert facts_of({"email": [None, "n/a", "a@example.com", "b@example.com"]}).email == "a@example.com"


@pytest.mark.parametrize(
    "source",
    [
        {"address": {"country": "GB"}},
        {"address": {"countryCode": "gb"}},
        {"address": [{"country": "GB"}]},
        {"country_code": "+44"},
        {"country": 44},
    ],
)
def test_a_national_number_is_completed_by_the_country_of_the_player(source: dict[str, Any]) -> None:
    national = {"phone": "020 7946 0958"}
    assert facts_of({}, person={**national, **source}).phone == "+442079460958"
    assert facts_of({}, traits=national, person=source).phone == "+442079460958"


def test_neither_a_locale_nor_the_country_of_a_purchase_completes_the_number_of_a_player() -> None:
    player = {"phone": "020 7946 0958", "locale": "en-GB"}
    assert sent("tiktok", facts_of({"country": "GB"}, person=player))[1] is None


# Hashes that the sender made -------------------------------------------------------------------------

EMAIL_HASH = sha256("alex@example.com")
PHONE_HASH = sha256("+15554441234")


@pytest.mark.parametrize(
    ("email_name", "phone_name"),
    [
        ("sha256_email_address", "sha256_phone_number"),
        ("email_hash", "phone_hash"),
        ("emailHash", "phoneHash"),
        ("hashed_email", "hashed_phone_number"),
        ("hashedEmail", "hashedPhone"),
        ("em", "ph"),
        ("email", "phone"),
    ],
)
@pytest.mark.parametrize("form", ["{}", "sha256:{}", " {} "])
def test_a_hash_is_sent_as_it_is_under_any_of_its_names(email_name: str, phone_name: str, form: str) -> None:
    stated = {email_name: form.format(EMAIL_HASH), phone_name: form.format(str(PHONE_HASH).upper())}
    assert sent("tiktok", facts_of(stated))[:2] == (EMAIL_HASH, PHONE_HASH)
    assert sent("tiktok", facts_of({"user_data": stated}))[:2] == (EMAIL_HASH, PHONE_HASH)
    # The address itself may have had dots or a +tag, which Reddit removes before hashing.
    assert sent("reddit", facts_of(stated))[:2] == (None, PHONE_HASH)


@pytest.mark.parametrize("name", ["canonical_email_hash", "sha256_canonical_email"])
def test_a_hash_of_the_canonical_email_is_sent_to_the_network_with_that_form_only(name: str) -> None:
    facts = facts_of({name: f"sha256:{EMAIL_HASH}"})
    assert (sent("reddit", facts)[0], sent("tiktok", facts)[0]) == (EMAIL_HASH, None)
    assert NETWORKS["reddit"].has_match_key(facts)


def test_an_address_in_the_clear_precedes_a_hash_of_the_same_source_and_follows_one_of_a_closer_source() -> None:
    clear = {"email": "Al.ex@example.com"}
    together = facts_of({**clear, "email_hash": EMAIL_HASH})
    assert sent("tiktok", together)[0] == sha256("al.ex@example.com")
    closer = facts_of({"email_hash": EMAIL_HASH}, person=clear)
    assert sent("tiktok", closer)[0] == EMAIL_HASH
    # Reddit cannot use that hash, and can use the address of the player.
    assert sent("reddit", closer)[0] == sha256("alex@example.com")


@pytest.mark.parametrize("text", ["", "null", "undefined", "unknown"])
def test_a_hash_of_nothing_is_left_out(text: str) -> None:
    empty = sha256(text)
    assert sent("tiktok", facts_of({"email_hash": empty, "phone_hash": empty}))[:2] == (None, None)


def test_an_address_under_the_name_of_a_hash_is_an_address() -> None:
    assert sent("tiktok", facts_of({"em": "Alex@Example.com"}))[0] == EMAIL_HASH


def test_anonymous_consent_withholds_hashes_too() -> None:
    conversion = Conversion(
        game=Game(), person=Person(), trigger="purchase", event_at=AT, properties={"email_hash": EMAIL_HASH}
    )
    anonymous = conversion_facts.read_facts(conversion, event_id=EVENT_ID, level=Level.ANONYMOUS)
    assert anonymous == Facts(trigger="purchase", event_id=EVENT_ID, event_at=AT)


# From the call to the network ------------------------------------------------------------------------

ALEX = {"email": "alex@example.com", "phone": "+15554441234"}


def send(game: Game, call: dict[str, Any], dialect: Dialect = Dialect.RUDDERSTACK) -> None:
    """Send a purchase of a player who has clicked an ad of TikTok, and what follows from it."""
    key = create_key(game=game, name=dialect, dialect=dialect)
    context = {"page": {"url": "https://g.example/?ttclid=E.C.P.1"}, "ip": "203.0.113.7", "userAgent": "Mozilla/5.0"}
    purchase = {"anonymousId": "a-1", "event": "purchase", **call, "context": {**context, **call.get("context", {})}}
    assert post("/v1/track", purchase, key).status_code == 200
    digest()
    fan_out.fan_out_due()
    sending.drain(network="tiktok", max_in_flight=1)


def received(sandbox: Sandbox) -> Any:
    """Return (email, phone) of each event that TikTok has received."""
    users = [request["body"]["data"][0]["user"] for request in sandbox.received("tiktok")]
    return [(user.get("email"), user.get("phone")) for user in users]


@pytest.mark.django_db
@pytest.mark.parametrize("dialect", [Dialect.RUDDERSTACK, Dialect.METAROUTER])
@pytest.mark.parametrize("call", [{"context": {"traits": ALEX}}, {"traits": ALEX}], ids=["context", "call"])
def test_the_traits_of_a_track_reach_the_network_with_that_event_only(
    sandbox: Sandbox, game: Game, call: dict[str, Any], dialect: Dialect
) -> None:
    factories.config(game)
    send(game, {**call, "properties": {"value": 9.99, "currency": "USD"}}, dialect)
    send(game, {"properties": {"value": 1, "currency": "USD"}}, dialect)

    assert received(sandbox) == [(EMAIL_HASH, PHONE_HASH), (None, None)]


@pytest.mark.django_db
def test_the_phone_number_of_a_track_is_sent_without_its_extension(sandbox: Sandbox, game: Game) -> None:
    factories.config(game)
    send(game, {"properties": {"value": 9.99, "currency": "USD", "phone": "+1 (555) 444-1234 ext. 9"}})

    assert received(sandbox) == [(None, PHONE_HASH)]


@pytest.mark.django_db
def test_the_hashes_of_a_track_reach_the_network(sandbox: Sandbox, game: Game) -> None:
    factories.config(game)
    hashes = {
        "sha256_email_address": EMAIL_HASH,
        "email_hash": f"sha256:{EMAIL_HASH}",
        "sha256_phone_number": PHONE_HASH,
    }
    send(game, {"properties": {"value": 9.99, "currency": "USD", **hashes}})

    assert received(sandbox) == [(EMAIL_HASH, PHONE_HASH)]


@pytest.mark.django_db
def test_a_player_who_identifies_by_email_is_matched_by_it(sandbox: Sandbox, game: Game, key: NewKey) -> None:
    factories.config(game)
    immutable.digest(key, immutable.identify("alex@example.com", "a-1", identityType="email"))
    send(game, {"properties": {"value": 9.99, "currency": "USD"}})

    assert received(sandbox) == [(EMAIL_HASH, None)]


# On the page of a preview ----------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_preview_shows_hashes_of_the_sender_only_where_there_are_any(game: Game) -> None:
    config = factories.config(game)
    player = factories.person(game, user="u-1")
    states = []
    for properties in ({"email": "alex@example.com"}, {"email_hash": EMAIL_HASH}, {"email": "alex at home"}):
        conversion = factories.conversion(player, touch=factories.touch(player, click_id=str(properties)))
        conversion.properties = properties
        preview = build_preview(conversion, config, addresses=True)
        rows = {row.label: (row.state.value, row.value) for row in preview.fields if "mail" in row.label}
        states.append(rows)

    hashed = ("hashed", EMAIL_HASH)
    assert states == [
        {"Email": hashed},
        {"Email": hashed, "Email or phone number, hashed by the client": hashed},
        {"Email": ("unusable", "")},
    ]
