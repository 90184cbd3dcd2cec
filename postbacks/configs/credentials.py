"""Checks credentials with the network: before settings are saved, on suspicion, daily, before a release, as a test.

A check stores its credential, encrypted, until a worker removes it to run the check, so that a task delivered twice
checks once. The test code is only in the task's argument, encrypted. If the task is lost, the upkeep runs the check,
unless it was requested with a test code, without which its event would be a live one.
"""

from typing import Any

import structlog
from auditlog.context import set_actor
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from audience.accounts import audit_log
from audience.database import clock
from audience.database.encryption import decrypt
from audience.models import Game, Trigger
from postbacks.configs import check_calls, click_parameters, credential_checks, hold, rules, versions
from postbacks.configs.proposed_settings import ProposedSettings
from postbacks.models import CheckState, CredentialCheck, PostbackConfig, Purpose
from postbacks.networks import NETWORKS
from postbacks.networks.interface.call import Outcome, Response, Verdict

logger = structlog.get_logger(__name__)

TEST_CODE_LOST = "The test code was lost and nothing was sent. Try again."


@transaction.atomic
def request_check(
    *,
    game: Game,
    proposed: ProposedSettings,
    requested_by: Any,
    config: PostbackConfig | None = None,
    is_whole: bool = False,
) -> CredentialCheck:
    """Create a check of these settings; its `state` and `message` become the result.

    `config` is the one being changed; with `is_whole` no part of its stored credential is used. `requested_by` is a
    user or None. Raises SettingsRefused for invalid settings and KeyError for an unknown network.
    """
    rules.refuse_invalid(proposed.triggers, proposed.goals, network=proposed.network, pixel_id=proposed.pixel_id)
    rules.refuse_duplicate(game=game, network=proposed.network, pixel_id=proposed.pixel_id, exclude=config)
    credential = rules.credential_to_check(
        proposed.credential, network=proposed.network, config=None if is_whole else config
    )
    if refusal := click_parameters.refusal(game, NETWORKS[proposed.network].click_parameters_of(credential)):
        raise rules.SettingsRefused(refusal)
    check = CredentialCheck.objects.create(
        game=game,
        network=NETWORKS[proposed.network].kind,
        config=config,
        config_version=config.version if config else None,
        pixel_id=proposed.pixel_id,
        credential=credential,
        triggers=list(proposed.triggers),
        goals=list(proposed.goals),
        enabled=proposed.enabled,
        time_zone=proposed.time_zone,
        has_test_code=bool(proposed.test_code),
        requested_by=requested_by,
        requested_as=audit_log.stated_actor(),
    )
    credential_checks.enqueue(check, test_code=proposed.test_code)
    return check


def request_test(*, config: PostbackConfig, trigger: str, requested_by: Any, test_code: str = "") -> CredentialCheck:
    """Send one test conversion to the network's test view; the check's `message` becomes the result. Never counted.

    Raises SettingsRefused without a test code that the network needs, for a network without test events, for a trigger
    that is not built in, and if the stored credential cannot be read.
    """
    rules.refuse_counted_test(config.kind, test_code)
    if trigger not in Trigger.values:
        raise rules.SettingsRefused("Select the event to send.")
    rules.credential_to_check({}, network=config.network, config=config)
    return credential_checks.create(
        config=config, purpose=Purpose.TEST, requested_by=requested_by, trigger=trigger, test_code=test_code.strip()
    )


def request_release(*, config: PostbackConfig, requested_by: Any) -> CredentialCheck:
    """Check the credential of a config on hold; if accepted, its deliveries are sent. May raise SettingsRefused."""
    rules.credential_to_check({}, network=config.network, config=config)
    return credential_checks.create(config=config, purpose=Purpose.RELEASE, requested_by=requested_by)


def run_check(*, check_id: str, encrypted_test_code: str = "") -> None:
    """Send the request of the check, store the answer and apply its consequences.

    Does nothing if another worker runs the check or it is finished. With a test code an event is sent to the
    network's test view; without one a page view, which no campaign optimizes on, or no event at all. A check that was
    requested with a code sends nothing without it.
    """
    taken = _take(check_id)
    if taken is None:
        return
    check, credential = taken
    network, test_code = NETWORKS[check.network], _decrypted(encrypted_test_code)
    is_test = bool(test_code) or (check.purpose == Purpose.TEST and network.has_test_endpoint)
    if not is_test and (check.has_test_code or check.purpose == Purpose.TEST):
        check.message = TEST_CODE_LOST
        _close(check, CheckState.UNVERIFIED, None)
        return
    target = credential_checks.target_of(check, credential, test_code, is_test=is_test)
    trigger = check.triggers[0] if check.purpose == Purpose.TEST else Trigger.GAME_LAUNCH.value
    try:
        call = check_calls.ask(network, target, event_id=str(check.pk), trigger=trigger)
    except ValueError as error:
        if not test_code:
            raise
        check.message = f"The test event cannot be created with this {network.test_code_label.lower()}: {error}"
        _close(check, CheckState.REFUSED, None)
        return
    no_result = credential_checks.NO_RESULT_TEXTS[check.purpose]
    check.message = network.explain(call.outcome, check.pixel_id, undecided=no_result)
    check.provider_code = (call.outcome.code or "")[:64]
    _finish(check, call.outcome, call.response, credential)


