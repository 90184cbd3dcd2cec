"""Reads the settings that a program sends for a postback, with the rules of the form and an error for each value."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from audience.models import Game
from audience.wording import time_zones
from postbacks.configs import goal_copies, rules
from postbacks.configs.credential_parts import read_part
from postbacks.configs.proposed_settings import ProposedSettings
from postbacks.configs.rules import SettingsRefused
from postbacks.models import GameGoal, PostbackConfig
from postbacks.networks.interface.network import Network
from postbacks.outbox.conditions import GoalRefused
from postbacks.outbox.goals import MAX_GOALS, Goal

# Values that only saving needs: a preview and a dry run take settings without them.
SAVED_ONLY = ("pixel_id", "credential", "test_code")
REQUIRED = "This field is required."
OF_GAME = (
    "The goal of the game has another definition. Leave out the event, the condition and the other values of this "
    "goal, or change the goal of the game itself."
)


class SettingsInvalid(Exception):
    """What is wrong with entered settings: {path of a value, such as `goals.0.event`: a sentence}."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__(" ".join(errors.values()))
        self.errors = errors


@dataclass(frozen=True, slots=True, kw_only=True)
class EnteredSettings:
    """Entered values; None for one that is not stated. `goals` have the keys of Goal.as_json, or some of them."""

    pixel_id: str | None = None
    triggers: Sequence[str] | None = None
    goals: Sequence[Mapping[str, Any]] | None = None
    enabled: bool | None = None
    time_zone: str | None = None
    credential: Mapping[str, str] = field(default_factory=dict, repr=False)
    test_code: str = field(default="", repr=False)


def propose(
    *,
    game: Game,
    network: Network,
    entered: EnteredSettings,
    config: PostbackConfig | None = None,
    is_saved: bool = True,
) -> ProposedSettings:
    """Return the settings with the entered values, and the others as `config` has them. Raises SettingsInvalid.

    Unless `is_saved`, values that only saving needs may be missing or invalid, as for a preview.
    """
    reading = _Reading(game=game, network=network, entered=entered, config=config)
    proposed, errors = reading.settings(), reading.errors
    if not is_saved:
        errors = {path: text for path, text in errors.items() if path.split(".")[0] not in SAVED_ONLY}
    if not errors:
        try:
            pixel = proposed.pixel_id if is_saved else ""
            rules.refuse_invalid(proposed.triggers, proposed.goals, network=network.kind, pixel_id=pixel)
        except SettingsRefused as refused:
            errors = {refused.field: str(refused)}
    if errors:
        raise SettingsInvalid(errors)
    return proposed


@dataclass(slots=True, kw_only=True)
class _Reading:
    """One reading of entered settings; `errors` are collected while the values are read."""

    game: Game
    network: Network
    entered: EnteredSettings
    config: PostbackConfig | None
    errors: dict[str, str] = field(default_factory=dict)

    def settings(self) -> ProposedSettings:
        entered, config = self.entered, self.config
        triggers = config.triggers if entered.triggers is None and config else entered.triggers or ()
        goals = config.goals if entered.goals is None and config else self._goals()
        enabled = config.enabled if entered.enabled is None and config else entered.enabled is not False
        return ProposedSettings(
            network=self.network.kind,
            pixel_id=self._pixel(),
            triggers=list(dict.fromkeys(triggers)),
            goals=goals,
            enabled=enabled,
            time_zone=self._time_zone(),
            credential=self._credential(),
            test_code=self._test_code(),
        )

    def _pixel(self) -> str:
        stated = self.entered.pixel_id
        if stated is None and self.config:
            return self.config.pixel_id
        try:
            return rules.read_pixel(self.network, (stated or "").strip())
        except SettingsRefused as refused:
            self.errors[refused.field] = REQUIRED if stated is None else str(refused)
            return (stated or "").strip()

    def _time_zone(self) -> str:
        stated = self.entered.time_zone
        if stated is None:
            return self.config.time_zone if self.config else time_zones.DEFAULT
        if time_zones.find_zone(stated) is None:
            self.errors["time_zone"] = "This is not a time zone. Use a name such as Europe/Berlin."
        return stated

    def _test_code(self) -> str:
        code = self.entered.test_code.strip()
        if code and not self.network.test_code_label:
            self.errors["test_code"] = f"{self.network.label} has no test codes."
        elif len(code) > rules.MAX_TEST_CODE:
            self.errors["test_code"] = f"A test code has at most {rules.MAX_TEST_CODE} characters."
        return code

    def _credential(self) -> dict[str, str]:
        """Return the entered parts. A blank part is left out, unless it removes a stored one that is not required."""
        parts = {part.name: part for part in self.network.credential_fields}
        read: dict[str, str] = {}
        for name, text in self.entered.credential.items():
            if name not in parts:
                self.errors[f"credential.{name}"] = f"There is no such part. The parts are: {', '.join(parts)}."
                continue
            try:
                value = read_part(parts[name], text)
            except SettingsRefused as refused:
                self.errors[refused.field] = str(refused)
                continue
            if value or (parts[name].kind == "plain" and not parts[name].required):
                read[name] = value
        missing = [name for name, part in parts.items() if part.required and not self.config and not read.get(name)]
        self.errors |= {f"credential.{name}": REQUIRED for name in missing if f"credential.{name}" not in self.errors}
        self.errors = {**self._refusals(read), **self.errors}
        return read

    def _refusals(self, read: Mapping[str, str]) -> dict[str, str]:
        """Return what is wrong with the parts, also together with those that are stored."""
        stored = self.config.credential if self.config and self.network.has_templates else {}
        known = {name: value for name, value in {**stored, **read}.items() if value}
        moved = rules.refused_moves(read, self.network, stored)
        found = {**rules.refusals(known, self.network), **moved}
        return {f"credential.{name}": sentence for name, sentence in found.items()}

    def _goals(self) -> list[dict[str, Any]]:
        raws = self.entered.goals or ()
        if len(raws) > MAX_GOALS:
            self.errors["goals"] = f"A postback has at most {MAX_GOALS} goals."
            return []
        keys = [raw["game_goal"] for raw in raws if raw.get("game_goal")]
        rows = {str(row.pk): row for row in GameGoal.objects.filter(game=self.game, pk__in=keys)} if keys else {}
        return [goal.as_json() for number, raw in enumerate(raws) for goal in self._goal(number, raw, rows)]

    def _goal(self, number: int, raw: Mapping[str, Any], rows: Mapping[str, GameGoal]) -> Iterator[Goal]:
        """Yield the goal of an entry; nothing if it is invalid."""
        try:
            yield rules.read_goal(_completed(raw, rows), network=self.network)
        except GoalRefused as refused:
            path = rules.goal_path(GoalRefused(str(refused), field=refused.field, row=number))
            self.errors[path] = str(refused)


def _completed(raw: Mapping[str, Any], rows: Mapping[str, GameGoal]) -> Mapping[str, Any]:
    """Return the entry; one of a goal of the game with its definition. GoalRefused if it states another one."""
    key = str(raw.get("game_goal") or "")
    if not key:
        return {**raw, "game_goal": ""}
    if key not in rows:
        raise GoalRefused("This goal does not exist in the game.", field="game_goal")
    names = {name: str(raw.get(name) or "") for name in ("sent_as", "object_id")}
    goal = goal_copies.copy_of(rows[key], **names).as_json()
    if Goal.from_json({**goal, **raw, "game_goal": key}).as_json() != goal:
        raise GoalRefused(OF_GAME, field="game_goal")
    return goal
