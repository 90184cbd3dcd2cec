"""What is kept of an answer to a request with an Idempotency-Key, and what is not."""

from datetime import timedelta

import pytest

from audience.api.toolkit import idempotency
from audience.database import clock
from audience.database.encryption import decrypt
from audience.games.keys import NewKey
from audience.intake.dialects import immutable_rules
from audience.models import ApiKey, Conversion, Game, IdempotentRequest, Rejection, Role, Scope
from audience.privacy import erasure
from postbacks.models import Delivery
from tests import factories
from tests.audience import immutable
from tests.management_api import game_api, problem_of

pytestmark = pytest.mark.django_db

CLICK = "E.C.P.1234567890abcdefghijklmn"


def test_the_limits_of_kept_answers() -> None:
    assert (idempotency.MAX_ANSWER_BYTES, idempotency.MAX_ANSWERS) == (262_144, 10_000)


def test_an_answer_about_a_player_is_not_repeated_after_the_erasure(game: Game) -> None:
    api, path = game_api(game), f"games/{game.slug}/postbacks/preview"
    player = factories.person(game, user="player-42")
    conversion = factories.conversion(player, touch=factories.touch(player, click_id=CLICK))
    body = {"network": "tiktok", "triggers": ["purchase"], "conversion": str(conversion.pk)}
    assert CLICK in api.post(path, body, idempotency_key="k").content.decode()
    api.post(f"games/{game.slug}/erasures", {"namespace": "user", "subject": "player-42"})
    assert erasure.drain() == 1
    assert not Conversion.objects.exists()
    assert CLICK not in api.post(path, body, idempotency_key="k").content.decode()


def test_a_request_that_only_reads_stores_no_answer(game: Game) -> None:
    api = game_api(game, Role.VIEWER, (Scope.READ,))
    body = {"dialect": "rudderstack", "body": {"batch": [{"type": "x" * 2_000}] * 400}}
    for _ in range(2):
        response = api.post(f"games/{game.slug}/validate", body, idempotency_key="k")
        assert response.status_code == 200
        assert "Idempotent-Replayed" not in response
    assert not IdempotentRequest.objects.exists()


@pytest.mark.parametrize("action", ["retry", "try-now"])
def test_a_repeated_delivery_is_answered_with_its_present_state(game: Game, action: str) -> None:
    api, delivery = game_api(game), factories.delivery(factories.config(game))
    state = "failed" if action == "retry" else "waiting"
    Delivery.objects.filter(pk=delivery.pk).update(
        state=state, verdict="permanent", next_attempt_at=clock.now() + timedelta(hours=1)
    )
    path = f"games/{game.slug}/deliveries/{delivery.pk}/{action}"
    first = api.post(path, idempotency_key="k")
    assert first.status_code == 200, first.content
    (stored,) = IdempotentRequest.objects.all()
    assert decrypt(stored.answer) == {"status": 200, "headers": {}, "data": {"id": str(delivery.pk)}}
    Delivery.objects.filter(pk=delivery.pk).update(conversion=None, event_id="", state="delivered")
    again = api.post(path, idempotency_key="k")
    assert (again.status_code, again["Idempotent-Replayed"]) == (200, "true")
    assert again.json().keys() == first.json().keys()
    assert (again.json()["state"], again.json()["conversion"]) == ("delivered", None)


def test_the_errors_of_a_replayed_message_are_not_kept(
    game: Game, key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(immutable_rules, "MAX_LENGTH", 5)
    immutable.send(key, immutable.message(userId="user-1234"))
    path = f"games/{game.slug}/rejections/{Rejection.objects.get().pk}/replay"
    api = game_api(game)
    first = api.post(path, idempotency_key="k").json()
    assert (first["status"], first["errors"][0]["field"]) == ("refused", "userId")
    assert api.post(path, idempotency_key="k").json() == {**first, "errors": []}
    assert decrypt(IdempotentRequest.objects.get().answer)["data"] == {**first, "errors": []}


def test_a_large_answer_is_not_kept_and_its_request_carried_out_once(
    game: Game, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "MAX_ANSWER_BYTES", 500)
    api, path = game_api(game), f"games/{game.slug}/keys"
    body = {"name": "Key", "allowed_events": [f"event_{number}" for number in range(50)]}
    first = api.post(path, body, idempotency_key="k")
    assert first.status_code == 201
    assert len(first.json()["allowed_events"]) == 50
    problem = problem_of(api.post(path, body, idempotency_key="k"), 409)
    assert problem["code"] == "answer_not_kept"
    assert problem["detail"].startswith("The request with this Idempotency-Key was carried out.")
    assert problem_of(api.post(path, {"name": "Other"}, idempotency_key="k"), 422)["code"] == "idempotency_key_reused"
    assert ApiKey.objects.count() == 1
    assert decrypt(IdempotentRequest.objects.get().answer) == {"status": 201, "headers": {}}


def test_a_number_of_answers_is_kept_of_each_token(game: Game, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "MAX_ANSWERS", 2)
    api, other, path = game_api(game), game_api(game), f"games/{game.slug}/keys"
    for number in range(3):
        assert api.post(path, {"name": "Key"}, idempotency_key=str(number)).status_code == 201
    assert other.post(path, {"name": "Key"}, idempotency_key="0").status_code == 201
    assert api.post(path, {"name": "Key"}, idempotency_key="1").status_code == 201
    assert problem_of(api.post(path, {"name": "Key"}, idempotency_key="2"), 409)["code"] == "answer_not_kept"
    assert other.post(path, {"name": "Key"}, idempotency_key="0").status_code == 201
    assert ApiKey.objects.count() == 4
