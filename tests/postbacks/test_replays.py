"""Sending failed deliveries again: one from its page, many by a filter."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audience.models import Conversion, Game, Role
from audience.wording import dates
from postbacks.delivery import failed_deliveries, replays, sending
from postbacks.hub.replays import failure_groups
from postbacks.models import Delivery, PostbackConfig, Replay
from postbacks.sandbox.server import Sandbox
from postbacks.tasks import replay as replay_task
from tests import factories, hub
from tests.queries import queries_of

pytestmark = pytest.mark.django_db
NOW = timezone.now()
ANY: dict[str, Any] = {"failed_from": None, "failed_until": None, "verdict": ""}


def failure(config: PostbackConfig, *, ago: timedelta = timedelta(minutes=5), **given: Any) -> Delivery:
    """A delivery that was refused for its credential, with its attempt."""
    at = timezone.now() - ago
    fields = {
        "state": "failed",
        "verdict": "credential",
        "attempts_made": 1,
        "attempts_counted": 1,
        "next_attempt_at": None,
        "first_attempt_at": at,
        "safe_until": at + timedelta(hours=47),
        "finished_at": at,
    }
    row = factories.delivery(config, **{**fields, **given})
    factories.attempt(row, started_at=at, finished_at=at, status="failed", verdict=row.verdict)
    return row


def start(config: PostbackConfig, **given: Any) -> Replay:
    return replays.start(config=config, requested_by=None, **{**ANY, **given})


def sent() -> None:
    """Send what is due, in this thread, so that it sees the test's transaction."""
    sending.drain(network="tiktok", max_in_flight=1)


def states() -> dict[str, int]:
    found: dict[str, int] = {}
    for state in Delivery.objects.values_list("state", flat=True):
        found[state] = found.get(state, 0) + 1
    return found


def progress(replay: Replay) -> tuple[int, int, int, int]:
    replay.refresh_from_db()
    (found,) = failed_deliveries.progress([replay])
    return (found.delivered, found.failed, found.waiting, found.remaining)


def test_a_replay_sends_what_failed_under_the_same_event_ids(sandbox: Sandbox, config: PostbackConfig) -> None:
    ids = {failure(config).event_id for _ in range(3)}
    replay = start(config)
    assert (replay.state, replay.total, replay.past_deadline) == ("running", 3, 0)
    assert states() == {"failed": 3}
    assert replays.advance() is False
    row = Delivery.objects.first()
    assert row
    assert (row.state, row.reason, row.verdict, row.attempts_counted) == ("waiting", "", "credential", 0)
    assert (row.finished_at, row.leased_until, row.replay) == (None, None, replay)
    sent()
    assert progress(replay) == (3, 0, 0, 0)
    assert replay.state == "running"
    replay_task()
    replay.refresh_from_db()
    assert (replay.state, replay.queued) == ("done", 3)
    assert replay.finished_at is not None
    assert {request["body"]["data"][0]["event_id"] for request in sandbox.received("tiktok")} == ids


def test_deliveries_past_either_deadline_are_counted_and_not_queued(config: PostbackConfig) -> None:
    failure(config)
    failure(config, safe_until=NOW - timedelta(seconds=1))
    failure(config, dead_after=NOW - timedelta(seconds=1))
    failure(config, trigger="level_complete")
    Delivery.objects.filter(pk=failure(config).pk).update(conversion=None)
    found = failed_deliveries.preview(config, **ANY)
    assert (found.total, found.sendable, found.past_deadline, found.disabled) == (4, 1, 2, 1)
    replay = start(config)
    assert (replay.total, replay.past_deadline) == (3, 2)
    replays.advance()
    assert states() == {"waiting": 1, "failed": 4}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, 4),
        ({"verdict": "credential"}, 3),
        ({"verdict": "payload"}, 1),
        ({"failed_from": NOW - timedelta(hours=2, minutes=30)}, 3),
        ({"failed_until": NOW - timedelta(hours=2, minutes=30)}, 1),
        ({"failed_from": NOW - timedelta(hours=2, minutes=30), "failed_until": NOW - timedelta(minutes=30)}, 2),
        ({"failed_until": NOW + timedelta(days=365)}, 4),
    ],
)
def test_the_filter_is_by_time_and_verdict(config: PostbackConfig, given: dict[str, Any], expected: int) -> None:
    for hours in (1, 2, 3):
        failure(config, ago=timedelta(hours=hours))
    failure(config, verdict="payload")
    failure(factories.config(factories.game()))
    assert failed_deliveries.preview(config, **{**ANY, **given}).sendable == expected
    assert start(config, **given).total == expected
    replays.advance()
    assert states().get("waiting") == expected


