"""The newest events and rejections of a game in one list."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from itertools import accumulate, islice
from operator import itemgetter
from typing import Any

from django.db.models import F, Q, QuerySet
from django.db.models.fields.json import KeyTransform
from django.urls import reverse

from audience.hub.events import placeholders
from audience.hub.events.placeholders import Placeholder
from audience.hub.toolkit.access import sees_addresses
from audience.hub.toolkit.masking import masked
from audience.ids.values import canonical
from audience.intake.dialects.revalidation import TITLE
from audience.models import Event, Identity, Kind, Membership, Rejection
from audience.models.events import PLACEHOLDER_NOTE

PAGE_SIZE = 50
# Events read for a filter that no index supports; "Older" continues from there.
SCAN_LIMIT = 20_000
PAYLOAD_FIELDS = ("raw", "properties", "traits", "context", "integrations")
KINDS = dict(Kind.choices)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """The filters; '' and None match everything. `person` is any id, `before` the last rows seen ("12.5")."""

    status: str = ""
    kind: str = ""
    name: str = ""
    dialect: str = ""
    key: int | None = None
    person: str = ""
    placeholder: Placeholder | None = None
    before: str = ""

    @property
    def is_filtered(self) -> bool:
        return any((self.status, self.kind, self.name, self.dialect, self.key, self.person, self.placeholder))

    @property
    def needs_scan(self) -> bool:
        """Whether events are found by reading the newest ones, because no index supports the filter."""
        return not self.person and any((self.kind, self.name, self.dialect, self.key, self.placeholder))


@dataclass(frozen=True, slots=True)
class FeedRow:
    """An Event or a Rejection as the list shows it; `stream` and `pk` are its place in its table."""

    stream: str
    pk: int
    at: datetime
    title: str
    about: list[str]
    ids: list[tuple[str, str]]
    errors: list[dict[str, Any]]
    href: str


@dataclass(frozen=True, slots=True)
class Feed:
    """`older` is the `before` of the next page, blank on the last; `scanned` is how many were read if reading stopped
    there."""

    rows: list[FeedRow]
    older: str
    scanned: int = 0


def newest(membership: Membership, wanted: EventFilter) -> Feed:
    """Return the newest rows of both tables.

    Each table is read by its own key, so that rows of one batch with equal times are not split wrongly.
    """
    event_id, rejection_id = _cursor(wanted.before)
    floor = 0
    if wanted.needs_scan and wanted.status != "rejected":
        floor = Event.objects.filter(game_id=membership.game_id).before(event_id).scan_floor(limit=SCAN_LIMIT)
    events = [] if wanted.status == "rejected" else _events(membership, wanted, event_id, floor)
    rejections = (
        [] if wanted.status == "accepted" or wanted.placeholder else _rejections(membership, wanted, rejection_id)
    )
    merged = merge(_with_positions(events), _with_positions(rejections), key=itemgetter(0), reverse=True)
    shown = [row for _, row in islice(merged, PAGE_SIZE)]
    left = len(events) + len(rejections) > len(shown)
    if not left and not floor:
        return Feed(shown, "")
    last = {"event": event_id or 0, "rejection": rejection_id or 0} | {row.stream: row.pk for row in shown}
    if not left:
        last["event"] = floor + 1
    return Feed(shown, f"{last['event']}.{last['rejection']}", scanned=0 if left else SCAN_LIMIT)


def _with_positions(rows: Sequence[FeedRow]) -> list[tuple[datetime, FeedRow]]:
    """Return rows with a time to merge the two tables by, which never increases down the list: a replayed message was
    received long before the rows next to it."""
    positions = list(accumulate((row.at for row in reversed(rows)), max))
    return list(zip(reversed(positions), rows, strict=True))


def _events(membership: Membership, wanted: EventFilter, before: int | None, floor: int) -> list[FeedRow]:
    found = with_placeholders(Event.objects.filter(game_id=membership.game_id).before(before).defer(*PAYLOAD_FIELDS))
    exact = {"kind": wanted.kind, "name": wanted.name, "dialect": wanted.dialect, "key_id": wanted.key}
    found = found.filter(**{column: value for column, value in exact.items() if value})
    if floor:
        found = found.filter(pk__gt=floor)
    if wanted.placeholder:
        sent = {f"context__{PLACEHOLDER_NOTE}__{wanted.placeholder.field}": wanted.placeholder.value}
        found = found.filter(**sent, received_at__gte=placeholders.since())
    if wanted.person:
        forms = _forms(membership, wanted.person)
        found = found.filter(Q(user_id__in=forms) | Q(anonymous_id__in=forms) | Q(device_id__in=forms))
        # Not by id alone, whose index would be scanned past the events of other games.
        found = found.order_by((F("pk") + 0).desc())
    else:
        found = found.order_by("-pk")
    return [event_row(event, membership) for event in found[: PAGE_SIZE + 1]]


def _forms(membership: Membership, person: str) -> list[str]:
    """All forms in which the id was sent, in any namespace."""
    known = Identity.objects.filter(game=membership.game_id, value=canonical(person)).values_list(
        "spellings", flat=True
    )
    return [person, canonical(person), *(form for spellings in known for form in spellings)]


def with_placeholders(events: QuerySet[Event]) -> QuerySet[Event]:
    """The events with what event_row reads of a deferred context."""
    return events.annotate(placeholders=KeyTransform(PLACEHOLDER_NOTE, "context"))


def event_row(event: Event, membership: Membership) -> FeedRow:
    """The row of an event of `with_placeholders`."""
    addresses = sees_addresses(membership)
    kind, own = event.get_kind_display(), (event.user_id, event.anonymous_id, event.device_id)
    about = [kind if event.name else "", event.get_dialect_display(), "Test" if event.test else ""]
    ids = [*zip(("user", "anonymous", "device"), own, strict=True), *event.links]
    ids += [(name.split("_")[0], text) for name, text in placeholders.describe(getattr(event, "placeholders", None))]
    where = {"slug": membership.game.slug, "day": event.day, "pk": event.pk}
    return FeedRow(
        stream="event",
        pk=event.pk,
        at=event.received_at,
        title=masked(event.name, addresses=addresses) or kind,
        about=[word for word in about if word],
        ids=list(dict.fromkeys((name, masked(value, addresses=addresses, name=name)) for name, value in ids if value)),
        errors=[],
        href=reverse("event", kwargs=where),
    )


def _rejections(membership: Membership, wanted: EventFilter, before: int | None) -> list[FeedRow]:
    found = Rejection.objects.filter(game_id=membership.game_id).before(before).defer("raw", "frame")
    for text in filter(None, (wanted.kind, wanted.name)):
        found = found.containing(text)
    exact = {"dialect": wanted.dialect, "key_id": wanted.key}
    found = found.filter(**{column: value for column, value in exact.items() if value})
    if wanted.person:
        found = found.filter(subjects__contains=[wanted.person])
    found = found.annotate(title=TITLE).order_by("-pk")
    return [_rejection_row(rejection, membership) for rejection in found[: PAGE_SIZE + 1]]


def _rejection_row(rejection: Any, membership: Membership) -> FeedRow:
    """`rejection` is annotated with TITLE."""
    addresses = sees_addresses(membership)
    title = masked(rejection.title, addresses=addresses) or KINDS.get(rejection.route) or "Message"
    subjects = [subject for subject in rejection.subjects if subject != rejection.message_id]
    about = [rejection.get_dialect_display(), rejection.message_id or "no message id"]
    return FeedRow(
        stream="rejection",
        pk=rejection.pk,
        at=rejection.received_at,
        title=title[:256],
        about=masked(about, addresses=addresses),
        ids=[("named", masked(subject, addresses=addresses)) for subject in subjects],
        errors=masked(rejection.errors, addresses=addresses),
        href=reverse("rejection", kwargs={"slug": membership.game.slug, "pk": rejection.pk}),
    )


def _cursor(before: str) -> tuple[int | None, int | None]:
    event, _, rejection = before.partition(".")
    if event.isdecimal() and rejection.isdecimal() and len(before) < 40:
        return int(event) or None, int(rejection) or None
    return None, None
