"""A client that is generated from the OpenAPI document passes the type checker, and a whole journey."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from postbacks.networks.tiktok.imitation import ACCOUNTS
from tests.journeys.api import Api
from tests.journeys.product import Product

PACKAGE, SCRIPT = "afterclick_client", Path(__file__).with_name("typed_journey.py")
# The generator leaves out routes that answer images or take text.
LEFT_OUT = {
    *(f"GET /v1/pixel/{kind}" for kind in ("track", "page", "alias", "identify", "group")),
    *(f"GET /pixel/v1/{kind}" for kind in ("track", "page")),
    *("POST /beacon/v1/batch", "POST /api/v1/games/{game}/costs"),
    "POST /api/v1/games/{game}/steam-numbers",
}
# The types of the generator's own template for context managers.
MYPY = f"[mypy]\nstrict = True\n[mypy-{PACKAGE}.client]\nignore_errors = True\n"


def run(folder: Path, module: str, *arguments: str) -> str:
    """Run a module in the folder and return its output."""
    result = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, (result.stdout + result.stderr)[-4000:]
    return result.stdout + result.stderr


@pytest.fixture(scope="module")
def folder(product: Product, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the document, the client and the journey."""
    path = tmp_path_factory.mktemp("client")
    (path / "openapi.yaml").write_bytes(product.http.request("GET", f"{product.url}/api/schema/").data)
    (path / "mypy.ini").write_text(MYPY)
    (path / "client.yaml").write_text("post_hooks: []\n")
    shutil.copy(SCRIPT, path / "typed_journey.py")
    options = ("--path", "openapi.yaml", "--meta", "none", "--output-path", PACKAGE, "--config", "client.yaml")
    output = run(path, "openapi_python_client", "generate", *options)
    warned = [line.removeprefix("WARNING parsing ") for line in output.splitlines() if line.startswith("WARNING")]
    assert {line.partition(" within")[0] for line in warned} == LEFT_OUT
    assert "Unable to process" not in output
    return path


def test_the_client_and_the_journey_pass_the_type_checker(folder: Path) -> None:
    run(folder, "mypy", "typed_journey.py", PACKAGE)


def test_the_journey_passes(folder: Path, product: Product, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFTERCLICK_URL", product.url)
    monkeypatch.setenv("AFTERCLICK_TOKEN", api.token)
    monkeypatch.setenv("SANDBOX_URL", product.sandbox_url)
    monkeypatch.setenv("PIXEL", ACCOUNTS.pixel)
    monkeypatch.setenv("NETWORK_TOKEN", ACCOUNTS.token)
    monkeypatch.setenv("ROTATED_TOKEN", ACCOUNTS.rotated_token)
    run(folder, "typed_journey")
