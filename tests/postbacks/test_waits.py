"""What a waiting delivery waits for: the pages say until when, and members send it sooner."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audience.models import Game
from audience.wording import dates
from postbacks.delivery import breaker, sending, try_now
from postbacks.models import Delivery, Flow, PostbackConfig
from postbacks.monitoring.health.evaluation import evaluate_configs
from postbacks.monitoring.health.types import Health
from postbacks.reporting.labels import asked_wait, clock_time
from postbacks.reporting.waits import Wait, flows_of, wait_of
from postbacks.sandbox.server import Sandbox
from tests import factories
from tests.hub import normalized_html
from tests.postbacks.canned import answering

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 29, 6, 40, tzinfo=UTC)


def wait(row: Delivery) -> Wait | None:
    return wait_of(row, flows_of([row.config]), timezone.now())


def pause(config: PostbackConfig, **fields: Any) -> Flow:
    return Flow.objects.create(network=config.network, pixel_id=config.pixel_id, **fields)


def page_of(client: Client, row: Delivery) -> str:
    return normalized_html(client.get(f"/g/{row.game.slug}/conversions/{row.conversion_id}/").content.decode())


def try_url(row: Delivery) -> str:
    return f"/g/{row.game.slug}/conversions/deliveries/{row.pk}/try-now/"


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (NOW + timedelta(hours=7, minutes=25), "14:05 UTC"),
        (NOW + timedelta(seconds=90), "06:41:30 UTC"),
        (NOW + timedelta(days=1), "Nov 30, 2026, 06:40 UTC"),
    ],
)
def test_a_time_is_written_with_the_day_if_it_is_another_one(moment: datetime, text: str) -> None:
    assert clock_time(moment, NOW) == text


def test_a_wait_that_is_longer_than_ours_is_written_with_both_ends() -> None:
    asked, until = NOW + timedelta(hours=24), NOW + timedelta(hours=12)
    assert (
        asked_wait("TikTok Ads", asked_until=until, until=until, now=NOW) == "TikTok Ads requested to wait until "
        "18:40 UTC."
    )
    assert asked_wait("TikTok Ads", asked_until=asked, until=until, now=NOW) == (
        "TikTok Ads requested to wait until Nov 30, 2026, 06:40 UTC; the next attempt is at 18:40 UTC."
    )


@pytest.fixture
def limited(sandbox: Sandbox, game: Game) -> PostbackConfig:
    """A postback to Reddit, which has answered a first call with 429 and a Retry-After of a day."""
    config = factories.config(game, network="reddit")
    factories.delivery(config)
    sandbox.state.add_fault("reddit", "rate_limited_a_day", 1)
    sending.drain(network="reddit", max_in_flight=1, seconds=5)
    return config


def test_a_retry_after_of_a_day_pauses_a_pixel_for_twelve_hours(limited: PostbackConfig) -> None:
    flow, row = Flow.objects.get(), Delivery.objects.get()
    hours = [
        round((moment - timezone.now()) / timedelta(hours=1), 1)
        for moment in (flow.next_slot_at, flow.asked_until, row.asked_until)
        if moment
    ]
    assert hours == [12.0, 24.0, 24.0]
    assert row.next_attempt_at is not None
    assert 12 <= (row.next_attempt_at - timezone.now()) / timedelta(hours=1) + 0.1 < 13.4


def test_a_limited_pixel_tells_its_end_on_the_page_of_a_conversion_that_was_not_tried(
    limited: PostbackConfig, marketer: Client, viewer: Client
) -> None:
    row = factories.delivery(limited)
    flow, now = Flow.objects.get(), timezone.now()
    assert flow.next_slot_at
    assert flow.asked_until
    text = asked_wait("Reddit Ads", asked_until=flow.asked_until, until=flow.next_slot_at, now=now)
    assert wait(row) == Wait(until=flow.next_slot_at, cause=text, can_end=True)
    page = page_of(marketer, row)
    assert text in page
    assert "About to be sent" not in page
    assert f"{dates.exact(flow.next_slot_at)}" in page
    assert (try_url(row) in page, try_url(row) in page_of(viewer, row)) == (True, False)


def test_a_limited_pixel_tells_its_end_on_the_page_of_the_network(limited: PostbackConfig, marketer: Client) -> None:
    factories.delivery(limited)
    page = normalized_html(marketer.get(f"/g/{limited.game.slug}/integrations/reddit/").content.decode())
    flow = Flow.objects.get()
    assert flow.next_slot_at
    end = clock_time(flow.next_slot_at, timezone.now())
    assert f"because of the rate limit of Reddit Ads, until {end}." in page.split("Rate limited")[1][:400]
    assert f"the next attempt is at {end}. Nothing to do. Sending then continues automatically" in page
    assert f"/g/{limited.game.slug}/integrations/reddit/{limited.pk}/try-now/" in page


def test_a_marketer_ends_the_pause_from_the_page_of_a_conversion(
    limited: PostbackConfig, marketer: Client, sandbox: Sandbox
) -> None:
    row = factories.delivery(limited)
    first = Delivery.objects.exclude(pk=row.pk).get()
    answer = marketer.post(try_url(first), follow=True)
    assert "The delivery is sent now with the same event ID." in answer.content.decode()
    sending.drain(network="reddit", max_in_flight=1, seconds=5)
    assert set(Delivery.objects.values_list("state", flat=True)) == {"delivered"}
    assert Flow.objects.values_list("failures", "open_until").get() == (0, None)
    assert [entry["status"] for entry in sandbox.received("reddit")] == [429, 200, 200]


def test_a_marketer_ends_the_pause_from_the_page_of_the_network(limited: PostbackConfig, marketer: Client) -> None:
    factories.delivery(limited)
    url = f"/g/{limited.game.slug}/integrations/reddit/{limited.pk}/try-now/"
    answer = marketer.post(url, follow=True).content.decode()
    assert "One call is made now. If Reddit Ads accepts it, 2 conversions are sent." in answer
    sending.drain(network="reddit", max_in_flight=1, seconds=5)
    assert set(Delivery.objects.values_list("state", flat=True)) == {"delivered"}


def test_one_call_finds_out_whether_the_network_takes_more(limited: PostbackConfig, sandbox: Sandbox) -> None:
    for _ in range(3):
        factories.delivery(limited)
    sandbox.state.add_fault("reddit", "rate_limited_a_day", 9)
    assert try_now.try_config(limited) == 4
    sending.drain(network="reddit", seconds=5)
    assert len(sandbox.received("reddit")) == 2
    flow = Flow.objects.get()
    assert flow.next_slot_at
    assert flow.next_slot_at > timezone.now() + timedelta(hours=11)


def test_a_viewer_ends_no_pause(limited: PostbackConfig, viewer: Client) -> None:
    row = factories.delivery(limited)
    assert viewer.post(try_url(row)).status_code == 403
    assert viewer.post(f"/g/{limited.game.slug}/integrations/reddit/{limited.pk}/try-now/").status_code == 403
    assert Flow.objects.exclude(asked_until=None).exists()


def test_an_open_breaker_tells_its_end(config: PostbackConfig, marketer: Client) -> None:
    until = timezone.now() + timedelta(minutes=9)
    pause(config, failures=7, open_until=until)
    row = factories.delivery(config)
    end = clock_time(until, timezone.now())
    text = f"TikTok Ads failed several times in a row. Nothing is sent to this pixel until {end}."
    assert wait(row) == Wait(until=until, cause=text, can_end=True)
    assert text in page_of(marketer, row)
    status = evaluate_configs([config])[config.pk]
    assert status.health == Health.DEGRADED
    assert f"TikTok Ads failed repeatedly and is not called until {end}; 1 conversion waits." in status.figures


def test_a_limit_without_a_stated_wait_tells_its_end(config: PostbackConfig) -> None:
    until = timezone.now() + timedelta(minutes=5)
    pause(config, limited_at=timezone.now(), next_slot_at=until)
    found = wait(factories.delivery(config))
    end = clock_time(until, timezone.now())
    text = f"TikTok Ads responded with “too many requests”. Nothing is sent to this pixel until {end}."
    assert found == Wait(until=until, cause=text, can_end=True)


def test_settings_being_changed_tell_their_end_and_cannot_be_skipped(config: PostbackConfig, viewer: Client) -> None:
    until = timezone.now() + timedelta(seconds=20)
    PostbackConfig.objects.update(paused_until=until)
    row = factories.delivery(PostbackConfig.objects.get())
    end = clock_time(until, timezone.now())
    text = f"The settings of the postback are being changed. Nothing is sent until {end}."
    assert wait(row) == Wait(until=until, cause=text, can_end=False)
    page = viewer.get(f"/g/{config.game.slug}/integrations/tiktok/").content.decode()
    assert (
        f"The settings of the postback are being changed. Nothing is sent until {dates.exact(until)}."
        in normalized_html(page)
    )
    with pytest.raises(
        try_now.NotTryable, match="The settings of the postback are being changed. Try again in a minute."
    ):
        try_now.try_delivery(row)


def test_a_suspected_credential_is_named_without_an_end(config: PostbackConfig) -> None:
    PostbackConfig.objects.update(suspected_at=timezone.now())
    found = wait(factories.delivery(PostbackConfig.objects.get()))
    assert found is not None
    assert (found.until, found.can_end) == (None, False)
    assert found.cause.startswith("The network just refused the credential of this postback")


def test_of_several_causes_the_one_that_ends_last_is_told(config: PostbackConfig) -> None:
    now = timezone.now()
    pause(config, failures=5, open_until=now + timedelta(minutes=1))
    row = factories.delivery(config, next_attempt_at=now + timedelta(hours=1), verdict="transient")
    assert wait(row) == Wait(until=row.next_attempt_at, cause="", can_end=True)


@pytest.mark.parametrize(
    "fields",
    [
        {"state": "delivered", "next_attempt_at": None},
        {"state": "held", "next_attempt_at": None},
        {"leased_until": timezone.now() + timedelta(hours=1)},
        {},
    ],
)
def test_a_delivery_that_is_due_being_sent_or_ended_waits_for_nothing(
    config: PostbackConfig, fields: dict[str, Any]
) -> None:
    assert wait(factories.delivery(config, **fields)) is None


def test_a_wait_that_an_outage_asks_for_is_told_on_the_delivery(game: Game, marketer: Client, settings: Any) -> None:
    row = factories.delivery(factories.config(game))
    with answering(503, {"code": 50000, "message": "Busy"}, {"Retry-After": "7200"}) as url:
        settings.NETWORK_URLS = dict.fromkeys(settings.NETWORK_URLS, url)
        sending.drain(network="tiktok", max_in_flight=1, seconds=5)
    row.refresh_from_db()
    assert row.asked_until is not None
    text = f"TikTok Ads requested to wait until {clock_time(row.asked_until, timezone.now())}."
    found = wait(row)
    assert found == Wait(until=row.next_attempt_at, cause=text, can_end=True)
    page = page_of(marketer, row)
    assert text in page
    attempt = row.attempts.get()
    url = f"/g/{game.slug}/integrations/tiktok/attempts/{attempt.pk}/"
    assert text in normalized_html(marketer.get(url).content.decode())


def test_an_attempt_that_somebody_asks_for_uses_up_none_of_the_schedule(
    config: PostbackConfig, sandbox: Sandbox
) -> None:
    row = factories.delivery(config)
    sandbox.state.add_fault("tiktok", "unavailable", 3)
    for _ in range(3):
        sending.drain(network="tiktok", max_in_flight=1, seconds=5)
        row.refresh_from_db()
        assert (row.state, row.attempts_counted) == ("waiting", 1)
        assert wait(row) is not None
        try_now.try_delivery(row)
    assert row.attempts_made == 3
    sending.drain(network="tiktok", max_in_flight=1, seconds=5)
    row.refresh_from_db()
    assert (row.state, row.attempts_made, row.attempts_counted) == ("delivered", 4, 1)


@pytest.mark.parametrize("fields", [{"state": "delivered", "next_attempt_at": None}, {"not_before": True}])
def test_what_has_ended_or_is_not_accepted_yet_is_not_sent_sooner(
    config: PostbackConfig, marketer: Client, fields: dict[str, Any]
) -> None:
    if "not_before" in fields:
        later = timezone.now() + timedelta(hours=1)
        fields = {"not_before": later, "next_attempt_at": later}
    row = factories.delivery(config, **fields)
    found = wait(row)
    assert found is None or found.can_end is False
    page = marketer.post(try_url(row), follow=True).content.decode()
    assert "The delivery cannot be sent now: it has ended, is being sent, or the network accepts it only later." in page
    row.refresh_from_db()
    assert row.next_attempt_at == fields["next_attempt_at"]


def test_a_delivery_of_another_game_is_not_found(config: PostbackConfig, other_game: Game, marketer: Client) -> None:
    row = factories.delivery(factories.config(other_game))
    url = f"/g/{config.game.slug}/conversions/deliveries/{row.pk}/try-now/"
    assert marketer.post(url).status_code == 404


def test_the_pause_of_a_pixel_is_ended_with_a_probe(config: PostbackConfig) -> None:
    now = timezone.now()
    flow = pause(config, limited_at=now, next_slot_at=now + timedelta(hours=1), asked_until=now + timedelta(hours=1))
    breaker.end_pause(flow, now)
    assert (flow.next_slot_at, flow.asked_until, flow.open_until) == (None, None, now)
    assert (breaker.is_tripped(flow), breaker.is_open(flow, now), flow.pause_end(now)) == (True, False, None)
