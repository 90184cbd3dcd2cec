"""The tests do not depend on the variables of the shell."""

import os
import subprocess
import sys

import pytest
from django.conf import settings

from tests import plugin

SET_BY_THE_PLUGIN = {"DATABASE_URL", "REDIS_URL", *plugin.TEST_SECRETS}


def test_only_variables_that_the_plugin_sets_reach_a_test() -> None:
    assert {"PORT", "STATE_DIR", "DEBUG", "OPERATORS_EMAIL", "TIKTOK_API_URL"} < plugin.product_variables()
    assert plugin.product_variables() & set(os.environ) == SET_BY_THE_PLUGIN
    assert settings.PUBLIC_URL == "http://127.0.0.1:8000"


@pytest.mark.long
def test_a_run_from_a_shell_with_every_variable_set_is_not_changed_by_them() -> None:
    shell = {**dict.fromkeys(plugin.product_variables() - SET_BY_THE_PLUGIN, "not-valid"), "PORT": "8150"}
    node = f"{__file__}::{test_only_variables_that_the_plugin_sets_reach_a_test.__name__}"
    run = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", node]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(run, env={**env, **shell}, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
