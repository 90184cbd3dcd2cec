"""The types of an HTTP call to a network: Target, Request, Response and Outcome."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any, Literal

Access = Literal["token", "pixel"]


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request ready to send. Its URL may have a token, so it is not logged, stored or shown.

    http.post masks `secrets` in the answer. `shown` is what the delivery log stores in place of the body, without
    secrets; None: the body, which is JSON. `is_public_only`: a user entered the URL, so that it must not lead into the
    studio's network (postbacks/http/public_hosts.py).
    """

    method: str
    url: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    shown: Mapping[str, Any] | None = field(default=None, repr=False)
    is_public_only: bool = False

    @property
    def payload(self) -> Any:
        """What the delivery log stores and pages show of it."""
        return json.loads(self.body or b"null") if self.shown is None else self.shown


# Failures before the first byte of the request was written: the network cannot have received it.
UNSENT = frozenset({"dns", "forbidden", "network", "no_connection", "refused", "tls", "unsendable"})


@dataclass(frozen=True, slots=True)
class Response:
    """The answer, which may have an access token. Header names are lower case. Without an answer `status` is None and
    `failure` is the reason."""

    status: int | None
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    latency_ms: int
    failure: str | None = None

    @property
    def is_unknown(self) -> bool:
        """Whether the network may have accepted the request although no answer came: a time-out, a reset or a partial
        answer after some of the request was written."""
        return self.status is None and self.failure not in UNSENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The destination of one postback, made by Network.target. `test_code` is set only for checks and test conversions,
    `object_ids` (those of the goals, Network.object_id) only for checks. `is_test`: the event must count nowhere. It is
    set with a test code, and for test conversions of a network that needs none.

    `credential` is that of the config: name of the credential field -> value. `token_url` is the address that issues
    access tokens, `access_token` one of them; both are '' unless the network uses them (Network.token_request).
    `object_ids` are set for checks only: the objects of all goals (Network.object_id). `secrets` are all secrets of the
    target, to be masked in the answer.
    """

    pixel_id: str
    credential: Mapping[str, str] = field(repr=False)
    base_url: str
    test_code: str | None = field(default=None, repr=False)
    is_test: bool = False
    token_url: str = ""
    access_token: str = field(default="", repr=False)
    object_ids: tuple[str, ...] = ()
    secrets: tuple[str, ...] = field(repr=False)

    def with_access_token(self, token: str) -> "Target":
        return replace(self, access_token=token, secrets=(*self.secrets, token))


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A short-lived token of a network; `expires_in` in seconds from now."""

    value: str = field(repr=False)
    expires_in: float


class Verdict(StrEnum):
    SUCCESS = "success"
    PAYLOAD = "payload"  # permanent: this event, or this pixel id, will never be accepted
    CREDENTIAL = "credential"  # permanent until someone changes the token or its rights
    TRANSIENT = "transient"  # try again later


@dataclass(frozen=True, slots=True)
class Outcome:
    """The classification of an answer.

    `code` is the provider's own code as text, `message` the provider's own message if it sent one, `retry_after` in
    seconds. `access` is set for CREDENTIAL only: "token" (invalid, revoked, expired, missing) or "pixel" (the token is
    known and may not use this pixel). `limited`: the rate limit was exceeded, so that other events would get the
    same answer. `unknown`: the request may have arrived, but there is no answer (Response.is_unknown). `final`: a
    TRANSIENT outcome after which the event is not sent again (Network.repeats_unanswered). `confirm_after` is set for a
    SUCCESS whose final result comes later: how long to wait before querying the network for `request_id`. Of a final
    PAYLOAD (Network.classify_confirmation): `resend_after` is set if the network accepts the event later, `unmatched`
    if it does not know the click.
    """

    verdict: Verdict
    code: str | None
    message: str
    request_id: str | None = None
    retry_after: float | None = None
    access: Access | None = None
    limited: bool = False
    unknown: bool = False
    final: bool = False
    confirm_after: timedelta | None = None
    resend_after: timedelta | None = None
    unmatched: bool = False
