"""Previews what a network would receive about a past conversion, built by the function that sending uses."""

import uuid
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from django.db.models import QuerySet, TextChoices

from audience.hub.toolkit.masking import ELLIPSIS, masked, shortened
from audience.models import Conversion, Game, Reason, ValueProblem
from audience.wording.articles import with_article
from consent.models import Level
from postbacks.models import PostbackConfig
from postbacks.networks.interface.entered_requests import Layout
from postbacks.networks.interface.facts import Facts, Hashes
from postbacks.outbox import consent_levels, conversion_facts, gate
from postbacks.outbox.goals import Goal, Match, match_goal
from postbacks.preview import fields

SCAN_LIMIT = 5000  # newest conversions, searched for those of a network
MAX_CHOICES = 10
# Facts that identify a player; viewers see only their beginnings.
PERSONAL = (
    *("click_id", "cookies", "email", "phone", "more_emails", "more_phones", "hashes", "name", "address"),
    *("external_id", "ip", "user_agent", "advertising_id", "order_id"),
)
URLS = ("page_url", "referrer")
# Facts that most events have no need to state: the page lists them only if they are known. Hashes, and further emails
# and phone numbers, fill the fields of the first one, so that a row without them would show those twice.
STATEMENTS = (
    *("consent", "data_use", "hashes", "more_emails", "more_phones", "name", "address", "advertising_id", "screen"),
)
EMPTY: tuple[object, ...] = (None, "", (), {}, Hashes())


class FillState(TextChoices):
    FILLED = "filled", "Filled"
    HASHED = "hashed", "Hashed"
    WITHHELD = "withheld", "Withheld: no consent of the player"
    UNUSABLE = "unusable", "Present, but not in a valid format"
    MISSING = "missing", "Missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewField:
    """A fact: its label, the paths of its fields in the body, and their values."""

    label: str
    paths: list[str]
    state: FillState
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """`body` is None if it cannot be built or consent allows nothing, which `problem` explains.

    `reason` is why the conversion would not be sent although the body can be built.
    """

    conversion: Conversion
    level: Level
    reason: Reason | None
    fields: list[PreviewField]
    body: dict[str, Any] | None
    problem: str
    has_match_key: bool


def recent_conversions(game: Game, network: str, configs: Sequence[PostbackConfig] = ()) -> list[Conversion]:
    """Return conversions to choose from: the newest whose click is the network's or for one of its `configs`, else the
    newest of all."""
    takers = configs or [PostbackConfig(network=network)]
    real = _conversions(game).filter(test=False).order_by("-event_at", "-pk")
    newest = list(real.values_list("pk", "touch__network", "touch__parameter")[:SCAN_LIMIT])
    attributed = [pk for pk, kind, name in newest if kind and any(taker.takes(kind, name) for taker in takers)]
    ids = attributed or [pk for pk, *_ in newest]
    return list(real.filter(pk__in=ids[:MAX_CHOICES]))


def chosen_conversion(game: Game, pk: str, choices: Sequence[Conversion]) -> Conversion | None:
    """Return the conversion with this id, else the first of `choices`, else None."""
    try:
        requested = _conversions(game).filter(pk=uuid.UUID(pk)).first()
    except ValueError:
        requested = None
    return requested or next(iter(choices), None)


def _conversions(game: Game) -> QuerySet[Conversion]:
    return Conversion.objects.filter(game=game).exclude(reason=Reason.ERASED).select_related("game", "touch", "person")


def build_preview(conversion: Conversion, config: PostbackConfig, *, addresses: bool) -> Preview:
    """Return what `config` would send about `conversion` with the consent in force now.

    The conversion's age at its arrival counts, so that old ones can be previewed too. Personal values are shortened
    unless `addresses`.
    """
    level = consent_levels.levels([conversion])[conversion.pk]
    match = match_goal(config, conversion)
    goal = match if isinstance(match, Goal) else Goal("")
    event_id = gate.event_id(conversion, config)
    parameters: dict[str, Any] = {"event_id": event_id, "sent_as": goal.sent_as, "object_id": goal.object_id}
    known = conversion_facts.read_facts(conversion, level=Level.FULL, **parameters)
    allowed = conversion_facts.read_facts(conversion, level=level, **parameters)
    body, problem = _build(allowed, config, level, match)
    by_fact = fields.fields_by_fact(config.network, _layout(config))
    shown = None if body is None else _masked_body(body, by_fact, addresses=addresses)
    visible_facts = allowed if level != Level.NONE else None
    return Preview(
        conversion=conversion,
        level=level,
        reason=gate.reason_not_to_send(conversion, config, level=level, now=conversion.created_at, match=match),
        fields=_fields(known, visible_facts, body, shown, by_fact, unreadable=_unreadable(conversion)),
        body=shown,
        problem=problem,
        has_match_key=body is not None and config.kind.has_match_key(allowed),
    )


