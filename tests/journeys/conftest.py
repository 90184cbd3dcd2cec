import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.journeys.product import Browser, Product


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """The real processes over a database and a broker database of their own."""
    folder = Path(tmp_path_factory.mktemp("product"))
    server = urlsplit(os.environ["DATABASE_URL"])
    name = f"journey_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    # Workers of a parallel run use databases 1 to 8 of the broker; the journeys stay above.
    broker = urlsplit(os.environ["REDIS_URL"])._replace(path=f"/{9 + hash(name) % 7}").geturl()
    env = {**os.environ, "DATABASE_URL": server._replace(path=f"/{name}").geturl(), "REDIS_URL": broker}
    product = Product(env, folder)
    try:
        product.start()
        yield product
    finally:
        product.stop()
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def marketer(product: Product) -> Browser:
    return Browser(product, "marketer")
