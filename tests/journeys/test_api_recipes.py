"""The recipes of docs/api.md, as they are printed: by curl and by Python, against the running product."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from postbacks.networks.tiktok.imitation import ACCOUNTS
from tests.journeys.api import Api
from tests.journeys.product import Product, ago

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "api.md"
RECIPES = DOCUMENT.read_text().partition("\n## Recipes\n")[2]
PREAMBLE, *PARTS = RECIPES.split("\n### ")
TITLES = [part.partition("\n")[0] for part in PARTS]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def run(language: str, text: str, folder: Path, env: dict[str, str]) -> str:
    """Run the recipe's only block of a language and return what it prints."""
    (code,) = blocks(text, language)
    if language == "sh":
        command = ["bash", "-euo", "pipefail", "-c", code]
    else:
        command = [sys.executable, "-c", blocks(PREAMBLE, "python")[0] + code]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_there_are_five_recipes_each_in_both_languages() -> None:
    assert len(TITLES) == 5
    assert [(len(blocks(part, "sh")), len(blocks(part, "python"))) for part in PARTS] == [(1, 1)] * 5


@pytest.mark.parametrize("language", ["sh", "python"])
def test_the_recipes_run_as_printed(product: Product, api: Api, tmp_path: Path, language: str) -> None:
    game, player, order = f"recipes-{language}", f"player-{language}", f"order-{language}"
    env = {**os.environ, "URL": product.url, "TOKEN": api.token, "GAME": game, "PIXEL": ACCOUNTS.pixel}
    env |= {
        "ACCESS_TOKEN": ACCOUNTS.token,
        "NEW_ACCESS_TOKEN": ACCOUNTS.rotated_token,
        "PLAYER": player,
        "ORDER": order,
    }
    setup, rotation, csv, trail, erasure = PARTS

    run(language, setup, tmp_path, env)
    assert [row["state"] for row in api.get(f"games/{game}/postbacks")["results"]] == ["active"]
    run(language, rotation, tmp_path, env)
    (postback,) = api.get(f"games/{game}/postbacks")["results"]
    assert postback["version"] == 2

    key = api.post(f"games/{game}/keys", {"name": "Sender", "kind": "server"}, expect=201)["value"]
    bought = {"value": 5, "currency": "EUR", "transaction_id": order}
    product.send(
        {"type": "track", "eventName": "purchase", "userId": player, "properties": bought},
        {"type": "track", "eventName": "sign_in", "userId": player, "eventTimestamp": ago(minutes=2).isoformat()},
        key=key,
    )
    product.wait_for(lambda: api.get(f"games/{game}/conversions?q={order}")["results"])
    product.wait_for(lambda: product.outcome(player, "purchase"))
    said = run(language, trail, tmp_path, env)
    assert "no_click" in said
    run(language, csv, tmp_path, env)
    assert (tmp_path / "deliveries.csv").read_text().startswith("attempt_id,")
    assert "done" in run(language, erasure, tmp_path, env)
    assert api.get(f"games/{game}/conversions?q={order}")["results"] == []
