"""Validates a stored rejection again, with the parser of its dialect and the original time of receipt."""

from collections.abc import Callable
from dataclasses import dataclass, field

import orjson
from django.db.models.fields.json import KT
from django.db.models.functions import Coalesce

from audience.intake.dialects import immutable, parcelvoy, parcelvoy_rules, segment, segment_ids
from audience.intake.dialects.responses import Responses
from audience.intake.dialects.segment_fields import follows_metarouter, text_of
from audience.intake.dialects.segment_requests import BATCH, RESPONSES_BY_DIALECT
from audience.intake.dialects.segment_views import TOO_LARGE, UNKNOWN_KEY
from audience.intake.messages.message import Message, Rejected, Violation
from audience.intake.requests.auth import find_key
from audience.models import ApiKey, Dialect, Rejection

PARCELVOY_VIEWS = {
    view.route: view
    for view in (
        parcelvoy.AliasView,
        parcelvoy.IdentifyView,
        parcelvoy.DevicesView,
        parcelvoy.EventsView,
        parcelvoy.TrackView,
    )
}
# The name of a rejected message in any dialect: its event, its page, or its type.
TITLE = Coalesce(KT("raw__eventName"), KT("raw__event"), KT("raw__name"), KT("raw__type"))


@dataclass(frozen=True, slots=True)
class Revalidation:
    """The messages, or the violations. `key` is the key that they belong to, None when that is unknown.

    For `reject_reused` see rows.Submission.
    """

    key: ApiKey | None
    messages: list[Message] = field(default_factory=list)
    errors: list[Violation] = field(default_factory=list)
    reject_reused: Callable[[Message], Rejected] | None = None


def revalidate(rejection: Rejection) -> Revalidation:
    if rejection.dialect == Dialect.IMMUTABLE:
        return _revalidate_immutable(rejection)
    if rejection.dialect == Dialect.PARCELVOY:
        return _revalidate_parcelvoy(rejection)
    return _revalidate_segment(rejection, RESPONSES_BY_DIALECT[rejection.dialect])


def _revalidate_immutable(rejection: Rejection) -> Revalidation:
    messages, rejected = immutable.parse([rejection.raw], now=rejection.received_at)
    errors = [violation for result in rejected for violation in result.errors]
    return Revalidation(rejection.key, messages, errors, immutable.reject_reused)


def _revalidate_parcelvoy(rejection: Rejection) -> Revalidation:
    """`raw` is the whole body, since an invalid item fails the request."""
    try:
        view = PARCELVOY_VIEWS[rejection.route]()
        return Revalidation(rejection.key, view.parse(rejection.raw, now=rejection.received_at))
    except parcelvoy_rules.InvalidItem as invalid:
        return Revalidation(rejection.key, errors=[Violation(invalid.path, "VALIDATION", str(invalid))])
    except KeyError:
        text = "The route of the request is not stored, so the message cannot be read again."
        return Revalidation(rejection.key, errors=[Violation("", "UNKNOWN_ROUTE", text)])


def _revalidate_segment(rejection: Rejection, responses: Responses) -> Revalidation:
    """The kind is that of the route; on batch routes it is the `type` of the message."""
    key = _owner(rejection)
    if key is None:
        return Revalidation(None, errors=[UNKNOWN_KEY])
    if len(orjson.dumps(rejection.raw)) > responses.call_limit:
        return Revalidation(key, errors=[TOO_LARGE])
    stated = text_of(rejection.raw.get("type")).lower()
    kind = stated if rejection.route in {BATCH, ""} else rejection.route
    try:
        is_metarouter = follows_metarouter(rejection.key or key)
        envelope = segment.BatchEnvelope(
            received_at=rejection.received_at, is_metarouter=is_metarouter, **rejection.frame
        )
        return Revalidation(key, [segment.parse(rejection.raw, kind=kind, envelope=envelope)])
    except segment_ids.InvalidMessage as error:
        return Revalidation(key, errors=[error.violation])


def _owner(rejection: Rejection) -> ApiKey | None:
    """The key of the request. If the message was rejected for an unknown key: the message's key, if it is of the same
    game."""
    if not any(error["code"] == UNKNOWN_KEY.code for error in rejection.errors):
        return rejection.key
    key = find_key(text_of(rejection.raw.get("writeKey")))
    return key if key and key.game_id == rejection.game_id else None
