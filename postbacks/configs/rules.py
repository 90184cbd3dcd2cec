"""Validates settings before the network checks them, those of the form as well as those of the management API."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings

from audience.digest import named_parameters
from audience.models import Game, Trigger
from audience.wording.articles import with_article
from postbacks import http
from postbacks.models import PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.networks.interface.network import Network
from postbacks.outbox.conditions import GoalRefused
from postbacks.outbox.goals import Goal, object_ids, parse, refuse_name

NO_TRIGGER = "Select at least one trigger event."
DUPLICATE = "This game already has a postback for this pixel. Edit that postback."
UNREADABLE = "The stored credential cannot be read. Enter it again."
CHANGED = "The settings of this postback were changed by someone else, so nothing was saved. Open it and save again."
DELETED = "This postback was deleted by someone else, so nothing was saved."


MAX_PIXEL = 64
MAX_TEST_CODE = 128


class SettingsRefused(Exception):
    """Why settings cannot be applied, as a sentence for the form. `field` is the path of the value that causes it, such
    as `pixel_id`, `credential.token` or `goals.0.event`; '' if none does."""

    def __init__(self, sentence: str, *, field: str = "") -> None:
        super().__init__(sentence)
        self.field = field


class SettingsChanged(SettingsRefused):
    """The settings are no longer those that were read."""

    def __init__(self) -> None:
        super().__init__(CHANGED)


def read_pixel(network: Network, entered: str) -> str:
    """The pixel ID in the form that is stored. SettingsRefused if it is none of the network's."""
    pixel = network.read_pixel(entered)
    if len(pixel) > MAX_PIXEL or not re.fullmatch(network.pixel_pattern, pixel):
        name = f"{network.label} {network.pixel_label[0].lower()}{network.pixel_label[1:]}"
        sentence = f"This does not look like {with_article(name)}. {network.pixel_help}"
        raise SettingsRefused(sentence, field="pixel_id")
    return pixel


def read_goal(raw: Mapping[str, Any], *, network: Network) -> Goal:
    """The goal of such an entry of PostbackConfig.goals. GoalRefused if it is invalid, or if the network does not
    accept its name or object id."""
    goal = Goal.from_json(raw)
    refuse_name(goal, network=network)
    return goal


def refuse_invalid(
    triggers: Sequence[str], goals: Sequence[Mapping[str, Any]], *, network: str, pixel_id: str = ""
) -> None:
    """SettingsRefused unless there is a trigger or a goal, and all are valid for the network (a kind) and its pixel.

    `goals` as in PostbackConfig.
    """
    if not (triggers or goals) or not set(triggers) <= set(Trigger.values):
        raise SettingsRefused(NO_TRIGGER, field="triggers")
    object_id = NETWORKS[network].object_id
    if triggers and object_id and object_id.required:
        raise SettingsRefused(f"Enter the {object_id.label} of each trigger event.", field="triggers")
    if object_id and not object_id.required and not object_ids(goals):
        raise SettingsRefused(f"Enter the {object_id.label} of at least one event.", field="goals")
    try:
        for row, goal in enumerate(parse(goals)):
            refuse_name(goal, network=NETWORKS[network], row=row)
    except GoalRefused as refused:
        prefix = "" if refused.row is None else f"Goal {refused.row + 1}: "
        raise SettingsRefused(f"{prefix}{refused}", field=goal_path(refused)) from refused
    problems = (NETWORKS[network].object_id_problem(id_, pixel_id=pixel_id) for id_ in object_ids(goals))
    if pixel_id and (problem := next(filter(None, problems), "")):
        raise SettingsRefused(problem, field="goals")


def goal_path(refused: GoalRefused) -> str:
    """The path of a value of a goal, such as `goals.0.event` or `goals.0.condition.value`."""
    name = f"condition.{refused.field}" if refused.field in ("property", "op", "value") else refused.field
    return ".".join(filter(None, ("goals", "" if refused.row is None else str(refused.row), name)))


def refuse_duplicate(*, game: Game, network: str, pixel_id: str, exclude: PostbackConfig | None) -> None:
    """SettingsRefused if another postback of the game has this pixel."""
    same = PostbackConfig.objects.kept().filter(game=game, network=network, pixel_id=pixel_id)
    if exclude is not None:
        same = same.exclude(pk=exclude.pk)
    if same.exists():
        raise SettingsRefused(DUPLICATE, field="pixel_id")


def credential_to_check(
    entered: Mapping[str, str], *, network: str, config: PostbackConfig | None = None
) -> dict[str, str]:
    """The entered parts of a credential, the others as stored with `config`. SettingsRefused if one is missing."""
    for name, sentence in refused_moves(entered, NETWORKS[network], config.credential if config else {}).items():
        raise SettingsRefused(sentence, field=f"credential.{name}")
    merged = {**(config.credential if config else {}), **entered}
    credential = {name: value for name, value in merged.items() if value}
    if not NETWORKS[network].has_credential(credential):
        sentence = UNREADABLE if config and not any(entered.values()) else "Enter the credential."
        raise SettingsRefused(sentence, field="credential")
    for name, sentence in refusals(credential, NETWORKS[network]).items():
        raise SettingsRefused(sentence, field=f"credential.{name}")
    return credential


def refusals(credential: Mapping[str, str], network: Network) -> dict[str, str]:
    """Part of the credential -> what is wrong with it. The address of a URL that a user entered is checked too."""
    found = dict(network.refusals(credential))
    url = network.entered_url(credential)
    reason = http.refusal(url, private_hosts=settings.POSTBACK_PRIVATE_HOSTS) if url else ""
    if reason and "url" not in found:
        found["url"] = f"This address cannot be called: {reason}."
    taken = next(filter(named_parameters.is_read_otherwise, network.click_parameters_of(credential)), "")
    if taken and "click_parameters" not in found:
        found["click_parameters"] = f"{taken} is the name of a common property, not of a click ID. Choose another name."
    return found


def refused_moves(entered: Mapping[str, str], network: Network, stored: Mapping[str, str]) -> dict[str, str]:
    """Secret part -> why the stored one is not used: the entered URL has another host."""
    hosts = network.secrets_of_another_host(stored, entered)
    labels = {part.name: part.label.lower() for part in network.credential_fields}
    return {name: f"Enter the {labels[name]} again: the stored value is for {host}." for name, host in hosts.items()}


def new_parts(entered: Mapping[str, str], config: PostbackConfig) -> dict[str, str]:
    """The parts that were changed: secrets that are not blank, and plain parts that differ from the stored ones."""
    plain = {part.name for part in config.kind.credential_fields if part.kind == "plain"}
    shown = {name: config.credential.get(name, "") for name in plain}
    return {name: value for name, value in entered.items() if value != shown.get(name, "")}


def audit_text(credential: str) -> str:
    """What the audit log shows of a credential: whether there is one. `credential` is the text of its mapping."""
    return "none" if credential in ("", "{}", "SecretDict()", "None") else "•••• set"


def refuse_counted_test(network: Network, test_code: str) -> None:
    """SettingsRefused if the network would count a test conversion with this test code ('' without one)."""
    if not network.has_test_events:
        raise SettingsRefused(f"{network.label} has no test events, so the event would count.")
    if not network.has_test_endpoint and not test_code.strip():
        sentence = f"Enter the {network.test_code_label.lower()}: without it, the event would count."
        raise SettingsRefused(sentence, field="test_code")
