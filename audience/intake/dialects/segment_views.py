"""The routes that RudderStack, Segment and MetaRouter share. The key's dialect, or the route, chooses the words."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from django.db import transaction
from django.http import HttpResponseBase
from rest_framework.request import Request

from audience.intake.accept import accept
from audience.intake.auth import find_key
from audience.intake.caller import stamp
from audience.intake.dialects import metarouter, rudderstack, segment
from audience.intake.dialects.base import IngestView, basic_user
from audience.intake.dialects.words import Problem, Refusal, Taken, Words
from audience.intake.message import Message, Rejected, Violation
from audience.models import ApiKey, Dialect, KeyKind

BATCH = "batch"
# Before the key is known, as much is read as any of these dialects takes.
LARGEST = rudderstack.WORDS.batch_limit
Members = list[tuple[ApiKey | None, Message | Rejected]]


class SegmentView(IngestView):
    """One route; `kind` is one of segment.TYPES, or "batch". Without `words` the key's dialect chooses them."""

    kind = BATCH
    words: Words | None = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.chosen: Words = self.words or rudderstack.WORDS
        self.frame: dict[str, Any] = {}
        super().initial(request, *args, **kwargs)

    def refuse(self, problem: Problem, detail: str = "") -> Refusal:
        return Refusal(self.chosen.problem(problem, batch=self.kind == BATCH))

    def post(self, request: Request) -> HttpResponseBase:
        data = self.read(request, limit=LARGEST)
        named = basic_user(request._request) or request.GET.get("writeKey", "")
        key = self.known_key(named) if named else None
        payload = self.payload(data, named)
        if key is None:
            key = self.known_key(written_key(payload))
        self.admit(key)
        self.choose(key)
        if len(data) > (self.chosen.batch_limit if self.kind == BATCH else self.chosen.call_limit):
            raise self.refuse(Problem.TOO_LARGE)
        if self.kind == BATCH:
            return self.take_batch(payload, key)
        return self.take_one(payload, key)

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
        key = find_key(value, kind=KeyKind.PUBLISHABLE)
        if key is None:
            raise self.refuse(Problem.UNKNOWN_KEY)
        return key

    def choose(self, key: ApiKey) -> None:
        if self.words is None and key.dialect == Dialect.METAROUTER:
            self.chosen = metarouter.WORDS

    def take_one(self, raw: Any, key: ApiKey) -> HttpResponseBase:
        if not isinstance(raw, dict):
            raise self.refuse(Problem.NOT_AN_EVENT)
        # The route overwrites `type`.
        kind = self.kind
        frame = segment.Frame(received_at=self.received_at, sent_at=self.sent_at())
        parsed, self.frame = self.parsed(raw, kind, frame), frame.said()
        self.store([(key, parsed)], key)
        return self.chosen.refused(parsed) if isinstance(parsed, Rejected) else self.chosen.accepted()

    def take_batch(self, payload: Any, key: ApiKey) -> HttpResponseBase:
        members = payload.get("batch") if isinstance(payload, dict) else None
        if not isinstance(members, list) or not all(isinstance(member, dict) for member in members):
            raise self.refuse(Problem.NOT_AN_EVENT)
        if not members:
            raise self.refuse(Problem.EMPTY_BATCH)
        frame = segment.Frame(
            received_at=self.received_at,
            sent_at=payload.get("sentAt") or self.sent_at(),
            timestamp=payload.get("timestamp"),
            context=segment.mapping(payload, "context"),
            integrations=segment.mapping(payload, "integrations"),
        )
        parsed = [self.member(member, key, frame) for member in members]
        self.frame = frame.said()
        self.store(parsed, key)
        rejected = [(place, what) for place, (_, what) in enumerate(parsed) if isinstance(what, Rejected)]
        partial = key.dialect == Dialect.METAROUTER
        return self.chosen.batch(Taken(len(parsed) - len(rejected), rejected), partial=partial)

    def member(
        self, raw: dict[str, Any], key: ApiKey, frame: segment.Frame
    ) -> tuple[ApiKey | None, Message | Rejected]:
        """One member of a batch under its own key, where it names one, with the `type` it gives itself."""
        if len(orjson.dumps(raw)) > self.chosen.call_limit:
            problem = Violation("", "TOO_LARGE", "request size exceeds max limit")
            return key, Rejected(segment.text_of(raw.get("messageId")) or None, [problem], raw)
        named = segment.text_of(raw.get("writeKey"))
        own = find_key(named, kind=KeyKind.PUBLISHABLE) if named and named != key.value else key
        if own is None:
            problem = Violation("writeKey", "UNKNOWN_KEY", "invalid write key")
            return None, Rejected(segment.text_of(raw.get("messageId")) or None, [problem], raw)
        return own, self.parsed(raw, segment.text_of(raw.get("type")).lower(), frame)

    def parsed(self, raw: dict[str, Any], kind: str, frame: segment.Frame) -> Message | Rejected:
        try:
            if kind not in segment.TYPES:
                raise segment.Invalid("type", "UNSUPPORTED_TYPE", f"type must be one of {', '.join(segment.TYPES)}")
            return segment.parse(raw, kind=kind, frame=frame)
        except segment.Invalid as error:
            return Rejected(segment.text_of(raw.get("messageId")) or None, [error.violation], raw)

    def store(self, parsed: Members, key: ApiKey) -> None:
        """All members on disk, or none: a batch may be spread over several keys."""
        for what in (what for _, what in parsed if isinstance(what, Rejected)):
            what.route, what.frame = self.kind, self.frame
        stamp(self.request._request, [what for _, what in parsed if isinstance(what, Message)])
        with transaction.atomic():
            for owner in {(member_key or key).pk: member_key or key for member_key, _ in parsed}.values():
                theirs = [what for member_key, what in parsed if (member_key or key).pk == owner.pk]
                accept(
                    key=owner,
                    dialect=self.chosen.dialect,
                    messages=[what for what in theirs if isinstance(what, Message)],
                    rejected=[what for what in theirs if isinstance(what, Rejected)],
                    received_at=self.received_at,
                )

    def sent_at(self) -> str:
        return self.request.headers.get("SentAt", "")


def written_key(payload: Any) -> str:
    """The `writeKey` in a body: at the top, or of the first member of a batch that names one."""
    if not isinstance(payload, Mapping):
        return ""
    if found := segment.text_of(payload.get("writeKey")):
        return found
    members: Sequence[Any] = payload["batch"] if isinstance(payload.get("batch"), list) else []
    named = (segment.text_of(m.get("writeKey")) for m in members if isinstance(m, Mapping))
    return next(filter(None, named), "")
