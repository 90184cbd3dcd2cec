"""A migrated database, made once for a test run, of which every worker and every journey gets a copy.

Migrating takes Django about 20 seconds, nearly all of it in Python; copying takes PostgreSQL a tenth of a second.
"""

import os
import subprocess
import sys
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

ROOT = Path(__file__).resolve().parent.parent


def template_name() -> str:
    return f"template_{os.environ['TEST_RUN_ID']}"


def ensure_template() -> str:
    """Return the name of the migrated database of this test run, which the first caller makes."""
    server, name = urlsplit(os.environ["DATABASE_URL"]), template_name()
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(hashtext(%s))", [name])
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            return name
        new = f"{name}_{uuid.uuid4().hex[:8]}"
        connection.execute(f"CREATE DATABASE {new}")
        env = {**os.environ, "DATABASE_URL": server._replace(path=f"/{new}").geturl()}
        env.pop("DJANGO_ALLOW_ASYNC_UNSAFE", None)
        subprocess.run([sys.executable, "manage.py", "migrate", "--verbosity", "0"], cwd=ROOT, env=env, check=True)
        connection.execute(f"ALTER DATABASE {new} RENAME TO {name}")
        return name


def copy_template(name: str) -> None:
    """Create a database as a copy."""
    template = ensure_template()
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")


def drop_template() -> None:
    """Drop the database at the end of the run."""
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {template_name()} WITH (FORCE)")