@transaction.atomic
def _take(check_id: str) -> tuple[CredentialCheck, dict[str, str]] | None:
    """Return the pending check and its credential, which is deleted here; None if another worker took it."""
    pending = CredentialCheck.objects.pending().exclude(credential="").filter(pk=check_id)
    check = pending.select_for_update(skip_locked=True).first()
    if check is None:
        return None
    credential = dict(check.credential)
    is_readable = NETWORKS[check.network].has_credential(credential)
    check.credential = {}
    if not is_readable:
        logger.error("credential_unreadable", check_id=check_id)
        check.state, check.message, check.finished_at = CheckState.UNVERIFIED, rules.UNREADABLE, clock.now()
    check.save(update_fields=["credential", "state", "message", "finished_at"])
    return (check, credential) if is_readable else None


def _decrypted(encrypted_test_code: str) -> str:
    try:
        return str(decrypt(encrypted_test_code)) if encrypted_test_code else ""
    except ValidationError:
        logger.warning("test_code_unreadable")
        return ""


def _state(check: CredentialCheck, outcome: Outcome) -> CheckState:
    if NETWORKS[check.network].passed(outcome):
        return CheckState.PASSED
    refused = outcome.verdict in (Verdict.CREDENTIAL, Verdict.PAYLOAD)
    return CheckState.REFUSED if refused else CheckState.UNVERIFIED


def _finish(check: CredentialCheck, outcome: Outcome, response: Response | None, credential: dict[str, str]) -> None:
    state = _state(check, outcome)
    if check.purpose == Purpose.SAVE:
        _save(check, state, response, credential)
        return
    check.message = credential_checks.with_hold(check, state)
    _close(check, state, response)
    if check.purpose != Purpose.TEST and check.config_id:
        _apply_result(check, outcome, state, credential)


def _save(check: CredentialCheck, state: CheckState, response: Response | None, credential: dict[str, str]) -> None:
    """Apply the proposed settings if the network accepted them, and close the check."""
    if state == CheckState.PASSED and check.config_id:
        versions.pause_and_wait(config_id=check.config_id)
    with transaction.atomic():
        if not CredentialCheck.objects.pending().select_for_update().filter(pk=check.pk).exists():
            versions.resume(config_id=check.config_id)
            return  # closed by the upkeep: the form showed "nothing was saved"
        if state == CheckState.PASSED:
            try:
                # A savepoint: after a duplicate the transaction must still store the result.
                with transaction.atomic(), set_actor(check.requested_by):
                    if check.requested_as:
                        audit_log.set_actor(check.requested_by, email=check.requested_as)
                    versions.apply(check=check, credential=credential)
            except IntegrityError:
                state, check.message = CheckState.REFUSED, rules.DUPLICATE
            except rules.SettingsRefused as refused:
                state, check.message = CheckState.REFUSED, str(refused)
        versions.resume(config_id=check.config_id)
        _close(check, state, response)


def _close(check: CredentialCheck, state: CheckState, response: Response | None) -> None:
    check.state, check.finished_at = state, clock.now()
    check.http_status = response.status if response else None
    check.save(update_fields=["state", "http_status", "provider_code", "message", "finished_at"])
    logger.info(
        "credential_checked",
        check_id=str(check.pk),
        network=check.network,
        purpose=check.purpose,
        state=str(state),
        code=check.provider_code,
        http_status=check.http_status,
    )


@transaction.atomic
def _apply_result(check: CredentialCheck, outcome: Outcome, state: CheckState, credential: dict[str, str]) -> None:
    """Suspect, hold or release the config, or end its suspicion, unless its credential was changed meanwhile."""
    config = PostbackConfig.objects.kept().locked().filter(checks=check).first()
    if config is None or config.credential != credential:
        return
    PostbackConfig.objects.filter(pk=config.pk).update(checked_at=clock.now())
    if outcome.verdict == Verdict.CREDENTIAL:
        if config.held_at is None and config.suspected_at is None:
            hold.suspect(config=config)  # starts a second check
        else:
            hold.hold(config=config, access=outcome.access or "token", message=check.message)
    elif state == CheckState.PASSED and config.held_at and not config.is_held_by_user:
        hold.release(config=config)
    elif state != CheckState.UNVERIFIED:
        hold.end_suspicion(config=config)
