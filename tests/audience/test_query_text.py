"""A NUL character in a query, which PostgreSQL cannot store, once caused a 500."""

import pytest
from django.test import Client

from audience.games.keys import NewKey, create_key
from audience.models import Dialect, Event, Game


@pytest.fixture
def key(game: Game) -> NewKey:
    return create_key(game=game, name="web", dialect=Dialect.RUDDERSTACK)


def test_a_pixels_query_with_nul_characters_is_stored_as_their_replacement(key: NewKey) -> None:
    query = "userId=u&name=a%00b&place%00=c%00&properties=no%00json&messageId=m%00"

    answer = Client().get(f"/pixel/v1/page?writeKey={key.value}&{query}")

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/gif")
    event = Event.objects.get()
    assert (event.name, event.message_id) == ("a�b", "m�")
    assert event.properties == {"place�": "c�", "properties": "no�json"}


def test_a_pixel_that_names_nobody_but_nul_characters_stores_nothing(key: NewKey) -> None:
    answer = Client().get(f"/pixel/v1/page?writeKey={key.value}&userId=%00&name=a")

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/gif")
    assert not Event.objects.exists()
