"""Ids that differ only in the case of a UUID or in Unicode normalization are one player."""

from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audience.database import clock
from audience.digest import spellings
from audience.games.keys import NewKey
from audience.hub.events.event_filter import EventFilter
from audience.hub.events.feed import newest
from audience.ids.values import canonical
from audience.models import Conversion, Event, Game, Identity, Membership, Person, Role
from audience.privacy import erasure
from consent.decisions import current_level, record_decision
from consent.models import Level
from postbacks.outbox import conversion_facts
from tests import factories, hub
from tests.audience.immutable import ABSENT, ago, click, digest, identify, launch, message, purchase

pytestmark = pytest.mark.django_db

SMALL = "8f3c1d2e-aaaa-4bbb-8ccc-123456789abc"
CAPITALS = SMALL.upper()
NFC, NFD = "Jos\u00e9", "Jose\u0301"


def in_database(value: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT audience_canonical_id(%s)", [value])
        return str(cursor.fetchone()[0])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs", "Cn"])))
def test_the_database_and_python_agree_on_the_canonical_form(text: str) -> None:
    assert in_database(text) == canonical(text)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.from_regex(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-g]{12}\n?", fullmatch=True))
def test_they_agree_on_what_is_almost_a_uuid(text: str) -> None:
    assert in_database(text) == canonical(text)


@pytest.mark.parametrize(("one", "other"), [(SMALL, CAPITALS), (CAPITALS, SMALL), (NFC, NFD), (NFD, NFC)])
@pytest.mark.parametrize("together", [True, False])
def test_a_click_under_one_form_wins_a_purchase_under_the_other(
    key: NewKey, one: str, other: str, together: bool
) -> None:
    sent = [click(ABSENT, userId=one, eventTimestamp=ago(minutes=9)), purchase(other)]
    for messages in [sent] if together else [[each] for each in sent]:
        digest(key, *messages)

    won = Conversion.objects.get()
    assert (won.touch is not None, won.user_id) == (True, other)
    assert [(row.value, row.spellings) for row in Identity.objects.all()] == [
        (canonical(one), [form for form in (one, other) if form != canonical(one)])
    ]
    assert {event.user_id for event in Event.objects.all()} == {one, other}


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("together", [True, False])
def test_a_shared_browser_is_one_id_in_both_forms(key: NewKey, order: int, together: bool) -> None:
    sent = [
        click(CAPITALS, eventTimestamp=ago(minutes=9)),
        identify("user-1", SMALL, eventTimestamp=ago(minutes=8)),
        identify("user-2", CAPITALS, eventTimestamp=ago(minutes=6)),
        launch(ABSENT, anonymousId=SMALL, eventTimestamp=ago(minutes=4)),
        launch(ABSENT, anonymousId=CAPITALS, eventTimestamp=ago(minutes=7)),
    ][::order]
    for messages in [sent] if together else [[each] for each in sent]:
        digest(key, *messages)

    owner = {row.person_id: row.value for row in Identity.objects.filter(namespace="user")}
    launches = Conversion.objects.filter(trigger="game_launch").order_by("event_at")
    assert [owner[row.person_id] for row in launches] == ["user-1", "user-2"]
    assert [row.touch is not None for row in launches] == [True, False]
    assert Person.objects.count() == 2


def test_an_id_in_a_known_form_is_no_news(key: NewKey) -> None:
    digest(key, message(userId=CAPITALS, eventTimestamp=ago(minutes=9)))
    digest(key, message(userId=CAPITALS), message(userId=SMALL))

    assert Identity.objects.get().spellings == [CAPITALS]
    assert spellings.load(Event.objects.first().game_id, [("user", SMALL)]) == {("user", SMALL): [SMALL, CAPITALS]}


def test_a_new_device_of_a_named_browser_is_kept_in_both_forms(key: NewKey) -> None:
    digest(key, identify("ada", "browser-1"))
    digest(key, message(userId=ABSENT, anonymousId="browser-1", deviceId=CAPITALS))
    device = Identity.objects.get(namespace="device")
    assert (device.value, device.spellings) == (SMALL, [CAPITALS])
    assert device.person_id == Identity.objects.get(namespace="user").person_id


def test_a_network_is_sent_a_form_that_was_sent(game: Game) -> None:
    person = factories.person(game)
    factories.identity(person, namespace="user", value=SMALL, spellings=[CAPITALS])
    conversion = factories.conversion(person)

    assert conversion_facts.read_facts(conversion, event_id="e", level=Level.FULL).external_id == CAPITALS


@pytest.mark.parametrize("named", [SMALL, CAPITALS])
def test_an_erasure_by_one_form_erases_the_events_of_both(key: NewKey, game: Game, named: str) -> None:
    digest(key, message(userId=SMALL), message(userId=CAPITALS), message(userId="user-1"))
    erasure.request_erasure(game=game, namespace="user", subject=named, requested_by="test")
    erasure.drain()

    assert [event.user_id for event in Event.objects.all()] == ["user-1"]
    assert Person.objects.count() == 1


@pytest.mark.parametrize("named", [SMALL, CAPITALS])
def test_both_forms_are_found_by_either(key: NewKey, game: Game, named: str) -> None:
    digest(key, message(userId=SMALL), message(userId=CAPITALS))
    client = hub.member(game, Role.VIEWER)

    assert len(newest(Membership.objects.get(game=game), EventFilter(person=named)).rows) == 2
    assert (
        str(Person.objects.get().pk)
        in client.get(f"/g/{game.slug}/people/", {"q": named}, follow=True).content.decode()
    )


def test_ids_of_before_keep_their_person_and_their_form(game: Game) -> None:
    fill: Any = import_module("audience.migrations.0035_fill_spellings")
    kept = [factories.person(game, user=value) for value in (CAPITALS, NFD, "user-1")]
    doubled = [factories.person(game, anonymous=value) for value in (SMALL, CAPITALS)]
    record_decision(
        game_id=game.pk, anonymous_id=CAPITALS, level=Level.NONE, source="x", decided_at=clock.now() - timedelta(days=1)
    )

    for _ in range(2):
        fill.fill(None, connection.schema_editor())

    rows = Identity.objects.order_by("pk").values_list("person_id", "value", "spellings")
    assert list(rows) == [
        (kept[0].pk, SMALL, [CAPITALS]),
        (kept[1].pk, NFC, [NFD]),
        (kept[2].pk, "user-1", []),
        (doubled[0].pk, SMALL, []),
        (doubled[1].pk, CAPITALS, []),
    ]
    assert current_level(game_id=game.pk, anonymous_id=SMALL) == Level.NONE


@pytest.mark.parametrize("named", [SMALL, CAPITALS])
def test_an_erasure_of_a_shared_id_deletes_both_of_its_forms(key: NewKey, game: Game, named: str) -> None:
    digest(
        key,
        message(userId="user-1", anonymousId=SMALL),
        message(userId="user-2", anonymousId=CAPITALS),
        message(userId=ABSENT, anonymousId=SMALL),
        message(userId=ABSENT, anonymousId=CAPITALS),
    )
    erasure.request_erasure(game=game, namespace="anonymous", subject=named, requested_by="test")
    erasure.drain()

    assert [(event.user_id, event.anonymous_id) for event in Event.objects.order_by("id")] == [
        ("user-1", ""),
        ("user-2", ""),
    ]
    assert not any(form in str(event.raw) for event in Event.objects.all() for form in (SMALL, CAPITALS))
    assert not Identity.objects.filter(namespace="anonymous").exists()


def test_the_page_of_a_player_shows_an_id_as_it_was_sent(key: NewKey, game: Game) -> None:
    digest(key, message(userId=CAPITALS))
    client = hub.member(game, Role.VIEWER)

    page = client.get(f"/g/{game.slug}/people/{Person.objects.get().pk}/").content.decode()

    assert (CAPITALS in page, SMALL in page) == (True, False)