def test_the_oldest_go_first_and_the_backlog_is_bounded(
    config: PostbackConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replays, "MAX_BACKLOG", 3)
    rows = [failure(config, ago=timedelta(minutes=minutes)) for minutes in (1, 5, 4, 3, 2)]
    replay = start(config)
    assert replays.advance(limit=2) is True
    waiting = set(Delivery.objects.filter(state="waiting").values_list("pk", flat=True))
    assert waiting == {rows[1].pk, rows[2].pk}
    assert replays.advance(limit=2) is False
    assert replays.advance(limit=2) is False
    assert progress(replay) == (0, 0, 3, 2)
    Delivery.objects.filter(state="waiting").update(state="delivered")
    replays.advance()
    assert progress(replay) == (3, 0, 2, 0)


def test_what_fails_again_is_not_sent_a_third_time(sandbox: Sandbox, config: PostbackConfig) -> None:
    failure(config)
    replay = start(config)
    replays.advance()
    sandbox.state.add_fault("tiktok", "bad_request", 1)
    sent()
    for _ in range(3):
        replays.advance()
        sent()
    assert progress(replay) == (0, 1, 0, 0)
    assert replay.state == "done"
    assert len(sandbox.received("tiktok")) == 1


def test_what_fails_after_the_start_is_not_part_of_it(config: PostbackConfig) -> None:
    failure(config)
    replay = start(config)
    failure(config, ago=timedelta(seconds=-1))
    replays.advance()
    assert progress(replay) == (0, 0, 1, 0)


def test_it_stays_running_while_a_row_is_held(config: PostbackConfig) -> None:
    failure(config)
    replay = start(config)
    replays.advance()
    Delivery.objects.update(state="held", next_attempt_at=None)
    replays.advance()
    assert progress(replay) == (0, 0, 1, 0)
    assert replay.state == "running"


@pytest.mark.parametrize(
    "change",
    [{"enabled": False}, {"held_at": NOW, "held_for": "token"}, {"suspected_at": NOW}],
    ids=["off", "held", "suspected"],
)
def test_it_queues_nothing_for_a_postback_that_cannot_send(config: PostbackConfig, change: dict[str, Any]) -> None:
    failure(config)
    replay = start(config)
    PostbackConfig.objects.update(**change)
    replays.advance()
    replay.refresh_from_db()
    assert (replay.state, states()) == ("running", {"failed": 1})
    PostbackConfig.objects.update(enabled=True, held_at=None, suspected_at=None)
    replays.advance()
    assert states() == {"waiting": 1}


def test_deleting_the_postback_ends_its_replay(config: PostbackConfig) -> None:
    failure(config)
    replay = start(config)
    PostbackConfig.objects.update(deleted_at=NOW)
    replays.advance()
    replay.refresh_from_db()
    assert (replay.state, states()) == ("cancelled", {"failed": 1})


def test_a_delivery_whose_deadline_passes_during_a_replay_is_counted(config: PostbackConfig) -> None:
    failure(config)
    replay = start(config)
    Delivery.objects.update(dead_after=timezone.now())
    replays.advance()
    replay.refresh_from_db()
    assert (replay.state, replay.past_deadline, states()) == ("done", 1, {"failed": 1})


