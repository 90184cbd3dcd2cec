"""The page of one conversion: its event, clicks, consent and postbacks."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audience.models import Conversion, Event, Game, Touch
from audience.wording.durations import duration
from consent.models import ConsentDecision, Level
from postbacks.models import ConfigVersion, DeliveryState, PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.networks.interface.call import Verdict
from postbacks.reporting import clicks, labels
from postbacks.reporting.campaigns import refresh
from postbacks.reporting.consent_in_force import consent_of
from tests import factories, hub
from tests.postbacks.facts import PURCHASE, mapped, target

NOW = timezone.now()
HOUR = timedelta(hours=1)


def address(row: Conversion) -> str:
    return f"/g/{row.game.slug}/conversions/{row.pk}/"


def read(client: Client, row: Conversion) -> str:
    page = client.get(address(row)).content.decode()
    return " ".join(re.sub(r"<[^>]+>", " ", page).split()).replace("\xa0", " ")


def verdicts(row: Conversion) -> dict[str, str]:
    found = clicks.considered_clicks(row, addresses=True)
    return {click.touch.click_key: click.explanation for click in found}


def test_each_click_states_why_it_was_or_was_not_attributed(game: Game) -> None:
    player = factories.person(game)
    at = NOW - HOUR
    won = factories.touch(player, click_id="won", clicked_at=at - 3 * HOUR)
    factories.touch(player, click_id="earlier", clicked_at=at - 8 * HOUR, network="reddit")
    factories.touch(player, click_id="old", clicked_at=at - timedelta(days=30))
    factories.touch(player, click_id="after", clicked_at=at + timedelta(minutes=5))
    factories.touch(player, click_id="late", clicked_at=at - HOUR)
    row = factories.conversion(player, touch=won, event_at=at)
    assert verdicts(row) == {
        "after": "After the event, by 5 minutes",
        "late": "Received after this conversion was processed",
        "won": "Attributed: the last paid click before the event, 3 hours before",
        "earlier": "Earlier than the attributed click, by 5 hours",
        "old": "Outside the 28-day window, 30 days before",
    }


def test_a_click_at_the_moment_of_the_event_is_described_as_at_the_same_moment(game: Game) -> None:
    player = factories.person(game)
    click = factories.touch(player, click_id="now", clicked_at=NOW)
    row = factories.conversion(player, touch=click, event_at=NOW)
    assert verdicts(row) == {"now": "Attributed: the last paid click before the event, at the same time"}


def test_the_clicks_of_a_repeat_launch_are_marked_as_not_needed(game: Game) -> None:
    player = factories.person(game)
    factories.touch(player, click_id="won-the-first", clicked_at=NOW - HOUR)
    row = factories.conversion(player, trigger="game_launch", reason="repeat_launch")
    assert verdicts(row) == {"won-the-first": "Not used: this conversion does not count"}


def test_the_attributed_click_is_shown_even_beyond_the_limit(game: Game) -> None:
    player = factories.person(game)
    won = factories.touch(player, click_id="won", clicked_at=NOW - 9 * HOUR)
    row = factories.conversion(player, touch=won, event_at=NOW - 8 * HOUR)
    for number in range(clicks.MAX_CLICKS + 5):
        factories.touch(player, click_id=f"later-{number}")
    found = clicks.considered_clicks(row, addresses=True)
    assert len(found) == clicks.MAX_CLICKS + 1
    assert [click.touch.click_key for click in found if click.is_attributed] == ["won"]


def decided(game: Game, level: Level, at: datetime) -> None:
    ConsentDecision.objects.create(game_id=game.pk, anonymous_id="anon-1", level=level, source="banner", decided_at=at)


@pytest.mark.parametrize(
    ("stated", "recorded", "strict", "level", "why"),
    [
        ("full", [Level.NONE], True, Level.FULL, "Stated in the message"),
        ("", [Level.FULL, Level.ANONYMOUS], False, Level.ANONYMOUS, "decision at the time of the event, by banner"),
        ("not_set", [Level.FULL], False, Level.NONE, "The message states “not_set”, which counts as none."),
        ("", [], True, Level.NONE, "In this game, this counts as no consent"),
        ("", [], False, Level.FULL, "In this game, this counts as consent"),
        ("whatever", [Level.FULL], False, Level.NONE, "The message states “whatever”"),
    ],
)
def test_the_consent_level_states_its_source(
    game: Game, stated: str, recorded: list[Level], strict: bool, level: Level, why: str
) -> None:
    game.strict_consent = strict
    game.save()
    for number, given in enumerate(recorded):
        decided(game, given, NOW - 9 * HOUR + number * HOUR)
    row = factories.conversion(factories.person(game, anonymous="anon-1"), consent_level=stated, event_at=NOW)
    found = consent_of(row)
    assert found.level == level
    assert why in found.explanation
    by_record = bool(recorded) and not stated
    assert found.decided_at == (NOW - 9 * HOUR + (len(recorded) - 1) * HOUR if by_record else None)


def test_the_withdrawal_of_consent_is_named_with_its_source_and_time(game: Game) -> None:
    decided(game, Level.ANONYMOUS, NOW)
    row = factories.conversion(factories.person(game, anonymous="anon-1"), consent_level="full", event_at=NOW - HOUR)
    found = consent_of(row)
    assert (found.level, found.decided_at) == (Level.ANONYMOUS, NOW)
    assert found.explanation == "Stated in the message. Withdrawn later, by banner."


def test_every_state_has_a_remedy() -> None:
    for state in (DeliveryState.WAITING, DeliveryState.HELD):
        assert labels.remedy(state=state, reason="", verdict="", in_time=True) == labels.BY_STATE[state]
    assert labels.remedy(state="delivered", reason="", verdict="success", in_time=True) == ""
    for verdict in (Verdict.PAYLOAD, Verdict.CREDENTIAL, Verdict.TRANSIENT):
        assert labels.remedy(state="failed", reason="", verdict=verdict, in_time=True) == labels.BY_VERDICT[verdict]
    assert labels.remedy(state="failed", reason="", verdict="transient", in_time=False) == labels.PAST_DEADLINE


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (timedelta(days=2, hours=5), "2 days"),
        (timedelta(hours=1, minutes=59), "1 hour"),
        (timedelta(seconds=40), "40 seconds"),
        (timedelta(milliseconds=3), "the same second"),
    ],
)
def test_a_duration_is_given_in_its_largest_unit(length: timedelta, said: str) -> None:
    assert duration(length) == said


@pytest.mark.parametrize("network", sorted(kind for kind in NETWORKS if not NETWORKS[kind].has_templates))
def test_every_field_of_a_sent_body_has_a_description(network: str) -> None:
    facts = mapped(network, replace(PURCHASE, has_full_consent=True))
    request = NETWORKS[network].build(target(factories.PIXELS[network], test_code="T1"), facts)
    described = NETWORKS[network].describe(json.loads(request.body))
    assert [path for path, _, note in described if not note] == []
    assert described[0][1] == "********"
    (value,) = [value for _, value, note in described if note.startswith("SHA-256 of the email")]
    assert re.fullmatch("[0-9a-f]{64}", value)


def test_the_description_of_a_body_follows_its_order_and_paths() -> None:
    body = {"event_source": "web", "data": [{"event": "Purchase", "user": {"new": None, "ok": True}, "list": [1, 2]}]}
    assert NETWORKS["tiktok"].describe(body)[1:] == [
        ("event_source", "web", "Kind of source: web for a pixel"),
        ("data[0].event", "Purchase", "TikTok’s name for the event"),
        ("data[0].user.new", "null", ""),
        ("data[0].user.ok", "true", ""),
        ("data[0].list[0]", "1", ""),
        ("data[0].list[1]", "2", ""),
    ]


def failed(config: PostbackConfig, **given: Any) -> Conversion:
    """A delivery that failed after two attempts, under the second version of its config."""
    ada = hub.user("ada")
    ConfigVersion.objects.create(
        config=config,
        number=2,
        pixel_id=config.pixel_id,
        triggers=["purchase"],
        enabled=True,
        change="Trigger events: Purchase",
        set_by=ada,
        set_at=NOW - 5 * HOUR,
    )
    row = factories.delivery(
        config, **{"state": "failed", "verdict": "payload", "config_version": 2, "attempts_made": 2, **given}
    )
    factories.attempt(row, status="retried", verdict="transient", http_status=503, message="Upstream away")
    factories.attempt(
        row,
        status="failed",
        verdict="payload",
        http_status=200,
        provider_code="40002",
        message="Invalid value for data.0.user.email of grace@players.example",
        request_id="req-77",
        payload={"event_source": "web", "data": [{"user": {"email": "ab" * 32, "ttclid": "E.C.P.click"}}]},
    )
    assert row.conversion is not None
    return row.conversion


def test_the_page_of_a_failed_conversion_shows_every_step(config: PostbackConfig, marketer: Client) -> None:
    row = failed(config)
    page = read(marketer, row)
    in_order = (
        "The event",
        row.message_id,
        "Ad clicks of this player",
        "Attributed: the last paid click before the event",
        "Consent in force",
        "Full.",
        "Postbacks",
        config.pixel_id,
        "Failed",
        "Invalid value for data.0.user.email of grace@players.example",
        "The event itself was refused",
        "Send again",
        "Sent with version 2, set by ada 5 hours ago (Trigger events: Purchase)",
        "Purchase → Purchase",
        "No attempt starts later.",
        "Upstream away",
        "40002",
        "req-77",
        "Header Access-Token ******** The access token, never shown",
        "SHA-256 of the email, in lowercase",
        "data[0].user.ttclid E.C.P.click Click ID of the ad, unchanged",
    )
    place = 0
    for said in in_order:
        assert said in page[place:], said
        place = page.index(said, place)


def test_the_page_of_a_conversion_links_to_its_event_and_player(game: Game, viewer: Client) -> None:
    row = factories.conversion(factories.person(game))
    found = Event.objects.create(
        game_id=game.pk,
        day=row.event_day,
        message_id=row.message_id,
        kind="track",
        name="purchase",
        event_at=row.event_at,
        received_at=NOW,
        dialect="immutable",
    )
    page = viewer.get(address(row)).content.decode()
    assert f'href="/g/{game.slug}/events/{row.event_day}/{found.pk}/"' in page
    assert f'href="/g/{game.slug}/people/{row.person_id}/"' in page
    Event.objects.all().delete()
    assert "No longer stored" in read(viewer, row)


def test_a_viewer_sees_masked_addresses_and_no_button_on_a_conversions_page(
    config: PostbackConfig, viewer: Client
) -> None:
    row = failed(config)
    Conversion.objects.update(properties={"email": "grace@players.example"}, user_id="grace@players.example")
    Touch.objects.update(page_url="https://game.example/?mail=grace@players.example")
    page = viewer.get(address(row)).content.decode()
    assert "grace@players.example" not in page
    assert "g…@players.example" in page
    assert "Send again" not in page


@pytest.mark.parametrize(
    ("given", "offered"),
    [
        ({}, True),
        ({"dead_after": NOW - HOUR}, False),
        ({"safe_until": NOW - HOUR}, False),
        ({"state": "delivered"}, False),
        ({"state": "waiting"}, False),
    ],
)
def test_only_a_failed_delivery_before_its_deadline_can_be_sent_again(
    config: PostbackConfig, marketer: Client, given: dict[str, Any], offered: bool
) -> None:
    row = failed(config, **given)
    delivery = row.deliveries.get()
    page = marketer.get(address(row)).content.decode()
    assert (f'action="/g/{config.game.slug}/conversions/deliveries/{delivery.pk}/send-again/"' in page) is offered


def test_a_conversion_without_a_click_names_the_remedy(game: Game, viewer: Client) -> None:
    factories.config(game, created_at=NOW - HOUR)
    row = factories.conversion(factories.person(game), fanned_out_at=NOW)
    page = read(viewer, row)
    assert "No ad click of this player." in page
    assert "What to do: Nothing to do if the player did not come from an ad." in page
    assert "No paid clicks of this player. A conversion is attributed to the last paid click in the 28 days" in page
    assert "Not sent: no ad click is attributed to this conversion." in page
    assert factories.PIXELS["tiktok"] not in page


def test_a_postback_added_after_the_fan_out_is_listed_as_later(config: PostbackConfig, viewer: Client) -> None:
    row = factories.conversion(factories.person(config.game), fanned_out_at=NOW)
    assert f"TikTok Ads {config.pixel_id} was added" in read(viewer, row)


def test_the_postback_of_the_clicks_network_comes_first(game: Game, viewer: Client) -> None:
    other = factories.config(game, network="reddit")
    row = factories.new_conversion(factories.config(game))
    factories.delivery(other, conversion=row, state="skipped", reason="other_network")
    factories.delivery(PostbackConfig.objects.get(network="tiktok"), conversion=row, state="delivered")
    page = read(viewer, row)
    said = "The attributed click is from TikTok Ads, so this postback does not send the conversion"
    assert page.index("Accepted by the network") < page.index(said)


def test_a_held_delivery_says_how_to_release_it(config: PostbackConfig, viewer: Client) -> None:
    PostbackConfig.objects.update(held_at=NOW, held_for="token", held_message="Access token is revoked")
    delivery = factories.delivery(config, state="held", next_attempt_at=None)
    assert delivery.conversion is not None
    page = read(viewer, delivery.conversion)
    assert "On hold Why Access token is revoked What to do Rotate the credential" in page


def test_an_erased_or_foreign_conversion_shows_the_gone_page(game: Game, other_game: Game, viewer: Client) -> None:
    row = factories.conversion(factories.person(game))
    foreign = factories.conversion(factories.person(other_game))
    row.person.delete()
    for pk in (row.pk, foreign.pk):
        response = viewer.get(f"/g/{game.slug}/conversions/{pk}/")
        assert response.status_code == 404
        assert "Conversion not found" in response.content.decode()


def test_the_page_contains_no_inline_code(config: PostbackConfig, marketer: Client) -> None:
    assert hub.inline_code(marketer.get(address(failed(config))).content.decode()) == []


def test_the_page_of_a_conversion_contains_no_credential(config: PostbackConfig, marketer: Client) -> None:
    assert factories.TOKENS["tiktok"] not in marketer.get(address(failed(config))).content.decode()


def test_a_conversions_page_needs_no_more_queries_for_more_attempts(config: PostbackConfig, viewer: Client) -> None:
    row = failed(config)
    delivery = row.deliveries.get()
    factories.delivery(factories.config(config.game, pixel_id="CWAITINGPIXEL0000000"), conversion=row)

    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert viewer.get(address(row)).status_code == 200
        return len(queries)

    before = asked()
    for number in range(5):
        factories.attempt(delivery)
        factories.touch(row.person, click_id=f"more-{number}")
        other = factories.config(config.game, pixel_id=f"C{number}OTHERPIXEL00000000")
        factories.delivery(other, conversion=row)
    assert asked() == before


def test_the_page_of_a_conversion_leads_to_its_campaign_on_its_day(game: Game, viewer: Client) -> None:
    Game.objects.filter(pk=game.pk).update(time_zone="Pacific/Kiritimati")
    tags = {"utm_campaign": "autumn & more", "utm_term": "broad"}
    player = factories.person(game, user="ada")
    at = datetime(2026, 11, 20, 12, tzinfo=UTC)
    row = factories.conversion(player, touch=factories.touch(player, campaign=tags, clicked_at=at - HOUR), event_at=at)
    refresh.refresh()
    page = viewer.get(address(row)).content.decode()
    # 12:00 UTC is 2:00 of the next day there.
    query = "network=tiktok&campaign=autumn+%26+more&ad_group=broad&from=2026-11-21&to=2026-11-21"
    link = f"/g/{game.slug}/campaigns/?{query}"
    assert f'href="{escape(link)}">TikTok Ads › autumn &amp; more › broad</a>' in page
    listed = viewer.get(link.replace("/campaigns/?", "/campaigns/conversions/?")).content.decode()
    assert re.findall('id="conversion-([^"]+)', listed) == [str(row.pk)]


def test_a_click_that_names_no_campaign_leads_to_its_network(game: Game, viewer: Client) -> None:
    player = factories.person(game)
    row = factories.conversion(player, touch=factories.touch(player, network="reddit"))
    assert ">Reddit Ads</a>" in viewer.get(address(row)).content.decode()


def test_a_conversion_without_a_click_has_no_link_to_a_campaign(game: Game, viewer: Client) -> None:
    row = factories.conversion(factories.person(game))
    assert "<dt>Campaign</dt>" not in viewer.get(address(row)).content.decode()
