"""Claim codes: shown to a browser, typed in the game, redeemed once by a server of the studio."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
import time_machine
from django.http import HttpResponse
from django.test import Client

from audience.claims import redeeming
from audience.digest import queue
from audience.games.keys import NewKey, create_key
from audience.models import ClaimCode, Conversion, Event, Game, Join, KeyKind, Role
from audience.models.joins import CODE_LIFETIME
from audience.privacy import erasure
from audience.storage import prune
from consent.models import ConsentDecision
from tests import hub
from tests.audience.immutable import click, digest, launch
from tests.audience.wire import basic, bearer
from tests.postbacks.claiming import BROWSER, Visitor, stored

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _codes_are_on(game: Game) -> None:
    game.joins = ["code"]
    game.save()


@pytest.fixture
def server_key(game: Game) -> NewKey:
    return create_key(game=game, name="Backend", kind=KeyKind.SERVER)


def code_of(visitor: Visitor) -> str:
    page = visitor.post(visitor.address("code/")).content.decode()
    found = re.search(r'id="claim-code">([A-Z0-9]{4}-[A-Z0-9]{4})<', page)
    assert found is not None, page
    return found[1]


def redeem(key: NewKey | None, body: Any, **headers: str) -> HttpResponse:
    sent = headers or bearer(key.value if key else "")
    return Client().post("/v1/claims", orjson.dumps(body), "application/json", headers=sent)


def test_a_code_joins_the_browser_with_the_player_of_the_game(game: Game, key: NewKey, server_key: NewKey) -> None:
    digest(key, click(BROWSER, "T-code"))
    code = code_of(Visitor(game))
    answer = redeem(server_key, {"code": code, "player_id": "player-7"})
    assert (answer.status_code, answer.json()) == (200, {"joined": True})
    digest(key, launch("player-7"))
    touch = Conversion.objects.get().touch
    assert touch is not None
    assert touch.click_id == "T-code"
    join = Join.objects.get()
    assert (join.kind, join.anonymous_id, join.player_id) == ("code", BROWSER, "player-7")


@pytest.mark.parametrize("typed", [str.lower, lambda code: code.replace("-", " "), lambda code: code.replace("-", "")])
def test_a_code_is_read_as_players_type_it(game: Game, server_key: NewKey, typed: Any) -> None:
    code = typed(code_of(Visitor(game)))
    assert redeem(server_key, {"code": code, "player_id": 7001}, **basic(server_key.value)).status_code == 200
    assert Join.objects.get().player_id == "7001"


def test_a_code_works_once_and_a_retry_gets_the_same_answer(game: Game, server_key: NewKey) -> None:
    code = code_of(Visitor(game))
    assert redeem(server_key, {"code": code, "player_id": "player-7"}).status_code == 200
    before = stored()
    assert redeem(server_key, {"code": code, "player_id": "player-7"}).json() == {"joined": True}
    other = redeem(server_key, {"code": code, "player_id": "player-8"})
    assert (other.status_code, other.json()["code"]) == (422, "UNKNOWN_CODE")
    assert stored() == before


def test_an_unknown_an_expired_a_replaced_and_a_foreign_code_have_one_answer(
    game: Game, other_game: Game, server_key: NewKey
) -> None:
    Game.objects.update(joins=["code"])
    visitor = Visitor(game)
    replaced, foreign = code_of(visitor), code_of(Visitor(other_game))
    expired = code_of(visitor)
    answers = [redeem(server_key, {"code": code, "player_id": "p"}) for code in ("AAAA-AAAA", replaced, foreign)]
    with time_machine.travel(datetime.now(UTC) + CODE_LIFETIME + timedelta(seconds=5)):
        answers.append(redeem(server_key, {"code": expired, "player_id": "p"}))
    bodies = {answer.content.replace(answer.json()["trace_id"].encode(), b"") for answer in answers}
    assert ({answer.status_code for answer in answers}, len(bodies)) == ({422}, 1)
    assert answers[0].json()["message"] == "This code does not exist, has expired, or was used by another player."
    assert (Event.objects.count(), Join.objects.count()) == (0, 0)


@pytest.mark.parametrize("kind", [KeyKind.PUBLISHABLE, KeyKind.SECRET])
def test_only_a_server_key_redeems(game: Game, kind: KeyKind) -> None:
    code = code_of(Visitor(game))
    key = create_key(game=game, name="x", kind=kind)
    before = stored()
    answers = [redeem(key, {"code": code, "player_id": "p"}), redeem(None, {"code": code, "player_id": "p"})]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(401, "UNAUTHORISED_REQUEST")] * 2
    assert stored() == before


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"code": "AAAA-AAAA"},
        {"player_id": "p"},
        {"code": 1, "player_id": "p"},
        {"code": "", "player_id": "p"},
        {"code": "A" * 65, "player_id": "p"},
        {"code": "AAAA-AAAA", "player_id": ""},
        {"code": "AAAA-AAAA", "player_id": "undefined"},
        {"code": "AAAA-AAAA", "player_id": ["p"]},
        {"code": "AAAA-AAAA", "player_id": "p" * 257},
    ],
)
def test_a_body_without_a_code_and_a_player_is_refused(game: Game, server_key: NewKey, body: Any) -> None:
    answer = redeem(server_key, body)
    assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR")
    assert stored() == (0,) * 6


def test_guessing_is_limited_for_each_game(game: Game, server_key: NewKey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redeeming, "MAX_UNKNOWN_AN_HOUR", 3)
    code = code_of(Visitor(game))
    answers = [redeem(server_key, {"code": f"AAAA-AAA{n}", "player_id": "p"}).status_code for n in range(4)]
    assert answers == [422, 422, 422, 429]
    last = redeem(server_key, {"code": code, "player_id": "p"})
    assert (last.status_code, last["Retry-After"]) == (429, "3600")
    assert Join.objects.count() == 0


def test_a_player_who_guesses_does_not_stop_the_others(
    game: Game, server_key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redeeming, "MAX_UNKNOWN_OF_PLAYER", 2)
    code = code_of(Visitor(game))
    answers = [redeem(server_key, {"code": f"BBBB-BBB{n}", "player_id": "guesser"}).status_code for n in range(4)]
    assert answers == [422, 422, 429, 429]
    assert redeem(server_key, {"code": code, "player_id": "guesser"}).status_code == 429
    assert redeem(server_key, {"code": code, "player_id": "player-8"}).status_code == 200
    assert Join.objects.get().player_id == "player-8"


def test_codes_that_are_off_are_neither_shown_nor_redeemed(game: Game, server_key: NewKey) -> None:
    code = code_of(Visitor(game))
    Game.objects.update(joins=["steam"])
    answer = redeem(server_key, {"code": code, "player_id": "p"})
    assert (answer.status_code, answer.json()["code"]) == (403, "CLAIMS_OFF")
    visitor = Visitor(game)
    assert visitor.post(visitor.address("code/")).status_code == 400
    assert (Join.objects.count(), ClaimCode.objects.count()) == (0, 1)


def test_a_browser_that_declined_since_is_not_joined_and_its_code_stays(game: Game, server_key: NewKey) -> None:
    code = code_of(Visitor(game))
    ConsentDecision.objects.create(
        game_id=game.pk, anonymous_id=BROWSER, level="none", source="banner", decided_at=datetime.now(UTC)
    )
    answer = redeem(server_key, {"code": code, "player_id": "p"})
    assert (answer.status_code, answer.json()["code"]) == (403, "NOT_JOINED")
    assert (Join.objects.count(), Event.objects.count(), ClaimCode.objects.get().player_id) == (0, 0, "")


def test_other_methods_and_a_preflight_are_answered(game: Game) -> None:
    assert Client().get("/v1/claims").status_code == 405
    assert Client().options("/v1/claims").status_code == 204


def test_only_the_digest_of_a_code_is_stored(game: Game) -> None:
    code = code_of(Visitor(game)).replace("-", "")
    row = ClaimCode.objects.values().get()
    assert len(code) == 8
    assert code not in str(row)
    assert set(code) <= set("ABCDEFGHJKMNPQRSTUVWXYZ23456789")


def test_codes_are_deleted_with_the_player_and_after_they_expired(game: Game, server_key: NewKey) -> None:
    first, second = Visitor(game), Visitor(game, "00000000-0000-4000-8000-000000000001")
    redeem(server_key, {"code": code_of(first), "player_id": "player-7"})
    code_of(second)
    queue.drain()
    erasure.request_erasure(game=game, namespace="user", subject="player-7", requested_by="ada")
    erasure.drain()
    assert list(ClaimCode.objects.values_list("anonymous_id", flat=True)) == [second.anonymous_id]
    ClaimCode.objects.update(expires_at=datetime.now(UTC) - timedelta(hours=25))
    prune.prune()
    assert ClaimCode.objects.count() == 0


def test_old_joins_are_deleted_with_the_events(game: Game) -> None:
    now = datetime.now(UTC)
    for key, age in (("old", 40), ("new", 10)):
        at = now - timedelta(days=age)
        Join.objects.create(game=game, kind="steam", anonymous_id="a", player_id="p", key=key, joined_at=at)
    prune.prune()
    assert Join.objects.count() == 2
    Game.objects.update(kept_days=31)
    prune.prune()
    assert list(Join.objects.values_list("key", flat=True)) == ["new"]


# The Hub ------------------------------------------------------------------------------------------------------------


def test_the_page_of_joins_counts_those_of_thirty_days_and_of_this_game(game: Game, other_game: Game) -> None:
    now = datetime.now(UTC)
    rows = [(game, "steam", 1), (game, "steam", 29), (game, "steam", 31), (game, "code", 2), (other_game, "steam", 1)]
    for number, (of, kind, age) in enumerate(rows):
        fields = {"anonymous_id": "a", "player_id": "p", "key": str(number), "joined_at": now - timedelta(days=age)}
        Join.objects.create(game=of, kind=kind, **fields)
    page = hub.normalized_html(hub.member(game, Role.VIEWER).get(f"/g/{game.slug}/joins/").content.decode())
    cells = re.findall(r'data-label="Joins" class="number">(\d+)<', page)
    states = re.findall(r'data-label="State"><span class="status(?: good)?">(\w+)<', page)
    assert (cells, states) == (["2", "1", "0", "0"], ["Off", "On", "Off", "Off"])
    assert f"http://testserver/claim/{game.slug}/" in page


def test_an_admin_changes_the_joins_and_the_audit_log_says_so(game: Game) -> None:
    admin = hub.member(game, Role.ADMIN)
    given = {
        "joins": ["steam", "email"],
        "reward_text": " A hat. ",
        "return_addresses": "https://Game.example\r\nhttps://game.example/\nhttp://localhost:3000/x",
    }
    answer = admin.post(f"/g/{game.slug}/joins/settings/", given, follow=True)
    assert "The joins of this game are saved." in answer.content.decode()
    game.refresh_from_db()
    assert (game.joins, game.reward_text) == (["steam", "email"], "A hat.")
    assert game.return_addresses == ["https://game.example/", "http://localhost:3000/x"]
    log = admin.get(f"/g/{game.slug}/audit-log/").content.decode()
    assert "Joins to the game" in log
    assert "Return addresses" in log


@pytest.mark.parametrize(
    "address",
    [
        "http://game.example/",
        "https://game.example/?a=b",
        "https://user@game.example/",
        "https://game.example/#x",
        "game.example",
        "javascript:alert(1)",
        "https://",
        "https://game.example:0/",
        "https://game.example/\\x",
        "\n".join(f"https://game.example/{number}" for number in range(21)),
        "https://game.example/" + "x" * 300,
    ],
)
def test_an_invalid_return_address_changes_nothing(game: Game, address: str) -> None:
    given = {"joins": ["steam"], "reward_text": "", "return_addresses": f"https://game.example/thanks\n{address}"}
    answer = hub.member(game, Role.ADMIN).post(f"/g/{game.slug}/joins/settings/", given)
    assert answer.status_code == 200
    assert "return address" in answer.content.decode() or "https://" in answer.content.decode()
    game.refresh_from_db()
    assert (game.joins, game.return_addresses) == (["code"], [])


def test_a_change_of_what_somebody_else_changed_is_refused(game: Game) -> None:
    admin = hub.member(game, Role.ADMIN)
    page = admin.get(f"/g/{game.slug}/joins/settings/").content.decode()
    found = re.search(r'name="seen" value="(\w+)"', page)
    assert found is not None
    Game.objects.update(joins=["steam"])
    given = {"joins": [], "reward_text": "", "return_addresses": "", "seen": found[1]}
    answer = admin.post(f"/g/{game.slug}/joins/settings/", given)
    assert "Someone else changed this while you were editing: the joins are now: Sign in with Steam." in (
        answer.content.decode()
    )
    game.refresh_from_db()
    assert game.joins == ["steam"]