def test_cancelling_restores_waiting_deliveries_but_not_calls_in_flight(config: PostbackConfig) -> None:
    rows = [failure(config, ago=timedelta(minutes=minutes)) for minutes in (4, 3, 2)]
    replay = start(config)
    replays.advance()
    Delivery.objects.filter(pk=rows[0].pk).update(leased_until=timezone.now() + timedelta(seconds=30))
    Delivery.objects.filter(pk=rows[1].pk).update(state="held", next_attempt_at=None)
    assert replays.cancel(replay=replay) == 2
    assert replays.cancel(replay=replay) == 0
    replay.refresh_from_db()
    assert (replay.state, replay.queued) == ("cancelled", 1)
    for row in rows[1:]:
        failed_at = row.finished_at
        row.refresh_from_db()
        assert (row.state, row.verdict, row.finished_at, row.next_attempt_at) == (
            "failed",
            "credential",
            failed_at,
            None,
        )
    assert progress(replay) == (0, 0, 1, 2)
    replays.advance()
    assert states() == {"failed": 2, "waiting": 1}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"enabled": False}, "The postback is disabled. Enable it first."),
        ({"deleted_at": NOW}, "The postback was deleted, so nothing can be sent."),
        ({"held_at": NOW}, "The postback is on hold. Rotate the credential first."),
        ({"suspected_at": NOW}, "is being checked again"),
    ],
)
def test_a_postback_that_cannot_send_refuses_a_replay(
    config: PostbackConfig, change: dict[str, Any], problem: str
) -> None:
    failure(config)
    PostbackConfig.objects.update(**change)
    with pytest.raises(replays.ReplayRefused, match=problem):
        start(config)
    assert (Replay.objects.count(), states()) == (0, {"failed": 1})


def test_a_replay_of_nothing_is_refused_and_says_why(config: PostbackConfig) -> None:
    with pytest.raises(replays.ReplayRefused, match="No failed deliveries match"):
        start(config)
    row = failure(config, safe_until=NOW)
    with pytest.raises(replays.ReplayRefused, match="None of the 1 can be sent"):
        start(config)
    failure(config, trigger="level_complete")
    with pytest.raises(replays.ReplayRefused, match="or the postback is disabled for their event"):
        start(config)
    row.refresh_from_db()
    assert (Replay.objects.count(), row.state) == (0, "failed")


def test_a_postback_has_one_replay_at_a_time(config: PostbackConfig) -> None:
    failure(config)
    replay = start(config)
    with pytest.raises(replays.ReplayRefused, match="is running"):
        start(config)
    replays.cancel(replay=replay)
    assert start(config).state == "running"


# One delivery -----------------------------------------------------------------------------------


def test_a_failed_delivery_can_be_sent_again_under_the_same_event_id(sandbox: Sandbox, config: PostbackConfig) -> None:
    row = failure(config)
    replays.send_again(row)
    row.refresh_from_db()
    assert (row.state, row.finished_at, row.attempts_counted) == ("waiting", None, 0)
    sent()
    row.refresh_from_db()
    assert (row.state, row.attempts_made) == ("delivered", 2)
    assert [request["body"]["data"][0]["event_id"] for request in sandbox.received("tiktok")] == [row.event_id]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"state": "delivered"}, "Only a failed delivery can be sent again; this one is delivered."),
        ({"conversion": None}, "The player's data was erased."),
        ({"trigger": "level_complete"}, "The postback is disabled for this event, or was deleted."),
        (
            {"safe_until": NOW},
            "The first attempt was more than 47 hours ago, so the network would count the event twice.",
        ),
        ({"dead_after": NOW}, "The event is too old for the network to accept."),
    ],
)
def test_what_cannot_be_sent_again_says_why_and_stays(
    config: PostbackConfig, change: dict[str, Any], problem: str
) -> None:
    row = failure(config)
    Delivery.objects.update(**change)
    with pytest.raises(replays.NotSendable, match=problem):
        replays.send_again(row)
    row.refresh_from_db()
    assert (row.state, row.next_attempt_at) == (change.get("state", "failed"), None)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"enabled": False}, "is disabled for this event"),
        ({"deleted_at": NOW}, "is disabled for this event"),
        ({"held_at": NOW}, "The postback is on hold. Rotate the credential first."),
    ],
)
def test_a_postback_that_does_not_send_sends_nothing_again(
    config: PostbackConfig, change: dict[str, Any], problem: str
) -> None:
    row = failure(config)
    PostbackConfig.objects.update(**change)
    with pytest.raises(replays.NotSendable, match=problem):
        replays.send_again(row)
    assert states() == {"failed": 1}


