from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import installation as installations
from tests.faults import load
from tests.faults.installation import Installation


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One installation for all tests, since starting it takes longer than most of them."""
    with installations.running(Path(tmp_path_factory.mktemp("installation")), **load.RATES) as installation:
        yield installation
