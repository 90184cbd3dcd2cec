"""Asks a network whether a credential works for a pixel; a second time if the first answer proves too little."""

from functools import partial

from audience.database import clock
from postbacks import http
from postbacks.networks.interface.call import Target
from postbacks.networks.interface.network import Network


def ask(network: Network, target: Target, *, event_id: str, trigger: str) -> http.NetworkCall:
    """Return the last call. With a test code there is one: its answer is that to an event."""
    check = partial(network.check, event_id=event_id, now=clock.now(), trigger=trigger)
    classify = partial(network.classify_check, target=target)
    call = http.call(network, target, check, classify=classify)
    second_check = None if target.test_code else network.second_check(call.outcome)
    if second_check is None:
        return call
    build = partial(second_check, event_id=event_id, now=clock.now())
    return http.call(network, target, build, classify=classify)
