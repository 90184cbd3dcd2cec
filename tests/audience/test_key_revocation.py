"""A key revoked by one process is refused by every other within a second, with the real cache time."""

import os
import subprocess
import sys
import time

import pytest
from django.db import connection

from audience.games.keys import NewKey, revoke_key

# Looks the key up until it is refused. Prints "found" at the first success, and when the last successful look-up began.
USER_OF_A_KEY = """
import sys, time
import django
django.setup()
from audience.intake.requests.auth import find_key
accepted = None
while True:
    began = time.time()
    if find_key(sys.argv[1]) is None:
        break
    if accepted is None:
        print("found", flush=True)
    accepted = began
print(accepted)
"""


@pytest.mark.django_db(transaction=True)
def test_a_key_revoked_by_one_process_is_refused_by_another_within_a_second(key: NewKey) -> None:
    url = connection.get_connection_params()
    database = f"postgres://{url['user']}:{url['password']}@{url['host']}:{url['port']}/{url['dbname']}"
    env = {**os.environ, "DATABASE_URL": database, "DJANGO_SETTINGS_MODULE": "config.settings"}
    command = [sys.executable, "-c", USER_OF_A_KEY, key.value]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "found\n"
        revoke_key(key=key.key)
        revoked = time.time()
        accepted, _ = other.communicate(timeout=30)

    assert float(accepted) <= revoked + 1.0
