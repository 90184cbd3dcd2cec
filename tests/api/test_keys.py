"""Changes of a key by several requests at once."""

from datetime import timedelta
from typing import Any

import pytest

from audience.database import clock
from audience.games import keys
from audience.games.keys import NewKey
from audience.models import ApiKey, Game
from tests.management_api import game_api, problem_of

pytestmark = pytest.mark.django_db


def test_two_changes_of_a_key_at_once_are_both_kept(game: Game, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second request reads the key before the first one has committed, and states another restriction."""
    api, key, change = game_api(game), keys.create_key(game=game, name="A").key, keys.change_key
    path = f"games/{game.slug}/keys/{key.pk}"

    def after_another(**values: Any) -> None:
        monkeypatch.setattr(keys, "change_key", change)
        assert api.patch(path, {"allowed_addresses": ["192.0.2.0/24"], "rate_limit": 5}).status_code == 200
        change(**values)

    monkeypatch.setattr(keys, "change_key", after_another)
    assert api.patch(path, {"allowed_events": ["purchase"]}).status_code == 200
    key.refresh_from_db()
    assert (key.allowed_events, key.allowed_addresses) == (["purchase"], ["192.0.2.0/24"])
    assert (key.name, key.rate_limit, key.expires_at) == ("A", 5, None)


def test_each_restriction_is_changed_alone_and_removed(game: Game) -> None:
    end = clock.now() + timedelta(days=30)
    limits = keys.Restrictions(events=["a"], origins=["https://a.example"], addresses=["192.0.2.0/24"], expires_at=end)
    key = keys.create_key(game=game, name="A", restrictions=limits, rate_limit=7).key
    path = f"games/{game.slug}/keys/{key.pk}"
    expected = {"name": "A", "rate_limit": 7, "allowed_events": ["a"], "allowed_origins": ["https://a.example"]}
    expected |= {"allowed_addresses": ["192.0.2.0/24"]}
    for change in (
        {"name": "B"},
        {"rate_limit": None},
        {"allowed_events": []},
        {"allowed_origins": []},
        {"allowed_addresses": []},
    ):
        expected |= change
        changed = game_api(game).patch(path, change).json()
        assert {name: changed[name] for name in expected} == expected
        assert changed["expires_at"] == end.isoformat().replace("+00:00", "Z")
    assert game_api(game).patch(path, {"expires_at": None}).json()["expires_at"] is None


def test_the_second_of_two_rotations_at_once_is_a_conflict(game: Game, monkeypatch: pytest.MonkeyPatch) -> None:
    api, key, rotate = game_api(game), keys.create_key(game=game, name="A").key, keys.rotate_key
    path = f"games/{game.slug}/keys/{key.pk}/rotate"

    def after_another(**values: Any) -> NewKey:
        monkeypatch.setattr(keys, "rotate_key", rotate)
        assert api.post(path, {}).status_code == 201
        return rotate(**values)

    monkeypatch.setattr(keys, "rotate_key", after_another)
    problem = problem_of(api.post(path, {}), 409)
    assert problem["detail"] == "The key was rotated already. Rotate its successor."
    assert ApiKey.objects.count() == 2


def test_a_key_has_an_etag_that_changes_with_its_values_and_not_with_its_use(game: Game) -> None:
    api, key = game_api(game), keys.create_key(game=game, name="A").key
    path = f"games/{game.slug}/keys/{key.pk}"
    first = api.get(path)["ETag"]
    ApiKey.objects.update(last_used_at=clock.now())
    end = (clock.now() + timedelta(days=30)).isoformat()
    changed = api.patch(path, {"expires_at": end, "allowed_events": ["purchase"]}, if_match=first)
    assert changed.status_code == 200
    assert changed["ETag"] == api.get(path)["ETag"] != first
    assert problem_of(api.patch(path, {"name": "Late"}, if_match=first), 412)["code"] == "changed"
    key.refresh_from_db()
    assert (key.name, key.allowed_events) == ("A", ["purchase"])
    assert api.patch(path, {"name": "B"}).json()["name"] == "B"
