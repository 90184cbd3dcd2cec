"""The product as processes, the SDKs from npm and PyPI, and a server of their files for a browser."""

import fcntl
import functools
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests import chromium
from tests.journeys import product as processes
from tests.journeys.product import Product

# Show the values of their failed assertions, as for test modules.
pytest.register_assert_rewrite("tests.sdk.accounts", "tests.sdk.calls")

HERE = Path(__file__).parent
IN_CI = os.environ.get("CI") == "true"
# --ignore-scripts: none of these packages has a build step.
INSTALL = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests whose program is not installed, with its name as the reason; in CI they run and fail."""
    missing = [tool for tool in ("node", "npm") if shutil.which(tool) is None]
    no_node = f"{' and '.join(missing)} not installed: apt-get install nodejs npm" if missing and not IN_CI else ""
    for item in items:
        if HERE in item.path.parents:
            for marker, reason in (("node", no_node), ("browser", chromium.missing())):
                if reason and item.get_closest_marker(marker):
                    item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with processes.running(Path(tmp_path_factory.mktemp("product"))) as product:
        yield product


@pytest.fixture(scope="session")
def packages() -> Path:
    """tests/sdk/node_modules at the versions of package-lock.json, installed once for all test processes."""
    lock, installed = HERE / "package-lock.json", HERE / "node_modules" / ".package-lock.json"
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
            result = subprocess.run(INSTALL, cwd=HERE, capture_output=True, text=True, check=False)
            if result.returncode:
                reason = f"npm ci failed in tests/sdk: {result.stderr.strip()[-300:]}"
                pytest.fail(reason) if IN_CI else pytest.skip(reason)
            installed.touch()
    return installed.parent


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: a line per file would not help to read a test's output."""


@pytest.fixture(scope="session")
def site(packages: Path) -> Iterator[str]:
    """The URL of a server of pages/ and the files of the SDKs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(HERE)))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
