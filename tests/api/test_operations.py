"""Who may do what: every operation, with every kind of token, every role and scope, and objects of another tenant."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from audience.accounts import members, tokens
from audience.database import clock
from audience.games import keys
from audience.models import Erasure, Event, Game, Membership, Rejection, Role, Scope, Suppression
from postbacks.configs import credentials
from postbacks.models import Replay
from tests import factories, hub
from tests.api.operations import Routed, routed
from tests.audience import immutable
from tests.management_api import Api, game_api, member_api, problem_of

pytestmark = pytest.mark.django_db
OPERATIONS = routed()
NAMES = [f"{one.method} {one.path}" for one in OPERATIONS]
RANK = list(Role)


def erasure(game: Game) -> Erasure:
    return Erasure.objects.create(game=game, namespace="user", subject_hash="0" * 64, suppress=True)


def event(game: Game) -> dict[str, Any]:
    """The ids of an event in the address."""
    immutable.send(keys.create_key(game=game, name="Web"), immutable.message())
    found = Event.objects.get(game_id=game.pk)
    return {"day": found.day, "id": found.pk}


# {the address before an id: a function that makes such an object in a game and returns its id}. An address that is
# missing here fails.
OBJECTS: dict[str, Callable[[Game], Any]] = {
    "games/{game}/keys/": lambda game: keys.create_key(game=game, name="Theirs").key.pk,
    "games/{game}/members/": lambda game: Membership.objects.create(game=game, user=hub.user("ada"), role="viewer").pk,
    "games/{game}/invitations/": lambda game: (
        members.invite(game=game, email="ada@studio.example", role=Role.VIEWER, invited_by=None).invitation.pk
    ),
    "games/{game}/tokens/": lambda game: (
        tokens.create_game_token(game=game, name="CI", role=Role.VIEWER, scopes=[Scope.READ]).token.pk
    ),
    "games/{game}/postbacks/": lambda game: factories.config(game).pk,
    "games/{game}/checks/": lambda game: (
        credentials.request_release(config=factories.config(game), requested_by=None).pk
    ),
    "games/{game}/goals/": lambda game: game.game_goals.create(name="VIP", event="vip").pk,
    "games/{game}/links/": lambda game: factories.link(game).pk,
    "games/{game}/deliveries/": lambda game: factories.delivery(factories.config(game)).pk,
    "games/{game}/attempts/": lambda game: factories.attempt(factories.delivery(factories.config(game))).pk,
    "games/{game}/conversions/": lambda game: factories.conversion(factories.person(game, user="theirs")).pk,
    "games/{game}/people/": lambda game: factories.person(game, user="theirs").pk,
    "games/{game}/erasures/": lambda game: erasure(game).pk,
    "games/{game}/suppressions/": lambda game: Suppression.objects.create(game=game, erasure=erasure(game)).pk,
    "games/{game}/rejections/": lambda game: (
        Rejection.objects.create(game=game, dialect="immutable", received_at=clock.now(), errors=[], raw={}).pk
    ),
    "games/{game}/events/": lambda game: event(game),
    "games/{game}/replays/": lambda game: Replay.objects.create(game=game, config=factories.config(game), total=0).pk,
    "games/{game}/alert-hooks/": lambda game: game.alert_hooks.create(url="https://studio.example/hook").pk,
}


def of_game(ones: list[Routed]) -> Any:
    chosen = [one for one in ones if one.operation.role is not None]
    return pytest.mark.parametrize("one", chosen, ids=[f"{one.method} {one.path}" for one in chosen])


def address(one: Routed, game: Game) -> str:
    """The address in a game, with ids that do not exist."""
    kind = one.view.id_schema.get("format")
    missing: Any = uuid4() if kind == "uuid" else one.view.id_schema.get("enum", [2_000_000_000])[0]
    return one.url(game=game.slug, **{**dict.fromkeys(one.ids, missing), "day": "2026-01-01"})


def send(api: Api, one: Routed, url: str) -> Any:
    return api.send(one.method, url, {} if one.method in ("POST", "PUT", "PATCH") else None)


def test_every_route_has_an_operation_and_every_operation_a_route() -> None:
    routes: dict[Any, set[str]] = {}
    for one in OPERATIONS:
        routes.setdefault(one.view, set()).add(one.action)
    assert {view: set(view.operations) for view in routes} == routes


def test_every_name_is_one_operation() -> None:
    names = [one.name for one in OPERATIONS]
    assert sorted(names) == sorted(set(names))


def test_reading_never_needs_more_than_reading_except_for_personal_data() -> None:
    closed = {one.name for one in OPERATIONS if one.method == "GET" and Scope.READ not in one.operation.scopes}
    assert closed == READ_BY_THEIR_OWN_SCOPE


def test_no_change_is_allowed_by_the_scope_read() -> None:
    changes = [one for one in OPERATIONS if one.method != "GET" and one.name not in CHANGES_NOTHING]
    assert [one.name for one in changes if Scope.READ in one.operation.scopes] == []


@pytest.mark.long
@pytest.mark.parametrize("one", OPERATIONS, ids=NAMES)
def test_without_a_token_or_with_an_ingestion_key_nothing_is_allowed(one: Routed) -> None:
    game = factories.game()
    key = keys.create_key(game=game, name="Key").value
    for value in ("", key, "aftk_" + "0" * 40):
        problem_of(send(Api(value), one, address(one, game)), 401)


@pytest.mark.long
@pytest.mark.parametrize("one", OPERATIONS, ids=NAMES)
def test_each_other_scope_is_refused(one: Routed) -> None:
    game = factories.game()
    others = tuple(scope for scope in Scope if scope not in one.operation.scopes)
    if not others:
        pytest.skip("every token may do this")
    for api in (game_api(game, scopes=others), member_api(game, Role.ADMIN, others)):
        assert problem_of(send(api, one, address(one, game)), 403)["code"] == "missing_scope"


@pytest.mark.long
@of_game(OPERATIONS)
def test_each_lower_role_is_refused_and_each_other_allowed(one: Routed) -> None:
    game = factories.game()
    assert one.operation.role is not None
    for role in RANK:
        for api in (game_api(game, role), member_api(game, role)):
            response = send(api, one, address(one, game))
            if RANK.index(role) < RANK.index(one.operation.role):
                assert problem_of(response, 403)["code"] == "missing_role"
            else:
                assert response.status_code not in (401, 403, 405, 500), response.content


@pytest.mark.long
@of_game(OPERATIONS)
def test_another_tenants_game_does_not_exist(one: Routed) -> None:
    mine, other = factories.game(), factories.game()
    for api in (game_api(mine), member_api(mine, Role.ADMIN)):
        problem_of(send(api, one, address(one, other)), 404)


@pytest.mark.parametrize("one", [one for one in OPERATIONS if one.ids and one.has_game], ids=lambda one: one.path)
def test_another_tenants_object_does_not_exist(one: Routed) -> None:
    mine, other = factories.game(), factories.game()
    start, _, _ = one.path.partition("{" + one.ids[0] + "}")
    found = OBJECTS[start](other)
    values = found if isinstance(found, dict) else {one.ids[0]: found}
    response = send(game_api(mine), one, one.url(game=mine.slug, **values))
    # A body or a parameter that is not valid may be refused before the object is looked up.
    assert response.status_code in (
        (404, 400) if one.method in ("POST", "PUT", "PATCH") or one.action in one.view.queries else (404,)
    )


# Reading what a member may not read without a reason: personal data.
READ_BY_THEIR_OWN_SCOPE = {"consent_list", "people_export"}
# They are sent by POST because of their body, and store nothing.
CHANGES_NOTHING = {"postbacks_preview_proposed", "postbacks_dry_run_proposed", "validate_create"}


def test_a_revoked_member_loses_the_games_of_their_token() -> None:
    game = factories.game()
    api = member_api(game, Role.ADMIN)
    member_api(game, Role.VIEWER)  # a second member, and an admin is left below
    membership = game.memberships.get(role=Role.ADMIN)
    members.change_role(membership=game.memberships.get(role=Role.VIEWER), role=Role.ADMIN)
    assert api.get(f"games/{game.slug}/keys").status_code == 200
    members.remove(membership=membership)
    problem_of(api.get(f"games/{game.slug}/keys"), 404)


def test_the_role_of_a_games_token_outlives_its_creator() -> None:
    game = factories.game()
    made = tokens.create_game_token(game=game, name="CI", role=Role.VIEWER, scopes=[Scope.READ], created_by=None)
    assert Api(made.value).get(f"games/{game.slug}/keys").status_code == 200
