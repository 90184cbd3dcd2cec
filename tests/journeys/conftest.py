from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys import product as processes
from tests.journeys.product import Browser, Product


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with processes.running(Path(tmp_path_factory.mktemp("product"))) as product:
        yield product
        # Whatever the module did to it, nothing was lost and nothing counted twice.
        product.manage("audit")


@pytest.fixture(scope="module")
def marketer(product: Product) -> Browser:
    return Browser(product, "marketer")
