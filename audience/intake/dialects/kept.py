"""A kept rejection judged again, by the parser of its own dialect and as of the moment it came."""

from dataclasses import dataclass, field

import orjson
from django.db.models.fields.json import KT
from django.db.models.functions import Coalesce

from audience.intake.dialects import immutable, metarouter, parcelvoy, parcelvoy_rules, rudderstack, segment
from audience.intake.dialects.segment_keys import UNKNOWN_KEY
from audience.intake.dialects.segment_views import BATCH, corrects_both_directions
from audience.intake.dialects.words import Words
from audience.intake.messages.message import Message, Violation
from audience.intake.requests.auth import find_live_key
from audience.models import ApiKey, Rejection

TOO_LARGE = Violation("", "TOO_LARGE", "request size exceeds max limit")
PARCELVOY = {
    view.route: view
    for view in (parcelvoy.AliasView, parcelvoy.IdentifyView, parcelvoy.DevicesView, parcelvoy.EventsView)
}
# What a rejected message calls itself, in any dialect: its event, its page, or its type.
TITLE = Coalesce(KT("raw__eventName"), KT("raw__event"), KT("raw__name"), KT("raw__type"))


@dataclass(frozen=True, slots=True)
class Judgement:
    """What it holds now: messages, or the reasons why not. `key` is whose it is, None when that is not known."""

    key: ApiKey | None
    messages: list[Message] = field(default_factory=list)
    errors: list[Violation] = field(default_factory=list)


def by_immutable(kept: Rejection) -> Judgement:
    messages, rejected = immutable.parse([kept.raw], now=kept.received_at)
    return Judgement(kept.key, messages, [violation for refusal in rejected for violation in refusal.errors])


def by_rudderstack(kept: Rejection) -> Judgement:
    return _by_segment(kept, rudderstack.WORDS)


def by_metarouter(kept: Rejection) -> Judgement:
    return _by_segment(kept, metarouter.WORDS)


def by_parcelvoy(kept: Rejection) -> Judgement:
    """The whole body, since one bad item refuses it all; a route that is not known takes nothing."""
    try:
        return Judgement(kept.key, PARCELVOY[kept.route]().parse(kept.raw, now=kept.received_at))
    except parcelvoy_rules.Invalid as invalid:
        return Judgement(kept.key, errors=[Violation(invalid.path, "VALIDATION", str(invalid))])
    except KeyError:
        text = "The route it came by was not kept, so that it cannot be read again."
        return Judgement(kept.key, errors=[Violation("", "UNKNOWN_ROUTE", text)])


def _by_segment(kept: Rejection, words: Words) -> Judgement:
    """A member of a batch names its own kind; on a route of one kind the route does."""
    key = _owner(kept)
    if key is None:
        return Judgement(None, errors=[UNKNOWN_KEY])
    if len(orjson.dumps(kept.raw)) > words.call_limit:
        return Judgement(key, errors=[TOO_LARGE])
    named = segment.text_of(kept.raw.get("type")).lower()
    kind = named if kept.route in {BATCH, ""} else kept.route
    try:
        if kind not in segment.TYPES:
            raise segment.Invalid("type", "UNSUPPORTED_TYPE", f"type must be one of {', '.join(segment.TYPES)}")
        both = corrects_both_directions(kept.key or key)
        frame = segment.Frame(received_at=kept.received_at, both_directions=both, **kept.frame)
        return Judgement(key, [segment.parse(kept.raw, kind=kind, frame=frame)])
    except segment.Invalid as error:
        return Judgement(key, errors=[error.violation])


def _owner(kept: Rejection) -> ApiKey | None:
    """The key it came with. One refused for naming a key of its own needs that one, and of the same game."""
    if not any(error["code"] == UNKNOWN_KEY.code for error in kept.errors):
        return kept.key
    own = find_live_key(segment.text_of(kept.raw.get("writeKey")))
    return own if own and own.game_id == kept.game_id else None
