"""Work set aside, on the overview: its notice, its link, and the button to retry it."""

from datetime import timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.test import Client
from django.utils import timezone

from audience.models import Batch, FailedWork, Game, Queue, Role
from postbacks.hub.overview import set_aside_work
from postbacks.hub.overview.attention import AttentionItem
from postbacks.models import PostbackConfig
from tests import factories, hub

pytestmark = pytest.mark.django_db


def failed(game: Game | None, queue: Queue, row: Any = "1", *, aside: bool = True) -> FailedWork:
    now = timezone.now()
    return FailedWork.objects.create(
        game=game,
        queue=queue,
        row=str(row),
        attempts=8,
        error="OverflowError: date value out of range",
        first_failed_at=now - timedelta(minutes=40),
        set_aside_at=now if aside else None,
    )


def batch(game: Game) -> Batch:
    sums = {"accepted": 1, "duplicates": 0, "rejected": 0, "event_ids": [1], "attempts": 8}
    return Batch.objects.create(game=game, dialect="immutable", received_at=timezone.now(), state="failed", **sums)


def items(game: Game) -> list[AttentionItem]:
    return list(set_aside_work.items(game))


def retry(slug: str, queue: str) -> str:
    return f"/g/{slug}/set-aside/retry/?queue={queue}"


def test_work_that_is_still_retried_has_no_notice(game: Game, other_game: Game) -> None:
    failed(game, Queue.FAN_OUT, aside=False)
    failed(other_game, Queue.FAN_OUT)
    assert items(game) == []


def test_one_conversion_set_aside_has_a_notice_with_its_page_error_and_button(game: Game) -> None:
    row = factories.conversion(factories.person(game))
    failed(game, Queue.FAN_OUT, row.pk)
    (item,) = items(game)
    assert (item.tone, item.title, item.subject) == ("bad", "Set aside", "Fan-out of conversions")
    assert item.href == f"/g/{game.slug}/conversions/{row.pk}/"
    assert item.cause == (
        "1 conversion was stored, but could not be assigned to postbacks. Nothing is lost. "
        "OverflowError: date value out of range"
    )
    assert (item.action, item.button) == (retry(game.slug, "fan_out"), "Try again")


def test_one_delivery_set_aside_links_to_its_conversion(game: Game, config: PostbackConfig) -> None:
    row = factories.delivery(config)
    failed(game, Queue.SENDING, row.pk)
    assert [item.href for item in items(game)] == [f"/g/{game.slug}/conversions/{row.conversion_id}/"]


def test_many_rows_of_one_queue_have_one_notice(game: Game) -> None:
    for number in range(3):
        failed(game, Queue.NOTICE, number)
    (item,) = items(game)
    assert (item.href, item.cause.partition(".")[0]) == (
        f"/g/{game.slug}/alerts/",
        "3 messages were created, but could not be sent",
    )


@pytest.mark.parametrize("queue", Queue)
def test_every_queue_has_texts_and_a_page(marketer: Client, game: Game, queue: Queue) -> None:
    failed(game, queue)
    page = marketer.get(f"/g/{game.slug}/").content.decode()
    (item,) = items(game)
    assert item.subject in page
    assert marketer.get(item.href).status_code == 200


def test_work_of_no_game_is_for_the_operator(game: Game) -> None:
    failed(None, Queue.PRUNE, "rejections")
    (item,) = items(game)
    assert (item.action, item.button) == ("", "")
    assert item.next_step == "Ask the operator of this server to check Failed work in the admin site."


def test_an_admin_can_retry_work_set_aside(game: Game, other_game: Game) -> None:
    admin, mine = hub.member(game, Role.ADMIN), failed(game, Queue.FAN_OUT)
    others = [failed(game, Queue.REPLAY), failed(other_game, Queue.FAN_OUT), failed(None, Queue.FAN_OUT)]
    page = admin.get(f"/g/{game.slug}/").content.decode()
    assert f'action="{retry(game.slug, "fan_out")}"' in page

    answer = admin.post(retry(game.slug, "fan_out"), follow=True)
    assert [str(message) for message in answer.context["messages"]] == ["Queued again: 1."]
    mine.refresh_from_db()
    assert (mine.attempts, mine.set_aside_at) == (0, None)
    assert FailedWork.objects.set_aside().count() == len(others)
    entry = LogEntry.objects.get(changes__has_key="set-aside work")
    assert (entry.actor, entry.changes) == (answer.wsgi_request.user, {"set-aside work": ["1", "tried again"]})


def test_an_admin_can_retry_batches_set_aside(game: Game, other_game: Game) -> None:
    admin, mine, other = hub.member(game, Role.ADMIN), batch(game), batch(other_game)
    (item,) = items(game)
    assert (item.title, item.button) == ("Events set aside", "Process again")

    answer = admin.post(item.action, follow=True)
    assert [str(message) for message in answer.context["messages"]] == ["Queued again: 1."]
    mine.refresh_from_db()
    other.refresh_from_db()
    assert (mine.state, mine.attempts, other.state) == ("pending", 0, "failed")
    assert items(game) == []


def test_a_marketer_sees_work_set_aside_without_a_button(marketer: Client, game: Game) -> None:
    failed(game, Queue.FAN_OUT)
    page = marketer.get(f"/g/{game.slug}/").content.decode()
    assert "could not be assigned to postbacks" in page
    assert "set-aside/retry" not in page
    assert marketer.post(retry(game.slug, "fan_out")).status_code == 403
    assert FailedWork.objects.set_aside().count() == 1


@pytest.mark.parametrize("queue", ["", "no-such-queue"])
def test_an_unknown_queue_is_not_found(game: Game, queue: str) -> None:
    failed(game, Queue.FAN_OUT)
    assert hub.member(game, Role.ADMIN).post(retry(game.slug, queue)).status_code == 404
    assert FailedWork.objects.set_aside().count() == 1
