"""The routes that RudderStack, Segment and MetaRouter share. The key's dialect, or the route, chooses the words."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponseBase

from audience.intake.dialects import metarouter, rudderstack, segment
from audience.intake.dialects.base import IngestView, basic_user
from audience.intake.dialects.segment_keys import MOST_MEMBERS, UNKNOWN_KEY, without_secret, written_names
from audience.intake.dialects.words import Problem, Refusal, Taken, Words
from audience.intake.messages.message import Message, Rejected, Violation
from audience.intake.requests import restrictions
from audience.intake.requests.auth import find_keys, find_live_key
from audience.intake.requests.caller import stamp
from audience.intake.storing.rows import Sent
from audience.models import ApiKey, Dialect
from audience.models.keys import SENDER_KINDS

BATCH = "batch"
# Before the key is known, as much is read as any of these dialects takes.
LARGEST = rudderstack.WORDS.batch_limit
SPOKEN: Mapping[str, Words] = {words.dialect: words for words in (rudderstack.WORDS, metarouter.WORDS)}
Members = list[tuple[ApiKey | None, Message | Rejected]]


class SegmentView(IngestView):
    """One route; `kind` is one of segment.TYPES, or "batch".

    On a `shared` route the key's dialect chooses the words; `words` answer there until the key is known, and a
    key that speaks neither dialect. Elsewhere they always answer.
    """

    kind = BATCH
    words: Words = rudderstack.WORDS
    shared = True
    # Kinds of keys that it takes. Only a browser asks for an image, and what a browser holds is public.
    key_kinds: Sequence[str] = SENDER_KINDS

    def begin(self) -> None:
        self.chosen = self.words
        # The keys that a body names, by their value; none when the key stands outside the body, which decides.
        self.written: Mapping[str, ApiKey] = {}
        self.frame: dict[str, Any] = {}
        super().begin()

    def refuse(self, problem: Problem, detail: str = "") -> Refusal:
        return Refusal(self.chosen.problem(problem, batch=self.kind == BATCH))

    async def post(self, request: HttpRequest) -> HttpResponseBase:
        key, payload, size = self.receive(basic_user(request) or request.GET.get("writeKey", ""))
        if size > (self.chosen.batch_limit if self.kind == BATCH else self.chosen.call_limit):
            raise self.refuse(Problem.TOO_LARGE)
        if self.kind == BATCH:
            return await self.take_batch(payload, key)
        return await self.take_one(payload, key)

    def receive(self, named: str) -> tuple[ApiKey, Any, int]:
        """The key, the JSON and its size in bytes; `named` is the key outside the body. The words are chosen here,
        as early as they can be: also an unreadable body is refused in those of the header's key."""
        key = find_live_key(named, kinds=self.key_kinds) if named else None
        if key:
            self.choose(key)
        data = self.read(self.request, limit=LARGEST)
        if named and key is None:
            raise self.unknown(named)
        payload = self.payload(data, named)
        if key is None:
            key = self.written_key(payload)
            self.choose(key)
        self.admit(key)
        return key, payload, len(data)

    def payload(self, data: bytes, named: str) -> Any:
        """The JSON; without a key outside it, a body that cannot be read has no key either."""
        try:
            return self.decode(data)
        except Refusal:
            if not named:
                raise self.refuse(Problem.NO_KEY) from None
            raise

    def known_key(self, value: str) -> ApiKey:
        if not value:
            raise self.refuse(Problem.NO_KEY)
        key = find_live_key(value, kinds=self.key_kinds)
        if key is None:
            raise self.unknown(value)
        return key

    def unknown(self, value: str) -> Refusal:
        return self.of_ended(self.refuse(Problem.UNKNOWN_KEY), value, route=self.kind)

    def written_key(self, payload: Any) -> ApiKey:
        """The first live key that the body names: one bad member must not lose the others."""
        named = written_names(payload)
        if not named:
            raise self.refuse(Problem.NO_KEY)
        self.written = find_keys(named, kinds=self.key_kinds)
        found = next((self.written[name] for name in named if name in self.written), None)
        return found or self.known_key(named[0])

    def choose(self, key: ApiKey) -> None:
        if self.shared:
            self.chosen = SPOKEN.get(key.dialect, self.words)
            self.dialect = self.chosen.dialect

    async def take_one(self, raw: Any, key: ApiKey) -> HttpResponseBase:
        if not isinstance(raw, dict):
            raise self.refuse(Problem.NOT_AN_EVENT)
        # The route overwrites `type`.
        kind = self.kind
        both = corrects_both_directions(key)
        frame = segment.Frame(received_at=self.received_at, sent_at=self.sent_at(), both_directions=both)
        parsed, self.frame = self.parsed(without_secret(raw), kind, frame, key), frame.said()
        await self.store([(key, parsed)], key)
        return self.chosen.refused(parsed) if isinstance(parsed, Rejected) else self.chosen.accepted()

    async def take_batch(self, payload: Any, key: ApiKey) -> HttpResponseBase:
        members = payload.get("batch") if isinstance(payload, dict) else None
        if not isinstance(members, list) or not all(isinstance(member, dict) for member in members):
            raise self.refuse(Problem.NOT_AN_EVENT)
        if not members:
            raise self.refuse(Problem.EMPTY_BATCH)
        if len(members) > MOST_MEMBERS:
            raise self.refuse(Problem.TOO_LARGE)
        frame = segment.Frame(
            received_at=self.received_at,
            both_directions=corrects_both_directions(key),
            sent_at=payload.get("sentAt") or self.sent_at(),
            timestamp=payload.get("timestamp") if self.chosen.batch_timestamp else None,
            context=segment.mapping(payload, "context"),
            integrations=segment.mapping(payload, "integrations"),
        )
        top = segment.text_of(payload.get("writeKey"))
        parsed = [self.member(without_secret(member), self.owner(member, top, key), frame) for member in members]
        self.frame = frame.said()
        await self.store(parsed, key)
        rejected = [(place, what) for place, (_, what) in enumerate(parsed) if isinstance(what, Rejected)]
        partial = key.dialect == Dialect.METAROUTER
        return self.chosen.batch(Taken(len(parsed) - len(rejected), rejected), partial=partial)

    def owner(self, raw: dict[str, Any], top: str, key: ApiKey) -> ApiKey | None:
        """Whose message a member is: its own key's, else the batch's; None when that is no live one."""
        named = segment.text_of(raw.get("writeKey")) or top
        return self.written.get(named) if self.written and named else key

    def member(
        self, raw: dict[str, Any], owner: ApiKey | None, frame: segment.Frame
    ) -> tuple[ApiKey | None, Message | Rejected]:
        """One member of a batch, with the `type` it gives itself."""
        problem = None
        if len(orjson.dumps(raw)) > self.chosen.call_limit:
            problem = Violation("", "TOO_LARGE", "request size exceeds max limit")
        elif owner is None:
            problem = UNKNOWN_KEY
        if problem or owner is None:
            return owner, _rejected(raw, problem or UNKNOWN_KEY)
        return owner, self.parsed(raw, segment.text_of(raw.get("type")).lower(), frame, owner)

    def parsed(self, raw: dict[str, Any], kind: str, frame: segment.Frame, key: ApiKey) -> Message | Rejected:
        try:
            if kind not in segment.TYPES:
                raise segment.Invalid("type", "UNSUPPORTED_TYPE", f"type must be one of {', '.join(segment.TYPES)}")
            return self.permitted(segment.parse(raw, kind=kind, frame=frame), key)
        except segment.Invalid as error:
            return _rejected(raw, error.violation)

    def permitted(self, message: Message, key: ApiKey) -> Message | Rejected:
        """The message, unless its key may not send it."""
        if not key.is_restricted:
            return message
        why = self.against_caller(key) or restrictions.against_event(key, message)
        return _rejected(message.raw, why) if why else message

    async def store(self, parsed: Members, key: ApiKey) -> None:
        """All members on disk, or none: a batch may be spread over several keys."""
        for what in (what for _, what in parsed if isinstance(what, Rejected)):
            what.route, what.frame = self.kind, self.frame
        messages = [what for _, what in parsed if isinstance(what, Message)]
        stamp(self.request, messages, [what for _, what in parsed if isinstance(what, Rejected)])
        owners = {(member_key or key).pk: member_key or key for member_key, _ in parsed}
        await self.accept([self.sent(owner, parsed, key) for owner in owners.values()])

    def sent(self, owner: ApiKey, parsed: Members, key: ApiKey) -> Sent:
        theirs = [what for member_key, what in parsed if (member_key or key).pk == owner.pk]
        return Sent(
            key=owner,
            dialect=self.chosen.dialect,
            received_at=self.received_at,
            messages=[what for what in theirs if isinstance(what, Message)],
            rejected=[what for what in theirs if isinstance(what, Rejected)],
        )

    def sent_at(self) -> str:
        return str(self.request.META.get("HTTP_SENTAT", ""))


def _rejected(raw: dict[str, Any], why: Violation) -> Rejected:
    return Rejected(segment.text_of(raw.get("messageId")) or None, [why], raw)


class MetaRouterView(SegmentView):
    """A route of MetaRouter's own: it answers in these words whatever the key's dialect."""

    words = metarouter.WORDS
    shared = False
    dialect = Dialect.METAROUTER


def corrects_both_directions(key: ApiKey) -> bool:
    """MetaRouter documents that `timestamp` is corrected by `sentAt`; RudderStack that it is stored as it was sent."""
    return key.dialect != Dialect.RUDDERSTACK
