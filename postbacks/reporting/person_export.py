"""Exports everything stored about one player as JSON, read in pages of rows to bound memory.

    {"format": "afterclick.person/1", "exported_at", "game", "person": {"id", "first_seen_at", "last_seen_at", "traits",
     "trait_times"}, "identities": [{..., "periods": [{"since", "until"}]}], "devices": [], "groups": [],
     "consent_decisions": [], "clicks": [], "conversions": [{..., "deliveries": [{..., "attempts": [{...,
     "payload_sha256"}]}], "modeled_match": {"result", "decided_at"}}], "activity": [{"starts_at"}],
     "events": [{..., "raw"}], "rejections": [{..., "raw"}]}

"modeled_match" is there for first launches that have one. "activity" are the starts of the quarter hours in which the
player was active, as retention counts them.
Times are ISO 8601 in UTC, lists newest first. Only secrets are masked: keys, tokens, passwords.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

from auditlog.models import LogEntry
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Model, Prefetch, QuerySet

from audience.accounts import audit_log
from audience.database import clock
from audience.digest.owned_ids import OwnedId, events_of, owned_ids
from audience.hub.toolkit.masking import masked
from audience.hub.toolkit.paging import newest_in_pages
from audience.models import ActiveQuarter, Person
from audience.privacy.player_data import decisions_of, rejections_of
from postbacks.models import Delivery, DeliveryAttempt

FORMAT = "afterclick.person/1"
ROWS_PER_QUERY = 200
# Internal columns, and foreign keys whose row the file contains once.
OMITTED_COLUMNS = {
    "game",
    "game_id",
    "person",
    "conversion",
    "delivery",
    "config",
    "leased_until",
    "next_attempt_at",
    "payload",
    "fact_times",
}

PERSON_COLUMNS = ("id", "first_seen_at", "last_seen_at", "traits", "trait_times")

Rows = Iterable[dict[str, Any]]


def export(person: Person) -> Iterator[str]:
    """Add an entry to the audit log, and return the JSON text in pieces."""
    audit_log.record(game=person.game, subject=person, action=LogEntry.Action.ACCESS, changes={})
    return _pieces(person)


def file_name(person: Person) -> str:
    return f"player-{person.pk}-{clock.now():%Y-%m-%d}.json"


def _pieces(person: Person) -> Iterator[str]:
    header = {
        "format": FORMAT,
        "exported_at": clock.now(),
        "game": {"name": person.game.name, "slug": person.game.slug},
        "person": {name: getattr(person, name) for name in PERSON_COLUMNS},
    }
    yield _text(header)[:-1]
    for name, rows in _lists(person):
        yield f',\n"{name}":['
        for number, row in enumerate(rows):
            yield f"{',' if number else ''}\n{_text(row)}"
        yield "]"
    yield "}\n"


def _lists(person: Person) -> Iterator[tuple[str, Rows]]:
    ids = owned_ids(person)
    decisions = decisions_of(person.game_id, ids)
    yield "identities", map(_identity, reversed(ids))
    yield "devices", map(_row, _paged(person.devices.all(), "updated_at"))
    yield "groups", ({"group_id": group.group_id, "updated_at": group.updated_at} for group in person.groups.all())
    yield "consent_decisions", map(_row, _paged(decisions, "decided_at"))
    yield "clicks", map(_row, _paged(person.touches.all(), "clicked_at"))
    yield "conversions", map(_conversion, _paged(_with_deliveries(person), "event_at"))
    yield "activity", _activity(person)
    yield "events", map(_row, _paged(events_of(person.game_id, ids), "event_at"))
    yield "rejections", map(_row, _paged(rejections_of(person.game_id, ids), "received_at"))


def _identity(owned: OwnedId) -> dict[str, Any]:
    """Return the columns of an id and, if other players own it too, the periods in which it was this player's."""
    periods = {"periods": [period._asdict() for period in owned.periods]} if owned.is_shared else {}
    return {**_row(owned.identity), **periods}


def _activity(person: Person) -> Rows:
    active = ActiveQuarter.objects.filter(game_id=person.game_id, person_id=person.pk)
    return ({"starts_at": at} for at in active.order_by("-starts_at").values_list("starts_at", flat=True))


def _with_deliveries(person: Person) -> QuerySet[Any]:
    attempts = Prefetch("attempts", DeliveryAttempt.objects.order_by("number"))
    deliveries = Delivery.objects.order_by("created_at").select_related("config").prefetch_related(attempts)
    deliveries = deliveries.defer("config__credential", "config__previous_credential")
    return person.conversions.prefetch_related(Prefetch("deliveries", deliveries), "modeled_matches")


def _paged(rows: QuerySet[Any], by: str) -> Iterator[Any]:
    return newest_in_pages(rows, by=by, size=ROWS_PER_QUERY)


def _row(row: Model) -> dict[str, Any]:
    """Return {column: value}; the value of a foreign key is the primary key of its row."""
    names = [field.attname for field in row._meta.concrete_fields if field.name not in OMITTED_COLUMNS]
    return {name: getattr(row, name) for name in names}


def _conversion(row: Any) -> dict[str, Any]:
    # Without the click, which is another person's.
    modeled = [{"result": match.result, "decided_at": match.decided_at} for match in row.modeled_matches.all()]
    deliveries = [_delivery(delivery) for delivery in row.deliveries.all()]
    return {**_row(row), "deliveries": deliveries, **({"modeled_match": modeled[0]} if modeled else {})}


def _delivery(row: Delivery) -> dict[str, Any]:
    return {
        **_row(row),
        "pixel_id": row.config.pixel_id,
        "attempts": [{**_row(attempt), "payload_sha256": _hash(attempt.payload)} for attempt in row.attempts.all()],
    }


def _hash(payload: Any) -> str | None:
    """Return the SHA-256, in hex, of a sent body as compact JSON with sorted keys; None if none is stored."""
    if payload is None:
        return None
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _text(value: Any) -> str:
    return json.dumps(masked(value, addresses=True), cls=DjangoJSONEncoder, ensure_ascii=False)