# Pages ------------------------------------------------------------------------------------------


def words(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split()).replace("\xa0", " ")


@pytest.fixture
def url(game: Game) -> str:
    return f"/g/{game.slug}/integrations/tiktok/"


def test_the_page_offers_what_can_still_be_sent_with_its_counts(
    config: PostbackConfig, marketer: Client, url: str
) -> None:
    first = failure(config, ago=timedelta(hours=3))
    failure(config)
    failure(config, safe_until=NOW)
    page = marketer.get(url).content.decode()
    assert first.finished_at
    since = dates.moment(first.finished_at)
    said = f"3 for {config.pixel_id} failed with credential errors since {since} ; 2 can still be sent."
    assert said.replace(" ;", ";") in words(page)
    form = dict(re.findall(r'name="(config|verdict|failed_from)"\s+value="([^"]*)"', page))
    assert marketer.post(url + "replays/start/", form)["Location"] == url
    replay = Replay.objects.get()
    assert (replay.total, replay.past_deadline, replay.verdict) == (3, 1, "credential")
    assert replay.requested_by
    assert (replay.failed_from, replay.requested_by.username) == (
        first.finished_at,
        "marketer-of-sky-raiders",
    )
    page = marketer.get(url).content.decode()
    assert "Queued again: 2." in page
    assert "can still be sent" not in page
    assert f'hx-get="{url}replays/" hx-trigger="every 5s"' in page
    assert '<progress max="3" value="1">' in page


def test_what_can_be_sent_again_is_counted_for_many_postbacks_with_the_queries_of_one(game: Game) -> None:
    purchases, launches, quiet = (
        factories.config(game, pixel_id=f"C{number}", triggers=triggers)
        for number, triggers in enumerate((["purchase"], ["game_launch"], ["purchase"]))
    )
    failure(purchases, verdict="payload")
    for event, ago in (("purchase", 3), ("purchase", 2), ("game_launch", 1)):
        failure(purchases, trigger=event, ago=timedelta(hours=ago))
        failure(launches, trigger=event, ago=timedelta(hours=ago))
    failure(launches, safe_until=NOW)
    failure(launches, ago=timedelta(hours=49))
    failure(quiet, trigger="game_launch")
    assert queries_of(lambda: failed_deliveries.offers([launches])) == queries_of(
        lambda: failed_deliveries.offers([launches, purchases, quiet])
    )
    found = failed_deliveries.offers([launches, purchases, quiet])
    counted = [(offer.config, offer.verdict, offer.counts.total, offer.counts.sendable) for offer in found]
    assert counted == [
        (launches, "credential", 4, 1),
        (purchases, "credential", 3, 2),
        (purchases, "payload", 1, 1),
    ]
    assert (found[0].counts.past_deadline, found[0].counts.disabled) == (1, 2)
    assert failed_deliveries.offers([]) == []


def test_failures_are_listed_only_if_there_are_any_and_offered_only_while_they_can_be_sent(
    config: PostbackConfig, marketer: Client, url: str
) -> None:
    assert "Failed deliveries" not in marketer.get(url).content.decode()
    failure(config, safe_until=NOW)
    page = marketer.get(url).content.decode()
    assert "Credential refused: 1 delivery" in page
    assert "again</button>" not in page
    assert page.index('id="replays"') < page.index('id="log"')


