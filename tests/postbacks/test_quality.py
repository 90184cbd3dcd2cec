"""Match quality: the match keys of accepted events, the score, and what would raise it."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from audience.models import Game, Role
from postbacks.delivery import sending
from postbacks.models import DeliveryAttempt, PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.networks.interface.facts import Facts, Hashes
from postbacks.networks.interface.matching import ANY, KeyShare, MatchKey, compute_quality, unusable_keys
from postbacks.outbox import fan_out
from postbacks.reporting import match_quality
from postbacks.reporting.match_quality import quality_of
from postbacks.sandbox.server import Sandbox
from tests import factories, hub
from tests.postbacks.facts import NOBODY, PURCHASE, mapped, target
from tests.queries import queries_of

HASH = "0" * 64
WITH_KEYS = pytest.mark.parametrize("network", [network for network in NETWORKS.values() if network.match_keys])


def sent(config: PostbackConfig, user: dict[str, str], **given: Any) -> DeliveryAttempt:
    return factories.attempt(factories.delivery(config), payload={"data": [{"user": user}]}, **given)


def by_name(quality: Any) -> dict[str, KeyShare]:
    return {share.key.name: share for share in quality.shares}


@WITH_KEYS
def test_the_match_key_weights_of_a_network_add_up_to_100(network: Any) -> None:
    assert sum(key.weight for key in network.match_keys) == 100
    weights = [key.weight for key in network.match_keys]
    assert weights == sorted(weights, reverse=True)


# As the networks' fact sheets estimate them. They give an order for TikTok, and nothing for Reddit and custom URLs.
WEIGHTS = {
    "tiktok": {"ttclid": 40, "email": 20, "phone": 20, "external_id": 10, "ttp": 5, "ip": 5},
    "reddit": {"click_id": 40, "email": 25, "phone_number": 10, "external_id": 10, "ip_address": 10, "uuid": 5},
    "snapchat": {"sc_click_id": 40, "em": 20, "ph": 15, "client_ip_address": 15, "sc_cookie1": 5, "external_id": 5},
    "x": {"twclid": 50, "hashed_email": 25, "hashed_phone_number": 15, "ip_address": 10},
    "meta": {"fbc": 40, "em": 20, "client_ip_address": 15, "ph": 10, "external_id": 10, "fbp": 5},
    "google": {"gclid": 60, "gbraid": 45, "wbraid": 45, "emailAddress": 20, "phoneNumber": 10, "userAgent": 10},
    "custom": {},
}


@pytest.mark.parametrize("kind", sorted(NETWORKS))
def test_the_points_of_each_network_are_those_of_its_fact_sheet(kind: str) -> None:
    points: dict[str, int] = {}
    for key in NETWORKS[kind].match_keys:
        for path in key.paths if key.any_path else key.paths[:1]:
            name = next(step for step in reversed(path) if step != ANY and not step.isdigit())
            points[name] = points.get(name, 0) + key.weight
    assert points == WEIGHTS[kind]


LISTED = (
    MatchKey("email", "Email", 60, (("users", ANY, "email"),), "Send it."),
    MatchKey("connection", "Address and browser", 40, (("users", ANY, "ip"), ("users", ANY, "browser")), "Send both."),
)


@pytest.mark.parametrize(
    ("users", "flags"),
    [
        ([{"ip": "203.0.113.7"}, {"browser": "b"}], (False, True)),
        ([{"id": "1"}, {"email": HASH}], (True, False)),
        ([{"email": HASH, "ip": "203.0.113.7"}], (True, False)),
        ([], (False, False)),
    ],
)
@pytest.mark.django_db
def test_a_match_key_may_be_in_any_entry_of_a_list(
    game: Game, monkeypatch: pytest.MonkeyPatch, users: Any, flags: tuple[bool, bool]
) -> None:
    network = NETWORKS["tiktok"]
    monkeypatch.setattr(type(network), "match_keys", LISTED)
    factories.attempt(factories.delivery(factories.config(game)), payload={"users": users, "other": 1})
    shares = by_name(quality_of(game, network))
    assert (shares["email"].share, shares["connection"].share) == tuple(map(float, flags))
    stated = replace(NOBODY, email="ada@example.com", ip="203.0.113.7")
    unusable = unusable_keys(LISTED, (), stated, {"users": users})
    has_address = any("ip" in user for user in users)
    assert unusable == [name for name, has in (("email", flags[0]), ("connection", has_address)) if not has]


@WITH_KEYS
@pytest.mark.django_db
def test_a_body_with_every_match_key_scores_100(game: Game, network: Any) -> None:
    config = factories.config(game, network=network.kind)
    body = json.loads(network.build(target(config.pixel_id), mapped(network.kind, PURCHASE)).body)
    factories.attempt(factories.delivery(config), payload=body)
    quality = quality_of(game, network)
    assert (quality.events, quality.score, quality.best_improvement) == (1, 100, None)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("click", "identifiers", "score"),
    [
        ({"gclid": "G"}, [], 60),
        ({"gbraid": "B"}, [], 45),
        ({"wbraid": "W"}, [], 45),
        ({}, [{"phoneNumber": HASH}, {"emailAddress": HASH}], 30),
        ({"gbraid": "B"}, [{"phoneNumber": HASH}], 55),
        ({"gclid": "G", "landingPageDeviceInfo": {"userAgent": "M"}}, [{"emailAddress": HASH}], 90),
    ],
)
def test_the_click_id_of_a_group_of_clicks_counts_less_at_google(
    game: Game, click: dict[str, Any], identifiers: list[dict[str, str]], score: int
) -> None:
    body = {"events": [{"adIdentifiers": click, "userData": {"userIdentifiers": identifiers}}]}
    factories.attempt(factories.delivery(factories.config(game, network="google")), payload=body)
    assert quality_of(game, NETWORKS["google"]).score == score


def test_contacts_that_a_postback_to_google_does_not_send_are_not_unusable() -> None:
    network, facts = NETWORKS["google"], replace(NOBODY, email="ada@example.com", phone="+15551234567")
    assert unusable_keys(network.match_keys, network.cookies, facts, {"events": [{}]}) == []


def test_the_score_is_the_mean_over_all_events() -> None:
    keys = NETWORKS["tiktok"].match_keys
    click_only, click_and_email = (True, *[False] * 5), (True, True, *[False] * 4)
    quality = compute_quality(keys, {click_only: 3, click_and_email: 1})
    assert (quality.events, quality.score) == (4, 45)
    shares = by_name(quality)
    assert (shares["click_id"].share, shares["email"].share, shares["phone"].share) == (1.0, 0.25, 0.0)
    assert (shares["click_id"].potential, shares["email"].potential, shares["phone"].potential) == (45, 60, 65)
    assert quality.best_improvement == shares["phone"]


def test_without_events_there_is_no_score() -> None:
    quality = compute_quality(NETWORKS["reddit"].match_keys, {})
    assert (quality.events, quality.score, quality.best_improvement) == (0, None, None)


@pytest.mark.django_db
def test_a_match_key_with_two_paths_needs_a_value_at_both(game: Game) -> None:
    config = factories.config(game)
    sent(config, {"ip": "203.0.113.7"})
    sent(config, {"ip": "203.0.113.7", "user_agent": "Mozilla/5.0"})
    assert by_name(quality_of(game, NETWORKS["tiktok"]))["connection"].share == 0.5


@pytest.mark.django_db
def test_only_accepted_attempts_of_the_last_7_days_with_a_stored_body_count(game: Game, other_game: Game) -> None:
    config = factories.config(game)
    sent(config, {"ttclid": "E.C.P.1"})
    sent(config, {"email": HASH}, status="failed", verdict="payload")
    sent(config, {"email": HASH}, ago=timedelta(days=8))
    factories.attempt(factories.delivery(config), payload=None)
    sent(factories.config(game, network="reddit"), {"email": HASH})
    sent(factories.config(other_game), {"email": HASH})
    quality = quality_of(game, NETWORKS["tiktok"])
    assert (quality.events, quality.score) == (1, 40)


@pytest.mark.django_db
def test_the_newest_bodies_across_all_postbacks_are_read(game: Game, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(match_quality, "MAX_BODIES", 3)
    first, second = factories.config(game), factories.config(game, pixel_id="COTHERPIXEL0000000000")
    for minutes in (1, 2):
        sent(first, {"ttclid": "E.C.P.1"}, ago=timedelta(minutes=minutes))
    for minutes in (3, 4, 5):
        sent(second, {"email": HASH}, ago=timedelta(minutes=minutes))
    quality = quality_of(game, NETWORKS["tiktok"])
    assert quality.events == 3
    assert by_name(quality)["email"].share == pytest.approx(1 / 3)


@pytest.mark.django_db
def test_the_match_quality_page_names_the_key_to_add(game: Game) -> None:
    config = factories.config(game)
    sent(config, {"ttclid": "E.C.P.1", "phone": HASH})
    page = hub.member(game, Role.VIEWER).get(f"/g/{game.slug}/integrations/tiktok/quality/").content.decode()
    assert "<strong>60</strong>" in page
    assert "Email on every event would raise the score to" in page
    assert "60 → 80" in page
    assert "The points are estimates by Afterclick" in page
    assert hub.inline_code(page) == []


@pytest.mark.django_db
def test_unusable_match_keys_are_counted_and_named_with_the_form_that_is_accepted(sandbox: Sandbox, game: Game) -> None:
    factories.config(game)
    for traits in ({"email": "alice at home", "phone": "5554441234"}, {"email": "a@example.com"}, {"phone": " "}):
        player = factories.person(game, traits=traits)
        factories.conversion(player, touch=factories.touch(player, ip="10.0.0.1"))
    fan_out.fan_out_due()
    sending.drain(network="tiktok", max_in_flight=1)

    assert sorted(DeliveryAttempt.objects.values_list("unusable", flat=True)) == [
        ["connection"],
        ["connection"],
        ["email", "phone", "connection"],
    ]
    quality = quality_of(game, NETWORKS["tiktok"])
    assert quality.events == 3
    assert {name: (share.share, share.unusable) for name, share in by_name(quality).items()} == {
        "click_id": (1.0, 0),
        "email": (pytest.approx(1 / 3), 1),
        "phone": (0.0, 1),
        "external_id": (0.0, 0),
        "browser_id": (0.0, 0),
        "connection": (0.0, 3),
    }
    page = hub.member(game, Role.VIEWER).get(f"/g/{game.slug}/integrations/tiktok/quality/").content.decode()
    assert "Unusable on 1 event: the value" in " ".join(page.split())
    assert "Unusable on 3 events: the value" in " ".join(page.split())
    assert "Send the number with + and its country code, such as +442079460958." in page


def test_a_hash_that_only_another_network_takes_is_unusable() -> None:
    facts = replace(NOBODY, hashes=Hashes(email=HASH))
    unusable = {}
    for kind in ("tiktok", "reddit"):
        network = NETWORKS[kind]
        body = json.loads(network.build(target("CSANDBOX0AFTERCLICK1"), facts).body)
        unusable[kind] = unusable_keys(network.match_keys, network.cookies, facts, body)
    assert unusable == {"tiktok": [], "reddit": ["email"]}


@pytest.mark.parametrize("kind", ["tiktok", "reddit"])
@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (replace(NOBODY, cookies={"_fbp": "fb.1.1.2", "_scid": "s"}), []),
        (replace(NOBODY, cookies={"_ttp": "T", "_rdt_uuid": "9"}), {"tiktok": [], "reddit": ["browser_id"]}),
        (replace(NOBODY, ip="203.0.113.7"), []),
        (replace(NOBODY, ip="10.0.0.1", user_agent="Mozilla/5.0"), ["connection"]),
    ],
)
def test_unusable_is_only_what_the_event_states_for_this_network(kind: str, facts: Facts, expected: Any) -> None:
    network = NETWORKS[kind]
    body = json.loads(network.build(target("CSANDBOX0AFTERCLICK1"), facts).body)
    unusable = unusable_keys(network.match_keys, network.cookies, facts, body)
    assert unusable == (expected[kind] if isinstance(expected, dict) else expected)


@pytest.mark.django_db
def test_the_networks_page_loads_only_the_match_quality_summary(game: Game) -> None:
    client, url = hub.member(game, Role.VIEWER), f"/g/{game.slug}/integrations/tiktok/quality/"
    assert f'href="{url}"' not in client.get(f"/g/{game.slug}/integrations/tiktok/").content.decode()
    sent(factories.config(game), {"ttclid": "E.C.P.1"})
    assert f'hx-get="{url}"' in client.get(f"/g/{game.slug}/integrations/tiktok/").content.decode()
    summary = client.get(url, headers={"HX-Request": "true"}).content.decode()
    assert "<strong>40</strong>" in summary
    assert "<html" not in summary


@pytest.mark.django_db
def test_the_match_quality_page_without_data_names_the_next_step(game: Game) -> None:
    page = hub.member(game, Role.VIEWER).get(f"/g/{game.slug}/integrations/reddit/quality/").content.decode()
    assert "No data yet" in page


@pytest.mark.django_db
def test_match_quality_needs_no_more_queries_for_more_attempts(game: Game) -> None:
    client, config = hub.member(game, Role.VIEWER), factories.config(game)
    few = queries_of(lambda: client.get(f"/g/{game.slug}/integrations/tiktok/quality/"))
    for _ in range(10):
        sent(config, {"ttclid": "E.C.P.1"})
    assert queries_of(lambda: client.get(f"/g/{game.slug}/integrations/tiktok/quality/")) <= few


@pytest.mark.parametrize(("share", "percent"), [(0.0, 0), (0.001, 1), (0.5, 50), (0.999, 99), (1.0, 100)])
def test_a_share_is_100_percent_only_for_all_and_0_only_for_none(share: float, percent: int) -> None:
    assert KeyShare(NETWORKS["tiktok"].match_keys[0], share, 0).percent == percent
