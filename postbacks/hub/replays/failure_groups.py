"""The failed deliveries of postbacks by reason: what the network answered last, how many, and what to do."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from audience.database import clock
from postbacks.models import Confirmation, PostbackConfig
from postbacks.monitoring.health import advice
from postbacks.networks.interface.call import Verdict

SHOWN_PERIOD = timedelta(days=7)
# The newest failures that are grouped, since each is joined to its last attempt.
MAX_FAILURES = 1_000
MAX_GROUPS = 10
GROUPS = """
SELECT config_id, verdict, is_unmatched, coalesce(last.provider_code, ''), count(*), min(finished_at), max(finished_at),
  (array_agg(last.message ORDER BY finished_at DESC))[1]
FROM (
  SELECT id, config_id, verdict, finished_at, confirmation = %(unmatched)s AS is_unmatched FROM postbacks_delivery
  WHERE config_id = ANY(%(configs)s) AND state = 'failed' AND finished_at >= %(since)s AND conversion_id IS NOT NULL
  ORDER BY finished_at DESC LIMIT %(limit)s
) AS failed
LEFT JOIN LATERAL (
  SELECT provider_code, message FROM postbacks_deliveryattempt AS attempt WHERE attempt.delivery_id = failed.id
  ORDER BY number DESC LIMIT 1
) AS last ON true
GROUP BY 1, 2, 3, 4 ORDER BY max(finished_at) DESC LIMIT %(groups)s
"""
UNMATCHED = "unmatched"
TITLES = {
    Verdict.CREDENTIAL.value: "Credential refused",
    Verdict.TRANSIENT.value: "Network not reached",
    Verdict.PAYLOAD.value: "Event refused",
    UNMATCHED: "Click not known to the network",
    "": "No answer",
}
# `{label}` is the network, `{token}` its credential.
STEPS = {
    Verdict.CREDENTIAL.value: "Rotate the {token} under Edit, then send these again.",
    Verdict.TRANSIENT.value: "Nothing to fix. Send these again when {label} is available.",
    Verdict.PAYLOAD.value: "Fix the problems that {label} names in the events of your game, then send these again.",
    UNMATCHED: "Sending again does not help. Check that the click IDs are those of this ad account.",
    "": "They may have arrived. Check the report of {label} before you send them again.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """The failures of a postback with one verdict and one code of the network. `message`: its newest answer without
    personal data."""

    config: PostbackConfig
    verdict: str
    reason: str
    count: int
    first_at: datetime
    last_at: datetime
    message: str

    @property
    def title(self) -> str:
        return TITLES[self.reason]

    @property
    def next_step(self) -> str:
        kind = self.config.kind
        return STEPS[self.reason].format(label=kind.label, token=kind.credential_label.lower())


def groups_of(configs: Sequence[PostbackConfig]) -> list[FailureGroup]:
    """Return the groups of failures of SHOWN_PERIOD, those with the newest failure first; in one query."""
    by_id = {config.pk: config for config in configs}
    return [_group(by_id[config], *rest) for config, *rest in _fetch(list(by_id))] if by_id else []


def _group(
    config: PostbackConfig, verdict: str, is_unmatched: bool, code: str, count: int, first: datetime, *newest: Any
) -> FailureGroup:
    last, message = newest
    return FailureGroup(
        config=config,
        verdict=verdict,
        reason=UNMATCHED if is_unmatched else verdict if verdict in TITLES else "",
        count=count,
        first_at=first,
        last_at=last,
        message=advice.without_personal_data(message or "", keep=config.pixel_id),
    )


def _fetch(configs: list[uuid.UUID]) -> list[Any]:
    params: dict[str, Any] = {"configs": configs, "since": clock.now() - SHOWN_PERIOD, "limit": MAX_FAILURES}
    params |= {"unmatched": Confirmation.UNMATCHED.value, "groups": MAX_GROUPS}
    with connection.cursor() as cursor:
        cursor.execute(GROUPS, params)
        return list(cursor.fetchall())
