"""Asking the network before settings are saved: the CredentialCheck, from the form to the config it becomes.

A credential is one string, kept as {"token": "..."}. On a check it lies encrypted until a worker takes it out; whoever
takes it out runs the check, so a task delivered twice asks once. The test code is in no table: it travels sealed in
the task's argument (postbacks.fields.seal), and a check whose task was lost runs without one, as the harmless event.
"""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import structlog
from auditlog.context import set_actor
from celery import current_app
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from audience.models import Game
from postbacks import http
from postbacks.fields import seal, unseal
from postbacks.models import CheckState, CredentialCheck, PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.networks.base import Outcome, Response, Target, Verdict
from postbacks.setup import rules

logger = structlog.get_logger(__name__)

CHECK_TASK = "postbacks.tasks.check_credentials"
LOST_AFTER = timedelta(seconds=15)  # the task of a check still untouched by then is taken for lost
GIVE_UP_AFTER = timedelta(minutes=5)
SWEPT_AT_ONCE = 20
COULD_NOT_VERIFY = "We could not verify this in time: nothing was saved, try again in a minute."


@transaction.atomic
def request_check(
    *,
    game: Game,
    network: str,
    pixel_id: str,
    credential: str,
    triggers: Sequence[str],
    enabled: bool,
    requested_by: Any,
    config: PostbackConfig | None = None,
    test_code: str = "",
) -> CredentialCheck:
    """Have the network asked about these settings; the check's `state` and `message` become the answer.

    `config` is the one being changed; then a blank `credential` means the stored one. `requested_by` is a user or
    None. SettingsRefused before asking when the answer is known here; KeyError for a network that
    is none of NETWORKS. Never waits long for the broker: when it is away, `sweep_checks` finds the check.
    """
    pixel_id = pixel_id.strip()
    rules.refuse_bad(triggers)
    rules.refuse_duplicate(game=game, network=network, pixel_id=pixel_id, besides=config)
    check = CredentialCheck.objects.create(
        game=game,
        network=NETWORKS[network].kind,
        config=config,
        pixel_id=pixel_id,
        credential={"token": rules.token_to_check(credential, config)},
        triggers=list(triggers),
        enabled=enabled,
        requested_by=requested_by,
    )
    sealed = seal(test_code) if test_code else ""
    transaction.on_commit(lambda: _enqueue(check.pk, sealed))
    return check


def _enqueue(check_id: uuid.UUID, sealed_test_code: str) -> None:
    lifetime = GIVE_UP_AFTER.total_seconds()
    try:
        current_app.send_task(CHECK_TASK, args=[str(check_id), sealed_test_code], retry=False, expires=lifetime)
    except (OperationalError, OSError) as error:
        logger.warning("broker_away", task=CHECK_TASK, check_id=str(check_id), error=type(error).__name__)


def run_check(*, check_id: str, sealed_test_code: str = "") -> None:
    """Send the synthetic event, write down the answer and, when the network accepts it, apply the settings.

    Does nothing when another worker has the check or it is over. With a test code the event goes to the network's
    test view; without one it is an event that nobody optimises on.
    """
    taken = _take(check_id)
    if taken is None:
        return
    check, token = taken
    network, test_code = NETWORKS[check.network], _opened(sealed_test_code)
    target = Target(
        pixel_id=check.pixel_id,
        credential=token,
        base_url=settings.NETWORK_URLS[network.url_setting],
        test_code=test_code or None,
    )
    response = http.post(network.check(target, event_id=str(check.pk), now=timezone.now()))
    outcome = network.classify(response)
    check.message = rules.masked(network.explain(outcome, check.pixel_id), token, test_code)
    check.provider_code = rules.masked(outcome.code or "", token, test_code)[:64]
    _finish(check, _state(check, outcome), response, token)


@transaction.atomic
def _take(check_id: str) -> tuple[CredentialCheck, str] | None:
    """The pending check and its token, which leaves the database here. None when someone else has taken it."""
    untaken = CredentialCheck.objects.pending().exclude(credential="").filter(pk=check_id)
    check = untaken.select_for_update(skip_locked=True).first()
    if check is None:
        return None
    token = check.credential.get("token")
    check.credential = {}
    if not token:
        logger.error("credential_unreadable", check_id=check_id)
        check.state, check.message, check.finished_at = CheckState.UNVERIFIED, rules.UNREADABLE, timezone.now()
    check.save(update_fields=["credential", "state", "message", "finished_at"])
    return (check, token) if token else None


def _opened(sealed_test_code: str) -> str:
    try:
        return str(unseal(sealed_test_code)) if sealed_test_code else ""
    except ValidationError:
        logger.warning("test_code_unreadable")
        return ""


def _state(check: CredentialCheck, outcome: Outcome) -> CheckState:
    if NETWORKS[check.network].passed(outcome):
        return CheckState.PASSED
    refused = outcome.verdict in (Verdict.CREDENTIAL, Verdict.PAYLOAD)
    return CheckState.REFUSED if refused else CheckState.UNVERIFIED


@transaction.atomic
def _finish(check: CredentialCheck, state: CheckState, response: Response, token: str) -> None:
    if not CredentialCheck.objects.pending().select_for_update().filter(pk=check.pk).exists():
        return  # given up on by the sweep: the form has said "nothing was saved"
    if state == CheckState.PASSED:
        try:
            # A savepoint: a duplicate must leave the transaction usable for the answer.
            with transaction.atomic(), set_actor(check.requested_by):
                _apply(check, token)
        except IntegrityError:
            state, check.message = CheckState.REFUSED, rules.DUPLICATE
        except rules.SettingsRefused as refused:
            state, check.message = CheckState.REFUSED, str(refused)
    check.state, check.http_status, check.finished_at = state, response.status, timezone.now()
    check.save(update_fields=["state", "http_status", "provider_code", "message", "finished_at"])
    logger.info("credential_checked", check_id=str(check.pk), network=check.network, state=str(state))


def _apply(check: CredentialCheck, token: str) -> None:
    """Create or update the config that the check proposes. SettingsRefused when it was deleted in the meantime."""
    now = timezone.now()
    if check.config_id is None:
        PostbackConfig.objects.create(
            game=check.game,
            network=check.network,
            pixel_id=check.pixel_id,
            credential={"token": token},
            triggers=check.triggers,
            enabled=check.enabled,
            validated_at=now,
            created_by=check.requested_by,
        )
        return
    config = PostbackConfig.objects.kept().select_for_update(no_key=True).filter(pk=check.config_id).first()
    if config is None:
        raise rules.SettingsRefused(rules.DELETED)
    if config.credential.get("token") != token:
        config.credential = {"token": token}
    config.pixel_id, config.triggers, config.enabled = check.pixel_id, check.triggers, check.enabled
    config.version, config.validated_at = config.version + 1, now
    config.save()


def sweep_checks() -> None:
    """Run the checks whose task was lost, without their test code, and give up on those older than five minutes."""
    now = timezone.now()
    pending = CredentialCheck.objects.pending()
    pending.filter(created_at__lt=now - GIVE_UP_AFTER).update(
        state=CheckState.UNVERIFIED, credential={}, message=COULD_NOT_VERIFY, finished_at=now
    )
    lost = pending.filter(created_at__lt=now - LOST_AFTER).exclude(credential="").order_by("created_at")
    for check_id in list(lost.values_list("pk", flat=True)[:SWEPT_AT_ONCE]):
        run_check(check_id=str(check_id))
