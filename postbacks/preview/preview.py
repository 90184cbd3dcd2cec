"""Previews what a network would receive of a past conversion, with the build function that the sender uses."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from django.db.models import QuerySet, TextChoices

from audience.hub.toolkit.masking import ELLIPSIS, masked, shortened
from audience.models import Conversion, Game, Reason
from consent.models import Level
from postbacks.models import PostbackConfig
from postbacks.networks.interface.facts import Facts
from postbacks.outbox import consent_levels, conversion_facts, gate
from postbacks.outbox.goals import Goal, match_goal
from postbacks.preview import fields

SCAN_LIMIT = 5000  # conversions searched for those of a network
MAX_OFFERED = 10
# Facts that identify a player, shortened for viewers.
PERSONAL = ("click_id", "cookies", "email", "phone", "external_id", "ip", "user_agent", "order_id")
ADDRESSES = ("page_url", "referrer")
EMPTY: tuple[object, ...] = (None, "", (), {})


class FillState(TextChoices):
    FILLED = "filled", "Filled"
    HASHED = "hashed", "Hashed"
    WITHHELD = "withheld", "Withheld: the player did not allow it"
    UNUSABLE = "unusable", "Known, but not in a form the network takes"
    MISSING = "missing", "Missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewField:
    """One fact: its label, its field in the body, and its value."""

    what: str
    paths: list[str]
    filling: FillState
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """`body` is None if nothing could be built or consent allows nothing; `problem` then says why.

    `reason` is why it would not be sent although it can be built.
    """

    conversion: Conversion
    level: Level
    reason: Reason | None
    fields: list[PreviewField]
    body: dict[str, Any] | None
    problem: str
    has_match_key: bool


def recent(game: Game, network: str) -> list[Conversion]:
    """Return conversions to choose from: the newest attributed to the network, else the newest of all."""
    real = _conversions(game).filter(test=False).order_by("-event_at", "-pk")
    newest = list(real.values_list("pk", "touch__network")[:SCAN_LIMIT])
    own = [pk for pk, won_by in newest if won_by == network] or [pk for pk, _ in newest]
    return list(real.filter(pk__in=own[:MAX_OFFERED]))


def chosen(game: Game, pk: str, among: Sequence[Conversion]) -> Conversion | None:
    """Return the conversion with this id, else the first of `among`, else None."""
    try:
        asked = _conversions(game).filter(pk=uuid.UUID(pk)).first()
    except ValueError:
        asked = None
    return asked or next(iter(among), None)


def _conversions(game: Game) -> QuerySet[Conversion]:
    return Conversion.objects.filter(game=game).exclude(reason=Reason.ERASED).select_related("game", "touch", "person")


def build_preview(conversion: Conversion, config: PostbackConfig, *, addresses: bool) -> Preview:
    """Return what `config` would send of `conversion` with the consent in force now. Without `addresses` values are
    shortened.

    Its age is taken as of its arrival, so that an old example is as good as a new one.
    """
    level = consent_levels.levels([conversion])[conversion.pk]
    match = match_goal(config, conversion)
    goal = match if isinstance(match, Goal) else Goal("")
    event_id = gate.event_id(conversion, config)
    given: dict[str, Any] = {"event_id": event_id, "sent_as": goal.sent_as, "object_id": goal.object_id}
    known = conversion_facts.read_facts(conversion, level=Level.FULL, **given)
    allowed = conversion_facts.read_facts(conversion, level=level, **given)
    body, problem = _build(allowed, config, level)
    shown = None if body is None else _masked_body(body, config.network, addresses=addresses)
    return Preview(
        conversion=conversion,
        level=level,
        reason=gate.reason_not_to_send(conversion, config, level=level, now=conversion.created_at, match=match),
        fields=_fields(known, allowed if level != Level.NONE else None, body, shown, config.network),
        body=shown,
        problem=problem,
        has_match_key=body is not None and config.kind.has_match_key(allowed),
    )


def _build(allowed: Facts, config: PostbackConfig, level: Level) -> tuple[dict[str, Any] | None, str]:
    if level == Level.NONE:
        return None, "The player did not consent: nothing is sent."
    try:
        return fields.body_of(config.kind, allowed, pixel_id=config.pixel_id), ""
    except conversion_facts.BAD_DATA as error:
        return None, f"This event cannot be turned into a {config.kind.label} event ({type(error).__name__})."


def _fields(
    known: Facts, allowed: Facts | None, body: dict[str, Any] | None, shown: dict[str, Any] | None, network: str
) -> list[PreviewField]:
    there, visible = fields.values_of(body or {}), fields.values_of(shown or {})
    found = []
    for fact, places in fields.fields_by_fact(network).items():
        # The event name has a field per kind of event; only one of them is filled.
        filled = [place for place in places if place.path in there]
        filling = _fill_state(filled, getattr(known, fact), getattr(allowed, fact, None))
        paths = [place.path for place in filled or places]
        value = ", ".join(str(value) for path in paths for value in visible.get(path, []))
        found.append(PreviewField(what=fields.LABELS[fact], paths=paths, filling=filling, value=value))
    return found


def _fill_state(filled: Sequence[fields.BodyField], known: Any, allowed: Any) -> FillState:
    if filled:
        return FillState.HASHED if any(place.is_hashed for place in filled) else FillState.FILLED
    if known in EMPTY:
        return FillState.MISSING
    return FillState.WITHHELD if allowed in EMPTY else FillState.UNUSABLE


def _masked_body(body: dict[str, Any], network: str, *, addresses: bool) -> dict[str, Any]:
    """Return the body as this reader may see it."""
    if addresses:
        return body
    places = fields.fields_by_fact(network)
    personal = {place.path for fact in PERSONAL for place in places.get(fact, [])}
    pages = {place.path for fact in ADDRESSES for place in places.get(fact, [])}

    def mask(value: Any, path: str) -> Any:
        if isinstance(value, dict):
            return {name: mask(inner, f"{path}.{name}" if path else name) for name, inner in value.items()}
        if isinstance(value, list):
            return [mask(inner, f"{path}[]") for inner in value]
        if path in personal:
            return shortened(value)
        return _without_query(value) if path in pages else masked(value, addresses=False)

    return {name: mask(inner, name) for name, inner in body.items()}


def _without_query(url: str) -> str:
    """Remove the query of a page's URL, which may hold click ids and addresses."""
    parts = urlsplit(url)
    query = ELLIPSIS if parts.query else ""
    return str(masked(urlunsplit((parts.scheme, parts.netloc, parts.path, query, "")), addresses=False))
