"""The only modules that open a socket to somebody else: `post` to an ad network, `post_outward` to an address that a
person typed."""

from postbacks.http.exchange import BODY_LIMIT, post
from postbacks.http.outward import post_outward, refusal

__all__ = ["BODY_LIMIT", "post", "post_outward", "refusal"]
