"""Erasures and suppressions in the management API."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from django.utils import timezone

from audience.accounts.audit_log import entries
from audience.games.keys import NewKey
from audience.models import Erasure, FailedWork, Game, Person, Queue, ReceiptKey, Role, Scope, Suppression
from audience.privacy import erasure, suppression
from tests import factories, hub
from tests.audience import immutable
from tests.management_api import Api, game_api, member_api, problem_of, user_api
from tests.queries import queries_of

pytestmark = pytest.mark.django_db

BODY = {"namespace": "user", "subject": "player-42"}


@pytest.fixture(autouse=True)
def _takes_effect_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suppression, "TAKES_EFFECT", timedelta(0))


def erased(api: Api, game: Game, **fields: Any) -> dict[str, Any]:
    """The receipt of a finished erasure."""
    made = api.post(f"games/{game.slug}/erasures", {**BODY, **fields}).json()
    for _ in range(3):
        erasure.drain()
    receipt: dict[str, Any] = api.get(f"games/{game.slug}/erasures/{made['id']}").json()
    return receipt


def listed(api: Api, game: Game, path: str = "erasures", **query: Any) -> list[str]:
    response = api.get(f"games/{game.slug}/{path}?{urlencode(query)}")
    assert response.status_code == 200, response.content
    return [row["id"] for row in response.json()["results"]]


def test_an_erasure_is_accepted_with_its_receipt_and_done_by_a_worker(game: Game) -> None:
    factories.person(game, user="player-42", anonymous="anon-1")
    admin = hub.user("ada", is_superuser=True)
    api = user_api(admin)
    response = api.post(f"games/{game.slug}/erasures", BODY)
    assert response.status_code == 202
    receipt = response.json()
    row = Erasure.objects.get()
    assert receipt == {
        "id": str(row.pk),
        "namespace": "user",
        "subject_hash": row.subject_hash,
        "state": "pending",
        "problem": "",
        "counts": {},
        "is_of_shared_id": False,
        "requested_by": "ada",
        "requested_at": receipt["requested_at"],
        "finished_at": None,
        "suppress": False,
        "suppressed_messages": 0,
        "suppression_id": None,
    }
    assert erasure.drain() == 1
    done = api.get(f"games/{game.slug}/erasures/{row.pk}").json()
    assert (done["state"], done["counts"]["people"], done["counts"]["identities"]) == ("done", 1, 2)
    assert done["finished_at"].endswith("Z")
    assert "player-42" not in str(done)
    assert not Person.objects.exists()
    made = entries(game).filter(content_type__model="erasure").order_by("pk")
    assert (made[0].get_action_display(), made[0].actor) == ("create", admin)


def test_a_repeated_request_with_one_key_makes_one_erasure(game: Game) -> None:
    api = game_api(game)
    answers = [api.post(f"games/{game.slug}/erasures", BODY, idempotency_key="1") for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert [answer.status_code for answer in answers] == [202, 202]
    assert Erasure.objects.count() == 1
    assert Erasure.objects.get().requested_by == "Token “Script”"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"subject": "player-42"}, "namespace"),
        ({**BODY, "namespace": "steam"}, "namespace"),
        ({**BODY, "subject": " "}, "subject"),
        ({**BODY, "subject": "x" * 257}, "subject"),
        ({**BODY, "subject": "a\ufffdb"}, "subject"),
        ({**BODY, "subject": 42}, "subject"),
        ({**BODY, "suppress": "yes"}, "suppress"),
        ({**BODY, "confirm": True}, "confirm"),
    ],
)
def test_a_request_that_is_not_valid_erases_nothing(game: Game, body: dict[str, Any], field: str) -> None:
    problem = problem_of(game_api(game).post(f"games/{game.slug}/erasures", body), 400)
    assert [error["field"] for error in problem["errors"]] == [field]
    assert not Erasure.objects.exists()


def test_receipts_are_listed_by_state_and_found_by_an_id(game: Game) -> None:
    factories.person(game, user="player-42", anonymous="anon-1")
    api = game_api(game)
    first = erased(api, game)["id"]
    second = api.post(f"games/{game.slug}/erasures", {**BODY, "subject": "other"}).json()["id"]
    assert listed(api, game) == [second, first]
    assert listed(api, game, limit=1) == [second]
    assert (listed(api, game, state="done"), listed(api, game, state="pending")) == ([first], [second])
    assert listed(api, game, state="failed") == []
    for subject in ("player-42", "anon-1"):
        assert listed(api, game, "erasures/search", subject=subject) == [first]
    assert listed(api, game, "erasures/search", subject="nobody") == []
    assert problem_of(api.get(f"games/{game.slug}/erasures?subject=x"), 400)["errors"][0]["field"] == "subject"
    assert problem_of(api.get(f"games/{game.slug}/erasures/search"), 400)["errors"][0]["field"] == "subject"


def test_a_lost_receipt_key_is_a_sentence(game: Game) -> None:
    api = game_api(game)
    erased(api, game)
    ReceiptKey.objects.update(sealed="unreadable")
    problem = problem_of(api.get(f"games/{game.slug}/erasures/search?subject=player-42"), 409)
    assert problem["code"] == "receipt_key_lost"
    assert problem["detail"].startswith("No key in CREDENTIAL_KEYS decrypts")


def failed(row: Erasure, *, set_aside: bool) -> FailedWork:
    now = timezone.now()
    return FailedWork.objects.create(
        game=row.game,
        queue=Queue.ERASURE,
        row=str(row.pk),
        attempts=8,
        error="ValueError: broken",
        next_attempt_at=now + timedelta(hours=1),
        set_aside_at=now if set_aside else None,
    )


def test_a_failed_erasure_says_why_and_is_tried_again(game: Game) -> None:
    api = game_api(game)
    path = f"games/{game.slug}/erasures/{api.post(f'games/{game.slug}/erasures', BODY).json()['id']}"
    row = Erasure.objects.get()
    problem = problem_of(api.post(f"{path}/retry"), 409)
    assert problem["detail"] == "This erasure has not failed, so there is nothing to retry."
    failure = failed(row, set_aside=False)
    assert (api.get(path).json()["state"], api.get(path).json()["problem"]) == ("pending", "ValueError: broken")
    problem_of(api.post(f"{path}/retry"), 409)
    failure.delete()
    failed(row, set_aside=True)
    assert erasure.drain() == 0
    assert (api.get(path).json()["state"], listed(api, game, state="failed")) == ("failed", [str(row.pk)])
    assert listed(api, game, state="pending") == []
    response = api.post(f"{path}/retry")
    assert (response.status_code, response.json()["state"]) == (202, "pending")
    assert erasure.drain() == 1
    assert (api.get(path).json()["state"], api.get(path).json()["problem"]) == ("done", "")
    assert entries(game).filter(changes__has_key="set-aside work").count() == 1


def test_the_number_of_queries_does_not_depend_on_the_number_of_erasures(game: Game) -> None:
    api = game_api(game)
    api.post(f"games/{game.slug}/erasures", {**BODY, "suppress": True})
    few = queries_of(lambda: listed(api, game)), queries_of(lambda: listed(api, game, "suppressions"))
    for number in range(10):
        erasure.request_erasure(
            game=game, namespace="user", subject=f"player-{number}", requested_by="ada", suppress=True
        )
    assert few == (queries_of(lambda: listed(api, game)), queries_of(lambda: listed(api, game, "suppressions")))


def test_a_suppression_refuses_later_events_is_counted_and_lifted(game: Game, key: NewKey) -> None:
    immutable.digest(key, immutable.identify("player-42", "anon-1"))
    api = game_api(game)
    receipt = erased(api, game, suppress=True)
    assert (receipt["suppress"], receipt["suppressed_messages"]) == (True, 0)
    answer = immutable.send(key, immutable.message(userId="player-42"), immutable.page("anon-1"))
    assert answer.json()["rejected"] == 2
    receipt = api.get(f"games/{game.slug}/erasures/{receipt['id']}").json()
    assert receipt["suppressed_messages"] == 2
    (row,) = api.get(f"games/{game.slug}/suppressions").json()["results"]
    assert row == {
        "id": receipt["suppression_id"],
        "erasure_id": receipt["id"],
        "ids": 2,
        "suppressed_messages": 2,
        "created_at": row["created_at"],
    }
    response = api.delete(f"games/{game.slug}/suppressions/{row['id']}")
    assert (response.status_code, response.content) == (204, b"")
    problem_of(api.delete(f"games/{game.slug}/suppressions/{row['id']}"), 404)
    assert listed(api, game, "suppressions") == []
    receipt = api.get(f"games/{game.slug}/erasures/{receipt['id']}").json()
    assert (receipt["suppression_id"], receipt["suppressed_messages"]) == (None, 2)
    assert immutable.send(key, immutable.message(userId="player-42")).json()["accepted"] == 1
    (entry,) = entries(game).filter(content_type__model="suppression")
    assert (entry.get_action_display(), entry.actor_email) == ("delete", "Token “Script”")


def test_another_tenants_erasures_and_suppressions_do_not_exist(game: Game, other_game: Game) -> None:
    api, theirs = game_api(game), game_api(other_game)
    receipt = erased(theirs, other_game, suppress=True)
    for path in (f"erasures/{receipt['id']}", f"erasures/{uuid4()}", "erasures/x"):
        problem_of(api.get(f"games/{game.slug}/{path}"), 404)
    problem_of(api.post(f"games/{game.slug}/erasures/{receipt['id']}/retry"), 404)
    problem_of(api.delete(f"games/{game.slug}/suppressions/{receipt['suppression_id']}"), 404)
    problem_of(api.post(f"games/{other_game.slug}/erasures", BODY), 404)
    assert listed(api, game) == listed(api, game, "suppressions") == []
    assert listed(api, game, "erasures/search", subject="player-42") == []
    assert Suppression.objects.count() == 1
    assert Erasure.objects.count() == 1


def test_changes_require_an_admin_and_the_scope_privacy(game: Game) -> None:
    receipt = erased(game_api(game), game, suppress=True)
    calls = [
        lambda api: api.post(f"games/{game.slug}/erasures", {**BODY, "subject": "other"}),
        lambda api: api.post(f"games/{game.slug}/erasures/{receipt['id']}/retry"),
        lambda api: api.delete(f"games/{game.slug}/suppressions/{receipt['suppression_id']}"),
    ]
    for call in calls:
        assert problem_of(call(game_api(game, scopes=(Scope.READ,))), 403)["code"] == "missing_scope"
        for api in (game_api(game, Role.MARKETER), game_api(game, Role.VIEWER)):
            assert problem_of(call(api), 403)["code"] == "missing_role"
    viewer = member_api(game, Role.VIEWER, scopes=(Scope.READ,))
    assert listed(viewer, game) == [receipt["id"]]
    assert problem_of(viewer.get(f"games/{game.slug}/erasures/search?subject=player-42"), 403)["code"] == "missing_role"
    assert Erasure.objects.count() == Suppression.objects.count() == 1
