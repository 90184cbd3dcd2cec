"""The verbs of a PostbackConfig. What the network has a say in goes to it first; the rest is applied at once."""

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone

from audience.models import Game
from audience.wakeup import wake
from postbacks.deciding.outbox import DELIVER_TASK
from postbacks.models import CredentialCheck, Delivery, DeliveryState, PostbackConfig
from postbacks.setup import rules
from postbacks.setup.credentials import request_check
from postbacks.setup.rules import SettingsRefused

__all__ = ["SettingsRefused", "add", "change", "delete", "disable", "enable"]


def add(
    *,
    game: Game,
    network: str,
    pixel_id: str,
    credential: str,
    triggers: Sequence[str],
    requested_by: Any,
    enabled: bool = True,
    test_code: str = "",
) -> CredentialCheck:
    """Ask the network about a new postback, which exists once the check has passed. Raises as `request_check`."""
    return request_check(
        game=game,
        network=network,
        pixel_id=pixel_id,
        credential=credential,
        triggers=triggers,
        enabled=enabled,
        test_code=test_code,
        requested_by=requested_by,
    )


@transaction.atomic
def change(
    *,
    config: PostbackConfig,
    pixel_id: str,
    triggers: Sequence[str],
    enabled: bool,
    changed_by: Any,
    credential: str = "",
    test_code: str = "",
) -> CredentialCheck | None:
    """Change a postback: None when it is done, a check when the network has to be asked first.

    A new credential or pixel is the network's business, and so is a test code, which asks for a test. A blank
    `credential` keeps the stored one. Switching triggers or the whole postback on and off concerns only us.
    Raises SettingsRefused with a sentence for the form.
    """
    row, pixel_id = _locked(config), pixel_id.strip()
    if credential or test_code or pixel_id != row.pixel_id:
        return request_check(
            game=row.game,
            network=row.network,
            pixel_id=pixel_id,
            credential=credential,
            triggers=triggers,
            enabled=enabled,
            config=row,
            test_code=test_code,
            requested_by=changed_by,
        )
    rules.refuse_bad(triggers)
    if (set(triggers), enabled) != (set(row.triggers), row.enabled):
        row.triggers, row.enabled = list(triggers), enabled
        _save(row)
    return None


def enable(*, config: PostbackConfig) -> None:
    """Send from the next conversion on; those skipped while it was off stay skipped. SettingsRefused when deleted."""
    _switch(config, enabled=True)


def disable(*, config: PostbackConfig) -> None:
    """Stop sending; a retry that comes due while it is off is called off. SettingsRefused when deleted."""
    _switch(config, enabled=False)


@transaction.atomic
def delete(*, config: PostbackConfig) -> None:
    """Take it out of the list and wipe its credential; the delivery log stays. Deleting twice is once."""
    row = _kept(config)
    if row is None:
        return
    row.deleted_at, row.enabled, row.credential = timezone.now(), False, {}
    _save(row)
    # Due now, they are called off now (postbacks/sending/claims.py) instead of at a retry hours ahead.
    waiting = Delivery.objects.filter(config=row, state=DeliveryState.WAITING, leased_until=None)
    if waiting.update(next_attempt_at=timezone.now()):
        wake(DELIVER_TASK)


@transaction.atomic
def _switch(config: PostbackConfig, *, enabled: bool) -> None:
    row = _locked(config)
    if row.enabled != enabled:
        row.enabled = enabled
        _save(row)


def _locked(config: PostbackConfig) -> PostbackConfig:
    row = _kept(config)
    if row is None:
        raise SettingsRefused(rules.DELETED)
    return row


def _kept(config: PostbackConfig) -> PostbackConfig | None:
    """Locked against other changes, not against the deliveries that point to it."""
    rows = PostbackConfig.objects.kept().select_related("game").filter(pk=config.pk)
    return rows.select_for_update(of=("self",), no_key=True).first()


def _save(row: PostbackConfig) -> None:
    row.version += 1
    row.save()
