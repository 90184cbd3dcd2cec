"""Texts about health: quotations of networks without personal data, the reasons of skips, and next steps."""

import re
from collections.abc import Mapping
from datetime import datetime

from audience.hub.toolkit.masking import ELLIPSIS, without_addresses
from postbacks.monitoring.health.types import HealthCounts
from postbacks.networks.interface.call import Verdict
from postbacks.outbox import reasons
from postbacks.reporting.labels import asked_wait

MAX_QUOTED_LENGTH = 400
# Personal data that a network may repeat: IP addresses, and click ids, hashes and tokens, which are longer than a pixel
# id. Quotations are stored with alerts.
ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b|\b(?:[0-9a-fA-F]{1,4}:){3,7}[0-9a-fA-F]{0,4}\b")
OPAQUE = re.compile(r"(?=[\w.\-+/=%]*\d)[\w.\-+/=%]{24,}")
MAX_REASONS = 3

SUSPECTED = "Nothing to do yet. If the credential is refused again, conversions are put on hold until you rotate it."
RELEASE = "Release it to send them. A conversion whose deadline has passed by then is not sent."
BEHIND = (
    "Check that a worker and the beat are running. Sending then continues automatically, at the rate that the "
    "network allows."
)


def top_reasons(skipped: Mapping[str, int]) -> str:
    """Return the most frequent reasons: `35 had no ad click, 2 lacked the player's consent`."""
    top = sorted(skipped.items(), key=lambda item: (-item[1], item[0]))[:MAX_REASONS]
    return ", ".join(f"{number:,} {reasons.TEXTS[reason].clause}" for reason, number in top)


def quote(counts: HealthCounts, message: str) -> str:
    """Return `TikTok Ads responded: “...”.`, or '' if the network sent no text."""
    quoted = without_personal_data(message, keep=counts.pixel_id).rstrip(" .")
    return f"{counts.kind.label} responded: “{quoted}”." if quoted else ""


def without_personal_data(message: str, *, keep: str = "") -> str:
    """Return one line without email and IP addresses, phone numbers and long opaque strings except `keep`."""
    line = without_addresses(ADDRESS.sub(ELLIPSIS, " ".join(message.split())))
    line = OPAQUE.sub(lambda match: match[0] if keep and keep in match[0] else f"{match[0][:6]}{ELLIPSIS}", line)
    return line if len(line) <= MAX_QUOTED_LENGTH else line[: MAX_QUOTED_LENGTH - 1] + ELLIPSIS


def credential_step(counts: HealthCounts, held_for: str) -> str:
    """Return what to do about a credential; `held_for` is "token", "pixel" or ''."""
    token = counts.kind.credential_label.lower()
    rotate = f"Rotate the {token}: choose Edit, then Rotate credentials."
    if held_for == "pixel":
        pixel = f"{counts.kind.pixel_label[0].lower()}{counts.kind.pixel_label[1:]}"
        rotate = f"Give the {token} access to {pixel} {counts.pixel_id}. Otherwise, r{rotate[1:]}"
    return f"{rotate} Conversions on hold are sent after it is accepted." if counts.held else rotate


def limit_step(counts: HealthCounts, paused_until: datetime | None) -> str:
    """Return what to do while the network limits the calls; `paused_until` is the end of a pause."""
    label = counts.kind.label
    if paused_until is None:
        return f"Nothing to do. Sending continues at the rate that {label} allows, and nothing is lost."
    step = "Nothing to do. Sending then continues automatically, and nothing is lost. “Try now” makes one call earlier."
    if counts.asked_until is None:
        return step
    asked = asked_wait(label, asked_until=counts.asked_until, until=paused_until, now=counts.now)
    return f"{asked} {step}"


def outage_step(counts: HealthCounts) -> str:
    return (
        "Nothing to do. Failed calls are retried automatically. If this continues, check the status page of "
        f"{counts.kind.label}."
    )


def failure_step(counts: HealthCounts) -> str:
    if counts.failed_by.get(Verdict.PAYLOAD, 0):
        return (
            "Open the failed attempts in the delivery log, fix the problems that the network names, and send them "
            "again."
        )
    return "Open the failed attempts in the delivery log, and send again those that are not too old."


def unsent_step(counts: HealthCounts, reason: str) -> str:
    """Return what to check if `reason` is why most conversions are not sent."""
    return reasons.next_step(reason, counts.kind.kind)