def _build(allowed: Facts, config: PostbackConfig, level: Level, match: Match) -> tuple[dict[str, Any] | None, str]:
    if level == Level.NONE:
        return None, "The player did not consent, so nothing is sent."
    if config.kind.object_id and not allowed.object_id:
        return None, f"{match.label if isinstance(match, Reason) else Reason.NOT_MAPPED.label}."
    try:
        return fields.body_of(config.kind, allowed, pixel_id=config.pixel_id, parts=_shown_parts(config)), ""
    except conversion_facts.BAD_DATA as error:
        return (
            None,
            f"This event cannot be converted to {with_article(config.kind.label)} event ({type(error).__name__}).",
        )


def _shown_parts(config: PostbackConfig) -> dict[str, str]:
    """The parts of the credential that decide what is in a body. Decrypted only if the network has such."""
    plain = [part.name for part in config.kind.credential_fields if part.kind == "plain"]
    return {name: config.credential.get(name, "") for name in plain} if plain else {}


def _layout(config: PostbackConfig) -> Layout:
    # Decrypted only where it says which fields there are.
    return config.kind.layout(config.credential) if config.kind.has_templates and config.credential else ()


def _unreadable(conversion: Conversion) -> set[str]:
    """Return the facts that the event states and that are read as none."""
    facts = {"value"} if conversion.value_problem else set()
    return facts | ({"currency"} if conversion.value_problem == ValueProblem.UNKNOWN_CURRENCY else set())


def _fields(
    known: Facts,
    allowed: Facts | None,
    body: dict[str, Any] | None,
    shown: dict[str, Any] | None,
    by_fact: Mapping[str, Sequence[fields.BodyField]],
    *,
    unreadable: Container[str],
) -> list[PreviewField]:
    present, visible = fields.values_of(body or {}), fields.values_of(shown or {})
    rows = []
    for fact, body_fields in by_fact.items():
        if fact in STATEMENTS and getattr(known, fact) in EMPTY:
            continue
        # The event name has a field per kind of event; only one of them is filled.
        filled = [field for field in body_fields if field.path in present]
        state = _fill_state(filled, getattr(known, fact), getattr(allowed, fact, None))
        state = FillState.UNUSABLE if fact in unreadable else state
        paths = [field.path for field in filled or body_fields]
        value = ", ".join(str(value) for path in paths for value in visible.get(path, []))
        rows.append(PreviewField(label=fields.LABELS[fact], paths=paths, state=state, value=value))
    return rows


def _fill_state(filled: Sequence[fields.BodyField], known: Any, allowed: Any) -> FillState:
    if filled:
        return FillState.HASHED if any(field.is_hashed for field in filled) else FillState.FILLED
    if known in EMPTY:
        return FillState.MISSING
    return FillState.WITHHELD if allowed in EMPTY else FillState.UNUSABLE


def _masked_body(
    body: dict[str, Any], by_fact: Mapping[str, Sequence[fields.BodyField]], *, addresses: bool
) -> dict[str, Any]:
    """Return the body with personal values shortened unless `addresses`."""
    if addresses:
        return body
    personal = {field.path for fact in PERSONAL for field in by_fact.get(fact, [])}
    urls = {field.path for fact in URLS for field in by_fact.get(fact, [])}

    def mask(value: Any, path: str) -> Any:
        if isinstance(value, dict):
            return {name: mask(inner, f"{path}.{name}" if path else name) for name, inner in value.items()}
        if isinstance(value, list):
            return [mask(inner, f"{path}[]") for inner in value]
        path = path.removesuffix("[]")
        if path in personal:
            return shortened(value)
        return _without_query(value) if path in urls else masked(value, addresses=False)

    return {name: mask(inner, name) for name, inner in body.items()}


def _without_query(url: str) -> str:
    """Return a URL without its query, which may contain click ids and email addresses."""
    parts = urlsplit(url)
    query = ELLIPSIS if parts.query else ""
    return str(masked(urlunsplit((parts.scheme, parts.netloc, parts.path, query, "")), addresses=False))
