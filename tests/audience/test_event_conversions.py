"""From an event to its conversion, or to the reason why it made none."""

from datetime import timedelta

import pytest
from django.test import Client

from audience.hub.events import conversion_of as explained
from audience.models import Batch, Conversion, Event, Game, GoalEvent, Reason, Role
from audience.privacy.erasure import drain, request_erasure
from tests import factories, hub
from tests.audience.test_hub_events import event

pytestmark = pytest.mark.django_db


@pytest.fixture
def viewer(game: Game) -> Client:
    return hub.member(game, Role.VIEWER)


def page_of(client: Client, game: Game, row: Event) -> str:
    url = f"/g/{game.slug}/events/{row.day}/{row.pk}/"
    return hub.normalized_html(client.get(url).content.decode())


def converted(game: Game, row: Event, **given: object) -> Conversion:
    person = factories.person(game, user="ada")
    return factories.conversion(person, message_id=row.message_id, event_day=row.day, trigger=row.name, **given)


def test_an_event_links_to_its_conversion(game: Game, viewer: Client) -> None:
    row = event(game, 1, name="purchase")
    conversion = converted(game, row)
    link = f'<a href="/g/{game.slug}/conversions/{conversion.pk}/">Open the conversion</a>'
    assert link in page_of(viewer, game, row)
    live = viewer.get(f"/g/{game.slug}/events/{row.day}/{row.pk}/", headers={"HX-Request": "true"}).content.decode()
    assert link in live


def test_the_reason_of_a_conversion_stands_beside_the_link(game: Game, viewer: Client) -> None:
    row = event(game, 1, name="game_launch")
    converted(game, row, reason=Reason.REPEAT_LAUNCH)
    assert '<span class="muted">Only a player&#x27;s first launch counts</span>' in page_of(viewer, game, row)


def test_a_conversion_of_another_game_with_this_message_id_is_not_linked(
    game: Game, other_game: Game, viewer: Client
) -> None:
    row = event(game, 1, name="purchase")
    converted(other_game, row)
    assert "Open the conversion" not in page_of(viewer, game, row)


def test_an_event_without_a_conversion_says_why(game: Game, viewer: Client) -> None:
    assert explained.NOT_TRACKED in page_of(viewer, game, event(game, 1, kind="page", name="purchase"))
    page = page_of(viewer, game, event(game, 2, name="level_up"))
    assert explained.NOT_NAMED in page
    assert f'<a href="/g/{game.slug}/goals/">Goals</a>' in page
    row = event(game, 3, name="vip_reached")
    goal = GoalEvent.objects.create(game=game, name="vip_reached")
    GoalEvent.objects.filter(pk=goal.pk).update(created_at=row.received_at + timedelta(minutes=1))
    assert explained.GOAL_IS_LATER in page_of(viewer, game, row)
    assert explained.NONE_STORED in page_of(viewer, game, event(game, 4, name="purchase"))


@pytest.mark.parametrize(("state", "said"), [("pending", explained.PENDING), ("failed", explained.SET_ASIDE)])
def test_an_event_that_is_not_processed_says_so(game: Game, viewer: Client, state: str, said: str) -> None:
    row = event(game, 1, name="purchase")
    counts = {"accepted": 1, "duplicates": 0, "rejected": 0}
    Batch.objects.create(
        game=game, dialect="immutable", received_at=row.received_at, event_ids=[row.pk], state=state, **counts
    )
    assert said in page_of(viewer, game, row)


def test_an_erased_player_has_neither_event_nor_conversion_to_link_to(game: Game, viewer: Client) -> None:
    row = event(game, 1, name="purchase", user_id="ada")
    conversion = converted(game, row, user_id="ada")
    person = conversion.person_id
    request_erasure(game=game, namespace="user", subject="ada", requested_by="admin")
    drain()
    assert not Conversion.objects.filter(pk=conversion.pk).exists()
    for gone in (f"events/{row.day}/{row.pk}/", f"conversions/{conversion.pk}/", f"people/{person}/"):
        assert viewer.get(f"/g/{game.slug}/{gone}").status_code == 404
