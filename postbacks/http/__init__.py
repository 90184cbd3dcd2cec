"""The only package that opens connections to other parties: `post` to an ad network, `post_to_public_host` to a URL
that a user entered.
"""

from postbacks.http.exchange import BODY_LIMIT, post
from postbacks.http.network_calls import TIMEOUT_SECONDS, NetworkCall, call
from postbacks.http.public_hosts import post_to_public_host, refusal

__all__ = ["BODY_LIMIT", "TIMEOUT_SECONDS", "NetworkCall", "call", "post", "post_to_public_host", "refusal"]
