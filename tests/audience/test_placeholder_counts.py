"""Events with a placeholder in place of an id: counted by the digest, shown on the Overview, listed on a page."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audience.games.keys import NewKey
from audience.hub.events import placeholders
from audience.models import Batch, Event, Game, Person, PlaceholderCount, Role
from tests import hub
from tests.audience.immutable import ABSENT, digest, message

pytestmark = pytest.mark.django_db


def counted() -> list[Any]:
    return list(PlaceholderCount.objects.order_by("-number", "field").values_list("field", "value", "number"))


@pytest.fixture
def viewer(game: Game) -> Client:
    return hub.member(game, Role.VIEWER)


def test_each_digested_event_is_counted_once_by_what_was_sent(key: NewKey) -> None:
    again = message(userId="undefined", anonymousId="a-1")
    digest(key, again, message(userId="undefined", anonymousId="null"), message(userId="user-1"))
    digest(key, message(userId="undefined", anonymousId="a-2"))
    digest(key, again)

    assert counted() == [("user_id", "undefined", 3), ("anonymous_id", "null", 1)]
    assert not PlaceholderCount.objects.exclude(starts_at__minute=0, starts_at__second=0).exists()


def test_a_note_of_an_older_version_that_is_no_object_is_not_counted(key: NewKey, game: Game) -> None:
    digest(key, message(userId="user-1"))
    for note in ("x", ["y"], None):
        Event.objects.update(context={"_placeholder_ids": note})
        Batch.objects.update(state="pending")
        digest(key, message(userId="user-1"))

    assert counted() == []


def test_the_overview_names_the_most_frequent_and_links_to_exactly_these(
    game: Game, viewer: Client, key: NewKey
) -> None:
    digest(key, *(message(userId="undefined", anonymousId="a-1", eventName=f"sent_{n}") for n in range(3)))
    digest(key, message(userId="null", anonymousId="a-1"), message(userId="user-1", eventName="other"))

    page = viewer.get(f"/g/{game.slug}/").content.decode()
    assert "3 events with the user ID `undefined`" in page
    assert "1 event with the user ID `null`" in page
    href = f"/g/{game.slug}/events/?placeholder=user_id%3Aundefined"
    assert f'href="{href}"' in page
    listed = viewer.get(href).content.decode()
    assert [name for name in ("sent_0", "sent_1", "sent_2", "other") if f">{name}<" in listed] == [
        "sent_0",
        "sent_1",
        "sent_2",
    ]
    assert listed.count("no usable ID (sent `undefined`)") == 3


def test_a_count_older_than_seven_days_is_neither_shown_nor_listed(game: Game, viewer: Client, key: NewKey) -> None:
    digest(key, message(userId="undefined", anonymousId="a-1", eventName="earlier"))
    earlier = placeholders.period_start() - timedelta(hours=1)
    PlaceholderCount.objects.update(starts_at=earlier)
    Event.objects.update(received_at=earlier)

    assert placeholders.most_frequent(game, limit=3) == []
    assert "earlier" not in viewer.get(f"/g/{game.slug}/events/?placeholder=user_id:undefined").content.decode()


@pytest.mark.parametrize("text", ["", "user_id", "user_id:", "name:x", ":x"])
def test_a_filter_that_is_none_filters_nothing(game: Game, viewer: Client, key: NewKey, text: str) -> None:
    digest(key, message(userId="user-1", eventName="other"))

    assert ">other<" in viewer.get(f"/g/{game.slug}/events/", {"placeholder": text}).content.decode()


def test_the_page_of_an_event_says_what_was_sent(game: Game, viewer: Client, key: NewKey) -> None:
    digest(key, message(userId="undefined", anonymousId=ABSENT))
    event = Event.objects.get()

    page = viewer.get(f"/g/{game.slug}/events/{event.day}/{event.pk}/").content.decode()

    assert "<dt>User id</dt>" in page
    assert "no usable ID (sent `undefined`)" in page
    assert "_placeholder_ids" not in page
    assert (Person.objects.count(), event.received_at <= timezone.now()) == (0, True)