def test_failures_are_grouped_by_reason_the_newest_first_with_what_to_do(
    config: PostbackConfig, marketer: Client, url: str
) -> None:
    for minutes, verdict, code, message in (
        *(
            (90, "payload", "40001", "Invalid currency."),
            (30, "payload", "40001", "Invalid currency for ada@example.com"),
        ),
        *((60, "transient", "", "Gateway down"), (50, "payload", "40002", "Too old.")),
    ):
        row = failure(config, ago=timedelta(minutes=minutes), verdict=verdict)
        row.attempts.update(provider_code=code, message=message)
    failure(config, ago=timedelta(days=8))
    failure(config, ago=timedelta(minutes=70), verdict="payload", confirmation="unmatched")
    found = failure_groups.groups_of([config])
    assert [(group.title, group.count, group.message) for group in found] == [
        ("Event refused", 2, "Invalid currency for a…@example.com"),
        ("Event refused", 1, "Too old."),
        ("Network not reached", 1, "Gateway down"),
        ("Click not known to the network", 1, ""),
    ]
    assert found[0].next_step == (
        "Fix the problems that TikTok Ads names in the events of your game, then send these again."
    )
    page = words(marketer.get(url).content.decode())
    assert page.count("Send 3 again") == 1
    assert page.index("Event refused: 2 deliveries") < page.index("Network not reached: 1 delivery")
    assert failure_groups.groups_of([]) == []


def test_a_postback_on_hold_is_offered_after_the_rotation(config: PostbackConfig, marketer: Client, url: str) -> None:
    failure(config)
    PostbackConfig.objects.update(held_at=NOW)
    page = marketer.get(url).content.decode()
    assert "1 can still be sent. The postback is on hold. Rotate the credential first." in words(page)
    assert "Send 1 again" not in page
    PostbackConfig.objects.update(held_at=None)
    assert "Send 1 again" in marketer.get(url).content.decode()


def test_a_replay_by_filter_is_counted_first(config: PostbackConfig, marketer: Client, url: str) -> None:
    failure(config, ago=timedelta(hours=3))
    failure(config, verdict="payload")
    asked = {"config": str(config.pk), "verdict": "", "failed_from": f"{NOW - timedelta(hours=1):%Y-%m-%dT%H:%M}"}
    page = marketer.get(url + "replays/", {**asked, "failed_until": ""}).content.decode()
    assert "1 failed; 1 can still be sent" in page
    assert Replay.objects.count() == 0
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)"(?: value="([^"]*)")?', page.split('id="counts"')[1]))
    hidden.pop("csrfmiddlewaretoken")
    assert hidden["config"] == str(config.pk)
    marketer.post(url + "replays/start/", hidden)
    replays.advance()
    assert Delivery.objects.get(state="waiting").verdict == "payload"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"failed_from": "2026-01-02T00:00", "failed_until": "2026-01-01T00:00"},
            "The end must be later than the start.",
        ),
        ({"failed_from": "soon"}, "Enter a valid date/time."),
        ({"verdict": "odd"}, "Select a valid choice."),
    ],
)
def test_a_filter_that_cannot_be_read_says_so_and_starts_nothing(
    config: PostbackConfig, marketer: Client, url: str, given: dict[str, str], said: str
) -> None:
    failure(config)
    asked = {"config": str(config.pk), **given}
    assert said in marketer.get(url + "replays/", asked).content.decode()
    marketer.post(url + "replays/start/", asked)
    assert (Replay.objects.count(), states()) == (0, {"failed": 1})


