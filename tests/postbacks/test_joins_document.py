"""The examples of docs/joins.md work as printed, and its limits are those of the code."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from audience.claims.redeeming import MAX_UNKNOWN_AN_HOUR, MAX_UNKNOWN_OF_PLAYER
from audience.games.keys import create_key
from audience.intake.requests.visitor_cookies import MAX_AGE_SECONDS
from audience.joins import codes
from audience.models import Game, Join, KeyKind
from audience.models.joins import CODE_LIFETIME
from tests.postbacks.claiming import BROWSER

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "joins.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)
    return str(found)


@pytest.mark.parametrize("language", ["sh", "python"])
@pytest.mark.django_db(transaction=True)
def test_a_code_is_redeemed_as_printed(live_server: Any, game: Game, language: str) -> None:
    game.joins = ["code"]
    game.save()
    key = create_key(game=game, name="Backend", kind=KeyKind.SERVER)
    code = codes.shown(codes.create_code(game=game, anonymous_id=BROWSER))
    env = {**os.environ, "URL": live_server.url, "SERVER_KEY": key.value, "CODE": code, "PLAYER": "player-7"}
    command = ["bash", "-euo", "pipefail", "-c"] if language == "sh" else [sys.executable, "-c"]
    for _ in range(2):
        done = subprocess.run([*command, block(language)], env=env, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout.strip()) == (0, '{"joined":true}'), done.stderr
    assert Join.objects.get().player_id == "player-7"


def test_the_limits_are_those_of_the_code() -> None:
    assert f"lasts {MAX_AGE_SECONDS // 86_400} days" in DOCUMENT
    assert f"valid for {CODE_LIFETIME.days} days" in DOCUMENT
    limits = f"{MAX_UNKNOWN_OF_PLAYER} unknown codes of one player in an hour ({MAX_UNKNOWN_AN_HOUR:,} of the game)"
    assert limits in DOCUMENT
