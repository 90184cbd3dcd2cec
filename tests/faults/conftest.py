from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import house as houses
from tests.faults.house import House


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One house for all short forms: its start is most of their cost."""
    with houses.running(Path(tmp_path_factory.mktemp("house")), TIKTOK_RATE="500", REDDIT_RATE="500") as house:
        yield house