def test_the_refresh_is_the_section_alone(config: PostbackConfig, marketer: Client, url: str) -> None:
    failure(config)
    replay = start(config)
    section = marketer.get(url + "replays/", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in section
    assert f'id="replay-{replay.pk}"' in section
    assert "Running" in section
    replays.cancel(replay=replay)
    section = marketer.get(url + "replays/", headers={"HX-Request": "true"}).content.decode()
    assert "Canceled" in section
    assert "hx-trigger" not in section


def test_the_newest_five_replays_are_listed(config: PostbackConfig, marketer: Client, url: str) -> None:
    made = []
    for minute in range(7):
        at = NOW - timedelta(minutes=minute)
        made.append(Replay.objects.create(game=config.game, config=config, state="done", total=1, created_at=at))
    page = marketer.get(url).content.decode()
    assert re.findall(r'id="replay-([\w-]+)"', page) == [str(row.pk) for row in made[:5]]


def test_cancelling_from_the_page(config: PostbackConfig, marketer: Client, url: str) -> None:
    failure(config)
    replay = start(config)
    replays.advance()
    page = marketer.post(f"{url}replays/{replay.pk}/cancel/", follow=True).content.decode()
    assert "Deliveries that were not sent: 1." in page
    assert states() == {"failed": 1}


def test_a_viewer_sees_replays_and_starts_none(config: PostbackConfig, game: Game, url: str) -> None:
    row = failure(config)
    replay = start(config)
    viewer = hub.member(game, Role.VIEWER)
    page = viewer.get(url).content.decode()
    assert "Running" in page
    assert "<form" not in page.split('id="replays"')[1].split("</section>")[0]
    for where in ("replays/start/", f"replays/{replay.pk}/cancel/"):
        assert viewer.post(url + where, {"config": str(config.pk)}).status_code == 403
    assert viewer.post(again(row)).status_code == 403
    assert (states(), Replay.objects.get().state) == ({"failed": 1}, "running")


def again(row: Delivery) -> str:
    return f"/g/{row.game.slug}/conversions/deliveries/{row.pk}/send-again/"


def test_deliveries_and_replays_of_another_game_are_not_found(config: PostbackConfig, other_game: Game) -> None:
    row = failure(config)
    replay = start(config)
    stranger = hub.member(other_game, Role.ADMIN)
    url = f"/g/{other_game.slug}/integrations/tiktok/"
    assert stranger.post(f"{url}replays/{replay.pk}/cancel/").status_code == 404
    assert stranger.post(f"/g/{other_game.slug}/conversions/deliveries/{row.pk}/send-again/").status_code == 404
    stranger.post(url + "replays/start/", {"config": str(config.pk)})
    assert (states(), Replay.objects.count()) == ({"failed": 1}, 1)


@pytest.mark.parametrize(
    ("referer", "expected"),
    [
        ("http://testserver/g/sky-raiders/conversions/?event=purchase", "/g/sky-raiders/conversions/?event=purchase"),
        ("http://evil.example/g/sky-raiders/conversions/", "/g/sky-raiders/conversions/"),
        ("http://testserver/g/deep-miners/conversions/", "/g/sky-raiders/conversions/"),
        ("http://testserver//evil.example/", "/g/sky-raiders/conversions/"),
        ("http://testserver/accounts/logout/", "/g/sky-raiders/conversions/"),
        ("", "/g/sky-raiders/conversions/"),
    ],
)
def test_send_again_redirects_to_own_pages_only(
    config: PostbackConfig, marketer: Client, referer: str, expected: str
) -> None:
    row = failure(config)
    assert marketer.post(again(row), headers={"Referer": referer})["Location"] == expected
    row.refresh_from_db()
    assert row.state == "waiting"


def test_send_again_says_why_not(config: PostbackConfig, marketer: Client) -> None:
    row = failure(config, dead_after=NOW)
    page = marketer.post(again(row), follow=True).content.decode()
    assert "The event is too old for the network to accept." in page
    assert states() == {"failed": 1}


def test_the_row_of_an_erased_player_causes_no_error(config: PostbackConfig) -> None:
    failure(config)
    replay = start(config)
    Conversion.objects.all().delete()
    replays.advance()
    replay.refresh_from_db()
    assert (replay.state, states()) == ("done", {"failed": 1})
