"""A game's consent default: who may set it, what the pages show, and what is stored."""

import pytest
from auditlog.models import LogEntry
from django.test import Client

from audience.games.keys import NewKey, create_key
from audience.models import Dialect, Event, Game, Role
from tests import hub
from tests.audience.immutable import message, send
from tests.audience.wire import post

pytestmark = pytest.mark.django_db
PRIVACY = "/g/{}/privacy/"
EDIT = "/g/{}/privacy/consent/"


def said(client: Client, game: Game) -> str:
    page = hub.normalized_html(client.get(PRIVACY.format(game.slug)).content.decode())
    return page.split("If a player never stated a level, their conversions are<strong>")[1].partition("<")[0]


def test_an_admin_sets_the_consent_default_and_the_page_shows_it(game: Game) -> None:
    admin = hub.member(game, Role.ADMIN)
    assert said(admin, game) == "sent"
    form = admin.get(EDIT.format(game.slug)).content.decode()
    assert form.count("checked") == 1
    assert 'value="send"' in form.split("checked")[0].rpartition("<input")[2]

    answer = admin.post(EDIT.format(game.slug), {"unstated": "keep"}, follow=True)
    assert "players who never stated a consent level are not sent to ad networks from now on" in answer.content.decode()
    game.refresh_from_db()
    assert (game.strict_consent, said(admin, game)) == (True, "not sent")
    entry = LogEntry.objects.get_for_object(game).latest("pk")
    assert entry.changes == {"strict_consent": ["False", "True"]}
    log = admin.get(f"/g/{game.slug}/audit-log/").content.decode()
    assert "Do not send conversions of players without a stated consent level" in log

    admin.post(EDIT.format(game.slug), {"unstated": "send"})
    assert said(admin, game) == "sent"


@pytest.mark.parametrize("given", [{}, {"unstated": ""}, {"unstated": "maybe"}])
def test_an_unknown_consent_default_changes_nothing(game: Game, given: dict[str, str]) -> None:
    answer = hub.member(game, Role.ADMIN).post(EDIT.format(game.slug), given)

    assert answer.status_code == 200
    assert "errorlist" in answer.content.decode() or "error" in answer.content.decode()
    game.refresh_from_db()
    assert game.strict_consent is False


@pytest.mark.parametrize("role", [Role.VIEWER, Role.MARKETER])
def test_other_members_see_the_consent_default_and_cannot_change_it(game: Game, role: Role) -> None:
    client = hub.member(game, role)

    assert said(client, game) == "sent"
    assert EDIT.format(game.slug) not in client.get(PRIVACY.format(game.slug)).content.decode()
    assert client.get(EDIT.format(game.slug)).status_code == 403
    assert client.post(EDIT.format(game.slug), {"unstated": "keep"}).status_code == 403
    game.refresh_from_db()
    assert game.strict_consent is False


def test_a_stated_not_set_is_distinguished_from_no_statement(game: Game, key: NewKey) -> None:
    """Also by the dialects whose clients may send a level without knowing levels; Parcelvoy's cannot."""
    keys = {one: create_key(game=game, name=one, dialect=one) for one in Dialect}
    send(key, message(consentLevel="not_set"), message(consentLevel=None), message())
    track = {"event": "e", "userId": "u"}
    for dialect in (Dialect.RUDDERSTACK, Dialect.METAROUTER):
        for level in ("not_set", None, "", "denied", 5):
            post("/v1/track", {**track, "consentLevel": level}, keys[dialect])
    post("/api/client/events", [{"external_id": "u", "name": "e", "consentLevel": "none"}], keys[Dialect.PARCELVOY])

    levels = list(Event.objects.order_by("id").values_list("consent_level", flat=True))
    assert levels == ["not_set", "", "", *(["not_set", "", "", "", ""] * 2), ""]


def test_the_page_of_an_event_explains_not_set(game: Game, key: NewKey) -> None:
    send(key, message(consentLevel="not_set"))
    event = Event.objects.get()
    page = hub.member(game, Role.VIEWER).get(f"/g/{game.slug}/events/{event.day}/{event.pk}/").content.decode()

    assert "not_set, which counts as none" in page
