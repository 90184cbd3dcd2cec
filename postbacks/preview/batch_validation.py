"""Says what would become of a batch of events without storing it: the intake's answer, and what follows from it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from audience.catalog import checks, figures
from audience.catalog.checks import Check
from audience.catalog.figures import EventFigures
from audience.catalog.similar_names import NameForms
from audience.digest import clicks, conversions, named_parameters
from audience.intake import dry_run
from audience.intake.dry_run import CheckedMessage
from audience.models import ApiKey, Conversion, Dialect, Event, Game, Kind, Reason, ValueProblem
from audience.models.goals import conversion_event_names
from audience.models.keys import SENDER_KINDS
from postbacks.reporting.catalog import goal_uses
from postbacks.reporting.catalog.events import known_names, required_of
from postbacks.reporting.catalog.goal_uses import GoalUse

# With which earlier events an event is compared.
DAYS = 30
# No player is looked up.
NOBODY = UUID(int=0)
NO_POSTBACK = "No postback uses this goal."
OTHER_GOAL = "An earlier goal of this postback counts the event."


@dataclass(frozen=True, slots=True)
class GoalMatch:
    """Whether a goal would count the event, and why not: '' if it would."""

    use: GoalUse
    reason: str

    @property
    def counts(self) -> bool:
        return not self.reason


@dataclass(frozen=True, slots=True)
class ConversionPreview:
    """The conversion that the event would become, by its content only: no player, click or consent is looked up.

    `problem` says why the amount is neither summed nor sent, `reason` why the conversion is not sent; '' for none.
    `goals` are all goals of the event.
    """

    trigger: str
    value: Decimal | None
    currency: str
    problem: str
    order_id: str
    reason: str
    goals: Sequence[GoalMatch]


@dataclass(frozen=True, slots=True)
class ValidatedMessage:
    """`ignored` are sentences about parts of the message that are not used, `warnings` those of the event catalog.

    `click` is the ad network of the click that the message states, '' for none. `conversion` is None if the event would
    become none.
    """

    checked: CheckedMessage
    ignored: Sequence[str] = ()
    warnings: Sequence[Check] = ()
    click: str = ""
    conversion: ConversionPreview | None = None


@dataclass(frozen=True, slots=True)
class ValidatedBatch:
    """`status` and `answer` are the HTTP status and the body that the route would answer."""

    status: int
    answer: str
    messages: Sequence[ValidatedMessage]


def validate_batch(
    *,
    game: Game,
    body: bytes,
    key: ApiKey | None = None,
    dialect: Dialect | None = None,
    route: str = "",
    origin: str | None = None,
    address: str | None = None,
    received_at: datetime | None = None,
) -> ValidatedBatch:
    """Return what would become of the messages of a request with a key of the game, or with any key of a dialect.

    `route`, `origin` and `address` as in audience.intake.dry_run.check. Raises ValueError, with a sentence, unless
    either `key` or `dialect` is given, for a key that cannot send events, and for an unknown route.
    """
    sender = _sender(game, key, dialect)
    result = dry_run.check(key=sender, body=body, route=route, origin=origin, address=address, received_at=received_at)
    validation = _Validation(game, sender, [message.event for message in result.messages if message.event])
    return ValidatedBatch(result.status, result.answer, [validation.of(message) for message in result.messages])


def _sender(game: Game, key: ApiKey | None, dialect: Dialect | None) -> ApiKey:
    if key is None:
        if dialect is None:
            raise ValueError("Select a key or a format.")
        return ApiKey(game=game, dialect=dialect)
    if key.game_id != game.pk:
        raise ValueError("The key belongs to another game.")
    if dialect and dialect != key.dialect:
        raise ValueError(f"The key’s format is {key.get_dialect_display()}.")
    if not key.is_live:
        raise ValueError("The key was revoked or has expired.")
    if key.kind not in SENDER_KINDS and key.dialect != Dialect.PARCELVOY:
        raise ValueError("A secret key sends no events.")
    return key


class _Validation:
    """What is read once for all messages of a request."""

    def __init__(self, game: Game, key: ApiKey, events: Sequence[Event]) -> None:
        self.game, self.key = game, key
        self.uses, self.names = goal_uses.by_event(game), conversion_event_names(game=game)
        period = figures.last_days(DAYS)
        sent = figures.names(game=game, period=period)
        self.forms = NameForms(sent, known_names(game, self.uses))
        # A request may have thousands of invented names. Only those that were sent before are looked up.
        repeated = {figures.key_of(event) for event in events}.intersection(sent)
        self.earlier = figures.read_some(game=game, keys=repeated, period=period) if repeated else {}
        self.required, self.table = required_of(game), named_parameters.table_of(game)

    def of(self, checked: CheckedMessage) -> ValidatedMessage:
        event = checked.event
        if event is None:
            return ValidatedMessage(checked)
        servers = {event.key_id} if self.key.is_server else set()
        conversion = conversions.build(self.game, event, NOBODY, servers)
        becomes_one = event.kind == Kind.TRACK and event.name in self.names
        click, unfilled = clicks.read_event_with_unfilled(event, self.game, table=self.table)
        macros = (f"{name}={value} is a macro that the ad network did not replace." for name, value in unfilled.items())
        return ValidatedMessage(
            checked,
            [*checked.ignored, *macros],
            self._warnings(event, conversion if becomes_one else None),
            click.network if click else "",
            self._preview(conversion) if becomes_one else None,
        )

    def _warnings(self, event: Event, conversion: Conversion | None) -> list[Check]:
        found = figures.of_event(event)
        problem = conversions.amount_problem(conversion) if conversion else ""
        found.problems = {problem: 1} if problem else {}
        name = found.key.name
        return [
            *checks.of_event(found, self.required.get(name)),
            *checks.unlike(found, self.earlier.get(found.key, EventFigures(found.key))),
            *self.forms.checks(found.key),
        ]

    def _preview(self, conversion: Conversion) -> ConversionPreview:
        problem = ValueProblem(conversion.value_problem).label if conversion.value_problem else ""
        return ConversionPreview(
            trigger=conversion.trigger,
            value=conversion.value,
            currency=conversion.currency,
            problem=problem,
            order_id=conversion.order_id,
            reason=_reason_not_sent(conversion),
            goals=list(_matches(self.uses.get(conversion.trigger, []), conversion)),
        )


def _reason_not_sent(conversion: Conversion) -> str:
    # Whether a launch is the player's first is not known here.
    reason = "" if conversion.reason == Reason.REPEAT_LAUNCH else conversion.reason
    return Reason(reason or Reason.TEST_TRAFFIC).label if reason or conversion.test else ""


def _matches(uses: Sequence[GoalUse], conversion: Conversion) -> Iterator[GoalMatch]:
    counted: set[UUID] = set()
    for use in uses:
        reason = _reason(use, conversion)
        if not reason and use.config and use.config.pk in counted:
            reason = OTHER_GOAL
        elif not reason and use.config:
            counted.add(use.config.pk)
        yield GoalMatch(use, reason)


def _reason(use: GoalUse, conversion: Conversion) -> str:
    """Return why the goal does not count the event, by itself; '' if it does."""
    if use.config is None:
        return NO_POSTBACK
    if not use.config.enabled:
        return Reason.CONFIG_DISABLED.label
    if not use.goal.matches(conversion):
        return Reason.FILTERED.label
    return "" if use.goal.accepts(conversion) else Reason.NOT_FROM_SERVER.label
