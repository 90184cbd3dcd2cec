"""The same claim code, and the same assertion of Steam, used twice at once."""

import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from django.db import connection
from django.test import Client

from audience.games.keys import create_key
from audience.models import ClaimCode, Event, Game, Join, KeyKind
from postbacks.sandbox.server import Sandbox
from tests.audience.wire import bearer
from tests.postbacks.claiming import ANNA, BROWSER, Visitor, approve
from tests.postbacks.test_claim_codes import code_of
from tests.postbacks.test_claim_page import CONFIRM

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*requests: Callable[[], Any]) -> list[int]:
    """Run the requests in threads of their own that start together; return the sorted statuses."""
    barrier, statuses = threading.Barrier(len(requests)), list[int]()

    def run(request: Callable[[], Any]) -> None:
        barrier.wait(20)
        try:
            statuses.append(request().status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(request,)) for request in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return sorted(statuses)


def test_a_code_that_two_players_redeem_at_once_joins_one_of_them(game: Game) -> None:
    Game.objects.update(joins=["code"])
    key = create_key(game=game, name="Backend", kind=KeyKind.SERVER)
    code = code_of(Visitor(game))

    def redeem(player: str) -> Callable[[], Any]:
        body = orjson.dumps({"code": code, "player_id": player})
        return lambda: Client().post("/v1/claims", body, "application/json", headers=bearer(key.value))

    assert at_once(*map(redeem, ("anna", "ben", "chris", "dora"))) == [200, 422, 422, 422]
    join = Join.objects.get()
    assert (join.player_id, Event.objects.get().user_id) == (ClaimCode.objects.get().player_id,) * 2


def test_a_player_who_redeems_a_code_twice_at_once_is_joined_once(game: Game) -> None:
    Game.objects.update(joins=["code"])
    key = create_key(game=game, name="Backend", kind=KeyKind.SERVER)
    body = orjson.dumps({"code": code_of(Visitor(game)), "player_id": "anna"})

    def redeem() -> Any:
        return Client().post("/v1/claims", body, "application/json", headers=bearer(key.value))

    assert at_once(redeem, redeem, redeem) == [200, 200, 200]
    assert (Join.objects.count(), Event.objects.count()) == (1, 1)


def test_an_assertion_that_is_used_twice_at_once_joins_once(game: Game, sandbox: Sandbox, settings: Any) -> None:
    settings.STEAM_CHECK_HOOK = CONFIRM  # Steam confirms it twice
    Game.objects.update(joins=["steam"])
    visitor = Visitor(game)
    parts = urlsplit(approve(sandbox.url, ANNA, visitor.begin()))

    def come_back() -> Any:
        browser = Client()
        browser.cookies = visitor.cookies.copy()  # type: ignore[assignment]
        return browser.get(f"{parts.path}?{parts.query}")

    assert at_once(come_back, come_back, come_back) == [302, 400, 400]
    join = Join.objects.get()
    assert (join.anonymous_id, join.player_id, Event.objects.count()) == (BROWSER, ANNA, 1)
