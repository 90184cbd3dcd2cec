"""A game's setting for Meta's fbclid without UTM tags: who may set it, what the pages show, and what counts."""

import pytest
from auditlog.models import LogEntry
from django.test import Client

from audience.games.keys import NewKey
from audience.models import Conversion, Game, Role, Touch
from tests import hub
from tests.audience.immutable import ago, digest, identify, page, purchase

pytestmark = pytest.mark.django_db
LIST = "/g/{}/integrations/"
EDIT = "/g/{}/integrations/ad-clicks/"


def said(client: Client, game: Game) -> str:
    html = hub.normalized_html(client.get(LIST.format(game.slug)).content.decode())
    return html.split("without these tags it counts as<strong>")[1].partition("<")[0]


def test_an_admin_sets_what_an_untagged_fbclid_counts_as_and_the_integrations_page_says_so(game: Game) -> None:
    admin = hub.member(game, Role.ADMIN)
    assert said(admin, game) == "a paid click"
    form = admin.get(EDIT.format(game.slug)).content.decode()
    assert 'value="paid"' in form.split("checked")[0].rpartition("<input")[2]

    answer = admin.post(EDIT.format(game.slug), {"untagged": "organic"}, follow=True)
    assert "without UTM tags now count as organic visits" in answer.content.decode()
    game.refresh_from_db()
    assert (game.untagged_fbclid_is_paid, said(admin, game)) == (False, "organic")
    entry = LogEntry.objects.get_for_object(game).latest("pk")
    assert entry.changes == {"untagged_fbclid_is_paid": ["True", "False"]}
    assert (
        "Count an fbclid without UTM tags as a paid click" in admin.get(f"/g/{game.slug}/audit-log/").content.decode()
    )

    admin.post(EDIT.format(game.slug), {"untagged": "paid"})
    assert said(admin, game) == "a paid click"


@pytest.mark.parametrize("sent", [{}, {"untagged": ""}, {"untagged": "maybe"}])
def test_an_unknown_choice_changes_nothing(game: Game, sent: dict[str, str]) -> None:
    assert hub.member(game, Role.ADMIN).post(EDIT.format(game.slug), sent).status_code == 200
    game.refresh_from_db()
    assert game.untagged_fbclid_is_paid is True


@pytest.mark.parametrize("role", [Role.VIEWER, Role.MARKETER])
def test_others_than_admins_cannot_change_it(game: Game, role: Role) -> None:
    member = hub.member(game, role)

    assert member.post(EDIT.format(game.slug), {"untagged": "organic"}).status_code == 403
    assert EDIT.format(game.slug) not in member.get(LIST.format(game.slug)).content.decode()
    game.refresh_from_db()
    assert game.untagged_fbclid_is_paid is True


@pytest.mark.parametrize(("is_paid", "won"), [(True, "F1"), (False, None)])
def test_the_setting_decides_an_untagged_visit(game: Game, key: NewKey, is_paid: bool, won: str | None) -> None:
    Game.objects.update(untagged_fbclid_is_paid=is_paid)
    digest(key, page("a-1", "https://mygame.com/?fbclid=F1", eventTimestamp=ago(minutes=5)))
    digest(key, page("a-1", "https://mygame.com/?fbclid=F2&utm_medium=social", eventTimestamp=ago(minutes=4)))
    digest(key, purchase("ada", anonymousId="a-1"))

    touch = Conversion.objects.select_related("touch").get().touch
    assert (touch.click_id if touch else None) == won


def test_a_click_from_before_a_change_moves_to_its_player_with_its_time(game: Game, key: NewKey) -> None:
    digest(key, identify("anna", "pc", eventTimestamp=ago(minutes=9)))
    digest(key, page("pc", "https://mygame.com/?fbclid=F1", eventTimestamp=ago(minutes=5)))
    before = Touch.objects.get()
    Game.objects.update(untagged_fbclid_is_paid=False)
    digest(key, identify("ben", "pc", eventTimestamp=ago(minutes=7)))

    touch = Touch.objects.get()
    assert touch.person_id != before.person_id
    assert touch.clicked_at == before.clicked_at
