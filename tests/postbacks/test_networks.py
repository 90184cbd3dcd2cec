"""What holds for every network: its settings, its vectors, and that nothing of it lies outside its folder."""

from pathlib import Path

import pytest

from postbacks.networks import NETWORKS

ROOT = Path(__file__).resolve().parents[2]
EACH = pytest.mark.parametrize("kind", NETWORKS)


@EACH
def test_env_example_names_the_variables_of_the_network_with_their_defaults(kind: str) -> None:
    network, lines = NETWORKS[kind], (ROOT / ".env.example").read_text().splitlines()
    assert f"#{kind.upper()}_API_URL={network.default_url}" in lines
    assert f"#{kind.upper()}_RATE={network.default_rate:g}" in lines


@EACH
def test_the_kind_of_a_network_is_its_key_in_the_registry(kind: str) -> None:
    assert NETWORKS[kind].kind == kind
