"""Why a network shows fewer conversions than Afterclick: each finding as a sentence, with what to do."""

from collections.abc import Mapping
from dataclasses import dataclass

from audience.models import Reason, ValueProblem, trigger_label
from postbacks.networks.interface.network import Network
from postbacks.outbox import reasons
from postbacks.reporting.comparison import UNDECIDED
from postbacks.reporting.labels import UNKNOWN_REMEDY

# Findings about conversions that the network did accept, or that are not among the eligible ones yet.
NOT_MISSING = ("unconfirmed", *ValueProblem.values, UNDECIDED)
VALUE_STEP = "Send the amount as a number from 0 up, with its currency as ISO 4217 letters, such as 9.99 and USD."
# {label}: the network. Each follows a number.
TEXTS = {
    "refused": ("refused by {label}", "Open one of them to see the response of {label}."),
    "expired": (
        "not accepted in time: {label} could not be reached, or they were too old for it",
        "Send them again under Failed deliveries before their deadline.",
    ),
    "held": (
        "on hold: {label} refused the credential, or a user put the postback on hold",
        "Rotate the credential or release the postback under Integrations. They are sent after that.",
    ),
    "waiting": ("waiting to be sent", "Nothing to do. They are sent automatically."),
    "unknown": ("stopped after a call without an answer, so they may have arrived", UNKNOWN_REMEDY),
    "canceled": ("canceled: their players were erased", "Nothing to do. The data of their players was erased."),
    "unconfirmed": (
        "accepted, but not confirmed by {label} yet",
        "Nothing to do. {label} reports later what it counted.",
    ),
    UNDECIDED: ("being processed, so not eligible yet", "Reload this page in a moment."),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """`events` are [(event, label, number), ...]; `key` is that of the list of the rows."""

    key: str
    count: int
    text: str
    next_step: str
    events: list[tuple[str, str, int]]

    @property
    def is_missing(self) -> bool:
        """Whether these are eligible conversions that the network did not accept."""
        return self.key not in NOT_MISSING


def findings(found: Mapping[str, Mapping[str, int]], network: Network) -> list[Finding]:
    """Return the findings of a comparison: first what the network does not show."""
    rows = [_finding(key, by_event, network) for key, by_event in found.items()]
    return sorted(rows, key=lambda finding: not finding.is_missing)


def _finding(key: str, by_event: Mapping[str, int], network: Network) -> Finding:
    text, next_step = _texts(key, network)
    events = [(event, trigger_label(event), number) for event, number in sorted(by_event.items())]
    return Finding(key, sum(by_event.values()), text, next_step, events)


def _texts(key: str, network: Network) -> tuple[str, str]:
    if key in Reason.values:
        return f"not sent: {_lowered(reasons.TEXTS[key].short)}", reasons.next_step(key, network.kind)
    if key in ValueProblem.values:
        return f"sent without value: {ValueProblem(key).label}", VALUE_STEP
    text, next_step = TEXTS[key]
    return text.format(label=network.label), next_step.format(label=network.label)


def _lowered(text: str) -> str:
    return f"{text[0].lower()}{text[1:]}"
