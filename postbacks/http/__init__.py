"""The only package that opens connections to other parties: `post` to an ad network, `post_outward` to a URL that a
person entered.
"""

from postbacks.http.exchange import BODY_LIMIT, post
from postbacks.http.network_calls import Call, call
from postbacks.http.outward import post_outward, refusal

__all__ = ["BODY_LIMIT", "Call", "call", "post", "post_outward", "refusal"]
