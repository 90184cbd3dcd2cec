from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys import product as processes
from tests.journeys.api import Api, first_token
from tests.journeys.product import Browser, Product


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """One for all journeys, since starting it takes longer than most. Each test reverts what would affect another."""
    with processes.running(Path(tmp_path_factory.mktemp("product"))) as product:
        yield product
        # After all tests nothing is lost and nothing is counted twice.
        product.manage("audit")


@pytest.fixture(scope="session")
def marketer(product: Product) -> Browser:
    return Browser(product, "marketer")


@pytest.fixture(scope="session")
def api(product: Product) -> Api:
    return Api(product, first_token(product))
