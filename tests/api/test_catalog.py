"""The event catalog by the management API, and what would become of a batch."""

import pytest

from audience.accounts.audit_log import entries
from audience.digest import event_counts
from audience.games import keys
from audience.models import DescribedEvent, Event, Game, Rejection, Role
from tests import factories
from tests.audience import immutable
from tests.audience.immutable import ABSENT
from tests.management_api import Api, game_api, problem_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def game() -> Game:
    return factories.game()


@pytest.fixture
def api(game: Game) -> Api:
    return game_api(game, Role.MARKETER)


@pytest.fixture
def traffic(game: Game) -> None:
    """Two purchases, one of them without a currency."""
    key = keys.create_key(game=game, name="Web")
    immutable.digest(key, immutable.purchase("ada"), immutable.purchase("bo", properties={"value": 5}))
    event_counts.count_due()


def test_the_catalog_lists_what_the_game_sends(game: Game, api: Api, traffic: None) -> None:
    found = api.get(f"games/{game.slug}/catalog?q=purch").json()
    (row,) = found["results"]
    assert (row["kind"], row["name"], row["events"], row["is_predefined"]) == ("track", "purchase", 2, True)
    assert any("currency" in warning["message"] for warning in row["warnings"])
    assert found["others"] == 0
    assert api.get(f"games/{game.slug}/catalog?q=nothing").json()["results"] == []


def test_an_event_has_its_properties_and_senders(game: Game, api: Api, traffic: None) -> None:
    found = api.get(f"games/{game.slug}/catalog/event?name=purchase").json()
    shares = {one["path"]: one["share"] for one in found["properties"]}
    assert (shares["value"], shares["currency"]) == (1.0, 0.5)
    assert [(one["key"], one["library"], one["events"]) for one in found["senders"]] == [
        ("Web", "my-studio-backend", 2)
    ]


def test_a_description_is_saved_changed_and_deleted(game: Game, api: Api) -> None:
    path = f"games/{game.slug}/catalog/event?name=level_up"
    body = {"description": "A new level.", "required_properties": {"level": "number"}}
    saved = api.put(path, body)
    assert (saved.json()["description"], saved.json()["required_properties"]) == ("A new level.", {"level": "number"})
    assert saved["ETag"] == api.get(path)["ETag"]
    again = api.put(path, {"description": "Level reached."}, if_match=saved["ETag"])
    assert again.json()["required_properties"] == {}
    problem_of(api.put(path, body, if_match=saved["ETag"]), 412)
    assert DescribedEvent.objects.get().description == "Level reached."
    assert api.delete(path).status_code == 204
    assert not DescribedEvent.objects.exists()
    changed = entries(game).filter(content_type__model="describedevent")
    assert [entry.actor_email for entry in changed] == ["Token “Script”"] * 3


def test_a_description_that_is_not_valid_is_refused(game: Game, api: Api) -> None:
    path = f"games/{game.slug}/catalog/event?name=level_up"
    assert problem_of(api.put(path, {}), 400)["errors"][0]["field"] == "description"
    body = {"required_properties": {"level": "integer"}}
    assert problem_of(api.put(path, body), 400)["errors"][0]["field"] == "required_properties.level"
    problem_of(game_api(game, Role.VIEWER).put(path, {"description": "Text"}), 403)
    assert not DescribedEvent.objects.exists()


def test_a_batch_is_validated_without_storing_it(game: Game, api: Api) -> None:
    body = {"messages": [immutable.purchase("ada"), immutable.message(messageId=ABSENT)]}
    found = api.post(f"games/{game.slug}/validate", {"dialect": "immutable", "body": body}).json()
    first, second = found["messages"]
    assert (found["status"], first["status"], first["name"]) == (200, "accepted", "purchase")
    assert first["conversion"]["value"] == {"amount": "9.99", "currency": "USD"}
    assert (second["status"], second["violations"][0]["field"]) == ("rejected", "messageId")
    assert (Event.objects.count(), Rejection.objects.count()) == (0, 0)


def test_only_a_key_of_the_game_validates_a_batch(game: Game, api: Api) -> None:
    path, body = f"games/{game.slug}/validate", {"messages": [immutable.message()]}
    mine = keys.create_key(game=game, name="Mine", kind=keys.KeyKind.SERVER).key
    theirs = keys.create_key(game=factories.game(), name="Theirs").key
    assert api.post(path, {"key": mine.pk, "body": body}).json()["messages"][0]["status"] == "accepted"
    assert problem_of(api.post(path, {"key": theirs.pk, "body": body}), 400)["errors"][0]["field"] == "key"
    assert problem_of(api.post(path, {"body": body}), 400)["detail"] == "Select a key or a format."
    assert problem_of(api.post(path, {"dialect": "immutable", "route": "nowhere", "body": body}), 400)
