"""Creates conversions from trigger events and events that goals count. Exactly one launch of each person counts."""

import uuid
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from audience.database import bulk
from audience.digest import event_counts, money, orders, traits
from audience.digest.event_ids import is_id
from audience.ids.values import canonical
from audience.models import (
    ApiKey,
    Conversion,
    Erasure,
    Event,
    Game,
    Identity,
    Kind,
    Reason,
    Trigger,
    ValueProblem,
    ValueProblemCount,
    goals,
)
from audience.models.erasure import receipt_key, subject_hashes
from audience.models.keys import SERVER_KINDS

# Reasons that a later click does not replace.
FINAL_REASONS = (Reason.REPEAT_LAUNCH, Reason.REFUND, Reason.ERASED)


def record(*, game: Game, events: Sequence[Event], people: Mapping[int, uuid.UUID]) -> list[Conversion]:
    """Store a Conversion for each trigger event; return the new ones. Launches are repeats until `choose_launches`."""
    names = goals.conversion_event_names(game=game)
    triggers = [event for event in events if event.kind == Kind.TRACK and event.name in names]
    erased = _erased(game, {people[event.pk] for event in triggers}, triggers, people)
    servers = _server_keys(triggers)
    rows = [build(game, event, people[event.pk], servers, erased=event.pk in erased) for event in triggers]
    # A repeated run conflicts with its earlier rows, which have other ids.
    stored = bulk.insert(rows)
    new = [(row, event) for row, event in zip(rows, triggers, strict=True) if row.pk in stored]
    problems = ((event, amount_problem(row)) for row, event in new)
    event_counts.add_value_problems(game=game, problems=[pair for pair in problems if pair[1]])
    return [row for row, _ in new]


def amount_problem(conversion: Conversion) -> str:
    """Return why the event has no amount, as in models.ValueProblemCount; '' if it has one, or needs none."""
    is_missing = conversion.trigger == Trigger.PURCHASE and conversion.value is None
    return conversion.value_problem or (ValueProblemCount.NO_AMOUNT if is_missing else "")


def _server_keys(events: Sequence[Event]) -> set[int]:
    """Return which of the events' keys are server keys. A deleted key counts as public."""
    key_ids = {event.key_id for event in events if event.key_id is not None}
    return set(ApiKey.objects.filter(pk__in=key_ids, kind__in=SERVER_KINDS).values_list("pk", flat=True))


def build(
    game: Game, event: Event, person_id: uuid.UUID, servers: Container[int | None], *, erased: bool = False
) -> Conversion:
    """Return the conversion of a trigger event, not saved. `servers` are the ids of server keys."""
    paid, reason = money.read(event.properties), ""
    if erased:
        reason = Reason.ERASED
    elif event.test:
        reason = ""
    elif paid.problem == ValueProblem.NEGATIVE and event.name == Trigger.PURCHASE:
        reason = Reason.REFUND
    elif event.name == Trigger.GAME_LAUNCH:
        reason = Reason.REPEAT_LAUNCH
    return Conversion(
        game=game,
        person_id=person_id,
        trigger=event.name,
        message_id=event.message_id,
        event_day=event.day,
        event_at=event.event_at,
        user_id=event.user_id,
        anonymous_id=canonical(event.anonymous_id),
        value=paid.amount,
        currency=paid.currency,
        value_problem=paid.problem,
        order_id=orders.read_order_id(event.properties) if event.name == Trigger.PURCHASE else "",
        properties=event.properties,
        context=_context(event),
        integrations=event.integrations,
        consent_level=event.consent_level,
        test=event.test,
        key_id=event.key_id,
        from_server=event.key_id in servers,
        origin=event.origin,
        reason=reason,
    )


def _context(event: Event) -> dict[str, Any]:
    """Return the event's context with the traits that hold for this event."""
    stated = traits.conversion_traits(event)
    return {**event.context, "traits": stated} if stated else event.context


def choose_launches(*, person_ids: Iterable[uuid.UUID]) -> list[Conversion]:
    """Decide which launch of each person counts; return those that count now and did not before, as `choose_counted`
    does."""
    launches: dict[uuid.UUID, list[Conversion]] = defaultdict(list)
    for launch in launches_of(person_ids):
        launches[launch.person_id].append(launch)
    return choose_counted(launches.values())


def launches_of(person_ids: Iterable[uuid.UUID]) -> list[Conversion]:
    """Return these persons' launches, locked until the end of the transaction, so that none is fanned out meanwhile."""
    launches = Conversion.objects.filter(person_id__in=set(person_ids)).launches()
    rows = launches.order_by("pk").defer("properties", "context", "integrations")
    return list(rows.select_for_update(no_key=True))


def choose_counted(players: Iterable[Sequence[Conversion]]) -> list[Conversion]:
    """Decide which launch of each player counts and save those that are repeats now.

    Returns those that did not count before; the caller saves their reason and `fanned_out_at`.
    """
    repeats: list[Conversion] = []
    newly_counted: list[Conversion] = []
    for launches in players:
        counted = _first(launches)
        repeats += (launch for launch in launches if launch is not counted and launch.reason != Reason.REPEAT_LAUNCH)
        newly_counted += [counted] if counted.reason == Reason.REPEAT_LAUNCH else []
    for launch in repeats:
        # A repeat has no touch, except one that was fanned out, which keeps its touch.
        launch.touch_id = launch.touch_id if launch.fanned_out_at else None
        launch.reason, launch.fanned_out_at = Reason.REPEAT_LAUNCH, None
    for launch in newly_counted:
        launch.reason, launch.fanned_out_at = "", None
    # Before the others, since a constraint allows one counted launch per person.
    bulk.update(repeats, ["touch", "reason", "fanned_out_at"])
    return newly_counted


def _first(launches: Sequence[Conversion]) -> Conversion:
    """Return the earliest launch. A launch that was fanned out is preferred, since it may have been sent.

    Launches from servers precede others, since anyone can report an earlier launch with a publishable key.
    """
    handed_over = [launch for launch in launches if launch.fanned_out_at and not launch.reason]
    return min(handed_over or launches, key=lambda launch: (not launch.from_server, launch.event_at, launch.message_id))


def _erased(
    game: Game, person_ids: set[uuid.UUID], triggers: Sequence[Event], people: Mapping[int, uuid.UUID]
) -> set[int]:
    """Return the ids of trigger events that happened before their player's erasure was requested.

    If an anonymous id of several players was erased, these are the events with it that name no user.
    """
    key = receipt_key(game.pk) if triggers else None
    if key is None:  # no trigger events, or nobody of this game was ever erased
        return set()
    known: dict[uuid.UUID, set[str]] = defaultdict(set)
    identities = Identity.objects.filter(person_id__in=person_ids)
    for person_id, value, spellings in identities.values_list("person_id", "value", "spellings"):
        known[person_id].update([value, *spellings])
    anonymous_ids = {e.pk: {e.anonymous_id, canonical(e.anonymous_id)} for e in triggers if not is_id(e.user_id)}
    hashes = subject_hashes(game.pk, set(chain(*anonymous_ids.values(), *known.values())), key=key)
    receipts = list(Erasure.objects.filter(game=game, linked_hashes__overlap=list(hashes.values())))

    def is_erased(event: Event, receipt: Erasure) -> bool:
        values = anonymous_ids.get(event.pk, set()) if receipt.is_of_shared_id else known[people[event.pk]]
        linked = {hashes[value] for value in values if value}
        return event.event_at < receipt.requested_at and not linked.isdisjoint(receipt.linked_hashes)

    return {event.pk for event in triggers if any(is_erased(event, receipt) for receipt in receipts)}
