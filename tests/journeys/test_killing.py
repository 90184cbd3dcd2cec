"""A worker killed with SIGKILL during deliveries: no conversion is lost or counted twice."""

from tests.journeys.product import Product, ago

PLAYERS = 200


def test_a_worker_killed_in_mid_delivery_loses_nothing_and_sends_nothing_twice_as_new(product: Product) -> None:
    product.http.request("DELETE", f"{product.sandbox_url}/sandbox/requests")
    product.http.request("POST", f"{product.sandbox_url}/sandbox/latency", json={"network": "tiktok", "ms": 60})
    product.wait_for(lambda: product.processes["delivery"].poll() is None)
    for start in range(0, PLAYERS, 50):
        product.send(*[_click(number) for number in range(start, start + 50)])
        product.send(*[_purchase(number) for number in range(start, start + 50)])
    product.wait_for(lambda: len(product.received("tiktok")) > 20)
    product.kill("delivery")
    assert _delivered(product) < PLAYERS, "the worker was too quick to be killed in the middle"
    product.http.request("POST", f"{product.sandbox_url}/sandbox/latency", json={"network": "tiktok", "ms": 0})

    product.start_worker("delivery")
    product.wait_for(lambda: _delivered(product) == PLAYERS, seconds=300)
    accepted = [
        # A body that the killed worker cut off is listed too, refused and as text.
        request["body"]["data"][0]["event_id"]
        for request in product.received("tiktok")
        if request["response"]["code"] == 0 and not request["duplicate"]
    ]
    expected = {
        event_id
        for (event_id,) in product.rows(
            "SELECT d.event_id FROM postbacks_delivery d JOIN audience_conversion c ON c.id = d.conversion_id "
            "WHERE d.network = 'tiktok' AND c.user_id LIKE 'killed-%%'"
        )
    }
    assert len(expected) == PLAYERS
    assert len(accepted) == PLAYERS
    assert set(accepted) == expected


def _click(number: int) -> dict[str, object]:
    return {
        "type": "page",
        "userId": f"killed-{number}",
        "eventTimestamp": ago(hours=1).isoformat(),
        "context": {"pageUrl": f"https://game.example/?ttclid=E.C.P.killed{number}"},
    }


def _purchase(number: int) -> dict[str, object]:
    properties = {"value": 1, "currency": "USD"}
    return {"type": "track", "eventName": "purchase", "userId": f"killed-{number}", "properties": properties}


def _delivered(product: Product) -> int:
    (row,) = product.rows(
        "SELECT count(*) FROM postbacks_delivery d JOIN audience_conversion c ON c.id = d.conversion_id "
        "WHERE d.state = 'delivered' AND c.user_id LIKE 'killed-%%'"
    )
    return int(row[0])
