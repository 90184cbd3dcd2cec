"""Creates CredentialChecks, enqueues the task that runs them, and makes their targets."""

import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import structlog
from celery import current_app
from django.conf import settings
from django.db import transaction
from kombu.exceptions import OperationalError

from audience.database.encryption import encrypt
from postbacks.models import CheckState, CredentialCheck, PostbackConfig, Purpose
from postbacks.networks import NETWORKS
from postbacks.networks.interface.call import Target
from postbacks.outbox.goals import object_ids

logger = structlog.get_logger(__name__)

CHECK_TASK = "postbacks.tasks.check_credentials"
MAX_PENDING = timedelta(minutes=5)
STAYS_ON_HOLD = "A user put the postback on hold, so it stays on hold until a user releases it."
# Purpose -> the end of the message of a check that has no result: the consequence.
NO_RESULT_TEXTS: dict[str, str] = {
    Purpose.SAVE: "nothing was saved. Try again in a minute.",
    Purpose.SUSPICION: "nothing is sent until the credential is checked. The next check is within a minute.",
    Purpose.DAILY: "sending continues. The next check is within a day.",
    Purpose.RELEASE: "conversions on hold stay on hold. Try again in a minute.",
    Purpose.TEST: "the test conversion may not have arrived. Try again in a minute.",
}


def enqueue(check: CredentialCheck, *, test_code: str = "") -> None:
    """Enqueue the check after the commit. If the broker is unavailable, the upkeep finds the row."""
    encrypted = encrypt(test_code) if test_code else ""
    transaction.on_commit(lambda: _send(check.pk, encrypted))


def create(
    *,
    config: PostbackConfig,
    purpose: Purpose,
    requested_by: Any = None,
    trigger: str = "",
    test_code: str = "",
) -> CredentialCheck:
    """Check the stored settings of a config. With a test code, an event of `trigger` is sent to the test view."""
    check = CredentialCheck.objects.create(
        game_id=config.game_id,
        network=config.network,
        purpose=purpose,
        config=config,
        config_version=config.version,
        pixel_id=config.pixel_id,
        # Blank parts if no key decrypts it: the worker then closes the check as unreadable.
        credential=dict(config.credential) or {part.name: "" for part in config.kind.credential_fields},
        triggers=[trigger] if trigger else list(config.triggers),
        goals=list(config.goals),
        enabled=config.enabled,
        has_test_code=bool(test_code),
        requested_by=requested_by,
    )
    enqueue(check, test_code=test_code)
    return check


def with_hold(check: CredentialCheck, state: CheckState) -> str:
    """Return the message of an accepted check; if a user put its postback on hold, that it stays on hold."""
    is_kept = state == CheckState.PASSED and check.config is not None and check.config.is_held_by_user
    return f"{check.message} {STAYS_ON_HOLD}".strip() if is_kept and check.purpose == Purpose.RELEASE else check.message


def target_of(check: CredentialCheck, credential: Mapping[str, str], test_code: str, *, is_test: bool) -> Target:
    """The destination of the check's event, with the objects of its goals."""
    network = NETWORKS[check.network]
    return network.target(
        pixel_id=check.pixel_id,
        credential=credential,
        base_url=settings.NETWORK_URLS[network.kind],
        token_url=settings.NETWORK_TOKEN_URLS.get(network.kind, ""),
        test_code=test_code or None,
        is_test=is_test,
        object_ids=object_ids(check.goals),
    )


def _send(check_id: uuid.UUID, encrypted_test_code: str) -> None:
    lifetime = MAX_PENDING.total_seconds()
    try:
        current_app.send_task(CHECK_TASK, args=[str(check_id), encrypted_test_code], retry=False, expires=lifetime)
    except (OperationalError, OSError) as error:
        logger.warning("broker_unavailable", task=CHECK_TASK, check_id=str(check_id), error=type(error).__name__)
