"""What the harness of the faults reads of the networks."""

import pytest

from postbacks.networks import NETWORKS
from tests.faults.verification import accepted
from tests.postbacks.facts import PURCHASE, vector


@pytest.mark.parametrize("network", NETWORKS)
def test_the_events_that_a_network_accepted_are_read_from_its_requests(network: str) -> None:
    request = {"network": network, "status": 200, "duplicate": False, "body": vector(network, "purchase")}
    assert accepted({**request, "response": {"code": 0}}) == [PURCHASE.event_id]
    assert accepted({**request, "status": 503, "response": None}) == []
