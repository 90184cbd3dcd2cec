"""Prepares the environment and starts the services before pytest-django reads the settings (`-p tests.plugin`).

DATABASE_URL and REDIS_URL of the environment are used when set; every other variable of .env.example is removed, so
that no test depends on the shell. Under pytest-xdist the controller does this once; each worker inherits the
environment and uses a separate Valkey database.
"""

import contextlib
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from config import services
from config.quickstart.state import ServicesError
from postbacks.networks import NETWORKS
from tests import databases

# Fixed, so that signatures and keys are the same when a failing test is repeated.
TEST_SECRETS = {
    "SECRET_KEY": "a-key-for-tests-only-" + "0123456789abcdef" * 3,
    "CREDENTIAL_KEYS": "dGVzdHMtb25seS10ZXN0cy1vbmx5LXRlc3RzLW9ubHk=",
}

EXAMPLE = Path(__file__).resolve().parent.parent / ".env.example"


def product_variables() -> set[str]:
    """Names of the environment variables that the product reads."""
    names = set(re.findall(r"^#?([A-Z_]+)=", EXAMPLE.read_text(), re.MULTILINE))
    return names.union(
        *({network.url_variable, network.rate_variable, network.token_url_variable} for network in NETWORKS.values())
    )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    """Run before pytest-django's implementation, which imports the settings: hence a wrapper."""
    for name in product_variables() - {"DATABASE_URL", "REDIS_URL"}:
        os.environ.pop(name, None)
    os.environ.update(TEST_SECRETS)
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        os.environ["REDIS_URL"] = _worker_database(os.environ["REDIS_URL"], worker)
    elif not {"-h", "--help", "--version"} & set(early_config.invocation_params.args):
        stack = contextlib.ExitStack()
        early_config.add_cleanup(stack.close)  # runs however the session ends, Ctrl-C included
        try:
            running = stack.enter_context(
                services.running(stack.enter_context(_state_dir()), durable=False, environ=os.environ)
            )
        except ServicesError as error:
            stack.close()
            raise pytest.UsageError(str(error)) from error
        os.environ.update(DATABASE_URL=running.database_url, REDIS_URL=running.redis_url)
        os.environ["TEST_RUN_ID"] = uuid.uuid4().hex[:12]
        stack.callback(databases.drop_template)
    return (yield)


@contextlib.contextmanager
def _state_dir() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="afterclick-tests-")).resolve()
    # As root, PostgreSQL runs as another account, which must be able to traverse this folder.
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        services.delete_database(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _worker_database(url: str, worker: str) -> str:
    """Return the URL of database n + 1 of the same server for worker "gwn"; the controller uses the one in `url`."""
    number = int(worker.removeprefix("gw")) + 1
    return urlsplit(url)._replace(path=f"/{number}").geturl()
